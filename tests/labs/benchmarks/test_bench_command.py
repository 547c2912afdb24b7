import json

import pytest
from long_tests import LONG

import jaxcl.labs.benchmarks
from jaxcl.cli import main
from jaxcl.config import ConfigError
from jaxcl.labs.benchmarks import LossesBenchmark
from jaxcl.labs.benchmarks._accuracy import measure_accuracy


def test_quick_measures_and_writes(tmp_path, capsys):
    arguments = ["--quick", "--rows", "64", "--no-peers", "--threads", "1", "--json"]
    arguments += ["--losses", "nt_xent", "info_nce", "--out", str(tmp_path)]
    main(["bench", "losses", *arguments])
    results = json.loads(capsys.readouterr().out)
    found = {(t["loss"], t["contender"]): t for t in results["timings"]}
    assert len(found) == 4
    for timing in found.values():
        assert timing["status"] == "measured", timing["reason"]
        assert timing["wall_ms"] > 0
        assert len(timing["wall_samples_ms"]) == 5
    ours = found["nt_xent", "jaxcl"]
    assert ours["gradient_difference"] < 1e-5
    assert ours["peak_share"] > 0
    assert found["nt_xent", "dense jnp"]["wall_ratio"] == 1.0
    assert results["record"]["options"]["rows"] == [64]
    assert {path.name for path in tmp_path.iterdir()} == {
        "losses.json",
        "losses.md",
        "losses.png",
    }


@pytest.mark.skipif(not LONG, reason="JAXCL_LONG_TESTS=1 runs it")
def test_memory_is_measured_in_a_process_of_its_own(capsys):
    arguments = ["--rows", "64", "--no-peers", "--rounds", "1", "--json"]
    main(["bench", "losses", *arguments, "--losses", "nt_xent"])
    results = json.loads(capsys.readouterr().out)
    assert [one["status"] for one in results["memory"]] == ["measured"] * 2
    assert all(one["temporaries_mib"] > 0 for one in results["memory"])


def test_a_wrong_gradient_of_ours_fails_the_command(monkeypatch, capsys):
    monkeypatch.setattr(
        jaxcl.labs.benchmarks._command, "find_faults", lambda results: ["it is wrong"]
    )
    monkeypatch.setattr(
        jaxcl.labs.benchmarks._command,
        "run_losses",
        lambda options, tell: jaxcl.labs.benchmarks.Results({}),
    )
    with pytest.raises(SystemExit) as raised:
        main(["bench", "losses", "--quick"])
    assert raised.value.code == 1
    assert "it is wrong" in capsys.readouterr().err


def test_accuracy_is_near_rounding_for_ours_and_lost_by_the_dense_code():
    records = measure_accuracy(
        tell=lambda text: None,
        rows=64,
        dim=32,
        temperatures=[0.05],
        peers=False,
        seed=0,
    )
    errors = {
        (one.regime, one.loss, one.contender, one.dtype): one.gradient_error
        for one in records
    }
    assert errors["aligned", "nt_xent", "jaxcl", "float32"] < 5e-6
    assert errors["aligned", "nt_xent", "jaxcl", "bfloat16"] < 5e-2
    assert errors["aligned", "nt_xent", "dense jnp", "float32"] > 1e-4


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rows": (63,)}, "`rows` must be even"),
        ({"rows": ()}, "`rows` must be positive"),
        ({"dim": (0,)}, "`dim` must be positive"),
        ({"threads": (0,)}, "`threads` must be at least 1"),
        ({"temperature": 0.0}, "`temperature` must be positive"),
        ({"rounds": 0}, "`rounds` and `seconds`"),
        ({"losses": ()}, "`losses` must name"),
    ],
)
def test_what_cannot_be_measured_is_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        LossesBenchmark(**fields).check()


def test_quick_is_small_unless_rows_are_named():
    assert LossesBenchmark(quick=True).resolve().rows == (256, 1024)
    assert LossesBenchmark(quick=True, rows=(64,)).resolve().rows == (64,)
    assert not LossesBenchmark(quick=True).resolve().memory
    assert LossesBenchmark().resolve() == LossesBenchmark()
