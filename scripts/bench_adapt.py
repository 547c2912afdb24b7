"""Measures what a step costs when only part of an encoder is trained.

    python scripts/bench_adapt.py                 ViT-S, 64 pixels, 64 images, two views
    python scripts/bench_adapt.py --rounds 5 --encoder vit_ti --batch 32

Steps of all modes take turns in one process; medians are compared. Bytes are those of
the optimizer's state, and of the largest memory that the compiled step needs beside its
arguments and results.
"""

import argparse
import os
import time
from typing import Any, NamedTuple

if __name__ == "__main__":
    os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import numpy as np

from jaxcl.batch import Batch
from jaxcl.config import (
    AugmentationConfig,
    ModelConfig,
    ObjectiveConfig,
    OptimizerConfig as Optimizer,
)
from jaxcl.experiment import make_model
from jaxcl.objectives import Facts, make_objective
from jaxcl.training import init_state, make_optimizer, make_train_step

MODES: dict[str, dict[str, Any]] = {
    "all": {},
    "last_k = 2": {"train": "last_k", "last_k": 2},
    "lora, rank 8": {"train": "lora", "lora_rank": 8},
    "head": {"train": "head"},
}
HEAD = "| trained | s/step | / all | TFLOP | optimizer MB | temporary MB |"


class Run(NamedTuple):
    """A compiled step, its state, and what it costs."""

    step: Any
    state: Any
    batch: Batch
    tera: float
    optimizer: float
    temporary: float


def prepare(mode: dict[str, Any], encoder: str, size: int, rows: int) -> Run:
    """Compiles the step of a mode."""
    config = ModelConfig(encoder=encoder, patch_size=8, **mode)  # type: ignore[arg-type]
    goal = ObjectiveConfig()
    model = make_model(config, goal, (size, size, 3))
    objective = make_objective(goal, Facts(num_instances=1000))
    optimizer, _ = make_optimizer(Optimizer(), 100)
    images = np.zeros((2, size, size, 3), np.float32)
    state = init_state(model, objective, optimizer, 0, images)
    step = make_train_step(
        objective, model, optimizer, augmentation=AugmentationConfig(), seed=0
    )
    drawn = np.random.default_rng(0).integers(0, 256, (rows, size, size, 3))
    batch = Batch(
        image=drawn.astype(np.uint8),
        instance=np.arange(rows, dtype=np.int32),
        where=np.ones(rows, bool),
        epoch=np.zeros(rows, np.int32),
    )
    compiled = jax.jit(step, donate_argnums=0).lower(state, batch).compile()
    kept = sum(leaf.nbytes for leaf in jax.tree.leaves(state.opt_state))
    temporary = compiled.memory_analysis().temp_size_in_bytes  # type: ignore[union-attr]
    cost: Any = compiled.cost_analysis()
    return Run(
        compiled, state, batch, cost["flops"] / 1e12, kept / 1e6, temporary / 1e6
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", default="vit_s")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    runs = {
        name: prepare(mode, given.encoder, given.size, given.batch)
        for name, mode in MODES.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(given.rounds + 1):
        for name, run in runs.items():
            begun = time.perf_counter()
            state, metrics = jax.block_until_ready(run.step(run.state, run.batch))
            seconds[name].append(time.perf_counter() - begun)
            assert np.isfinite(metrics["loss"])
            runs[name] = run._replace(state=state)
    medians = {name: float(np.median(each[1:])) for name, each in seconds.items()}
    print(HEAD, "|---|---|---|---|---|---|", sep="\n")
    for name, run in runs.items():
        share = medians[name] / medians["all"]
        print(
            f"| {name} | {medians[name]:.2f} | {share:.2f} | {run.tera:.2f} "
            f"| {run.optimizer:.2f} | {run.temporary:.0f} |"
        )


if __name__ == "__main__":
    main()
