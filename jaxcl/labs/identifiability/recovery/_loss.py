"""The loss of one training step, on fresh samples of a task."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxcl.labs.identifiability.latents import (
    sample_fiber,
    sample_negatives,
    sample_positives,
    sample_sphere,
)
from jaxcl.labs.identifiability.recovery._task import RecoveryTask
from jaxcl.losses import support_corrected_info_nce_loss


def task_loss(
    recover: Callable[[Array], Array], task: RecoveryTask, key: Array
) -> Array:
    """Mean loss of fresh anchors, minus log M."""
    latents, positives, negatives, log_weights = _draw(task, key)
    embeddings = recover(latents), recover(positives), recover(negatives)
    losses = _contrast(embeddings, latents, log_weights, task)
    return jnp.mean(losses) - jnp.log(float(task.num_negatives))


def _draw(task, key):
    """Anchors, positives, negatives, and log-weights of negatives or None."""
    setting, count = task.setting, task.num_negatives
    fixed = setting.num_fixed
    keys = jax.random.split(key, 4)
    law = {
        "num_fixed": fixed,
        "concentration": setting.kappa,
        "conditional": setting.conditional,
    }
    latents = sample_sphere(keys[0], (task.anchors,), setting.dim)
    log_weights = None
    if task.negatives == "shared":
        negatives = sample_sphere(keys[2], (count,), setting.dim)
    elif task.negatives == "fiber":
        bases = latents[: task.fibers]
        rows = task.anchors // task.fibers
        latents = sample_fiber(keys[3], bases, rows, num_fixed=fixed)
        ratio = setting.constraint_ratio
        negatives = sample_negatives(
            keys[2], bases, count, num_fixed=fixed, constraint_ratio=ratio
        )
    else:
        many = jnp.repeat(latents[:, None], count, axis=1)
        negatives = sample_positives(keys[2], many, **law)
        if task.negatives == "weighted":
            log_weights = _log_weights(latents, negatives, setting)
    positives = sample_positives(keys[1], latents, **law)
    return latents, positives, negatives, log_weights


def _log_weights(latents, negatives, setting):
    """Minus the log-density of negatives that are drawn as positives are."""
    cosines = jnp.einsum("bd,bmd->bm", latents, negatives)
    if setting.conditional == "restricted":
        return -setting.kappa * cosines
    free = jnp.sum(latents[:, setting.num_fixed :] ** 2, axis=1, keepdims=True)
    kept = 1.0 - free
    return -setting.kappa * (cosines - kept) / free


def _contrast(embeddings, latents, log_weights, task):
    setting = task.setting
    temperature = jnp.full(latents.shape[:-1], setting.temperature)
    by_anchor: Any = _with_one_temperature
    if task.repair_temperature:
        temperature *= jnp.sum(latents[..., setting.num_fixed :] ** 2, axis=-1)
        by_anchor = _with_temperatures
    if latents.ndim == 3:  # fiber by fiber
        by_anchor = jax.vmap(by_anchor, in_axes=(0, 0, 0, 0, None))
    return by_anchor(*embeddings, temperature, log_weights)


def _with_one_temperature(anchors, positives, negatives, temperature, log_weights):
    return support_corrected_info_nce_loss(
        anchors,
        positives,
        negatives,
        temperature=temperature[0],
        log_weights=log_weights,
        reduction="none",
    )


def _with_temperatures(anchors, positives, negatives, temperature, log_weights):
    # Negatives and weights may be the anchor's own; otherwise all anchors share them.
    own = 0 if negatives.ndim == 3 else None
    weighted = None if log_weights is None else 0

    def of_anchor(anchor, positive, negatives, temperature, log_weights):
        return _with_one_temperature(
            anchor[None], positive[None], negatives, temperature[None], log_weights
        )[0]

    by_row = jax.vmap(of_anchor, in_axes=(0, 0, own, 0, weighted))
    return by_row(anchors, positives, negatives, temperature, log_weights)
