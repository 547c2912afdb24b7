import dataclasses
import json

import pytest
from labs.benchmarks.made_results import ORIGIN
from long_tests import long

import jaxcl.labs.benchmarks._run
from jaxcl.cli import main
from jaxcl.labs.benchmarks import Measurement, Results, read_results

FAILED = Measurement("views", "jaxcl: JAX", 32, {"source": "memory", "threads": None})
FAILED = dataclasses.replace(FAILED, status="failed", reason="it broke")


def run(capsys, *arguments):
    """What the command prints as JSON, by what, contender and quantity."""
    main(["bench", *arguments, "--json"])
    rows = json.loads(capsys.readouterr().out)["measurements"]
    return {(row["what"], row["contender"], row["quantity"]): row for row in rows}


@pytest.mark.slow
def test_losses_are_timed_and_compared_and_their_memory_is_measured(tmp_path, capsys):
    arguments = ["losses", "--rows", "64", "--no-peers", "--threads", "1"]
    arguments += ["--losses", "nt_xent", "--rounds", "4", "--seconds", "1e9"]
    found = run(capsys, *arguments, "--out", str(tmp_path))
    assert {row["status"] for row in found.values()} == {"measured"}
    for name in ("jaxcl", "dense jnp"):
        assert found["losses", name, "wall"]["value"] > 0
        assert len(found["losses", name, "wall"]["samples"]) == 4
        assert found["memory", name, "temporaries"]["value"] > 0
    assert found["losses", "jaxcl", "gradient difference"]["value"] < 1e-5
    assert found["losses", "jaxcl", "peak share"]["value"] > 0
    assert found["losses", "dense jnp", "wall ratio"]["value"] == 1.0
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"losses.json", "losses.md", "losses.png"}
    results = read_results(tmp_path / "losses.json")
    assert results.origin["options"]["rows"] == [64]


@long
@pytest.mark.slow
def test_quick_measures_input_paths_and_their_operations(tmp_path, capsys):
    arguments = ["data", "--quick", "--sizes", "8", "--threads", "1"]
    found = run(capsys, *arguments, "--paths", "jax", "--out", str(tmp_path))
    assert {row["status"] for row in found.values()} == {"measured"}
    paths = {
        ("views", "jaxcl: JAX"),
        ("pipeline", "grain + JAX views"),
        ("pipeline", "grain, images only"),
        ("pipeline", "images kept on the device + JAX views"),
    }
    assert paths == {key[:2] for key in found if key[0] != "operations"}
    for path in paths:
        assert found[*path, "images per second"]["value"] > 0
        assert len(found[*path, "wall"]["samples"]) == 2
        assert len(found[*path, "cpu"]["samples"]) == 2
        assert found[*path, "wall"]["setting"]["threads"] == 1
    assert found["views", "jaxcl: JAX", "wall ratio"]["value"] == 1.0
    alone = {key[2] for key in found if key[0] == "operations"}
    assert {"read", "decode", "views", "together", "wall", "busy"} <= alone
    assert {path.name for path in tmp_path.iterdir()} == {"data.json", "data.md"}


@long
@pytest.mark.slow
def test_quick_measures_a_training_step_whose_pieces_add_up(tmp_path, capsys):
    arguments = ["train", "--quick", "--image-size", "8", "--batch-size", "8"]
    arguments += ["--encoder", "mlp", "--steps", "2", "--devices", "1"]
    found = run(capsys, *arguments, "--rounds", "1", "--out", str(tmp_path))
    pieces = ("input", "augmentation", "encoder and head", "loss", "statistics")
    pieces = {*pieces, "optimizer", "rest"}
    step = {key[1:]: row["value"] for key, row in found.items() if key[0] == "step"}
    assert {name for name, _ in step} == {*pieces, "whole step"}
    assert step["whole step", "images per second"] == pytest.approx(
        1000 * 8 / step["whole step", "wall"]
    )
    for quantity in ("wall", "cpu", "wall share", "cpu share"):
        total = sum(step[name, quantity] for name in pieces)
        assert total == pytest.approx(step["whole step", quantity])
    loop = {key[2]: row["value"] for key, row in found.items() if key[0] == "loop"}
    assert loop["ratio"] == loop["loop"] / loop["bare"]
    peers = {row["status"] for key, row in found.items() if key[0] == "peers"}
    assert peers <= {"not installed", "skipped"}
    assert {path.name for path in tmp_path.iterdir()} == {"train.json", "train.md"}


@pytest.mark.parametrize("name", ["losses", "data", "train", "aot"])
def test_a_fault_of_ours_fails_the_command(monkeypatch, capsys, name):
    monkeypatch.setattr(
        jaxcl.labs.benchmarks._run,
        "run_benchmark",
        lambda options, tell: Results("data", ORIGIN, (FAILED,)),
    )
    with pytest.raises(SystemExit) as raised:
        main(["bench", name, "--quick"])
    assert raised.value.code == 1
    printed = capsys.readouterr()
    assert "Views of images in memory" in printed.out
    assert printed.err == (
        "error: jaxcl: JAX, views, size 32, source memory, threads None: it broke\n"
    )


def test_quiet_prints_errors_only(monkeypatch, capsys):
    monkeypatch.setattr(
        jaxcl.labs.benchmarks._run,
        "run_benchmark",
        lambda options, tell: Results("data", ORIGIN, ()),
    )
    main(["bench", "data", "--quiet"])
    printed = capsys.readouterr()
    assert printed.out == printed.err == ""
