"""A report on paper says what the JSON says, and survives whatever it holds."""

import copy
import io
import math
import re
from typing import Any

import pytest
from reports.fakes import Page, a_report, scores, with_domains
from rich.console import Console

from jaxcl.reports import (
    ReportError,
    drawing,
    read_reports,
    render_html,
    render_table,
)

HOSTILE = "<script>alert('x')</script>"


def printed(share: float) -> str:
    return f"{100 * share:.1f}%"


def terminal(*reports: dict[str, Any], width: int = 100) -> str:
    console = Console(width=width, file=io.StringIO())
    with console.capture() as capture:
        console.print(render_table(reports))
    return capture.get()


@pytest.mark.parametrize(
    "reports",
    [[with_domains()], [a_report()], [with_domains(), a_report()]],
    ids=["domains", "no domains", "several"],
)
def test_a_page_stands_alone_and_is_well_nested(reports: list[dict[str, Any]]):
    html = render_html(reports)
    page = Page(html)
    assert not page.count("script")
    assert not page.count("link")
    for tag, attributes in page.tags:
        assert not {"src", "href", "srcset", "onload"} & set(attributes), tag
    # Clip paths of a figure refer to the figure itself.
    assert not re.search(r"https?:|url\((?!#)|@import", html)
    assert len(html) < 500_000


def test_every_figure_speaks_and_every_table_has_a_caption():
    page = Page(render_html([with_domains()]))
    pictures = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert len(pictures) == page.count("figure") == 7
    assert all(picture["role"] == "img" for picture in pictures)
    assert all(picture["aria-label"] for picture in pictures)
    assert page.count("table") == page.count("caption")


def test_printed_accuracies_are_those_of_the_json():
    report = with_domains()
    page = Page(render_html([report]))
    old, new = (report["evaluation"][when]["splits"] for when in ("before", "after"))
    for split in new:
        for method, title in (("knn", "kNN"), ("linear_probe", "linear probe")):
            before, after = old[split][method], new[split][method]
            low, high = before["worst_domain"], after["worst_domain"]
            assert page.row(split, title) == [
                split,
                title,
                printed(before["accuracy"]),
                printed(after["accuracy"]),
                f"{low['name']} {printed(low['accuracy'])}",
                f"{high['name']} {printed(high['accuracy'])}",
                f"{new[split]['count']:,}",
            ]
    for name in ("red", "green", "blue"):
        pair = [
            printed(when["id_test"]["knn"]["domains"][name]["accuracy"])
            for when in (old, new)
        ]
        assert page.row(name) == [name, *pair, *pair, "30"]


def test_the_summary_and_the_tiles_take_the_split_that_has_shifted():
    report = with_domains()
    report["evaluation"]["after"]["splits"]["ood_test"]["linear_probe"] = scores(
        0.6789, {"red": 0.5432, "blue": 0.8}
    )
    page = Page(render_html([report]))
    assert "linear probe accuracy on ood_test is 67.9% (31.3% before" in page.text
    assert "and 54.3% in its worst domain, red." in page.text
    assert "Linear probe, ood_test 67.9% 31.3% before" in page.text
    assert "Worst domain, ood_test 54.3% red; 10.1% before" in page.text
    assert "Negative variance 0.00854 0.00313 before" in page.text


def test_similarity_statistics_are_those_of_the_json():
    page = Page(render_html([with_domains()]))
    assert page.row("negative", "after")[2:] == [
        "\u22120.0625", "0.00854", "\u22120.9000", "0.9875", "4,096"
    ]  # fmt: skip


def test_hostile_names_stay_text():
    report = a_report(HOSTILE, '"><img src=x onerror=alert(1)>', name=HOSTILE)
    report["config"]["data"] = {HOSTILE: HOSTILE}
    report["run"]["command"] = HOSTILE
    splits = report["evaluation"]["after"]["splits"]
    splits[HOSTILE] = splits["ood_test"]
    report["evaluation_curves"][HOSTILE] = [0.1, 0.2, 0.3]
    report["curves"][HOSTILE] = report["curves"]["loss"]
    for reports in ([report], [report, report]):
        page = Page(render_html(reports))
        assert not page.count("script")
        assert not page.count("img")
        assert HOSTILE in page.text


def test_a_domain_named_like_a_color_is_not_painted():
    assert "[red]" in terminal(a_report("[red]", "[/blue]"))


@pytest.mark.parametrize("key", sorted(with_domains()))
def test_a_section_without_its_key_is_left_out(key: str):
    report = with_domains()
    del report[key]
    for reports in ([report], [report, with_domains()]):
        Page(render_html(reports))
        render_table(reports)


