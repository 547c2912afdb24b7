"""The large case of the support-corrected loss: every anchor has its own negatives."""

import itertools
from collections.abc import Iterator

import jax
import jax.numpy as jnp

from jaxcl.labs.benchmarks._children import Tell
from jaxcl.labs.benchmarks._losses._calls import Prepared, prepare_compiled
from jaxcl.labs.benchmarks._losses._memory import free_memory, measure_call
from jaxcl.labs.benchmarks._losses._options import LossesBenchmark
from jaxcl.labs.benchmarks._measurement import Excuse, Measurement
from jaxcl.losses import (
    chunked_support_corrected_info_nce_loss,
    support_corrected_info_nce_loss,
)

_LAYERS = (3, 30, 150, 150, 150, 150, 30, 3)
_TEMPERATURE = 0.3
# Reverse mode keeps input and output of every layer, and XLA a few of them twice.
_BYTES_PER_NEGATIVE = 4 * 2 * sum(_LAYERS)


def measure_support(
    row: Measurement, options: LossesBenchmark, chunk_size: int | None, *, tell: Tell
) -> Iterator[Measurement]:
    """Memory of support-corrected InfoNCE, in chunks or (None) all at once."""
    tell(f"{row.setting['loss']}: {row.contender}")
    yield from measure_call(row, lambda: _prepare(row.size, chunk_size, options.seed))


def _prepare(count: int, chunk_size: int | None, seed: int) -> Prepared:
    """Value and gradient with respect to the encoder."""
    needed = count * (chunk_size or count) * _BYTES_PER_NEGATIVE
    if needed > 0.7 * free_memory():
        raise Excuse("skipped", f"would need about {needed / 2**30:.0f} GiB")
    keys = jax.random.split(jax.random.key(seed), 4)
    latents = jax.random.normal(keys[0], (count, _LAYERS[0]))
    latents /= jnp.linalg.norm(latents, axis=1, keepdims=True)
    near = latents + 0.1 * jax.random.normal(keys[1], latents.shape)

    def loss(params):
        def negatives_fn(key, number):
            return _encode(params, _draw_on_fibers(key, latents, number))

        rows = _encode(params, latents), _encode(params, near)
        if chunk_size is None:
            negatives = negatives_fn(keys[2], count)
            return support_corrected_info_nce_loss(
                *rows, negatives, temperature=_TEMPERATURE
            )
        return chunked_support_corrected_info_nce_loss(
            *rows,
            negatives_fn,
            keys[2],
            num_negatives=count,
            chunk_size=chunk_size,
            temperature=_TEMPERATURE,
        )

    sizes = list(itertools.pairwise(_LAYERS))
    draw = jax.nn.initializers.variance_scaling(2.0, "fan_in", "normal")
    params = [
        draw(key, shape)
        for key, shape in zip(jax.random.split(keys[3], len(sizes)), sizes, strict=True)
    ]
    return prepare_compiled(jax.value_and_grad(loss), params)


def _draw_on_fibers(key, latents, count):
    """Points of the sphere with the first coordinate of their anchor, uniformly."""
    angles = jax.random.uniform(key, (len(latents), count), maxval=2 * jnp.pi)
    fixed = jnp.broadcast_to(latents[:, :1], angles.shape)
    radius = jnp.sqrt(1 - fixed**2)
    return jnp.stack([fixed, radius * jnp.cos(angles), radius * jnp.sin(angles)], -1)


def _encode(params, x):
    for weights in params[:-1]:
        x = jax.nn.leaky_relu(x @ weights)
    return x @ params[-1]
