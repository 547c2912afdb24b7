"""The large case of the support-corrected loss: every anchor has its own negatives."""

import itertools

import jax
import jax.numpy as jnp

from jaxcl.labs.benchmarks._losses._calls import Prepared, prepare_compiled
from jaxcl.labs.benchmarks._losses._memory import free_memory
from jaxcl.labs.benchmarks._measurement import Excuse
from jaxcl.losses import (
    chunked_support_corrected_info_nce_loss,
    support_corrected_info_nce_loss,
)

_LAYERS = (3, 30, 150, 150, 150, 150, 30, 3)
_TEMPERATURE = 0.3
# Reverse mode keeps input and output of every layer, and XLA a few of them twice.
_BYTES_PER_NEGATIVE = 4 * 2 * sum(_LAYERS)


def prepare_support(
    num_anchors: int, num_negatives: int, chunk_size: int | None, seed: int
) -> Prepared:
    """Value and gradient with respect to the encoder; None = all negatives at once."""
    needed = num_anchors * (chunk_size or num_negatives) * _BYTES_PER_NEGATIVE
    if needed > 0.7 * free_memory():
        raise Excuse("skipped", f"would need about {needed / 2**30:.0f} GiB")
    keys = jax.random.split(jax.random.key(seed), 4)
    latents = jax.random.normal(keys[0], (num_anchors, _LAYERS[0]))
    latents /= jnp.linalg.norm(latents, axis=1, keepdims=True)
    near = latents + 0.1 * jax.random.normal(keys[1], latents.shape)

    def loss(params):
        def negatives_fn(key, count):
            return _encode(params, _draw_on_fibers(key, latents, count))

        anchors, positives = _encode(params, latents), _encode(params, near)
        if chunk_size is None:
            return support_corrected_info_nce_loss(
                anchors,
                positives,
                negatives_fn(keys[2], num_negatives),
                temperature=_TEMPERATURE,
            )
        return chunked_support_corrected_info_nce_loss(
            anchors,
            positives,
            negatives_fn,
            keys[2],
            num_negatives=num_negatives,
            chunk_size=chunk_size,
            temperature=_TEMPERATURE,
        )

    return prepare_compiled(jax.value_and_grad(loss), _init_encoder(keys[3]))


def _draw_on_fibers(key, latents, count):
    """Points of the sphere with the first coordinate of their anchor, uniformly."""
    angles = jax.random.uniform(key, (len(latents), count), maxval=2 * jnp.pi)
    fixed = jnp.broadcast_to(latents[:, :1], angles.shape)
    radius = jnp.sqrt(1 - fixed**2)
    return jnp.stack([fixed, radius * jnp.cos(angles), radius * jnp.sin(angles)], -1)


def _init_encoder(key):
    shapes = list(itertools.pairwise(_LAYERS))
    keys = jax.random.split(key, len(shapes))
    return [
        jax.random.normal(one, shape) * (2 / shape[0]) ** 0.5
        for one, shape in zip(keys, shapes, strict=True)
    ]


def _encode(params, x):
    for weights in params[:-1]:
        x = jax.nn.leaky_relu(x @ weights)
    return x @ params[-1]
