"""The order of samples, as a function of the step."""

import functools
from dataclasses import dataclass

import numpy as np

from jaxcl.config import ConfigError


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
        if self.batch_size > self.num_instances:
            raise ConfigError(
                f"`data.batch_size` must be at most the {self.num_instances} samples "
                f"of the training split, got {self.batch_size}"
            )

    @property
    def steps_per_epoch(self) -> int:
        """Batches of one permutation."""
        return self.num_instances // self.batch_size

    def indices(self, step: int) -> np.ndarray:
        """Positions in the split of the samples of a step, `[batch_size]`."""
        epoch, position = divmod(step, self.steps_per_epoch)
        start = position * self.batch_size
        order = _permutation(self.num_instances, self.seed, epoch)
        return order[start : start + self.batch_size]


@functools.lru_cache(maxsize=4)
def _permutation(size: int, seed: int, epoch: int) -> np.ndarray:
    # NumPy promises the stream of a bit generator forever, that of `permutation` not.
    key = np.array([seed, epoch], np.uint64)
    draws = np.random.Philox(key=key).random_raw(size)
    return np.argsort(draws, kind="stable")
