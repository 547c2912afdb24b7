"""A small encoder trained in batches of different sizes, and its variance."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from jaxcl.labs.identifiability._encoders import mlp_encoder
from jaxcl.losses import negative_variance_penalty, nt_xent_loss

_CENTERS, _FEATURES, _INSTANCES, _NOISE = 16, 32, 1024, 0.5
_MEASURED = 512


class BatchOutcome(NamedTuple):
    """What the seeds ended with."""

    negative_variance: np.ndarray
    negative_mean: np.ndarray
    positive_mean: np.ndarray
    negative_histogram: np.ndarray
    """Of 100 bins from −1 to 1, `[seeds, 100]`."""


def train_in_batches(
    batch_size: int,
    penalty: float = 0.0,
    *,
    seeds: tuple[int, ...] = (0, 1, 2),
    num_steps: int = 600,
    temperature: float = 0.5,
) -> BatchOutcome:
    """Trains an MLP on noisy views of clustered points, by NT-Xent and SGD.

    1,024 points around 16 centers of 32 dimensions; a view adds noise; an MLP of 64
    units maps to 16 dimensions; the same number of steps and the same rate for every
    batch size, so that these differ in nothing else.

    Args:
        batch_size: Instances a step, drawn anew.
        penalty: Weight of `negative_variance_penalty`.
        seeds: Of data, parameters and batches.
        num_steps: Steps of SGD.
        temperature: t.

    Returns:
        Population moments of the similarities of 512 instances, one of each a seed.

    Example:
        >>> outcome = train_in_batches(8, seeds=(0,), num_steps=5)
        >>> outcome.negative_variance.shape
        (1,)
    """
    if not 2 <= batch_size <= _INSTANCES:
        raise ValueError(f"`batch_size` must be 2 to {_INSTANCES}, got {batch_size}")
    encoder = mlp_encoder(16, hidden=(64,))
    warmup = min(50, num_steps // 2)
    rate = optax.warmup_cosine_decay_schedule(0.0, 0.1, warmup, num_steps)
    optimizer = optax.chain(optax.add_decayed_weights(1e-4), optax.sgd(rate, 0.9))

    def two_views(key, points):
        noise = jax.random.normal(key, (2, *points.shape))
        return points[None] + _NOISE * noise

    def run(key):
        data_key, start_key, train_key, last_key = jax.random.split(key, 4)
        points = _points(data_key)
        params = encoder.init(start_key, _FEATURES)

        def loss_fn(params, key):
            ids_key, noise_key = jax.random.split(key)
            ids = jax.random.choice(ids_key, _INSTANCES, (batch_size,), replace=False)
            u, v = encoder.apply(params, two_views(noise_key, points[ids]))
            loss = nt_xent_loss(u, v, temperature=temperature)
            if penalty:
                variance = negative_variance_penalty(u, v, num_instances=_INSTANCES)
                loss += penalty * variance
            return loss

        def step(carry, key):
            params, opt_state = carry
            update, opt_state = optimizer.update(
                jax.grad(loss_fn)(params, key), opt_state, params
            )
            return (optax.apply_updates(params, update), opt_state), None

        keys = jax.random.split(train_key, num_steps)
        (params, _), _ = lax.scan(step, (params, optimizer.init(params)), keys)
        u, v = encoder.apply(params, two_views(last_key, points[:_MEASURED]))
        similarity = u @ v.T
        apart = ~jnp.eye(_MEASURED, dtype=bool)
        return (
            jnp.var(similarity, where=apart),
            jnp.mean(similarity, where=apart),
            jnp.mean(jnp.diag(similarity)),
            jnp.histogram(similarity, 100, (-1.0, 1.0), weights=apart * 1.0)[0],
        )

    keys = jax.vmap(jax.random.key)(jnp.array(seeds, jnp.uint32))
    return BatchOutcome(*map(np.asarray, jax.jit(jax.vmap(run))(keys)))


def _points(key):
    centers_key, which_key, noise_key = jax.random.split(key, 3)
    centers = jax.random.normal(centers_key, (_CENTERS, _FEATURES))
    which = jax.random.randint(which_key, (_INSTANCES,), 0, _CENTERS)
    noise = jax.random.normal(noise_key, (_INSTANCES, _FEATURES))
    return centers[which] + _NOISE * noise
