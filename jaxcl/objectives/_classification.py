"""Cross-entropy of a classifier on the embeddings: alone, or added to another loss."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxcl.kernels import global_mean
from jaxcl.losses import bias_balanced_cross_entropy
from jaxcl.objectives._objective import (
    Contrast,
    Objective,
    column_of,
    views_of,
    wrap_contrast,
)

LogPrior = Float[np.ndarray, "biases labels"]
"""log p(label given bias)."""


def make_cross_entropy_objective(*, log_prior: LogPrior | None = None) -> Objective:
    """Supervised learning without contrast: the baseline of studies of robustness.

    Args:
        log_prior: log p(label given bias); with it the loss is BiasBal's.
    """
    return wrap_contrast(_cross_entropy(log_prior))


def with_cross_entropy(
    objective: Objective, weight: float, log_prior: LogPrior | None = None
) -> Objective:
    """Adds weight · cross-entropy, logged as `cross_entropy`; 0.01 in BiasCon."""
    if not weight:
        return objective
    cross_entropy = make_cross_entropy_objective(log_prior=log_prior)

    def loss(outputs, batch, carry, axis_name):
        value, metrics, new = objective.loss(outputs, batch, carry, axis_name)
        added, _, _ = cross_entropy.loss(outputs, batch, carry, axis_name)
        return value + weight * added, {**metrics, "cross_entropy": added}, new

    return objective._replace(loss=loss)


def _cross_entropy(log_prior: LogPrior | None) -> Contrast:
    def contrast(outputs, batch, carry, axis_name, *, temperature, reduction):
        if outputs.logits is None:
            raise ValueError("`outputs.logits` must come from a classifier, got none")
        label = column_of(batch, "label")
        kept = jnp.asarray(batch.where) & (label != -1)
        loss_fn = _plain
        if log_prior is not None:
            bias = column_of(batch, "bias")
            kept = kept & (bias != -1)
            loss_fn = functools.partial(
                bias_balanced_cross_entropy,
                biases=bias,
                log_prior=jnp.asarray(log_prior),
                where=kept,
                reduction="none",
            )
        losses = jnp.stack(
            [
                loss_fn(
                    jnp.where(kept[:, None], logits, 0.0) / temperature, labels=label
                )
                for logits in views_of(outputs.logits)
            ]
        )
        kept = jnp.broadcast_to(kept, losses.shape)
        if reduction == "none":
            return jnp.where(kept, losses, 0.0)
        return global_mean(losses, kept, axis_name)

    return contrast


def _plain(
    logits: Float[Array, "batch classes"], *, labels: Int[Array, " batch"]
) -> Float[Array, " batch"]:
    """−log softmax at the label; an unknown label stands for the first class."""
    chosen = jnp.maximum(labels, 0)[:, None]
    log_shares = jax.nn.log_softmax(logits.astype(jnp.float32))
    return -jnp.take_along_axis(log_shares, chosen, 1)[:, 0]


def count_log_prior(
    labels: np.ndarray, biases: np.ndarray, num_biases: int, num_labels: int
) -> LogPrior:
    """Log p(label given bias) of training samples; −1 in either is left out.

    Pairs that do not occur have probability 1e-9, as in the released code of BiasBal.

    Example:
        >>> prior = count_log_prior(np.array([0, 0, 1]), np.array([0, 0, 0]), 1, 2)
        >>> [round(float(share), 2) for share in np.exp(prior[0])]
        [0.67, 0.33]
    """
    counts = np.zeros((num_biases, num_labels))
    known = (labels != -1) & (biases != -1)
    np.add.at(counts, (biases[known], labels[known]), 1.0)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1.0)
    return np.log(shares + 1e-9).astype(np.float32)
