"""Samples by group, and a stream of permutations of every group."""

from typing import Any

import numpy as np

from jaxcl.config import ConfigError
from jaxcl.data._draws import Stream, permutation
from jaxcl.data._sampler import recall


class Groups:
    """Which samples are in each group; those of unknown group (−1) are in none.

    Args:
        groups: Group of every sample, whole numbers `[samples]`; −1 = unknown.
        seed: Of the permutations.

    Example:
        >>> groups = Groups(np.array([5, -1, 0, 5]), seed=0)
        >>> groups.ids, [rows.tolist() for rows in groups.members], groups.size
        ([0, 5], [[2], [0, 3]], 3)
        >>> sorted(groups.take(1, epoch=0, rows=slice(0, 2)).tolist())
        [0, 3]
    """

    def __init__(self, groups: np.ndarray, seed: int):
        groups = _checked(groups)
        order = np.argsort(groups, kind="stable")
        order = order[np.searchsorted(groups[order], 0) :]
        ids, starts = np.unique(groups[order], return_index=True)
        if not len(ids):
            raise ConfigError("`groups` must be known of some sample, got -1 of all")
        self.ids: list[int] = ids.tolist()
        self.members = tuple(np.split(order, starts[1:]))
        self.size = len(order)
        self._seed = seed
        self._kept: dict[tuple[int, int], Any] = {}

    def __len__(self) -> int:
        return len(self.members)

    def take(self, group: int, epoch: int, rows: slice) -> np.ndarray:
        """Positions of some samples of a group, in the order of its `epoch`."""
        members, seed = self.members[group], self._seed

        def draw() -> np.ndarray:
            size, stream = len(members), Stream.GROUPS
            return permutation(size, seed, stream=stream, epoch=epoch, part=group)

        return members[recall(self._kept, group, epoch, draw)[rows]]


def pair_ids(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """A number for every pair of ids, int64; −1 where one of them is missing.

    Example:
        >>> pair_ids(np.array([0, 1, 1, -1]), np.array([2, 0, 2, 1])).tolist()
        [2, 3, 5, -1]
    """
    first, second = np.asarray(first, np.int64), np.asarray(second, np.int64)
    pairs = first * (second.max(initial=0) + 1) + second
    return np.where((first < 0) | (second < 0), -1, pairs)


def _checked(groups: np.ndarray) -> np.ndarray:
    groups = np.asarray(groups)
    if groups.ndim != 1 or groups.dtype.kind not in "iu":
        raise ConfigError(
            "`groups` must be whole numbers, one a sample, "
            f"got {groups.dtype} of shape {groups.shape}"
        )
    groups = groups.astype(np.int64)
    if groups.min(initial=0) < -1:
        raise ConfigError(
            f"`groups` must be ids, or -1 for unknown, got {groups.min()}"
        )
    return groups
