import dataclasses
import io
from pathlib import Path

import pytest
from labs.benchmarks.made_results import ORIGIN
from rich.console import Console

from jaxcl.labs.benchmarks import (
    Measurement,
    Results,
    find_faults,
    read_results,
    render_page,
    render_results,
    write_results,
)

DOCS = Path(__file__).parents[3] / "docs" / "benchmarks"
SETTING = {"loss": "nt_xent", "dim": 128, "dtype": "float32", "threads": 1}
OURS = Measurement("losses", "jaxcl", 1024, SETTING)
MISSING = dataclasses.replace(
    OURS.of("wall", None),
    contender="torch cross-entropy",
    status="not installed",
    reason="pip install torch",
    required=False,
)
ACCURACY = Measurement("accuracy", "jaxcl", 2048, {**SETTING, "regime": "aligned"})
ACCURACY = ACCURACY.but(temperature=0.01)
RESULTS = Results(
    "losses",
    ORIGIN,
    (
        OURS.of("wall", 4.2, "ms", (4.1, 4.2, 4.4)),
        OURS.of("wall ratio", 0.42),
        OURS.of("peak share", 0.815),
        OURS.of("gradient difference", 2e-7),
        MISSING,
        dataclasses.replace(MISSING, size=2048),
        dataclasses.replace(OURS, what="memory").of("growth", 8.5, "MiB"),
        ACCURACY.of("gradient error", 3e-6),
        dataclasses.replace(ACCURACY, contender="torch", status="not installed"),
    ),
)


def printed(results):
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(render_results(results))
    return console.export_text()


def test_tables_show_ratios_shares_and_what_is_missing():
    for text in (printed(RESULTS), render_page(RESULTS)):
        for piece in ("0.42", "0.815", "2e−7", "8.5", "3e−6", "aligned"):
            assert piece in text
        assert "not installed: pip install torch" in text


def test_the_page_says_where_its_numbers_come_from():
    page = render_page(RESULTS)
    for piece in ("a processor", "abc1234", "2026-01-02", "seed 0", "jax 0.10.2"):
        assert piece in page
    assert "torch –" not in page


def test_files_are_written_and_read(tmp_path):
    paths = write_results(RESULTS, tmp_path / "new" / "folder")
    assert [path.name for path in paths] == ["losses.json", "losses.md", "losses.png"]
    assert paths[2].read_bytes().startswith(b"\x89PNG")
    assert read_results(paths[0]) == RESULTS


def test_a_picture_of_nothing_measured_can_be_drawn(tmp_path):
    results = dataclasses.replace(RESULTS, measurements=(MISSING,))
    assert write_results(results, tmp_path)[2].stat().st_size > 0


def test_faults_are_those_of_ours_alone():
    assert find_faults(RESULTS) == []
    failed = {"status": "failed", "reason": "it broke"}
    peer = dataclasses.replace(MISSING, **failed)
    died = dataclasses.replace(OURS, contender="all", **failed)
    results = Results("losses", ORIGIN, (peer, died))
    assert find_faults(results) == [
        "all, losses, size 1024, loss nt_xent, dim 128, dtype float32, threads 1: "
        "it broke"
    ]


def numbers(page):
    """Tables and headings; not what could not run, which is merged over sizes."""
    lines = page.replace("–", "").splitlines()
    return [line for line in lines if line[:1] in "|#`" and "skipped: " not in line]


@pytest.mark.parametrize(
    "path", sorted(DOCS.rglob("*.json")), ids=lambda path: str(path.relative_to(DOCS))
)
def test_the_pages_on_record_show_what_their_data_say(path):
    rendered = set(numbers(render_page(read_results(path))))
    kept = numbers(path.with_suffix(".md").read_text())
    assert len(kept) > 20
    assert [line for line in kept if line not in rendered] == []
