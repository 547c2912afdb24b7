"""Samples drawn in proportion to weights."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int

from jaxcl.config import ConfigError
from jaxcl.data._draws import Stream, permutation, raw_draws
from jaxcl.data._samplers._epochs import Draw, Recent, check_batch_size
from jaxcl.data._samplers._groups import pair_ids


class ImportanceSampler:
    """An epoch of n draws has a sample n · p times, rounded up or down.

    Here p is the sample's share of all weights and n the number of samples. Whether it
    is rounded up or down is drawn for every epoch by systematic resampling of the
    samples in random order: the expected count is n · p, and unlike in independent
    draws no sample is left out by chance. The draws come in random order, cut into
    batches; the rest after the last full batch is dropped.

    A sample can be in a batch more than once. Its k-th copy in epoch e has the epoch
    number e · C + k, with C the largest number of copies, so that all its views differ.

    Args:
        weights: A positive number for every sample, `[samples]`. They are rounded to
            multiples of the largest · n² / 2⁶², so that an epoch is computed in
            integers and is the same on every machine.
        batch_size: Samples a step, over all devices and hosts.
        seed: Of the resampling and of the order.

    Example:
        >>> sampler = ImportanceSampler(np.array([3, 1, 1, 1]), batch_size=4, seed=0)
        >>> drawn = np.concatenate([sampler.draw(epoch).rows for epoch in range(999)])
        >>> (np.bincount(drawn) / 999).round(1).tolist()  # 4 · 3/6 and 4 · 1/6
        [2.0, 0.7, 0.7, 0.7]
    """

    def __init__(self, weights: np.ndarray, batch_size: int, seed: int):
        weights = weights.astype(np.float64)
        if weights.ndim != 1 or not np.all((weights > 0) & np.isfinite(weights)):
            raise ConfigError(
                "`weights` must be positive and finite, one a sample, "
                f"got {weights!r} of shape {weights.shape}"
            )
        check_batch_size(batch_size, len(weights))
        self.batch_size, self._seed = batch_size, seed
        # n times the sum of all shares must fit 64 bits.
        scale = 2**62 // len(weights) ** 2
        shares = np.rint(weights / weights.max() * scale).astype(np.int64)
        self._shares = np.maximum(shares, 1)
        self._plan = Recent(self._resample)

    @property
    def steps_per_epoch(self) -> int:
        """Batches of as many draws as there are samples."""
        return len(self._shares) // self.batch_size

    @property
    def max_copies(self) -> int:
        """Most draws of one sample in an epoch."""
        largest, total = int(self._shares.max()), int(self._shares.sum())
        return -(-len(self._shares) * largest // total)

    def draw(self, step: int) -> Draw:
        """The samples of a step, in random order."""
        epoch, position = divmod(step, self.steps_per_epoch)
        plan = self._plan(epoch)
        part = slice(position * self.batch_size, (position + 1) * self.batch_size)
        # Beyond 31 bits the numbers begin again; no run comes that far.
        epochs = (epoch * self.max_copies + plan.copies[part]) % 2**31
        return Draw(plan.rows[part], epochs.astype(np.int32))

    def _resample(self, epoch: int) -> "_Plan":
        size, total = len(self._shares), int(self._shares.sum())

        def order(part: int) -> np.ndarray:
            stream = Stream.IMPORTANCE
            return permutation(size, self._seed, stream=stream, epoch=epoch, part=part)

        # In the order of the data set, neighbors would be rounded in opposite ways, and
        # samples in a regular pattern all in the same way.
        candidates = order(0)
        draw = raw_draws(1, self._seed, stream=Stream.IMPORTANCE, epoch=epoch, part=1)
        offset = int(draw[0]) * total >> 64
        ends = (size * np.cumsum(self._shares[candidates]) + offset) // total
        counts = np.diff(ends, prepend=0)
        rows = np.repeat(candidates, counts)
        copies = np.arange(size) - np.repeat(ends - counts, counts)
        permuted = order(2)
        return _Plan(rows[permuted], copies[permuted])


class _Plan(NamedTuple):
    """The draws of an epoch."""

    rows: np.ndarray
    copies: np.ndarray
    """How many draws of the same sample came before in the epoch."""


def importance_weights(
    labels: Int[np.ndarray, "..."], biases: Int[np.ndarray, "..."], cap: float = 10.0
) -> Float64[np.ndarray, " samples"]:
    r"""Weights that make the bias attribute independent of the label.

    $$w_i = \min\left(\frac{1}{\hat p(b_i \mid y_i)},\; c \, \min_j w_j\right)$$

    where p̂ is the share of the samples of a label that have a bias. Without the cap all
    biases of a label are drawn equally often.

    Args:
        labels: Class of every sample, `[samples]`; −1 = unknown.
        biases: Bias attribute of every sample, `[samples]`; −1 = unknown.
        cap: Largest weight, in multiples of the smallest.

    Returns:
        The weights. A sample whose label or bias is unknown has the smallest weight of
        all, because nothing says that it is rare.

    References:
        Hong and Yang (NeurIPS 2021), Unbiased Classification through Bias-Contrastive
        and Bias-Balanced Learning: its oversampling.

    Example:
        >>> labels, biases = np.array([0, 0, 0, 0, 1]), np.array([5, 5, 5, 6, 5])
        >>> importance_weights(labels, biases).tolist()  # 1/p = 4/3, 4/1, 1/1
        [1.3333333333333333, 1.3333333333333333, 1.3333333333333333, 4.0, 1.0]
        >>> importance_weights(labels, biases, cap=2.0)[3].item()
        2.0
    """
    if labels.ndim != 1 or labels.shape != biases.shape:
        raise ConfigError(
            "`labels` and `biases` must be one a sample, "
            f"got shapes {labels.shape} and {biases.shape}"
        )
    if not cap >= 1:
        raise ConfigError(f"`data.sampler.cap` must be at least 1, got {cap}")
    known = (labels != -1) & (biases != -1)
    if not known.any():
        raise ConfigError("`labels` and `biases` must both be known of some sample")
    of_label = _count_like(labels[known])
    of_pair = _count_like(pair_ids(labels, biases)[known])
    weights = of_label / of_pair
    smallest = weights.min()
    result = np.full(len(labels), smallest)
    result[known] = np.minimum(weights, cap * smallest)
    return result


def _count_like(ids: np.ndarray) -> np.ndarray:
    """For every id, how often it occurs."""
    _, inverse, counts = np.unique(ids, return_inverse=True, return_counts=True)
    return counts[inverse]
