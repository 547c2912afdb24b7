"""Trains with `jaxcl train`, and notes what it trains on and what is saved."""

import importlib
import sys
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from faults import Faults, parse

from jaxcl.cli import main as run_command
from jaxcl.config import write_toml
from jaxcl.experiment import _loop, _make, make_experiment
from jaxcl.runtime import Checkpoints, MetricsLog
from jaxcl.training import make_devices, state_digest

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
small = importlib.import_module("small_runs").small


def take_notes(faults: Faults) -> None:
    """Makes the trainer note its batches, steps, checkpoints and where it resumes."""
    parallelize, add, save, restore = (
        _loop.parallelize,
        MetricsLog.add,
        Checkpoints.save,
        Checkpoints.restore,
    )
    placed: list[list[int]] = []

    def noting(*arguments: Any, **keywords: Any) -> Any:
        parallel = parallelize(*arguments, **keywords)

        def place(batch: Any) -> Any:
            placed.append(np.asarray(batch.instance).ravel().tolist())
            return parallel.place_batch(batch)

        return parallel._replace(place_batch=place)

    def note_step(log: Any, step: int, metrics: Any, *rest: Any) -> None:
        loss = float(np.asarray(metrics["loss"]))
        faults.note(step=step, samples=placed[-1], loss=loss)
        faults.at_step(step)
        add(log, step, metrics, *rest)

    def note_save(checkpoints: Any, state: Any) -> None:
        save(checkpoints, state)
        faults.note(reached=int(state.step), state=state_digest(state))

    def note_restore(checkpoints: Any, template: Any) -> Any:
        state = restore(checkpoints, template)
        found = template if state is None else state
        faults.note(resumed=int(found.step), state=state_digest(found))
        return state

    _loop.parallelize = noting
    for owner, name, function in (
        (MetricsLog, "add", note_step),
        (Checkpoints, "save", note_save),
        (Checkpoints, "restore", note_restore),
    ):
        setattr(owner, name, function)


def poison(faults: Faults, config: Any) -> None:
    """Makes the loss NaN in the step that the fault names."""
    steps = [step for step in range(1, 9) if np.isnan(faults.loss_factor(step))]
    if not steps:
        return
    make = _make.make_objective
    # No sample comes twice in the first ten steps.
    victims = make_experiment(config, make_devices()).instances_at(steps[0] - 1)

    def make_poisoned(*arguments: Any) -> Any:
        objective = make(*arguments)

        def loss(outputs: Any, batch: Any, memory: Any, axis_name: Any) -> Any:
            value, metrics, memory = objective.loss(outputs, batch, memory, axis_name)
            due = jnp.any(jnp.isin(batch.instance, victims))
            return jnp.where(due, jnp.nan, 1.0) * value, metrics, memory

        return objective._replace(loss=loss)

    _make.make_objective = make_poisoned


def main() -> None:
    arguments = parse(__doc__ or "")
    faults = Faults(arguments, arguments.rank)
    take_notes(faults)
    config = small(
        num_steps=arguments.steps,
        seed=arguments.seed,
        eval_every=0,
        optimizer__learning_rate=arguments.rate,
        model__width=arguments.width // 64,
        data__data_dir=str(arguments.notes.parent / "data"),
    )
    poison(faults, config)
    path = arguments.notes.with_name(f"config-{arguments.rank}.toml")
    write_toml(config, path)
    command = ["train", str(path), "--workdir", str(arguments.directory)]
    if arguments.processes > 1:
        command += ["--distributed.enabled"]
        command += ["--distributed.num-processes", str(arguments.processes)]
        command += ["--distributed.process-id", str(arguments.rank)]
        command += ["--distributed.coordinator", f"127.0.0.1:{arguments.port}"]
    run_command(command)


if __name__ == "__main__":
    main()
