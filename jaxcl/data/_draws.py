"""Random numbers that NumPy promises never to change: the raw output of Philox.

Orders and bounded integers are computed from it in integer arithmetic alone, so that a
run or a selection can be repeated with any later NumPy, on any machine.
"""

from decimal import ROUND_HALF_UP, Decimal
from enum import IntEnum

import numpy as np
from jaxtyping import Float64, Int64, UInt64

from jaxcl.config import ConfigError


class Stream(IntEnum):
    """What numbers are drawn for; two uses with equal seeds draw different numbers.

    The number of a stream never changes: another one would change old runs.
    """

    EPOCHS = 0
    GROUPS = 1
    BATCHES = 2
    IMPORTANCE = 3
    VALIDATION = 4
    TRAINING = 5
    TOUCHED = 6
    PERMUTED = 7
    NOISE = 8
    BUILDERS = 9


def raw_draws(
    size: int, seed: int, *, stream: Stream, epoch: int = 0, part: int = 0
) -> UInt64[np.ndarray, " size"]:
    """Numbers of 64 random bits.

    Example:
        >>> raw_draws(2, 0, stream=Stream.EPOCHS).tolist()
        [213000021201967259, 4455796210202625458]
    """
    if seed < 0:
        raise ConfigError(f"`seed` must be at least 0, got {seed}")
    key = np.array([seed, epoch], np.uint64)
    # The counter runs in its low words, so its high words number separate streams.
    counter = np.array([0, 0, part, stream], np.uint64)
    return np.random.Philox(key=key, counter=counter).random_raw(size)


def permutation(
    size: int, seed: int, *, stream: Stream, epoch: int = 0, part: int = 0
) -> Int64[np.ndarray, " size"]:
    """A random order of `size` elements, read-only.

    Example:
        >>> permutation(4, 0, stream=Stream.EPOCHS).tolist()
        [0, 2, 1, 3]
    """
    draws = raw_draws(size, seed, stream=stream, epoch=epoch, part=part)
    order = np.argsort(draws, kind="stable")
    # Orders are cached, so no caller may change one.
    order.flags.writeable = False
    return order


def uniform(
    size: int, seed: int, *, stream: Stream, part: int = 0
) -> Float64[np.ndarray, " size"]:
    """Numbers from [0, 1).

    They keep 24 bits, so that none becomes 1 as a float32.

    Example:
        >>> uniform(3, 0, stream=Stream.BUILDERS).round(3).tolist()
        [0.13, 0.028, 0.388]
    """
    return (raw_draws(size, seed, stream=stream, part=part) >> np.uint64(40)) * 2.0**-24


def bounded(
    draws: UInt64[np.ndarray, " size"], bound: int
) -> Int64[np.ndarray, " size"]:
    """Raw draws as integers from 0 to `bound` − 1.

    Example:
        >>> bounded(np.array([0, 2**63, 2**64 - 1], np.uint64), 10).tolist()
        [0, 5, 9]
    """
    shift = np.uint64(32)
    return ((draws >> shift) * np.uint64(bound) >> shift).astype(np.int64)


def share_of(fraction: float, size: int) -> int:
    """A fraction of `size`, rounded; halves are rounded up.

    The fraction is exact as it is written: 0.29 of 50 is 14.5, not 14.499999.

    Example:
        >>> share_of(0.29, 50), share_of(0.5, 5), share_of(0.01, 30)
        (15, 3, 0)
    """
    exact = Decimal(str(float(fraction))) * size
    return int(exact.to_integral_value(ROUND_HALF_UP))
