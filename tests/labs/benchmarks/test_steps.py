import pytest

from jaxcl.labs.benchmarks import Measurement, TrainBenchmark
from jaxcl.labs.benchmarks._timing import Samples
from jaxcl.labs.benchmarks._train import _peers
from jaxcl.labs.benchmarks._train._contenders import REST, WHOLE
from jaxcl.labs.benchmarks._train._jobs import break_down
from jaxcl.labs.benchmarks._train._peers import compare_steps
from jaxcl.labs.benchmarks._train._steps import (
    Feed,
    Run,
    _whole_spans,
    compare_loops,
    count_calls,
    make_calls,
    time_run,
)

ROW = Measurement("step", WHOLE, 8, {"encoder": "mlp"}, "wall")


def by_quantity(rows):
    return {row.quantity: row for row in rows}


class FakeClock:
    def __init__(self):
        self.time = 0.0

    def __call__(self):
        return self.time

    def take(self, seconds):
        self.time += seconds


def test_overhead_is_the_loop_over_the_bare_loop_of_the_same_round():
    clock = FakeClock()
    rounds = iter([4.0, 4.0, 8.0])  # a bare loop; the last round is on a busy machine
    feed = Feed(
        "batch",
        lambda: clock.take(next(rounds)),
        calls=4,
        rounds=3,
        now=clock,
        spent=lambda: 2 * clock(),
    )
    # The first calls compile, and the last one is not waited for.
    costs = iter([100.0, *4 * [20.0], *4 * [1.5], *4 * [1.25], *4 * [2.5], 100.0])
    asked = 0
    for _ in feed:
        clock.take(next(costs))
        asked += 1
    assert asked == feed.length == 18
    found = by_quantity(compare_loops(ROW, feed, steps=4))
    assert found["loop"].samples == (1500.0, 1250.0, 2500.0)
    assert found["bare"].samples == (1000.0, 1000.0, 2000.0)
    assert found["ratio"].value == 1500.0 / 1000.0
    assert found["ratio"].spread == (1.25, 1.375)
    assert (found["loop cpu"].value, found["bare cpu"].value) == (3000.0, 2000.0)
    assert found["loop"].setting == {"encoder": "mlp", "steps": 4}


@pytest.mark.parametrize(
    ("calls", "taken", "rounds_to"), [(1, 1, 1), (7, 1, 7), (11, 1, 20), (4, 4, 6)]
)
def test_a_round_ends_when_the_loop_waits(calls, taken, rounds_to):
    assert _whole_spans(calls, taken) == rounds_to


def test_what_goes_before_a_run_is_not_counted():
    clock = FakeClock()
    run = Run(lambda: clock.take(3.0), calls=4, taken=2, ahead=5, wait=lambda x: x)
    assert time_run(run, now=clock, spent=lambda: 2 * clock()) == (1.5, 3.0)
    assert clock() == 9 * 3.0


@pytest.mark.parametrize(
    ("count", "taken", "waits"), [(25, 1, [10, 20, 25]), (5, 5, [2, 4, 5]), (1, 1, [1])]
)
def test_calls_wait_every_ten_steps_and_at_the_end(count, taken, waits):
    made, waited = [], []

    def call():
        made.append(None)
        return len(made)

    make_calls(Run(call, count, taken, wait=waited.append), count)
    assert waited == waits


def test_slow_calls_are_made_less_often():
    assert count_calls(0.1, steps=10, seconds=100.0) == 10
    assert count_calls(0.1, steps=10, seconds=0.35) == 3
    assert count_calls(9.0, steps=10, seconds=0.35) == 1
    assert count_calls(0.1, steps=10, seconds=100.0, taken=4) == 3


def test_shares_are_of_the_medians_and_sum_to_one():
    found = {
        WHOLE: Samples((0.010, 0.010, 0.090), (0.02, 0.02, 0.02)),
        "encoder": Samples((0.006, 0.006, 0.006), (0.015, 0.015, 0.015)),
        "input": Samples((0.007, 0.003, 0.007), (0.004, 0.004, 0.004)),
    }
    step = {(row.contender, row.quantity): row for row in break_down(ROW, found)}
    values = {key: row.value for key, row in step.items()}
    assert values[WHOLE, "images per second"] == pytest.approx(800.0)
    shares = {
        name: value for (name, what), value in values.items() if what == "wall share"
    }
    assert shares == pytest.approx({WHOLE: 1, "encoder": 0.6, "input": 0.7, REST: -0.3})
    assert values[REST, "cpu share"] == pytest.approx(0.05)
    assert values[REST, "wall"] == pytest.approx(-3.0)
    assert step[WHOLE, "wall"].samples == pytest.approx((10.0, 10.0, 90.0))
    assert step[REST, "wall"].reason == "whole − pieces"


def test_a_peer_is_compared_with_ours_in_the_same_rounds():
    found = {
        "jaxcl": Samples((1.0, 2.0), (1.0, 1.0)),
        "torch": Samples((1.5, 3.0), (2.0, 2.0)),
    }
    rows = list(compare_steps(ROW, found, {"jaxcl": 5, "torch": 5}))
    values = {(row.contender, row.quantity): row.value for row in rows}
    assert {(row.contender, row.required) for row in rows} == {
        ("jaxcl", True),
        ("torch", False),
    }
    assert values["jaxcl", "wall ratio"] == 1.0
    assert values["torch", "wall ratio"] == 1.5
    assert values["torch", "cpu ratio"] == 2.0
    assert values["torch", "parameters"] == 5
    assert values["torch", "images per second"] == pytest.approx(8 / 2.25)


def test_a_peer_trains_on_the_views_of_ours(monkeypatch):
    given = []

    def make_step(config, views, *, channels_last):
        given.append(views)
        return lambda: 0.5, 7

    monkeypatch.setattr(_peers, "make_torch_step", make_step)
    options = TrainBenchmark(
        encoder=("mlp",), batch_size=(8,), image_size=8, rounds=1, seconds=0.01, steps=1
    )
    (case,) = options.cases()
    row = Measurement("peers", "jaxcl", 8, case.describe(None))
    rows = list(_peers.time_peers(row, options, case, tell=lambda text: None))
    assert {row.status for row in rows} == {"measured"}
    assert given[0].shape == (2, 8, 8, 8, 3)
    names = {row.contender for row in rows if row.quantity == "wall ratio"}
    assert names == {"jaxcl", "torch + lightly", "torch + lightly, channels last"}
