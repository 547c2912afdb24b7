"""Trains encoders on latents of the sphere, and measures what they recover."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from jaxcl.labs.identifiability.latents import (
    Generator,
    identity_generator,
    sample_fiber,
    sample_sphere,
)
from jaxcl.labs.identifiability.recovery._encoders import RowEncoder
from jaxcl.labs.identifiability.recovery._loss import task_loss
from jaxcl.labs.identifiability.recovery._task import RecoveryTask
from jaxcl.labs.identifiability.recovery._training import minimize, over_seeds
from jaxcl.metrics import affine_r2, angle_error, fiber_gram_error, orthogonality_error

_LAST = 100  # steps over which the last loss is averaged
_HEIGHTS = 7  # fibers on which the Gram matrices are compared


class Recovery(NamedTuple):
    """The outcome of a task; the first axis counts seeds."""

    loss: Float[Array, " seeds"]
    """Mean of the last steps, minus log M."""
    r2: Float[Array, "seeds dim"]
    """`affine_r2` of each coordinate."""
    angle_error: Float[Array, " seeds"]
    """Half the angle error, as in the paper's tables."""
    fiber_gram_error: Float[Array, " seeds"]
    orthogonality_error: Float[Array, " seeds"]
    losses: Float[Array, "seeds steps"]
    """Loss of every step, minus log M."""
    embeddings: Float[Array, "seeds rows dim"]
    latents: Float[Array, "rows dim"]
    params: Any
    """Trained parameters of the encoder; the first axis of every leaf counts seeds."""

    @property
    def mean_r2(self) -> Float[Array, " seeds"]:
        """Mean of `r2` over coordinates."""
        return self.r2.mean(axis=1)


def run_recovery(
    task: RecoveryTask,
    encoder: RowEncoder,
    generator: Generator | None = None,
    seeds: tuple[int, ...] = (0,),
) -> Recovery:
    """Trains one encoder per seed, all in one program, and measures its recovery.

    Args:
        task: What to train on.
        encoder: Maps observations to as many dimensions as the latents have.
        generator: Maps latents to observations; None shows the latents themselves.
        seeds: Seeds of the initial parameters and all samples.

    Returns:
        The measures of every seed.

    Example:
        >>> from jaxcl.labs.identifiability.latents import FiberSetting
        >>> from jaxcl.labs.identifiability.recovery import linear_encoder
        >>> task = RecoveryTask(FiberSetting(num_fixed=0), num_steps=20)
        >>> run_recovery(task, linear_encoder(3)).losses.shape
        (1, 20)
    """
    if not seeds:
        raise ValueError("`seeds` must not be empty")
    generator = identity_generator() if generator is None else generator
    run = functools.partial(_run, task, encoder, generator)
    # Every field has an axis of seeds, except the latents: they are always the same.
    axes: Any = Recovery._make([0, 0, 0, 0, 0, 0, 0, None, 0])
    return over_seeds(run, seeds, axes)


def _run(task, encoder, generator, key):
    start_key, train_key = jax.random.split(key)
    shown = jax.eval_shape(generator, jnp.zeros((1, task.setting.dim)))
    params = encoder.init(start_key, shown.shape[-1])
    optimizer = optax.adam(
        optax.cosine_decay_schedule(task.learning_rate, task.num_steps)
    )

    def recover(params, latents):
        return encoder.apply(params, generator(latents))

    def loss_fn(params, key):
        return task_loss(functools.partial(recover, params), task, key)

    keys = jax.random.split(train_key, task.num_steps)
    params, losses = minimize(loss_fn, params, optimizer, keys)
    return _measure(params, recover, losses, task)


def _measure(params, recover, losses, task):
    setting, recover = task.setting, functools.partial(recover, params)
    latents = sample_sphere(jax.random.key(7), (task.evaluated,), setting.dim)
    found = recover(latents)
    fibers = sample_fiber(
        jax.random.key(8),
        _fiber_bases(latents, setting),
        64,
        num_fixed=setting.num_fixed,
    )
    return Recovery(
        loss=jnp.mean(losses[-_LAST:]),
        r2=affine_r2(found, latents),
        angle_error=angle_error(found[:2048], latents[:2048], half=True),
        fiber_gram_error=fiber_gram_error(recover(fibers), fibers),
        orthogonality_error=orthogonality_error(found, latents),
        losses=losses,
        embeddings=found[:1024],
        latents=latents[:1024],
        params=params,
    )


def _fiber_bases(latents, setting):
    """One latent on each of the fibers that are compared."""
    if setting.num_fixed != 1:
        return latents[:_HEIGHTS]
    # Heights up to 0.9 only: beyond, a fiber is almost a point.
    heights = jnp.linspace(-0.9, 0.9, _HEIGHTS)[:, None]
    others = jnp.zeros((_HEIGHTS, setting.dim - 2))
    return jnp.concatenate([heights, jnp.sqrt(1 - heights**2), others], axis=1)


def scaling_of(params: Any, num_fixed: int) -> np.ndarray:
    """The λ of h_λ that each seed's linear encoder of the latents has found.

    λ is the ratio of two lengths before normalization: the image of a free coordinate
    over the image of a fixed one.
    """
    lengths = np.linalg.norm(params["weights"], axis=-1)
    free, fixed = lengths[..., num_fixed:], lengths[..., :num_fixed]
    return free.mean(axis=-1) / fixed.mean(axis=-1)
