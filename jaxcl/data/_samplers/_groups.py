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
        order = order[groups[order] != -1]
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
    """An id for every pair of ids, in their order; −1 where one of them is −1.

    Example:
        >>> pair_ids(np.array([0, 1, 1, -1]), np.array([2, 0, 2, 1])).tolist()
        [0, 1, 2, -1]
    """
    known = (first != -1) & (second != -1)
    pairs = np.full(first.shape, -1, np.int64)
    both = np.stack([first, second], axis=1)[known]
    pairs[known] = np.unique(both, axis=0, return_inverse=True)[1].reshape(-1)
    return pairs


def _checked(groups: np.ndarray) -> Int64[np.ndarray, " samples"]:
    if groups.ndim != 1 or groups.dtype.kind not in "iu":
        raise ConfigError(
            "`groups` must be whole numbers, one a sample, "
            f"got {groups.dtype} of shape {groups.shape}"
        )
    return groups.astype(np.int64)
