import dataclasses
import io

from rich.console import Console

from jaxcl.labs.benchmarks import Results, find_faults, render_results, write_results
from jaxcl.labs.benchmarks._records import Accuracy, Memory, Peak, Timing
from jaxcl.labs.benchmarks._tables import render_markdown

RECORD = {
    "command": "jaxcl bench losses",
    "commit": "abc1234",
    "date": "2026-01-02T03:04:05+00:00",
    "versions": {"jax": "0.10.2", "torch": "–"},
    "device": {"platform": "cpu", "kind": "cpu", "count": 1},
    "machine": {"processor": "a processor", "cores": 2, "load": 0.1},
    "options": {"seed": 0},
}
DENSE = Timing(
    "nt_xent",
    "dense jnp",
    1024,
    128,
    "float32",
    1,
    wall_ms=10.0,
    cpu_ms=10.0,
    wall_ratio=1.0,
    cpu_ratio=1.0,
    temporaries_mib=17.0,
)
OURS = dataclasses.replace(
    DENSE,
    contender="jaxcl",
    wall_ms=4.2,
    wall_ratio=0.42,
    peak_share=0.815,
    gradient_difference=2e-7,
)
MISSING = Timing(
    "nt_xent",
    "torch cross-entropy",
    1024,
    128,
    "float32",
    1,
    status="not installed",
    reason="pip install torch",
)
RESULTS = Results(
    RECORD,
    timings=(OURS, DENSE, MISSING, dataclasses.replace(MISSING, rows=2048)),
    peaks=(Peak(1024, 128, 1, "float32", 173.0),),
    memory=(Memory("nt_xent", "jaxcl", 1024, 128, "float32", growth_mib=8.5),),
    accuracy=(
        Accuracy("aligned", 0.01, "nt_xent", "jaxcl", "float32", gradient_error=3e-6),
        Accuracy(
            "aligned",
            0.01,
            "nt_xent",
            "torch cross-entropy",
            "float32",
            status="not installed",
        ),
    ),
)


def printed(results):
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(render_results(results))
    return console.export_text()


def test_tables_show_ratios_shares_and_what_is_missing():
    for text in (printed(RESULTS), render_markdown(RESULTS)):
        for piece in ("0.42", "82 %", "2e-7", "173 GFLOP/s", "8.5", "3e-6"):
            assert piece in text
        assert "not installed: pip install torch" in text
        # One line for all sizes of what could not run.
        assert "1,024, 2,048" in text


def test_the_page_says_where_its_numbers_come_from():
    page = render_markdown(RESULTS)
    for piece in ("a processor", "abc1234", "2026-01-02", "seed 0", "jax 0.10.2"):
        assert piece in page
    assert "torch –" not in page


def test_files_are_written(tmp_path):
    paths = write_results(RESULTS, tmp_path / "new" / "folder")
    assert [path.name for path in paths] == ["losses.json", "losses.md", "losses.png"]
    assert paths[2].read_bytes().startswith(b"\x89PNG")


def test_a_picture_of_nothing_measured_can_be_drawn(tmp_path):
    empty = dataclasses.replace(RESULTS, timings=(MISSING,), memory=())
    assert write_results(empty, tmp_path)[2].stat().st_size > 0


def test_faults_are_those_of_ours_alone():
    assert find_faults(RESULTS) == []
    wrong = dataclasses.replace(OURS, gradient_difference=0.5)
    unknown = dataclasses.replace(OURS, gradient_difference=float("nan"))
    broken = dataclasses.replace(MISSING, contender="jaxcl", status="failed")
    died = dataclasses.replace(MISSING, contender="all", status="failed")
    peer = dataclasses.replace(MISSING, status="failed", reason="its own affair")
    results = dataclasses.replace(RESULTS, timings=(wrong, unknown, broken, died, peer))
    assert len(find_faults(results)) == 4