def test_no_domains_and_no_beginning_leave_no_column_behind():
    report = a_report()
    report["evaluation"]["before"] = None
    page = Page(render_html([report]))
    assert page.row("id_test") == ["id_test", "linear probe", "85.4%", "300"]
    for text in (page.text, terminal(report)):
        assert "orst domain" not in text
        assert "before" not in text.replace("Before", "before")
    assert "Domains" not in page.text


def test_an_empty_report_is_a_page_with_a_title():
    assert "run" in Page(render_html([{}])).text
    assert render_table([{}]).row_count == 0


def test_what_is_not_a_number_is_a_dash():
    report = with_domains()
    result = report["evaluation"]["after"]["splits"]["id_test"]["linear_probe"]
    result["accuracy"] = math.nan
    result["domains"]["red"] = {"accuracy": None, "count": 0}
    report["curves"]["loss"][10:20] = [math.nan, None] * 5
    report["evaluation_curves"]["ood_test"] = [None, None, None]
    html = render_html([report])
    page = Page(html)
    assert page.row("id_test", "linear probe")[3] == "\u2013"
    assert page.row("red")[2] == "\u2013"
    assert "Loss: 10 records are not finite." in page.text
    assert "kNN accuracy during training" not in page.text
    assert not re.search(r"\b(nan|inf|None)\b", html)


def test_a_run_that_diverged_does_not_end_on_an_older_loss():
    report = with_domains()
    report["curves"]["loss"][-1] = math.nan
    assert "last \u2013" in Page(render_html([report])).text


def test_a_constant_curve_and_a_lone_record_are_drawn():
    report = a_report()
    report["curves"] = {"step": [1], "loss": [2.5], "learning_rate": [0.0]}
    page = Page(render_html([report]))
    assert "last 2.5" in page.text
    assert "last 0" in page.text


def test_long_records_and_many_domains_keep_the_page_small():
    report = a_report(*(f"hospital_{place}" for place in range(300)))
    report["curves"] = {
        key: [step + math.sin(step) for step in range(100_000)]
        for key in ("step", "loss", "a", "b", "c", "d")
    }
    html = render_html([report])
    assert len(html) < 500_000
    assert "the 30 lowest of 300 domains" in Page(html).text


def test_several_reports_stand_side_by_side():
    first, second = with_domains(), copy.deepcopy(with_domains())
    second["config"]["seed"] = 7
    second["config"]["objective"]["penalties"]["variance"] = 0.25
    second["evaluation"]["after"]["splits"]["ood_test"]["knn"]["accuracy"] = 0.9
    page = Page(render_html([first, second]))
    assert page.row("run") == ["run", "quickstart (seed 0)", "quickstart (seed 7)"]
    assert page.row("penalties") == ["penalties", "none", "variance 0.25"]
    assert page.row("images per second")[1:] == ["2,103", "2,103"]
    assert ["kNN", "81.2%", "90.0%"] in page.rows
    assert page.row("kNN, worst domain")[1:] == ["red 70.4%"] * 2
    assert page.row("negative variance")[1:] == ["0.00313 \u2192 0.00854"] * 2
    assert page.row("objective.penalties.variance")[1:] == ["0.0", "0.25"]
    assert page.count("svg") == 2


def test_the_terminal_table_has_one_row_a_split_and_method():
    text = terminal(with_domains())
    assert re.search(r"ood_test +linear +31\.3% +85\.4% +red 10\.1% +red 70\.4%", text)
    assert render_table([with_domains()]).row_count == 4
    assert render_table([with_domains(), a_report()]).row_count == 8
    # The narrowest common terminal still shows every number.
    assert "red 70.4%" in terminal(with_domains(), a_report(name="x" * 40), width=80)


def test_no_report_is_an_error():
    for render in (render_html, render_table):
        with pytest.raises(ValueError, match="`reports` must hold"):
            render([])


@pytest.mark.parametrize("text", ["[]", "5", "{", "[" * 100_000, b"\xff"])
def test_what_is_no_report_is_named(tmp_path, text):
    data = text if isinstance(text, bytes) else text.encode()
    (tmp_path / "report.json").write_bytes(data)
    with pytest.raises(ReportError, match=r"report.json' is no report"):
        read_reports([tmp_path])


def test_a_report_is_not_read_through_a_link(tmp_path):
    (tmp_path / "report.json").symlink_to("/dev/zero")
    with pytest.raises(ReportError, match="is a link, or no file"):
        read_reports([tmp_path])


def test_settings_of_matplotlib_in_the_working_directory_do_not_act(monkeypatch):
    import matplotlib

    # They could start LaTeX, with a preamble of their own.
    monkeypatch.setitem(matplotlib.rcParams, "text.usetex", True)
    with drawing():
        assert not matplotlib.rcParams["text.usetex"]
    assert matplotlib.rcParams["text.usetex"]
