"""Losses of other libraries turned into ours, and ours, as functions of a sample."""

import importlib
from typing import Any

import jax
import jax.numpy as jnp
from peers import definitions as read

import jaxcl.losses
from jaxcl.labs.benchmarks._losses._peers import import_lightly
from jaxcl.losses import (
    epsilon_sup_info_nce_loss,
    info_nce_loss,
    queue_nce_loss,
    sigmoid_loss,
    supcon_loss,
)


def our(name: str, **fixed: Any):
    """A loss of ours of two views, by name."""

    def loss(u, v, sample, temperature):
        return getattr(jaxcl.losses, name)(u, v, temperature=temperature, **fixed)

    return loss


def our_supcon(u, v, sample, temperature, form="out"):
    """Ours; rows of both views with labels of their own."""
    rows = jnp.concatenate([u, v])
    return supcon_loss(rows, sample.labels, temperature=temperature, form=form)


def our_supcon_in(u, v, sample, temperature):
    """Ours, the form with the mean inside the logarithm."""
    return our_supcon(u, v, sample, temperature, "in")


def our_pairs(u, v, sample, temperature):
    """Every positive has its own denominator; the mean goes over pairs."""
    rows = jnp.concatenate([u, v])
    losses = epsilon_sup_info_nce_loss(
        rows, sample.labels, epsilon=0.0, temperature=temperature, reduction="none"
    )
    counts = _positives(sample.labels)
    return jnp.sum(counts * losses) / jnp.sum(counts)


def _positives(labels):
    return jnp.sum(labels[:, None] == labels[None, :], axis=1) - 1


def our_sigmoid(u, v, sample, temperature):
    """Ours with scale 1 / t and a bias of −3."""
    scale = 1 / temperature
    return sigmoid_loss(u, v, logit_scale=scale, logit_bias=-3.0)


def our_queue(u, v, sample, temperature):
    """Ours with the queue of the sample."""
    return queue_nce_loss(u, v, sample.queue, temperature=temperature)


def our_stopped_keys(u, v, sample, temperature):
    """Ours, one way, with keys that get no gradient."""
    v = jax.lax.stop_gradient(v)
    return info_nce_loss(u, v, temperature=temperature, symmetric=False)


def lightly(name: str):
    """A loss of lightly of two views."""

    def loss(u, v, sample, temperature):
        return getattr(import_lightly(), name)(temperature=temperature)(u, v)

    return loss


def lightly_bank(u, v, sample, temperature):
    """Lightly's NTXentLoss with a full memory bank."""
    size = tuple(sample.queue.shape)
    criterion = import_lightly().NTXentLoss(temperature, memory_bank_size=size)
    criterion.memory_bank.bank = sample.queue
    return criterion(u, v.detach())


def pml(name: str, *, ids: str):
    """A loss of pytorch-metric-learning; `ids` says which rows are positives."""

    def loss(u, v, sample, temperature):
        torch = importlib.import_module("torch")
        theirs = importlib.import_module("pytorch_metric_learning.losses")
        criterion = getattr(theirs, name)(temperature=temperature)
        instances = torch.arange(len(u))
        if ids == "other view":
            # The same tensor twice would mean: a row is no positive of its own index.
            return criterion(u, instances, ref_emb=v, ref_labels=instances.clone())
        chosen = sample.labels if ids == "labels" else instances.repeat(2)
        return criterion(torch.cat([u, v]), chosen)

    return loss


def optax_ntxent(u, v, sample, temperature):
    """Optax with the instance as label."""
    ids = jnp.tile(jnp.arange(len(u)), 2)
    return importlib.import_module("optax.losses").ntxent(
        jnp.concatenate([u, v]), ids, temperature
    )


def optax_labels(u, v, sample, temperature):
    """Optax with labels."""
    return importlib.import_module("optax.losses").ntxent(
        jnp.concatenate([u, v]), sample.labels, temperature
    )


def optax_softmax(u, v, sample, temperature):
    """Two cross-entropies of optax."""
    entropy = importlib.import_module("optax.losses")
    logits = _unit(u) @ _unit(v).T / temperature
    targets = jnp.arange(len(u))
    both = [
        entropy.softmax_cross_entropy_with_integer_labels(one, targets)
        for one in (logits, logits.T)
    ]
    return jnp.mean(jnp.stack(both))


def optax_sigmoid(u, v, sample, temperature):
    """The binary cross-entropy of optax over all pairs."""
    entropy = importlib.import_module("optax.losses").sigmoid_binary_cross_entropy
    logits = _unit(u) @ _unit(v).T / temperature - 3.0
    return jnp.sum(entropy(logits, jnp.eye(len(u)))) / len(u)


def _unit(rows):
    return rows / jnp.linalg.norm(rows, axis=1, keepdims=True)


def supcontrast_views(u, v, sample, temperature):
    """SupContrast without labels, times t_base / t."""
    ids = jnp.tile(jnp.arange(len(u)), 2)
    rows = _unit(jnp.concatenate([u, v]))
    factor = read.SUPCONTRAST_BASE_TEMPERATURE / temperature
    return factor * read.supcontrast(rows, ids, temperature)


def supcontrast_labels(u, v, sample, temperature):
    """SupContrast, times t_base / t and rows / rows with a positive."""
    rows = _unit(jnp.concatenate([u, v]))
    defined = jnp.sum(_positives(sample.labels) > 0)
    factor = read.SUPCONTRAST_BASE_TEMPERATURE / temperature * len(rows) / defined
    return factor * read.supcontrast(rows, sample.labels, temperature)


def solo_simclr(u, v, sample, temperature):
    """solo-learn with the index of the image."""
    ids = jnp.tile(jnp.arange(len(u)), 2)
    return read.solo_simclr(jnp.concatenate([u, v]), ids, temperature)


def solo_labels(u, v, sample, temperature):
    """solo-learn with labels, plus the mean of log |P|."""
    loss = read.solo_simclr(jnp.concatenate([u, v]), sample.labels, temperature)
    return loss + jnp.mean(jnp.log(_positives(sample.labels)))


def solo_mocov3(u, v, sample, temperature):
    """solo-learn, over 2 t."""
    keys = jax.lax.stop_gradient(v)
    return read.solo_mocov3(u, keys, temperature) / (2 * temperature)


def solo_queue(u, v, sample, temperature):
    """solo-learn with a queue."""
    keys = jax.lax.stop_gradient(_unit(v))
    return read.solo_mocov2plus(_unit(u), keys, sample.queue.T, temperature)
