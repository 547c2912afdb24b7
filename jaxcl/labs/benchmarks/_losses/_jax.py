"""The losses in JAX: plain dense code, and the functions of this library.

All take the two views, labels and domains of the instances, and a temperature.
"""

import jax
import jax.numpy as jnp

from jaxcl.losses import (
    domain_weighted_supcon_loss,
    info_nce_loss,
    negative_variance_penalty,
    nt_xent_loss,
    supcon_loss,
)

SAME_DOMAIN_WEIGHT = 0.25
PENALTY_WEIGHT = 30.0
NUM_INSTANCES = 50_000


def dense_nt_xent(u, v, labels, domains, temperature):
    """NT-Xent: every other row of both views is a negative."""
    logits = _logits(u, v, temperature)
    positives = jnp.diagonal(jnp.roll(logits, len(u), axis=1))
    return jnp.mean(jax.nn.logsumexp(logits, axis=1) - positives)


def dense_info_nce(u, v, labels, domains, temperature):
    """CLIP: rows of the other view are negatives, both ways."""
    logits = _similarity(_normalize(u), _normalize(v)) / temperature
    rows, columns = (jax.nn.logsumexp(logits, axis=axis) for axis in (1, 0))
    return jnp.mean((rows + columns) / 2 - jnp.diagonal(logits))


def dense_supcon(u, v, labels, domains, temperature):
    """SupCon, form "out"."""
    return _mean_over_positives(_logits(u, v, temperature), labels)


def dense_combined(u, v, labels, domains, temperature):
    """SupCon with domain weights and 30 times the variance of the negatives."""
    both = jnp.tile(domains, 2)
    same_domain = both[:, None] == both[None, :]
    weights = jnp.where(same_domain, SAME_DOMAIN_WEIGHT, 1 - SAME_DOMAIN_WEIGHT)
    weighted = _logits(u, v, temperature) + jnp.log(weights)
    across = _similarity(_normalize(u), _normalize(v))
    deviations = (across + 1 / (NUM_INSTANCES - 1)) ** 2
    pairs = len(u) * (len(u) - 1)
    variance = (jnp.sum(deviations) - jnp.trace(deviations)) / pairs
    return _mean_over_positives(weighted, labels) + PENALTY_WEIGHT * variance


def _logits(u, v, temperature):
    """Similarities of all rows of both views, −inf of a row with itself."""
    z = _normalize(jnp.concatenate([u, v]))
    logits = _similarity(z, z) / temperature
    return jnp.where(jnp.eye(len(z), dtype=bool), -jnp.inf, logits)


def _normalize(rows):
    rows32 = rows.astype(jnp.float32)
    unit = rows32 / jnp.linalg.norm(rows32, axis=1, keepdims=True)
    return unit.astype(rows.dtype)


def _similarity(x, y):
    return jnp.matmul(x, y.T, preferred_element_type=jnp.float32)


def _mean_over_positives(logits, labels):
    both = jnp.tile(labels, 2)
    positive = (both[:, None] == both[None, :]) & ~jnp.eye(len(both), dtype=bool)
    log_ratios = logits - jax.nn.logsumexp(logits, axis=1, keepdims=True)
    total = jnp.sum(jnp.where(positive, log_ratios, 0.0), axis=1)
    return -jnp.mean(total / jnp.sum(positive, axis=1))


def our_nt_xent(u, v, labels, domains, temperature):
    """`nt_xent_loss`."""
    return nt_xent_loss(u, v, temperature=temperature)


def our_info_nce(u, v, labels, domains, temperature):
    """`info_nce_loss` with its defaults: CLIP."""
    return info_nce_loss(u, v, temperature=temperature)


def our_supcon(u, v, labels, domains, temperature):
    """`supcon_loss`, form "out"."""
    rows = jnp.concatenate([u, v])
    return supcon_loss(rows, jnp.tile(labels, 2), temperature=temperature)


def our_combined(u, v, labels, domains, temperature):
    """`domain_weighted_supcon_loss` + 30 `negative_variance_penalty`, one program."""
    contrast = domain_weighted_supcon_loss(
        jnp.concatenate([u, v]),
        jnp.tile(labels, 2),
        jnp.tile(domains, 2),
        same_domain_weight=SAME_DOMAIN_WEIGHT,
        temperature=temperature,
    )
    penalty = negative_variance_penalty(u, v, num_instances=NUM_INSTANCES)
    return contrast + PENALTY_WEIGHT * penalty
