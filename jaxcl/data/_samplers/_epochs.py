"""What a sampler is, and the one that permutes all samples."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int32, Int64

from jaxcl.config import ConfigError
from jaxcl.data._draws import Stream, permutation


class Draw(NamedTuple):
    """The samples of a step, for all devices and hosts together.

    Example:
        >>> draw = EpochSampler(num_instances=5, batch_size=2, seed=0).draw(2)
        >>> draw.rows.shape, draw.epochs.tolist()
        ((2,), [1, 1])
    """

    rows: Int64[np.ndarray, " batch"]
    """Their positions in the split."""
    epochs: Int32[np.ndarray, " batch"]
    """A number that no other draw of the same sample has; with the seed and the sample
    it is the key of the views."""


@runtime_checkable
class Sampler(Protocol):
    """Which samples each step sees: a pure function of the step.

    Steps can be drawn in any order. The rows are those of the whole batch, however many
    hosts share it.

    Example:
        >>> sampler: Sampler = EpochSampler(num_instances=5, batch_size=2, seed=0)
        >>> sampler.batch_size, sampler.steps_per_epoch
        (2, 2)
    """

    @property
    def batch_size(self) -> int:
        """Samples a step, over all devices and hosts."""
        ...

    @property
    def steps_per_epoch(self) -> int:
        """Steps that draw about as many samples as there are."""
        ...

    def draw(self, step: int) -> Draw:
        """The samples of a step."""
        ...


@dataclass(frozen=True)
class EpochSampler:
    """Every epoch is a permutation of the samples, cut into batches.

    The samples are a function of the step: there is no state to save, and the order
    does not depend on the number of devices or hosts. The rest after the last full
    batch of an epoch is dropped; the next permutation drops other samples.

    Args:
        num_instances: Samples of the split.
        batch_size: Samples a step, over all devices and hosts.
        seed: Of the permutations.

    Example:
        >>> sampler = EpochSampler(num_instances=5, batch_size=2, seed=0)
        >>> sampler.steps_per_epoch
        2
        >>> first_epoch = [*sampler.indices(0), *sampler.indices(1)]
        >>> len(set(first_epoch))
        4
    """

    num_instances: int
    batch_size: int
    seed: int

    def __post_init__(self) -> None:
        check_batch_size(self.batch_size, self.num_instances)

    @property
    def steps_per_epoch(self) -> int:
        """Batches of one permutation."""
        return self.num_instances // self.batch_size

    def indices(self, step: int) -> Int64[np.ndarray, " batch"]:
        """Positions in the split of the samples of a step."""
        epoch, position = divmod(step, self.steps_per_epoch)
        start = position * self.batch_size
        order = _order(self.num_instances, self.seed, epoch)
        return order[start : start + self.batch_size]

    def draw(self, step: int) -> Draw:
        """The samples of a step; their epoch is the number of the permutation."""
        epoch = step // self.steps_per_epoch
        return Draw(self.indices(step), np.full(self.batch_size, epoch, np.int32))


@functools.lru_cache(maxsize=4)
def _order(size: int, seed: int, epoch: int) -> np.ndarray:
    return permutation(size, seed, stream=Stream.EPOCHS, epoch=epoch)


def check_batch_size(batch_size: int, available: int, which: str = "") -> None:
    """Raises a `ConfigError` for a batch with more samples than an epoch has."""
    if batch_size < 1:
        raise ConfigError(f"`data.batch_size` must be at least 1, got {batch_size}")
    if batch_size > available:
        raise ConfigError(
            f"`data.batch_size` must be at most the {available} samples "
            f"of the training split{which}, got {batch_size}"
        )


class Recent:
    """A function of an epoch and a group that remembers two epochs of each group.

    Two, because threads that read ahead are in both at the border between them. Unlike
    `functools.lru_cache` it can be pickled with the sampler that it belongs to.

    Args:
        make: The function.
    """

    def __init__(self, make: Callable[..., Any]):
        self._make = make
        self._kept: dict[tuple[int, ...], tuple[int, Any]] = {}

    def __call__(self, epoch: int, *group: int) -> Any:
        slot = (epoch % 2, *group)
        found = self._kept.get(slot)
        if found is None or found[0] != epoch:
            # One tuple: another thread sees the old epoch with its value, or the new.
            found = self._kept[slot] = (epoch, self._make(epoch, *group))
        return found[1]
