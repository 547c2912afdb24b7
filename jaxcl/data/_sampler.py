"""The order of samples, as a function of the step."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from jaxcl.config import ConfigError
from jaxcl.data._draws import Stream, permutation


class Draw(NamedTuple):
    """The samples of a step, for all devices and hosts together.

    Example:
        >>> draw = EpochSampler(num_instances=5, batch_size=2, seed=0).draw(2)
        >>> draw.rows.shape, draw.epochs.tolist()
        ((2,), [1, 1])
    """

    rows: np.ndarray
    """Their positions in the split, int64 `[batch]`."""
    epochs: np.ndarray
    """A number that no other draw of the same sample has, int32 `[batch]`; with the
    seed and the sample it is the key of the views."""


class Sampler(Protocol):
    """Which samples each step sees: a pure function of the step.

    Steps can be asked for in any order. The rows are those of the whole batch, however
    many hosts share it.

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

    The step says which samples it sees: there is no state to save, and the order does
    not depend on the number of devices or hosts. What is left after the last full batch
    of an epoch is left out of it; the next permutation leaves out others.

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

    def indices(self, step: int) -> np.ndarray:
        """Positions in the split of the samples of a step, `[batch_size]`."""
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
    """A batch of one epoch must not need more samples than there are."""
    if batch_size < 1:
        raise ConfigError(f"`data.batch_size` must be at least 1, got {batch_size}")
    if batch_size > available:
        raise ConfigError(
            f"`data.batch_size` must be at most the {available} samples "
            f"of the training split{which}, got {batch_size}"
        )


def recall(
    kept: dict[tuple[int, int], tuple[int, Any]],
    group: int,
    epoch: int,
    make: Callable[[], Any],
) -> Any:
    """What `make` gives for an epoch of a group; the last two epochs are kept.

    Two, because threads that read ahead are in both at the border between them.
    """
    slot = (group, epoch % 2)
    found = kept.get(slot)
    if found is None or found[0] != epoch:
        # One tuple: another thread sees the old epoch with its value, or the new.
        found = kept[slot] = (epoch, make())
    return found[1]
