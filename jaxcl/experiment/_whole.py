"""A whole run as one function, which takes the seed as an argument."""

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
from jaxcl.experiment._make import assemble
from jaxcl.training import TrainState


class WholeRun(NamedTuple):
    """All steps of a run as one function of its seed and its data."""

    train: Callable[..., tuple[TrainState, Float[Array, " steps"]]]
    """``train(seed, images, batches)``: the last state, and the loss of every step. All
    arguments can be traced, so the function can be mapped over seeds."""
    train_by_steps: Callable[..., tuple[TrainState, np.ndarray]]
    """The same with one call per step: in XLA on CPU, convolutions inside a loop are
    slower by an order of magnitude."""
    encode: Callable[[TrainState, jax.Array], jax.Array]
    """Images to embeddings, as in evaluation."""
    project: Callable[[TrainState, jax.Array], jax.Array]
    """Images to projections, as in the loss."""
    classify: Callable[[TrainState, jax.Array], jax.Array] | None
    """Images to logits of the run's own classifier, if it trains one."""


def make_whole_run(config: TrainConfig, data: RunData) -> WholeRun:
    """Makes a function that trains a whole run on one device.

    The results equal those of `jaxcl.train` on one device, up to rounding. There are no
    checkpoints or logs, so it is meant for runs of minutes.

    Args:
        config: The config of the run; its seed is ignored.
        data: The data of the run; the objective can depend on its size, classes and
            domains.

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
    built = assemble(config, data)

    def step(state: TrainState, batch: Batch, seed, images: UInt8[Array, "all h w c"]):
        state, metrics = built.make_step(seed)(state, batch, images)
        return state, metrics["loss"]

    def train(seed, images: UInt8[Array, "all h w c"], batches: Batch):
        return lax.scan(
            lambda state, batch: step(state, batch, seed, images),
            built.init(seed),
            batches,
        )

    one_step, start = jax.jit(step, donate_argnums=0), jax.jit(built.init)

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
        encode=built.encode,
        project=built.project,
        classify=built.classify,
    )
