"""Training steps of a small model on generated images, without a data set."""

from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from jaxcl.batch import Batch
from jaxcl.config import AugmentationConfig, ModelConfig, ObjectiveConfig
from jaxcl.experiment import make_model
from jaxcl.objectives import Facts, make_objective
from jaxcl.training import (
    AXIS,
    Devices,
    StepOptions,
    TrainState,
    host_copy,
    init_state,
    make_devices,
    make_train_step,
    parallelize,
)

ROWS = 16
MODEL = ModelConfig(width=4, stages=2, head_hidden=16, head_dim=8, predictor_hidden=8)
AUGMENTATION = AugmentationConfig(flip=0.5, jitter=0.8)
FACTS = Facts(num_instances=320, num_classes=4, num_domains=3)


class Rig(NamedTuple):
    """A step, and its initial state."""

    step: Any
    initial: TrainState


def make_rig(
    objective: ObjectiveConfig,
    model: ModelConfig = MODEL,
    options: StepOptions = StepOptions(),  # noqa: B008
    optimizer: Any = None,
) -> Rig:
    """The step of an objective on 8×8 images."""
    networks = make_model(model, objective, (8, 8, 3), num_classes=4, axis_name=AXIS)
    made = make_objective(objective, FACTS)
    optimizer = optimizer or optax.sgd(0.01, momentum=0.9)
    step = make_train_step(
        made,
        networks,
        optimizer,
        augmentation=AUGMENTATION,
        seed=0,
        options=options,
        axis_name=AXIS,
    )
    images = np.zeros((2, 8, 8, 3), np.float32)
    initial = init_state(networks, made, optimizer, 0, images, average=options.average)
    return Rig(step, host_copy(initial))


def make_batches(count: int, rows: int = ROWS) -> list[Batch]:
    """Batches whose last three rows are masked out."""
    generator = np.random.default_rng(0)
    return [
        Batch(
            image=generator.integers(0, 256, (rows, 8, 8, 3), dtype=np.uint8),
            instance=np.arange(step * rows, (step + 1) * rows, dtype=np.int32),
            # So devices keep different numbers of rows.
            where=np.arange(rows) < rows - 3,
            label=generator.integers(0, 4, rows).astype(np.int32),
            domain=generator.integers(0, 3, rows).astype(np.int32),
            epoch=np.full(rows, step // 10, np.int32),
        )
        for step in range(count)
    ]


def take_steps(
    rig: Rig, devices: Devices, batches: list[Batch], state: Any = None
) -> tuple[TrainState, list[dict[str, np.ndarray]]]:
    """The state after some steps, and the metrics of each."""
    mapped = parallelize(rig.step, devices)
    placed = mapped.place_state(rig.initial if state is None else state)
    said = []
    for batch in batches:
        placed, metrics = mapped.step(placed, mapped.place_batch(batch))
        said.append({name: np.asarray(value) for name, value in metrics.items()})
    return host_copy(placed), said


def some_devices(parallel: Any, count: int) -> Devices:
    """The first few devices."""
    return make_devices(parallel, jax.devices()[:count])
