"""Batches made of groups: equal shares of all groups, or one group alone."""

import numpy as np

from jaxcl.config import ConfigError
from jaxcl.data._draws import Stream, permutation
from jaxcl.data._samplers._epochs import Draw, Recent, check_batch_size
from jaxcl.data._samplers._groups import Groups

_KNOWN = " whose group is known"


class GroupBalancedSampler:
    """Every batch has equally many samples of every group.

    Rows are dealt to the G groups in turn, and the next batch continues where the last
    one stopped. A batch has `batch_size` / G rows of a group, rounded up or down, and
    any G steps have equally many of each. So has every part of the batch, such as that
    of a device, to within one row.

    Every group has its own permutations, whose number is the epoch of a sample. One
    lasts for ⌊size · G / batch_size⌋ steps; the rest of it is dropped, so that no
    sample is twice in a batch. A group that is smaller than its share of a batch begins
    new permutations in every step: its samples are in the batch equally often, to
    within one, and each time with another epoch.

    Samples of unknown group (−1) are never drawn.

    Args:
        groups: Group of every sample, integers `[samples]`; −1 = unknown.
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

    def __init__(self, groups: np.ndarray, batch_size: int, seed: int):
        self.batch_size, self._groups = batch_size, Groups(groups, seed)
        check_batch_size(batch_size, self._groups.size, _KNOWN)

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
        return self._groups.recall(epoch, group)[start : start + share], epoch

    def _draw_small_group(
        self, step: int, group: int, share: int
    ) -> tuple[np.ndarray, np.ndarray]:
        size = len(self._groups.members[group])
        largest = -(-self.batch_size // len(self._groups))
        permutations = -(-largest // size)
        first = step * permutations
        drawn = [self._groups.order(first + i, group) for i in range(permutations)]
        return np.concatenate(drawn)[:share], first + np.arange(share) // size


class HomogeneousSampler:
    """Every batch has samples of one group.

    In an epoch a permutation of every group is cut into full batches, and the batches
    of all groups come in random order. The rest of a group after its last full batch is
    dropped from the epoch.

    Samples of unknown group (−1) are never drawn.

    Args:
        groups: Group of every sample, integers `[samples]`; −1 = unknown.
        batch_size: Samples a step, over all devices and hosts; no group may have less.
        seed: Of the permutations.

    Example:
        >>> groups = np.array([0, 0, 0, 0, 0, 1, 1, -1])
        >>> sampler = HomogeneousSampler(groups, batch_size=2, seed=0)
        >>> [groups[sampler.draw(step).rows].tolist() for step in range(3)]
        [[0, 0], [0, 0], [1, 1]]
    """

    def __init__(self, groups: np.ndarray, batch_size: int, seed: int):
        self.batch_size, self._groups = batch_size, Groups(groups, seed)
        check_batch_size(batch_size, self._groups.size, _KNOWN)
        sizes = [len(members) for members in self._groups.members]
        small = [
            f"{group} ({size} samples)"
            for group, size in zip(self._groups.ids, sizes, strict=True)
            if size < batch_size
        ]
        if small:
            raise ConfigError(
                "`data.batch_size` must be at most the size of every group, for each "
                f"batch is of one group, got {batch_size}; too small are the "
                f"groups {', '.join(small)}"
            )
        self._starts = np.cumsum([0, *(size // batch_size for size in sizes)])
        self._seed, self._order = seed, Recent(self._permute)

    @property
    def steps_per_epoch(self) -> int:
        """Full batches of all groups."""
        return int(self._starts[-1])

    def draw(self, step: int) -> Draw:
        """The samples of a step; their epoch is the number of the permutation."""
        epoch, position = divmod(step, self.steps_per_epoch)
        batch = self._order(epoch)[position]
        group = int(np.searchsorted(self._starts, batch, side="right")) - 1
        start = int(batch - self._starts[group]) * self.batch_size
        rows = self._groups.recall(epoch, group)[start : start + self.batch_size]
        return Draw(rows, np.full(self.batch_size, epoch, np.int32))

    def _permute(self, epoch: int) -> np.ndarray:
        steps, stream = self.steps_per_epoch, Stream.BATCHES
        return permutation(steps, self._seed, stream=stream, epoch=epoch)
