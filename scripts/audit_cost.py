"""Measures what an audit costs, in units of a step.

    python scripts/audit_cost.py             on one and on two CPU devices
    python scripts/audit_cost.py --rounds 5

ResNet-18 with 16 channels instead of 64, NT-Xent on 64 images of 16×16 pixels. Steps
with and without an audit take turns in one process, and medians are compared. CPU time
is that of all threads, which a busy machine changes less.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable

if __name__ == "__main__":
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"

import jax
import numpy as np

from jaxcl.config import DataConfig, ModelConfig, OptimizerConfig, TrainConfig
from jaxcl.experiment import make_experiment
from jaxcl.models import ResNet, from_nnx
from jaxcl.runtime import Audit, Clock
from jaxcl.training import AXIS, make_devices, parallelize

CONFIG = TrainConfig(
    data=DataConfig(name="colored_digits", domain="domain", batch_size=64),
    model=ModelConfig(encoder="custom"),
    optimizer=OptimizerConfig(name="sgd"),
)
ENCODER = from_nnx(
    lambda rngs: ResNet(3, depth=18, stem="cifar", width=16, axis_name=AXIS, rngs=rngs)
)
EVERY = 1000
HEAD = "| devices | step ms | audit ms | audit / step, wall | CPU | overhead | first |"


def measure(count: int, rounds: int) -> str:
    """A row of the table, for a number of devices."""
    devices = make_devices("auto", jax.devices()[:count])
    experiment = make_experiment(CONFIG, devices, encoder=ENCODER)
    parallel = parallelize(experiment.make_step(), devices)
    audit = Audit(parallel, devices, Clock(), every=2)
    batches = experiment.batches(0, 3 * rounds + 2)
    state = parallel.place_state(experiment.init())

    def step(number: int) -> None:
        nonlocal state
        state, _ = jax.block_until_ready(audit.step(number, state, next(batches)))

    first = [_time(step, number)[0] for number in (1, 2)]
    taken = np.array(
        [[_time(step, number) for number in (1, 2)] for _ in range(rounds)]
    )
    # `[call, clock]`: a call with an audit takes a step too.
    plain, audited = np.median(taken, axis=0)
    cost = audited - plain
    wall, cpu = cost / plain
    return (
        f"| {count} | {1000 * plain[0]:,.0f} | {1000 * cost[0]:,.0f} | {wall:.2f} | "
        f"{cpu:.2f} | {cpu / EVERY:.2%} | {first[0]:.0f} s and {first[1]:.0f} s |"
    )


def _time(step: Callable[[int], None], number: int) -> tuple[float, float]:
    """Wall and CPU seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    step(number)
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    print(f"jax {jax.__version__}, NumPy {np.__version__}, commit {commit}\n\n{HEAD}")
    print("|" + "---|" * HEAD.count(" |"))
    for count in (1, 2):
        print(measure(count, rounds), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
