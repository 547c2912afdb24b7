"""The images of a page are those of its file, and nothing else is shown as one."""

import copy

import pytest
from reports.fakes import Page, a_looks, an_image, with_domains

from jaxcl.reports import ReportError, read_looks, render_html

HOSTILE = "</script><img src=x onerror=alert(1)>"


def images(page):
    return [attributes for tag, attributes in page.tags if tag == "img"]


def test_every_image_has_its_text_and_only_wrong_labels_are_marked():
    page = Page(render_html([with_domains()], [a_looks()]))
    shown = images(page)
    # One image with two views; two queries with two neighbors before and after.
    assert len(shown) == 3 + 2 * 5
    assert all(image["alt"] and image["src"] for image in shown)
    wrong = [image["alt"] for image in shown if image["alt"].startswith("wrong label")]
    assert wrong == ["wrong label, 8, red, similarity 0.50"]
    assert page.text.count("\u2717 8") == 1
    # The only other one explains it.
    assert page.text.count("\u2717") == 2
    assert "view 1 of 7, red" in [image["alt"] for image in shown]


def test_without_labels_nothing_is_marked():
    looks = a_looks()
    for query in looks["queries"]:
        for one in [query, *query["before"], *query["after"]]:
            one["label"] = None
    looks["shares"] = {"before": {"ood_test": None}, "after": {"ood_test": None}}
    page = Page(render_html([with_domains()], [looks]))
    assert "\u2717" not in page.text and "wrong label" not in render_html(
        [with_domains()], [looks]
    )
    assert "nearest training images" not in page.text


def test_the_test_images_that_have_shifted_come_first():
    looks = a_looks()
    assert [query["split"] for query in looks["queries"]] == ["id_test", "ood_test"]
    html = render_html([with_domains()], [looks])
    assert html.index('aria-label="ood_test: ') < html.index('aria-label="id_test: ')


@pytest.mark.parametrize(
    "looks", [None, {}, [], {"step": 599}, {"step": 600, "views": 5}]
)
def test_without_images_or_with_those_of_another_step_there_are_none(looks):
    html = render_html([with_domains()], [looks])
    assert not images(Page(html)) and "img-src" not in html
    assert html == render_html([with_domains()])


def test_a_page_with_images_loads_nothing_else():
    html = render_html([with_domains()], [a_looks()])
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in html
    for tag, attributes in Page(html).tags:
        assert not {"href", "srcset", "onload", "onerror"} & set(attributes), tag
    assert all(one["src"].startswith("data:image/") for one in images(Page(html)))


@pytest.mark.parametrize(
    "source",
    [
        "https://example.org/a.png",
        "javascript:alert(1)",
        "data:image/svg+xml;base64,PHN2Zz4=",
        "data:text/html;base64,PHN2Zz4=",
        'data:image/png;base64,AA" onerror="alert(1)',
        "data:image/png;base64,AA\n",
        5,
        None,
    ],
)
def test_what_is_no_image_is_not_shown(source):
    looks = a_looks()
    looks["views"][0]["image"] = source
    looks["queries"][0]["image"] = source
    looks["queries"][1]["after"][0]["image"] = source
    html = render_html([with_domains()], [looks])
    assert len(images(Page(html))) == 4
    assert "alert(1)" not in html and "example.org" not in html


def test_names_of_strangers_stay_text():
    looks = a_looks()
    for query in looks["queries"]:
        query |= {"label": HOSTILE, "domain": HOSTILE, "split": HOSTILE}
        query["after"][0] |= {"label": HOSTILE, "domain": HOSTILE}
    looks["views"][0] |= {"label": HOSTILE}
    looks["columns"] = {"label": HOSTILE, "domain": HOSTILE}
    looks["shares"]["after"][HOSTILE] = looks["shares"]["after"]["ood_test"]
    for count in (1, 2):
        html = render_html([with_domains()] * count, [looks] * count)
        assert "<img src=x" not in html and "<script" not in html
        page = Page(html)
        assert all(image["src"].startswith("data:") for image in images(page))
        assert HOSTILE in page.text


@pytest.mark.parametrize(
    ("domain", "label", "ending"),
    [
        (0.8, 0.01, ": the embedding follows the color (domain) more than the label."),
        (0.01, 0.8, ": the embedding follows the label more than the color (domain)."),
        (0.2, 0.2, "."),
    ],
)
def test_a_sentence_says_what_the_embedding_follows(domain, label, ending):
    looks = a_looks()
    looks["columns"]["domain"] = "color"
    found = looks["shares"]["after"]["ood_test"]
    found |= {"only_domain": domain, "only_label": label}
    page = Page(render_html([with_domains()], [looks]))
    said = (
        "On ood_test, of the 10 nearest training images 93.0% share the image's color "
        "(domain) (97.0% before training, 10.0% by chance) and 12.0% share the image's "
        "label (11.0% before training, 10.0% by chance)"
    )
    assert f"{said}{ending} ood_test" in page.text


def test_runs_are_compared_on_the_images_that_both_were_asked():
    first, second = a_looks(), copy.deepcopy(a_looks())
    second["queries"][0]["image"] = an_image("another")
    second["queries"][1]["after"][1]["label"] = "9"
    reports = [with_domains(), with_domains()]
    reports[1]["name"] = "within"
    page = Page(render_html(reports, [first, second]))
    # One query is the same, with two neighbors in each of the runs.
    assert len(images(page)) == 1 + 2 * 2
    marked = [one["alt"] for one in images(page) if one["alt"].startswith("wrong")]
    assert [alt.split(", ")[1] for alt in marked] == ["8", "8", "9"]
    assert "quickstart : On ood_test" in page.text.replace(
        "quickstart:", "quickstart :"
    )


def test_a_run_without_images_leaves_the_comparison_without_them():
    html = render_html([with_domains()] * 2, [a_looks(), None])
    assert not images(Page(html))


def test_files_of_images_are_read_where_there_are_any(tmp_path):
    runs = [tmp_path / "a", tmp_path / "b"]
    for run in runs:
        run.mkdir()
    (runs[0] / "looks.json").write_text('{"step": 3}')
    assert read_looks(runs) == [{"step": 3}, None]
    (runs[1] / "looks.json").symlink_to(runs[0] / "looks.json")
    with pytest.raises(ReportError, match="is a link"):
        read_looks(runs)
