"""Two real processes on this machine give the run of one."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
from small_runs import SMALL, small

import jaxcl
from jaxcl.config import write_toml

PROGRAM = """
import sys
import jax
port, rank, config, workdir = sys.argv[1:]
jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=int(rank))
import jaxcl
from jaxcl.config import read_toml
assert jax.device_count() == 8 and jax.local_device_count() == 4
jaxcl.train(read_toml(config), workdir, quiet=True)
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["shard_map", "pmap"])
def test_two_processes_train_as_one_does(tmp_path, data_dir, parallel):
    config = small(parallel=parallel, eval_every=0)
    write_toml(config, tmp_path / "config.toml")
    flags = os.environ["XLA_FLAGS"].replace("count=8", "count=4")
    environment = {**os.environ, "XLA_FLAGS": flags}
    port = free_port()
    arguments = [str(tmp_path / "config.toml"), str(tmp_path / "two")]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(port), str(rank), *arguments],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    found = json.loads((tmp_path / "two" / "report.json").read_text())
    expected = jaxcl.train(small(eval_every=0), tmp_path / "one", quiet=True)
    assert found["devices"]["processes"] == 2
    losses = [report["curves"]["loss"] for report in (found, expected)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    assert len(losses[0]) == SMALL.num_steps
