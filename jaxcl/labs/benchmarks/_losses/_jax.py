"""The losses in JAX: the natural dense code, and this library's functions."""

import jax
import jax.numpy as jnp

from jaxcl.labs.benchmarks._losses._calls import Case
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


def dense_nt_xent(case: Case):
    """NT-Xent: every other row of both views is a negative."""

    def loss(u, v, labels, domains):
        del labels, domains
        z = _normalize(jnp.concatenate([u, v]))
        logits = _without_self(_similarity(z, z) / case.temperature)
        positives = jnp.diagonal(jnp.roll(logits, len(u), axis=1))
        return jnp.mean(jax.nn.logsumexp(logits, axis=1) - positives)

    return loss


def dense_info_nce(case: Case):
    """CLIP: rows of the other view are negatives, both ways."""

    def loss(u, v, labels, domains):
        del labels, domains
        logits = _similarity(_normalize(u), _normalize(v)) / case.temperature
        rows, columns = (jax.nn.logsumexp(logits, axis=axis) for axis in (1, 0))
        return jnp.mean((rows + columns) / 2 - jnp.diagonal(logits))

    return loss


def dense_supcon(case: Case):
    """SupCon, form "out"."""

    def loss(u, v, labels, domains):
        del domains
        z = _normalize(jnp.concatenate([u, v]))
        logits = _without_self(_similarity(z, z) / case.temperature)
        return _mean_over_positives(logits, logits, labels)

    return loss


def dense_combined(case: Case):
    """SupCon with domain weights and 30 times the variance of the negatives."""

    def loss(u, v, labels, domains):
        z = _normalize(jnp.concatenate([u, v]))
        logits = _without_self(_similarity(z, z) / case.temperature)
        both = jnp.tile(domains, 2)
        same_domain = both[:, None] == both[None, :]
        weights = jnp.where(same_domain, SAME_DOMAIN_WEIGHT, 1 - SAME_DOMAIN_WEIGHT)
        weighted = logits + jnp.log(weights)
        contrast = _mean_over_positives(weighted, weighted, labels)
        across = _similarity(z[: len(u)], z[len(u) :])
        deviations = (across + 1 / (NUM_INSTANCES - 1)) ** 2
        pairs = len(u) * (len(u) - 1)
        variance = (jnp.sum(deviations) - jnp.trace(deviations)) / pairs
        return contrast + PENALTY_WEIGHT * variance

    return loss


def _normalize(rows):
    rows32 = rows.astype(jnp.float32)
    unit = rows32 / jnp.linalg.norm(rows32, axis=1, keepdims=True)
    return unit.astype(rows.dtype)


def _similarity(x, y):
    return jnp.matmul(x, y.T, preferred_element_type=jnp.float32)


def _without_self(logits):
    return jnp.where(jnp.eye(len(logits), dtype=bool), -jnp.inf, logits)


def _mean_over_positives(numerators, logits, labels):
    both = jnp.tile(labels, 2)
    positive = (both[:, None] == both[None, :]) & ~jnp.eye(len(both), dtype=bool)
    log_ratios = numerators - jax.nn.logsumexp(logits, axis=1, keepdims=True)
    total = jnp.sum(jnp.where(positive, log_ratios, 0.0), axis=1)
    return -jnp.mean(total / jnp.sum(positive, axis=1))


def our_nt_xent(case: Case):
    """`nt_xent_loss`."""
    return lambda u, v, *_: nt_xent_loss(u, v, temperature=case.temperature)


def our_info_nce(case: Case):
    """`info_nce_loss` with its defaults: CLIP."""
    return lambda u, v, *_: info_nce_loss(u, v, temperature=case.temperature)


def our_supcon(case: Case):
    """`supcon_loss`, form "out"."""

    def loss(u, v, labels, domains):
        del domains
        rows = jnp.concatenate([u, v])
        return supcon_loss(rows, jnp.tile(labels, 2), temperature=case.temperature)

    return loss


def our_combined(case: Case):
    """`domain_weighted_supcon_loss` + 30 `negative_variance_penalty`, one program."""

    def loss(u, v, labels, domains):
        contrast = domain_weighted_supcon_loss(
            jnp.concatenate([u, v]),
            jnp.tile(labels, 2),
            jnp.tile(domains, 2),
            same_domain_weight=SAME_DOMAIN_WEIGHT,
            temperature=case.temperature,
        )
        penalty = negative_variance_penalty(u, v, num_instances=NUM_INSTANCES)
        return contrast + PENALTY_WEIGHT * penalty

    return loss
