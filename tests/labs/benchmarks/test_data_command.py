import dataclasses
import json

import pytest

import jaxcl.labs.benchmarks
from jaxcl.cli import main
from jaxcl.config import ConfigError
from jaxcl.labs.benchmarks import DataBenchmark, DataResults
from jaxcl.labs.benchmarks._data_records import Speed, Stall
from jaxcl.labs.benchmarks._data_run import _plan, find_data_faults
from jaxcl.labs.benchmarks._data_tables import make_grids, render_markdown

SPEED = Speed(
    "views",
    "memory",
    "jaxcl: JAX",
    32,
    1,
    256,
    images_per_second=50_000.4,
    cpu_us=20.2,
    wall_ratio=1.0,
    cpu_ratio=1.0,
)
MISSING = dataclasses.replace(
    SPEED,
    contender="torchvision",
    ours=False,
    status="not installed",
    reason="pip install torchvision",
    images_per_second=None,
    cpu_us=None,
    wall_ratio=None,
    cpu_ratio=None,
)
STALL = Stall(
    "a path",
    "cifar10",
    32,
    None,
    {"read": 30.0, "views": 20.0},
    {"read": 30.0, "views": 25.0},
    wall_us=52.0,
    cpu_us=60.0,
    wall_ratio=1.04,
    cpu_ratio=1.09,
    busy=0.58,
)
RECORD = {
    "command": "jaxcl bench data",
    "commit": "abc1234",
    "date": "2026-01-02T03:04:05+00:00",
    "versions": {"jax": "0.10.2", "torch": "–"},
    "device": {"platform": "cpu", "kind": "cpu", "count": 1},
    "machine": {"processor": "a processor", "cores": 2, "load": 0.1},
    "options": {"seed": 0},
}


def test_quick_measures_jax_and_writes(tmp_path, capsys):
    arguments = ["--quick", "--sizes", "8", "--threads", "1", "--paths", "jax"]
    arguments += ["--json", "--out", str(tmp_path)]
    main(["bench", "data", *arguments])
    results = json.loads(capsys.readouterr().out)
    found = {(one["part"], one["contender"]): one for one in results["speeds"]}
    assert set(found) == {
        ("views", "jaxcl: JAX"),
        ("pipeline", "grain + JAX views"),
        ("pipeline", "grain, images only"),
        ("pipeline", "images kept on the device + JAX views"),
    }
    for one in found.values():
        assert one["status"] == "measured", one["reason"]
        assert one["images_per_second"] > 0
        assert one["cpu_us"] > 0
        assert len(one["wall_samples_us"]) == len(one["cpu_samples_us"]) == 2
        assert one["threads"] == 1
    assert found["views", "jaxcl: JAX"]["wall_ratio"] == 1.0
    assert found["pipeline", "grain, images only"]["source"] == "colored_digits"
    (stall,) = results["stalls"]
    assert set(stall["operations_us"]) == {"read", "decode", "views"}
    assert stall["wall_us"] > 0
    assert results["record"]["options"]["sizes"] == [8]
    assert {path.name for path in tmp_path.iterdir()} == {"data.json", "data.md"}
    assert "grain + JAX views" in (tmp_path / "data.md").read_text()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sizes": (4,)}, "`sizes` must be at least 8"),
        ({"sizes": ()}, "`sizes` must be at least 8"),
        ({"threads": (0,)}, "`threads` must be at least 1"),
        ({"paths": ()}, "`paths` must name"),
        ({"rounds": 0}, "`rounds` must be at least 1"),
        ({"seconds": 0.0}, "`seconds` must be positive"),
        ({"seed": -1}, "`seed` must be at least 0"),
        ({"data": ("cifar10@small",)}, "`data` must name pixels after an @"),
    ],
)
def test_what_cannot_be_measured_is_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        DataBenchmark(**fields).check()


def test_quick_is_small_unless_it_is_told_what_to_measure():
    quick = DataBenchmark(quick=True).resolve()
    assert (quick.sizes, quick.data) == ((32,), ("colored_digits",))
    assert "torchvision" not in quick.paths
    named = DataBenchmark(quick=True, sizes=(64,), data=("cifar10",)).resolve()
    assert (named.sizes, named.data) == ((64,), ("cifar10",))
    assert DataBenchmark().resolve() == DataBenchmark()


def test_torchvision_never_shares_a_process_with_tensorflow():
    options = DataBenchmark(sizes=(32, 64), data=("cifar10", "jpeg"), threads=(1, 2))
    tasks = list(_plan(options))
    for task in tasks:
        assert task.arguments["paths"] in (("jax", "tf_data"), ("torchvision",))
    # Two sizes of views, one stored data set, two sizes of pictures.
    assert len(tasks) == 2 * 2 * (2 + 1 + 2)
    pictures = [task.arguments["size"] for task in tasks if task.source == "jpeg"]
    assert sorted(pictures) == 4 * [32] + 4 * [64]


def test_only_failures_of_our_own_are_faults():
    failed = {"status": "failed", "reason": "it broke"}
    ours = dataclasses.replace(SPEED, **failed)
    other = dataclasses.replace(MISSING, **failed)
    faults = find_data_faults(DataResults({}, speeds=(SPEED, MISSING, ours, other)))
    assert faults == ["jaxcl: JAX, memory, 32 pixels: it broke"]


def test_a_fault_fails_the_command(monkeypatch, capsys):
    failed = dataclasses.replace(SPEED, status="failed", reason="it broke")
    monkeypatch.setattr(
        jaxcl.labs.benchmarks._command,
        "run_data",
        lambda options, tell: DataResults(RECORD, speeds=(failed,)),
    )
    with pytest.raises(SystemExit) as raised:
        main(["bench", "data", "--quick", "--quiet"])
    assert raised.value.code == 1
    assert "it broke" in capsys.readouterr().err


def test_the_page_says_what_was_measured_and_what_was_not():
    results = DataResults(RECORD, speeds=(SPEED, MISSING), stalls=(STALL,))
    speeds, stalls = make_grids(results)
    assert speeds.rows[0] == ("32", "jaxcl: JAX", "50,000", "1.00", "20", "1.00", "")
    assert speeds.rows[1][-1] == "not installed: pip install torchvision"
    row = dict(zip(stalls.headings, stalls.rows[0], strict=True))
    assert row["together"] == "50"
    assert row["path takes"] == "52"
    assert row["busy"] == "58 %"
    page = render_markdown(results)
    assert "abc1234" in page
    assert "| 32 | torchvision | – |" in page
    assert "torch –" not in page


def test_the_terminal_shows_the_same_tables(monkeypatch, capsys):
    monkeypatch.setattr(
        jaxcl.labs.benchmarks._command,
        "run_data",
        lambda options, tell: DataResults(RECORD, speeds=(SPEED,), stalls=(STALL,)),
    )
    main(["bench", "data", "--quick"])
    shown = capsys.readouterr().out
    assert "50,000" in shown
    assert "cifar10" in shown
