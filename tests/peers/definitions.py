"""Definitions of code that no package index offers, in our words, in jax.numpy.

SupContrast (HobbitLong/SupContrast, 66a8fe5) and solo-learn (vturrisi/solo-learn,
9187ea3; the 1.0.2 on PyPI is of 2021 and has other losses), as read there.
"""

import jax
import jax.numpy as jnp

SUPCONTRAST_BASE_TEMPERATURE = 0.07


def supcontrast(rows, labels, temperature):
    """`SupConLoss(temperature)(rows[:, None], labels)` of unit rows.

    −(t / t_base) mean over ALL rows of the mean log ratio over the positives; a row
    without positive counts as 0.
    """
    itself = jnp.eye(len(rows), dtype=bool)
    positive = (labels[:, None] == labels[None, :]) & ~itself
    logits = jnp.where(itself, -jnp.inf, rows @ rows.T / temperature)
    log_ratios = logits - jax.nn.logsumexp(logits, axis=1, keepdims=True)
    count = jnp.maximum(jnp.sum(positive, axis=1), 1)
    means = jnp.sum(jnp.where(positive, log_ratios, 0.0), axis=1) / count
    return -temperature / SUPCONTRAST_BASE_TEMPERATURE * jnp.mean(means)


def solo_simclr(rows, indexes, temperature):
    """`simclr_loss_func(z, indexes, temperature)`: −mean log(Σ_P e^s / Σ_{P∪N} e^s).

    The logarithm is outside the sum over the positives, without 1/|P|; a row without
    positive gives inf.
    """
    unit = rows / jnp.linalg.norm(rows, axis=1, keepdims=True)
    powers = jnp.exp(unit @ unit.T / temperature)
    same = indexes[:, None] == indexes[None, :]
    positives = jnp.sum(powers * (same & ~jnp.eye(len(rows), dtype=bool)), axis=1)
    negatives = jnp.sum(powers * ~same, axis=1)
    return -jnp.mean(jnp.log(positives / (positives + negatives)))


def solo_mocov3(queries, keys, temperature):
    """`mocov3_loss_func`: one-way cross-entropy times 2 t, no gradient into the keys.

    The keys are detached by the caller on one device, by the gather on several.
    """
    x = queries / jnp.linalg.norm(queries, axis=1, keepdims=True)
    y = keys / jnp.linalg.norm(keys, axis=1, keepdims=True)
    logits = x @ y.T / temperature
    losses = jax.nn.logsumexp(logits, axis=1) - jnp.diagonal(logits)
    return jnp.mean(losses) * 2 * temperature


def solo_mocov2plus(queries, keys, queue, temperature):
    """`mocov2plus_loss_func` of unit rows; the queue is `[dim, size]`."""
    positive = jnp.sum(queries * keys, axis=1, keepdims=True)
    logits = jnp.concatenate([positive, queries @ queue], axis=1) / temperature
    return jnp.mean(jax.nn.logsumexp(logits, axis=1) - logits[:, 0])
