"""Trains a small encoder with a given batch size, and measures its similarities."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxcl.labs.identifiability.recovery import minimize, mlp_encoder, over_seeds
from jaxcl.losses import negative_variance_penalty, nt_xent_loss

_CENTERS, _FEATURES, _INSTANCES, _NOISE = 16, 32, 1024, 0.5
_MEASURED = 512


class BatchOutcome(NamedTuple):
    """Population moments of the similarities at the end, one per seed."""

    negative_variance: np.ndarray
    negative_mean: np.ndarray
    positive_mean: np.ndarray
    negative_histogram: np.ndarray
    """Counts in 100 bins from −1 to 1, `[seeds, 100]`."""


def train_in_batches(
    batch_size: int,
    penalty: float = 0.0,
    *,
    seeds: tuple[int, ...] = (0, 1, 2),
    num_steps: int = 600,
    temperature: float = 0.5,
) -> BatchOutcome:
    """Trains an MLP on noisy views of clustered points, with NT-Xent and SGD.

    Points are 1,024 around 16 centers in 32 dimensions. A view adds noise. The MLP has
    64 hidden units and 16 outputs. Steps and learning rate do not depend on the batch
    size, so that runs differ in nothing else.

    Args:
        batch_size: Instances per step, drawn without replacement.
        penalty: Weight of `negative_variance_penalty`.
        seeds: Seeds of data, parameters and batches.
        num_steps: Steps of SGD.
        temperature: Temperature of NT-Xent.

    Returns:
        Moments of the similarities of 512 instances.

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

    def run(key):
        data_key, start_key, train_key, last_key = jax.random.split(key, 4)
        points = _points(data_key)

        def loss_fn(params, key):
            ids_key, noise_key = jax.random.split(key)
            ids = jax.random.choice(ids_key, _INSTANCES, (batch_size,), replace=False)
            u, v = encoder.apply(params, _two_views(noise_key, points[ids]))
            loss = nt_xent_loss(u, v, temperature=temperature)
            if penalty:
                variance = negative_variance_penalty(u, v, num_instances=_INSTANCES)
                loss += penalty * variance
            return loss

        params = encoder.init(start_key, _FEATURES)
        keys = jax.random.split(train_key, num_steps)
        params, _ = minimize(loss_fn, params, optimizer, keys)
        return _measure(
            *encoder.apply(params, _two_views(last_key, points[:_MEASURED]))
        )

    return BatchOutcome(*over_seeds(run, seeds))


def _measure(u, v):
    similarity = u @ v.T
    negative = ~jnp.eye(len(u), dtype=bool)
    return (
        jnp.var(similarity, where=negative),
        jnp.mean(similarity, where=negative),
        jnp.mean(jnp.diag(similarity)),
        jnp.histogram(similarity, 100, (-1.0, 1.0), weights=negative * 1.0)[0],
    )


def _two_views(key, points):
    noise = jax.random.normal(key, (2, *points.shape))
    return points[None] + _NOISE * noise


def _points(key):
    centers_key, which_key, noise_key = jax.random.split(key, 3)
    centers = jax.random.normal(centers_key, (_CENTERS, _FEATURES))
    which = jax.random.randint(which_key, (_INSTANCES,), 0, _CENTERS)
    noise = jax.random.normal(noise_key, (_INSTANCES, _FEATURES))
    return centers[which] + _NOISE * noise
