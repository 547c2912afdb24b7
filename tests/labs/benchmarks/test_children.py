import os

import pytest
from long_tests import long

from jaxcl.labs.benchmarks import Measurement
from jaxcl.labs.benchmarks._children import Job, run_child, run_job

JOBS = """
import os
import time
from jaxcl.labs.benchmarks import Measurement

def work(number, *, tell):
    print("output of a library")
    os.write(1, b"output below Python")
    tell("doubling")
    yield 2 * number

def cores(*, tell):
    yield len(os.sched_getaffinity(0))

def crash(row, options, *, tell):
    yield Measurement("losses", "a", 8).of("wall", 1.0, "ms", (0.5, 1.5))
    tell("the second one")
    raise MemoryError("nothing left")

def hang(row, options, *, tell):
    yield Measurement("losses", os.environ["OF_A_TEST"], 8)
    tell("a long one")
    time.sleep(600)

def vanish(row, options, *, tell):
    tell("a large one")
    os.kill(os.getpid(), 9)
    yield
"""
BLANK = Measurement("losses", "all", 8, {"dim": 2}, "wall")


@pytest.fixture(autouse=True)
def jobs(tmp_path, monkeypatch):
    (tmp_path / "jobs_of_a_test.py").write_text(JOBS)
    monkeypatch.syspath_prepend(tmp_path)


def test_results_come_back_and_output_does_not():
    heard = []
    found, death = run_child("jobs_of_a_test:work", 21, tell=heard.append)
    assert (found, death) == ([42], "")
    assert heard == ["starting", "doubling"]


def test_a_child_keeps_to_its_cores():
    found, _ = run_child("jobs_of_a_test:cores", threads=1)
    assert found == [1]


def test_a_crash_keeps_what_was_measured_before_it():
    first, failed = run_job(Job("jobs_of_a_test:crash", BLANK, None))
    assert first == Measurement("losses", "a", 8).of("wall", 1.0, "ms", (0.5, 1.5))
    assert (failed.contender, failed.setting) == ("all", {"dim": 2})
    assert failed.status == "failed"
    assert failed.reason == "MemoryError: nothing left (during the second one)"


def test_a_killed_child_is_out_of_memory():
    (failed,) = run_job(Job("jobs_of_a_test:vanish", BLANK, None))
    assert failed.status == "failed"
    assert "out of memory" in failed.reason
    assert failed.reason.endswith("(during a large one)")


@long
def test_a_child_that_falls_silent_is_ended_and_keeps_what_it_found():
    environment = {"OF_A_TEST": "a"}
    job = Job("jobs_of_a_test:hang", BLANK, None, environment=environment, patience=2.0)
    first, failed = run_job(job)
    assert first == Measurement("losses", "a", 8)
    assert failed.status == "failed"
    assert failed.reason == "nothing came for 2 seconds (during a long one)"
    assert "OF_A_TEST" not in os.environ
