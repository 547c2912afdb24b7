"""Samples by group, and a stream of permutations of every group."""

import numpy as np
from jaxtyping import Int, Int64

from jaxcl.config import ConfigError
from jaxcl.data._draws import Stream, permutation
from jaxcl.data._samplers._epochs import Recent


class Groups:
    """Which samples are in each group; those of unknown group (−1) are in none.

    Args:
        groups: Group of every sample, integers `[samples]`; −1 = unknown.
        seed: Of the permutations.

    Example:
        >>> groups = Groups(np.array([5, -1, 0, 5]), seed=0)
        >>> groups.ids, [rows.tolist() for rows in groups.members], groups.size
        ([0, 5], [[2], [0, 3]], 3)
        >>> sorted(groups.order(epoch=0, group=1).tolist())
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
        self.recall = Recent(self.order)

    def __len__(self) -> int:
        return len(self.members)

    def order(self, epoch: int, group: int) -> Int64[np.ndarray, " members"]:
        """Positions of the samples of a group in the order of an epoch, read-only."""
        members, stream = self.members[group], Stream.GROUPS
        order = permutation(
            len(members), self._seed, stream=stream, epoch=epoch, part=group
        )
        ordered = members[order]
        ordered.flags.writeable = False
        return ordered


def pair_ids(
    first: Int[np.ndarray, " samples"], second: Int[np.ndarray, " samples"]
) -> Int64[np.ndarray, " samples"]:
    """A number for every pair of ids; −1 where one of them is missing.

    Example:
        >>> pair_ids(np.array([0, 1, 1, -1]), np.array([2, 0, 2, 1])).tolist()
        [2, 3, 5, -1]
    """
    first, second = first.astype(np.int64), second.astype(np.int64)
    pairs = first * (second.max(initial=0) + 1) + second
    return np.where((first < 0) | (second < 0), -1, pairs)


def _checked(groups: np.ndarray) -> Int64[np.ndarray, " samples"]:
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
