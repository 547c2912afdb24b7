import subprocess
import sys

import pytest

from jaxcl.labs.studies import _jobs

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
