import pytest

from jaxcl.labs.benchmarks import Measurement
from jaxcl.labs.benchmarks._losses._calls import Prepared
from jaxcl.labs.benchmarks._losses._jobs import interleave_calls
from jaxcl.labs.benchmarks._timing import Samples, ratios_by_round, summarize

ROW = Measurement("losses", "jaxcl", 8)


def values(rows):
    return {row.quantity: row.value for row in rows}


def test_a_ratio_is_taken_round_by_round():
    # The machine was ten times slower in the second round, for both.
    mine, dense = (1.0, 10.0, 1.0), (2.0, 20.0, 4.0)
    assert ratios_by_round(mine, dense) == [0.5, 0.5, 0.25]
    # A slow one that sat the last rounds out is compared in the rounds it took part in.
    assert ratios_by_round((6.0, 60.0), dense) == [3.0, 3.0]
    assert ratios_by_round((), dense) == []


def test_summaries_are_medians_with_their_spread():
    found = list(
        summarize(
            ROW,
            Samples((0.003, 0.001, 0.002), (0.006, 0.002, 0.004)),
            "ms",
            Samples((0.001, 0.001, 0.004), (0.002, 0.002, 0.002)),
        )
    )
    assert values(found) == pytest.approx(
        {"wall": 2.0, "wall ratio": 1.0, "cpu": 4.0, "cpu ratio": 2.0}
    )
    wall = found[0]
    assert wall.unit == "ms"
    assert wall.samples == pytest.approx((3.0, 1.0, 2.0))
    assert wall.spread == pytest.approx((1.5, 2.5))
    assert set(values(summarize(ROW, Samples((1.0,), (1.0,)), "µs"))) == {"wall", "cpu"}


def test_one_round_has_no_spread():
    assert ROW.of("wall", 2.0, "ms", (2.0,)).spread == (2.0, 2.0)
    assert ROW.of("wall", 2.0).spread is None


def test_calls_take_turns_after_a_warm_up():
    calls = []
    prepared = {name: Prepared(lambda name=name: calls.append(name)) for name in "ab"}
    samples = interleave_calls(prepared, rounds=4, seconds=10.0)
    assert calls == ["a", "b"] + ["a", "b"] * 4
    assert {len(one.wall) for one in samples.values()} == {4}


def test_a_slow_implementation_sits_later_rounds_out():
    calls = []
    prepared = {name: Prepared(lambda name=name: calls.append(name)) for name in "ab"}
    samples = interleave_calls(prepared, rounds=5, seconds=1e-12)
    assert len(samples["a"].wall) == 3
    assert interleave_calls({}, rounds=5, seconds=1.0) == {}
