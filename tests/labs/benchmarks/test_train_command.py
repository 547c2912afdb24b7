import json

import pytest

from jaxcl.cli import main
from jaxcl.config import ConfigError, from_dict
from jaxcl.labs.benchmarks import TrainBenchmark, TrainResults
from jaxcl.labs.benchmarks._train_contenders import OURS, stand_ins, why_not
from jaxcl.labs.benchmarks._train_records import (
    REST,
    WHOLE,
    Breakdown,
    Overhead,
    Rival,
    Setting,
)
from jaxcl.labs.benchmarks._train_run import find_training_faults
from jaxcl.labs.benchmarks._train_tables import make_grids, render_markdown

SETTING = Setting("resnet18", "nt_xent", "sgd", batch_size=64, image_size=32)
RECORD = {
    "command": "jaxcl bench train",
    "commit": "abc1234",
    "date": "2026-01-02T03:04:05+00:00",
    "versions": {"jax": "0.10.2", "torch": "–"},
    "device": {"platform": "cpu", "kind": "cpu", "count": 1},
    "machine": {"processor": "a processor", "cores": 2, "load": 0.1},
    "options": {"seed": 0},
}


def test_quick_measures_a_tiny_step_whose_table_adds_up(tmp_path, capsys):
    arguments = ["--quick", "--image-size", "8", "--batch-size", "8", "--rounds", "1"]
    arguments += ["--encoder", "mlp", "--steps", "2", "--devices", "1"]
    main(["bench", "train", *arguments, "--json", "--out", str(tmp_path)])
    results = json.loads(capsys.readouterr().out)
    (step,) = results["breakdowns"]
    assert step["status"] == "measured", step["reason"]
    assert step["images_per_second"] == pytest.approx(1000 * 8 / step["wall_ms"])
    pieces = {"input", "augmentation", "encoder and head", "loss", "statistics"}
    assert set(step["shares"]) == pieces | {"optimizer", REST}
    for name in pieces | {"optimizer"}:
        assert step["parts_ms"][name] > 0
    assert sum(step["shares"].values()) == pytest.approx(1.0)
    assert sum(step["cpu_shares"].values()) == pytest.approx(1.0)
    assert sum(step["parts_ms"].values()) == pytest.approx(step["wall_ms"])
    (overhead,) = results["overheads"]
    assert overhead["ratio"] == overhead["loop_ms"] / overhead["bare_ms"]
    assert {one["status"] for one in results["rivals"]} <= {"not installed", "skipped"}
    assert {path.name for path in tmp_path.iterdir()} == {"train.json", "train.md"}
    assert "encoder and head" in (tmp_path / "train.md").read_text()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"steps": 0}, "`steps` must be 1 to 10"),
        ({"steps": 15}, "`steps` must be 1 to 10, or a multiple of 10"),
        ({"rounds": 0}, "`rounds` must be at least 1"),
        ({"devices": -1}, "`devices` must be at least 0"),
        ({"seconds": 0.0}, "`seconds` must be positive"),
        ({"image_size": 4}, "`image_size` must be at least 8"),
        ({"batch_size": (1,)}, "`data.batch_size` must be at least 2"),
    ],
)
def test_what_cannot_be_measured_is_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        TrainBenchmark(**fields).check()


def test_every_combination_is_a_case():
    options = TrainBenchmark(
        encoder=("resnet18", "convnet"), batch_size=(32, 64), steps_per_dispatch=(1, 4)
    )
    configs = [from_dict(case.config) for case in options.cases()]
    found = {
        (one.model.encoder, one.data.batch_size, one.steps_per_dispatch)
        for one in configs
    }
    assert len(configs) == len(found) == 8
    assert {case.made for case in options.cases()} == {32}


def test_a_config_keeps_its_data_and_what_was_not_named(tmp_path):
    file = tmp_path / "a.toml"
    file.write_text('[data]\nname = "cifar10"\nbatch_size = 24\n[model]\nwidth = 8\n')
    (case,) = TrainBenchmark(config=file, dtype=("bfloat16",), quick=True).cases()
    config = from_dict(case.config)
    assert case.made == 0
    assert (config.data.name, config.data.batch_size) == ("cifar10", 24)
    assert (config.model.width, config.model.dtype) == (8, "bfloat16")
    with pytest.raises(ConfigError, match="a config has its own"):
        TrainBenchmark(config=file, image_size=32).check()


def test_a_missing_peer_is_named(monkeypatch):
    (case,) = TrainBenchmark().cases()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    excuse = why_not(case.config, devices=0)
    assert excuse == ("not installed", "pip install 'jaxcl[bench]'")
    rivals = stand_ins(SETTING, *excuse)
    (grid,) = make_grids(TrainResults(RECORD, rivals=tuple(rivals)))
    names = [row[0] for row in grid.rows]
    assert names == ["torch + lightly", "torch + lightly, channels last"]
    assert grid.rows[0][-1] == "not installed: pip install 'jaxcl[bench]'"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"encoder": ("convnet",)}, "encoder is ResNet-18 or -34"),
        ({"dtype": ("bfloat16",)}, "type is float32"),
        ({"steps_per_dispatch": (2,)}, "steps are dispatched one by one"),
    ],
)
def test_another_run_than_the_peer_was_written_for_is_not_compared(
    monkeypatch, fields, reason
):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    (case,) = TrainBenchmark(**fields).cases()
    status, said = why_not(case.config, devices=1)
    assert status == "skipped"
    assert reason in said
    (usual,) = TrainBenchmark().cases()
    assert why_not(usual.config, devices=1) is None


def test_only_failures_of_our_own_are_faults():
    failed = {"status": "failed", "reason": "it broke"}
    other = Rival(SETTING, "torch + lightly", **failed)
    ours = Rival(SETTING, OURS, ours=True, **failed)
    step = Breakdown(SETTING, **failed)
    assert find_training_faults(TrainResults({}, rivals=(other,))) == []
    faults = find_training_faults(TrainResults({}, (step,), rivals=(ours,)))
    assert len(faults) == 2
    assert all(fault.endswith(": it broke") for fault in faults)


def test_the_page_says_what_was_measured():
    step = Breakdown(
        SETTING,
        images_per_second=32.0,
        wall_ms=2000.0,
        cpu_ms=3000.0,
        parts_ms={"loss": 500.0, REST: 1500.0},
        parts_cpu_ms={"loss": 600.0, REST: 2400.0},
        shares={"loss": 0.25, REST: 0.75},
        cpu_shares={"loss": 0.2, REST: 0.8},
    )
    loop = Overhead(SETTING, 10, 10.3, 10.0, 1.03, 1.01, 1.04, 20.4, 20.0)
    ours = Rival(SETTING, OURS, ours=True, images_per_second=32.0, wall_ratio=1.0)
    results = TrainResults(RECORD, (step,), (loop,), (ours,))
    first, second, third = make_grids(results)
    assert first.rows[0][:4] == (WHOLE, "2,000.0", "100.0 %", "3,000.0")
    assert first.rows[1][:5] == ("loss", "500.0", "25.0 %", "600.0", "20.0 %")
    assert second.rows[0][4:6] == ("1.030", "1.010 to 1.040")
    assert third.rows[0][:2] == (OURS, "32.0")
    page = render_markdown(results)
    assert "abc1234" in page
    assert "resnet18, nt_xent, sgd, 64 images a step, 32 pixels" in page
