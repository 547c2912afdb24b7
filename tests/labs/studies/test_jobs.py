import io
import logging
import subprocess
import sys

import pytest
from labs.studies.small_studies import TREE
from long_tests import long
from rich.console import Console

from jaxcl.config import ConfigError, study_from_dict
from jaxcl.labs.studies import StudyDirectory, _jobs

# In a process of its own: the cores are taken for good.
_WORKER = """
import os
import numpy, scipy.linalg, sklearn.neighbors
from threadpoolctl import threadpool_info
from jaxcl.labs.studies._jobs import take_cores
take_cores({part}, 2)
threads = {{pool["num_threads"] for pool in threadpool_info()}}
print(sorted(os.sched_getaffinity(0)), threads)
"""


@long
@pytest.mark.skipif(
    not hasattr(_jobs.os, "sched_setaffinity") or _jobs.os.cpu_count() != 2,
    reason="needs a system that binds processes to cores, with two of them",
)
def test_a_worker_has_its_own_cores_and_no_more_threads_than_cores():
    said = [
        subprocess.run(
            [sys.executable, "-c", _WORKER.format(part=part)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for part in (0, 1)
    ]
    assert said == ["[0] {1}", "[1] {1}"]


class Counted:
    """A directory with this many runs missing."""

    def __init__(self, missing):
        self.count = missing

    def missing(self, cells, seeds):
        return [None] * self.count


def test_the_runs_that_are_done_tell_how_long_the_others_take(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(_jobs.time, "monotonic", lambda: clock[0])
    directory = Counted(9)
    pace = _jobs._Pace(directory, [], 3)
    assert str(pace) == "9 runs left"
    directory.count, clock[0] = 6, 160.0
    assert str(pace).startswith("6 runs, about 2.0 minutes left, until ")
    directory.count = 1
    assert str(pace).startswith("1 run, about 8 seconds left")
    directory.count = 0
    assert str(pace) == "0 runs left"


def test_what_every_run_warns_of_is_said_once():
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    root, log = logging.getLogger(), logging.getLogger("jaxcl.data.any")
    root.addHandler(handler)
    try:
        with _jobs.said_once():
            for count in (57, 58, 57):
                log.warning("%d of %d samples are of unknown domain", count, 160)
            log.warning("something else")
        log.warning("something else")
    finally:
        root.removeHandler(handler)
    assert said.getvalue().splitlines() == [
        "57 of 160 samples are of unknown domain",
        "something else",
        "something else",
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shifts": [{"name": "x", "fields": {"data": {"domain": "label"}}}]}, "say"),
        (
            {
                "arms": [
                    TREE["arms"][0],
                    {
                        "name": "pairs",
                        "fields": {
                            "objective": {
                                "name": "pairwise",
                                "positives": "same(label) & different(label)",
                            }
                        },
                    },
                ]
            },
            "must find positive pairs",
        ),
    ],
)
def test_an_arm_that_cannot_work_is_refused_before_any_run(tmp_path, changes, words):
    directory = StudyDirectory(tmp_path)
    directory.claim(study_from_dict({**TREE, **changes}))
    with pytest.raises(ConfigError, match=words):
        _jobs.run_part(directory, 0, 1, Console(quiet=True))
    assert not list(directory.runs.rglob("*.json"))
