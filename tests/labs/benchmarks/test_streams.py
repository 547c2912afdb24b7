from types import SimpleNamespace

import pytest

from jaxcl.labs.benchmarks import DataBenchmark
from jaxcl.labs.benchmarks._data import _streams
from jaxcl.labs.benchmarks._data._streams import (
    Stream,
    interleave_streams,
    time_stream,
)


class Clock:
    """Time that goes by only when a stream says so."""

    def __init__(self):
        self.now = self.cpu = 0.0

    def batches(self, wall, cpu, log=None, name=""):
        try:
            while True:
                self.now += wall
                self.cpu += cpu
                if log is not None:
                    log.append(name)
                yield None
        finally:
            if log is not None:
                log.append(f"{name} closed")

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    fake = SimpleNamespace(
        perf_counter=lambda: clock.now,
        process_time=lambda: clock.cpu,
        sleep=clock.sleep,
    )
    monkeypatch.setattr(_streams, "time", fake)
    return clock


def test_times_are_those_of_one_image(clock):
    stream = Stream(lambda: clock.batches(wall=0.5, cpu=0.75), images=10)
    wall, cpu = time_stream(stream, seconds=4.0)
    assert wall == pytest.approx(0.05)
    assert cpu == pytest.approx(0.075)


def test_the_first_batches_are_not_counted(clock):
    def batches():
        clock.now += 100.0
        yield None
        yield from clock.batches(wall=1.0, cpu=1.0)

    wall, cpu = time_stream(Stream(batches, images=1), seconds=3.0)
    assert (wall, cpu) == (1.0, 1.0)


def test_every_stream_is_closed_before_the_next_one_starts(clock):
    log = []
    streams = {
        name: Stream(lambda name=name: clock.batches(1.0, 1.0, log, name), images=1)
        for name in ("a", "b")
    }
    samples = interleave_streams(streams, DataBenchmark(rounds=2, seconds=0.1))
    # Two batches to warm up, two that count.
    once = [*["a"] * 4, "a closed", *["b"] * 4, "b closed"]
    assert log == 2 * once
    for found in samples.values():
        assert found.wall == pytest.approx((1.0, 1.0))
        assert found.cpu == (1.0, 1.0)


def test_a_stream_that_fails_is_closed_too(clock):
    log = []

    def batches():
        inner = clock.batches(1.0, 1.0, log, "a")
        try:
            yield next(inner)
            raise OSError("the file is gone")
        finally:
            inner.close()

    with pytest.raises(OSError, match="gone"):
        time_stream(Stream(batches, images=1), seconds=1.0)
    assert log == ["a", "a closed"]
