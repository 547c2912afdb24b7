import pytest

from jaxcl.labs.benchmarks._calls import Prepared
from jaxcl.labs.benchmarks._jobs import summarize
from jaxcl.labs.benchmarks._timing import Samples, interleave, median_ratio


def test_a_ratio_is_taken_round_by_round():
    # The machine was ten times slower in the second round, for both.
    mine, dense = (1.0, 10.0, 1.0), (2.0, 20.0, 4.0)
    assert median_ratio(mine, dense) == 0.5
    # A slow one that sat the last rounds out is compared in the rounds it took part in.
    assert median_ratio((6.0, 60.0), dense) == 3.0
    assert median_ratio((), dense) is None


def test_summaries_are_medians_in_milliseconds():
    found = summarize(
        Samples((0.003, 0.001, 0.002), (0.006, 0.002, 0.004)),
        Samples((0.001, 0.001, 0.004), (0.002, 0.002, 0.002)),
    )
    assert found["wall_ms"] == pytest.approx(2.0)
    assert found["cpu_ms"] == pytest.approx(4.0)
    assert found["wall_ratio"] == pytest.approx(1.0)
    assert found["cpu_ratio"] == pytest.approx(2.0)
    assert summarize(Samples((1.0,), (1.0,)), None)["wall_ratio"] is None


def test_calls_take_turns_after_a_warm_up():
    calls = []
    prepared = {name: Prepared(lambda name=name: calls.append(name)) for name in "ab"}
    samples = interleave(prepared, rounds=4, seconds=10.0)
    assert calls == ["a", "b"] + ["a", "b"] * 4
    assert {len(one.wall) for one in samples.values()} == {4}


def test_a_slow_implementation_sits_later_rounds_out():
    calls = []
    prepared = {name: Prepared(lambda name=name: calls.append(name)) for name in "ab"}
    samples = interleave(prepared, rounds=5, seconds=1e-12)
    assert len(samples["a"].wall) == 3
    assert interleave({}, rounds=5, seconds=1.0) == {}
