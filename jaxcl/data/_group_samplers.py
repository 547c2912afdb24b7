"""Batches made of groups: equal parts of all, or one group alone."""

import logging
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jaxcl.config import ConfigError, SamplerConfig
from jaxcl.data._draws import Stream, permutation
from jaxcl.data._groups import Groups, pair_ids
from jaxcl.data._importance import ImportanceSampler, importance_weights
from jaxcl.data._sampler import Draw, EpochSampler, Sampler, check_batch_size, recall

_LOG = logging.getLogger(__name__)
_KNOWN = " whose group is known"


@dataclass(frozen=True, eq=False)
class GroupBalancedSampler:
    """Every batch has equally many samples of every group.

    Rows are dealt to the G groups in turn, and the next batch goes on where the last
    one stopped: a batch has `batch_size` / G rows of a group, rounded up or down, any G
    steps have equally many of each, and so has every part of the batch, such as that of
    a device, to within one row.

    Every group has its own permutations, whose number is the epoch of a sample. One
    lasts for ⌊size · G / batch_size⌋ steps; what is left over is left out of it, so
    that no sample is twice in a batch. A group that is smaller than its part of a batch
    begins new permutations in every step: its samples are in the batch equally often,
    to within one, and each time with another epoch.

    Samples of unknown group (−1) are left out: they are never drawn.

    Args:
        groups: Group of every sample, whole numbers `[samples]`; −1 = unknown.
        batch_size: Samples a step, over all devices and hosts.
        seed: Of the permutations.

    Example:
        >>> groups = np.array([0, 0, 0, 0, 0, 0, 7, 7, -1])
        >>> sampler = GroupBalancedSampler(groups, batch_size=4, seed=0)
        >>> groups[sampler.draw(0).rows].tolist()
        [0, 7, 0, 7]
        >>> sampler.draw(2).epochs.tolist()  # three steps of 0, one of 7
        [0, 2, 0, 2]
    """

    groups: np.ndarray
    batch_size: int
    seed: int
    _groups: Groups = field(init=False, repr=False)

    def __post_init__(self) -> None:
        groups = Groups(self.groups, self.seed)
        check_batch_size(self.batch_size, groups.size, _KNOWN)
        object.__setattr__(self, "_groups", groups)

    @property
    def steps_per_epoch(self) -> int:
        """Steps that draw as many samples as have a group."""
        return self._groups.size // self.batch_size

    def draw(self, step: int) -> Draw:
        """The samples of a step; neighbors are of different groups."""
        rows = np.empty(self.batch_size, np.int64)
        epochs = np.empty(self.batch_size, np.int32)
        count = len(self._groups)
        for first in range(min(count, self.batch_size)):
            # Of all rows ever dealt, each count-th goes to the same group.
            number, group = divmod(step * self.batch_size + first, count)
            share = len(range(first, self.batch_size, count))
            drawn, epoch = self._draw_group(step, group, number, share)
            rows[first::count], epochs[first::count] = drawn, epoch
        return Draw(rows, epochs)

    def _draw_group(
        self, step: int, group: int, number: int, share: int
    ) -> tuple[np.ndarray, np.ndarray | int]:
        """The next `share` samples of a group that was dealt `number` rows before."""
        count, size = len(self._groups), len(self._groups.members[group])
        # In any `steps` steps a group is dealt at most ceil(steps * batch_size / count)
        # rows, and this is the largest number for which they fit one permutation.
        steps = size * count // self.batch_size
        if steps == 0:
            return self._draw_small_group(step, group, share)
        epoch = step // steps
        dealt_before = -(-(epoch * steps * self.batch_size - group) // count)
        start = number - dealt_before
        return self._groups.take(group, epoch, slice(start, start + share)), epoch

    def _draw_small_group(
        self, step: int, group: int, share: int
    ) -> tuple[np.ndarray, np.ndarray]:
        size = len(self._groups.members[group])
        largest = -(-self.batch_size // len(self._groups))
        permutations = -(-largest // size)
        first = step * permutations
        whole = slice(None)
        drawn = [
            self._groups.take(group, first + i, whole) for i in range(permutations)
        ]
        epochs = first + np.arange(share) // size
        return np.concatenate(drawn)[:share], epochs


@dataclass(frozen=True, eq=False)
class HomogeneousSampler:
    """Every batch has samples of one group.

    In an epoch a permutation of every group is cut into full batches, and the batches
    of all groups come in random order. What is left of a group after its last full
    batch is left out of the epoch.

    Samples of unknown group (−1) are left out: they are never drawn.

    Args:
        groups: Group of every sample, whole numbers `[samples]`; −1 = unknown.
        batch_size: Samples a step, over all devices and hosts; no group may have less.
        seed: Of the permutations.

    Example:
        >>> groups = np.array([0, 0, 0, 0, 0, 1, 1, -1])
        >>> sampler = HomogeneousSampler(groups, batch_size=2, seed=0)
        >>> [groups[sampler.draw(step).rows].tolist() for step in range(3)]
        [[0, 0], [0, 0], [1, 1]]
    """

    groups: np.ndarray
    batch_size: int
    seed: int
    _groups: Groups = field(init=False, repr=False)
    _starts: np.ndarray = field(init=False, repr=False)
    _kept: dict[tuple[int, int], Any] = field(
        init=False, repr=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        groups = Groups(self.groups, self.seed)
        check_batch_size(self.batch_size, groups.size, _KNOWN)
        sizes = [len(members) for members in groups.members]
        small = [
            f"{group} ({size} samples)"
            for group, size in zip(groups.ids, sizes, strict=True)
            if size < self.batch_size
        ]
        if small:
            raise ConfigError(
                "`data.batch_size` must be at most the size of every group, for each "
                f"batch is of one group, got {self.batch_size}; too small are the "
                f"groups {', '.join(small)}"
            )
        batches = [size // self.batch_size for size in sizes]
        object.__setattr__(self, "_groups", groups)
        object.__setattr__(self, "_starts", np.cumsum([0, *batches]))

    @property
    def steps_per_epoch(self) -> int:
        """Full batches of all groups."""
        return int(self._starts[-1])

    def draw(self, step: int) -> Draw:
        """The samples of a step; their epoch is the number of the permutation."""
        epoch, position = divmod(step, self.steps_per_epoch)
        batch = recall(self._kept, -1, epoch, lambda: self._batches(epoch))[position]
        group = int(np.searchsorted(self._starts, batch, side="right")) - 1
        start = int(batch - self._starts[group]) * self.batch_size
        part = slice(start, start + self.batch_size)
        rows = self._groups.take(group, epoch, part)
        return Draw(rows, np.full(self.batch_size, epoch, np.int32))

    def _batches(self, epoch: int) -> np.ndarray:
        steps, seed = self.steps_per_epoch, self.seed
        return permutation(steps, seed, stream=Stream.BATCHES, epoch=epoch)


# Which columns each sampler asks for.
NEEDED_ROLES = {
    "uniform": (),
    "domain_balanced": ("domain",),
    "domain_homogeneous": ("domain",),
    "label_domain": ("label", "domain"),
    "importance": ("label", "bias"),
}


def make_sampler(
    config: SamplerConfig,
    *,
    size: int,
    batch_size: int,
    seed: int,
    label: np.ndarray | None = None,
    domain: np.ndarray | None = None,
    bias: np.ndarray | None = None,
) -> Sampler:
    """The sampler of a config.

    Args:
        config: Its name, and the cap of importance sampling.
        size: Samples that are trained on.
        batch_size: Samples a step, over all devices and hosts.
        seed: Of the order.
        label: Class of every sample; −1 = unknown, here and below.
        domain: Domain of every sample.
        bias: Bias attribute of every sample.

    Returns:
        The sampler. A `ConfigError` names the column that it needs and does not have.

    Example:
        >>> make_sampler(SamplerConfig(), size=9, batch_size=4, seed=0)
        EpochSampler(num_instances=9, batch_size=4, seed=0)
        >>> make_sampler(SamplerConfig("importance"), size=9, batch_size=4, seed=0)
        Traceback (most recent call last):
        ...
        jaxcl.config.ConfigError: `data.label` must name a column for
        data.sampler.name = 'importance', got none
    """
    given = {"label": label, "domain": domain, "bias": bias}
    columns = [
        _column(config, role, given[role], size) for role in NEEDED_ROLES[config.name]
    ]
    if config.name == "uniform":
        return EpochSampler(size, batch_size, seed)
    if config.name == "importance":
        weights = importance_weights(*columns, cap=config.cap)
        return ImportanceSampler(weights, batch_size, seed)
    groups = pair_ids(*columns) if len(columns) == 2 else columns[0]
    unknown = int((groups == -1).sum())
    if unknown:
        _LOG.warning(
            "%d of %d samples are never drawn: data.sampler.name = %r needs their %s, "
            "which is missing",
            *(unknown, size, config.name, " and ".join(NEEDED_ROLES[config.name])),
        )
    if config.name == "domain_homogeneous":
        return HomogeneousSampler(groups, batch_size, seed)
    return GroupBalancedSampler(groups, batch_size, seed)


def _column(
    config: SamplerConfig, role: str, values: np.ndarray | None, size: int
) -> np.ndarray:
    if values is None:
        raise ConfigError(
            f"`data.{role}` must name a column for "
            f"data.sampler.name = {config.name!r}, got none"
        )
    if np.shape(values) != (size,):
        raise ConfigError(
            f"`{role}` must be one a sample, got shape {np.shape(values)} "
            f"for {size} samples"
        )
    return np.asarray(values)
