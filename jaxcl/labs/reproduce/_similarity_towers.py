"""Two encoders, of the left and right halves of digits, trained in full batch."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from jaxcl.labs.identifiability.recovery import minimize, mlp_encoder
from jaxcl.losses import negative_variance_penalty, sigmoid_loss
from jaxcl.metrics import SimilarityStatistics, similarity_statistics

_SCALE, _BIAS = 10.0, -5.0
_DESCENT = 4000


def make_towers(
    images: jax.Array,
) -> Callable[[jax.Array, float], SimilarityStatistics]:
    """A compiled ``train(seeds, weight)`` with the sigmoid loss plus weighted penalty.

    It returns the similarities of the two encoders after training, one per seed.
    """
    rows, middle = len(images), images.shape[2] // 2
    halves = [
        _standardized(images[:, :, :middle]),
        _standardized(images[:, :, middle:]),
    ]
    encoder = mlp_encoder(rows, hidden=(256,))
    optimizer = optax.adam(optax.cosine_decay_schedule(3e-3, _DESCENT))

    def embeddings(params):
        return [
            encoder.apply(one, half) for one, half in zip(params, halves, strict=True)
        ]

    def train(seed, weight):
        def loss_fn(params, _):
            u, v = embeddings(params)
            penalty = negative_variance_penalty(u, v, num_instances=rows)
            total = sigmoid_loss(u, v, logit_scale=_SCALE, logit_bias=_BIAS)
            return total + weight * penalty

        keys = jax.random.split(jax.random.key(seed), 2)
        params = [
            encoder.init(key, half.shape[1])
            for key, half in zip(keys, halves, strict=True)
        ]
        params, _ = minimize(loss_fn, params, optimizer, jnp.arange(_DESCENT))
        return similarity_statistics(*embeddings(params))

    return jax.jit(jax.vmap(train, (0, None)))


def _standardized(half: jax.Array) -> jax.Array:
    rows = half.reshape(len(half), -1)
    rows = rows - rows.mean(0, keepdims=True)
    return rows / rows.std()
