"""A whole run as one program, which any seed can be given to."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, UInt8

from jaxcl.batch import Batch
from jaxcl.config import TrainConfig
from jaxcl.data import RunData
from jaxcl.experiment._parts import make_parts
from jaxcl.training import TrainState


class WholeRun(NamedTuple):
    """All steps of a run as one function of its seed and its data."""

    train: Callable[..., tuple[TrainState, Float[Array, " steps"]]]
    """``train(seed, images, batches)``: the last state, and the loss of every step. All
    arguments may be traced, so that seeds can be mapped over."""
    train_by_steps: Callable[..., tuple[TrainState, np.ndarray]]
    """The same, a call for each step: on a CPU, XLA's convolutions inside of a loop are
    slower by an order of magnitude."""
    encode: Callable[[TrainState, jax.Array], jax.Array]
    """Embeddings of images, as evaluation sees them."""
    project: Callable[[TrainState, jax.Array], jax.Array]
    """Projections of images, as the loss sees them."""
    classify: Callable[[TrainState, jax.Array], jax.Array] | None
    """Logits of images by the run's own classifier, if it trains one."""


def make_whole_run(config: TrainConfig, data: RunData) -> WholeRun:
    """The networks and the loss of a run, on one device and without a word between.

    The numbers are those of `jaxcl.train` on one device, to rounding; there are no
    checkpoints, so it is for runs of minutes.

    Args:
        config: The run; its seed is not looked at.
        data: What it is trained on: says what the objective must know of the samples.

    Example:
        >>> from jaxcl.config import DataConfig, ModelConfig
        >>> from jaxcl.data import open_data, read_images
        >>> config = TrainConfig(
        ...     num_steps=2,
        ...     data=DataConfig(batch_size=8),
        ...     model=ModelConfig(width=4, stages=2),
        ... )
        >>> data = open_data(config.data)
        >>> images = read_images(data.train, data.bad)
        >>> run = make_whole_run(config, data)
        >>> state, losses = run.train(0, images, data.stacked_batches(0, 2))
        >>> int(state.step), losses.shape
        (2, (2,))
    """
    parts = make_parts(config, data)

    def step(state: TrainState, batch: Batch, seed, images: UInt8[Array, "all h w c"]):
        state, metrics = parts.step(seed)(state, batch, images)
        return state, metrics["loss"]

    def train(seed, images: UInt8[Array, "all h w c"], batches: Batch):
        return lax.scan(
            lambda state, batch: step(state, batch, seed, images),
            parts.init(seed),
            batches,
        )

    one_step, start = jax.jit(step, donate_argnums=0), jax.jit(parts.init)

    def train_by_steps(seed, images, batches: Batch):
        seed, images = jnp.asarray(seed, jnp.int32), jnp.asarray(images)
        state, losses = start(seed), []
        for i in range(config.num_steps):
            batch = jax.tree.map(lambda leaf, i=i: leaf[i], batches)
            state, loss = one_step(state, batch, seed, images)
            losses.append(loss)
        return state, np.asarray(jnp.stack(losses))

    return WholeRun(
        train=jax.jit(train),
        train_by_steps=train_by_steps,
        encode=parts.encode,
        project=parts.project,
        classify=parts.classify,
    )
