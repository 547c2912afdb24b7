import pytest

from jaxcl.labs.benchmarks._timing import Samples
from jaxcl.labs.benchmarks._train_loop import _whole_spans, compare_loops
from jaxcl.labs.benchmarks._train_records import REST, WHOLE, Setting
from jaxcl.labs.benchmarks._train_rivals import judge
from jaxcl.labs.benchmarks._train_tally import break_down
from jaxcl.labs.benchmarks._train_timing import (
    Feed,
    Run,
    count_calls,
    make_calls,
    time_run,
)

SETTING = Setting("mlp", "nt_xent", "sgd", batch_size=8)


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
    overhead = compare_loops(SETTING, feed, steps=4)
    assert overhead.loop_samples_ms == (1500.0, 1250.0, 2500.0)
    assert overhead.bare_samples_ms == (1000.0, 1000.0, 2000.0)
    assert overhead.ratio == 1500.0 / 1000.0
    assert (overhead.low, overhead.high) == (1.25, 1.375)
    assert (overhead.loop_cpu_ms, overhead.bare_cpu_ms) == (3000.0, 2000.0)


def test_one_round_has_no_spread():
    feed = Feed(None, lambda: None, calls=1, rounds=1)
    feed.loop, feed.bare = [(1.1, 1.1)], [(1.0, 1.0)]
    overhead = compare_loops(SETTING, feed, steps=1)
    assert overhead.low == overhead.high == overhead.ratio


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
    step = break_down(SETTING, found)
    assert step.images_per_second == pytest.approx(800.0)
    assert step.shares == pytest.approx({"encoder": 0.6, "input": 0.7, REST: -0.3})
    assert step.cpu_shares[REST] == pytest.approx(0.05)
    assert sum(step.shares.values()) == pytest.approx(1.0)
    assert step.samples_ms[WHOLE] == pytest.approx((10.0, 10.0, 90.0))


def test_a_rival_is_compared_with_ours_in_the_same_rounds():
    found = {
        "jaxcl": Samples((1.0, 2.0), (1.0, 1.0)),
        "torch": Samples((1.5, 3.0), (2.0, 2.0)),
    }
    ours, torch = judge(SETTING, found, {"jaxcl": 5, "torch": 5})
    assert (ours.ours, torch.ours) == (True, False)
    assert (ours.wall_ratio, torch.wall_ratio) == (1.0, 1.5)
    assert torch.cpu_ratio == 2.0
    assert torch.images_per_second == pytest.approx(8 / 2.25)
