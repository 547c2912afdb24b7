"""Metadata computed from metadata: products of columns, and controls of a study."""

import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Bool, Int32, Int64

from jaxcl.config import ConfigError
from jaxcl.data._draws import Stream, bounded, permutation, raw_draws, share_of

Mode = Literal["none", "shuffle", "noise", "drop", "infer"]

_MOST_PAIRS = 2**20


def cross(
    columns: Sequence[np.ndarray], names: Sequence[Sequence[str]]
) -> tuple[Int32[np.ndarray, " samples"], tuple[str, ...]]:
    """One id for each combination of the values of several columns.

    All combinations have an id, in the order of the columns' names, the last column
    varying fastest. So ids mean the same in every split, whichever combinations occur.

    Args:
        columns: Ids of every sample, `[samples]` each; −1 = missing.
        names: The names of the values of each column, by id.

    Returns:
        The ids, −1 where any value is missing; and their names.

    Example:
        >>> ids, names = cross(
        ...     [np.array([0, 1, 1, -1]), np.array([1, 0, 1, 0])],
        ...     [("photo", "sketch"), ("day", "night")],
        ... )
        >>> ids.tolist(), names[2]
        ([1, 2, 3, -1], 'sketch * day')
    """
    if not columns or len(columns) != len(names):
        raise ConfigError(
            "`columns` must be at least one, and have names each, "
            f"got {len(columns)} with {len(names)}"
        )
    sizes = [len(known) for known in names]
    if math.prod(sizes) > _MOST_PAIRS:
        raise ConfigError(
            f"`columns` must have at most {_MOST_PAIRS} combinations of values, "
            f"got {' * '.join(map(str, sizes))}"
        )
    ids = np.zeros(np.shape(columns[0]), np.int64)
    missing = np.zeros(ids.shape, bool)
    products = ("",)
    for i, (column, known) in enumerate(zip(columns, names, strict=True)):
        column = np.asarray(column)
        _check_column(i, column, len(known), ids.shape)
        ids = ids * len(known) + column.astype(np.int64)
        missing |= column == -1
        products = tuple(
            f"{before} * {name}" if i else name for before in products for name in known
        )
    return np.where(missing, -1, ids).astype(np.int32), products


def _check_column(
    i: int, column: np.ndarray, size: int, shape: tuple[int, ...]
) -> None:
    if column.shape != shape or column.ndim != 1 or column.dtype.kind not in "iu":
        raise ConfigError(
            f"`columns[{i}]` must be ids, one a sample, "
            f"got {column.dtype} of shape {column.shape}"
        )
    if len(column) and not -1 <= column.min() <= column.max() < size:
        raise ConfigError(
            f"`columns[{i}]` must be ids below the {size} names, or -1, "
            f"got {column.min()} to {column.max()}"
        )


def corrupt_metadata(
    values: np.ndarray,
    mode: str,
    *,
    rate: float = 1.0,
    seed: int = 0,
    numbers: bool = False,
    num_values: int | None = None,
    features: np.ndarray | None = None,
) -> np.ndarray:
    """Metadata with less information than before: the control of a study.

    That a loss with metadata beats one without does not show that the metadata helped:
    a mask of pairs of one domain also leaves fewer pairs, and changes the scale of the
    gradient. The effect of the information itself is the difference to a run with the
    same loss and corrupted metadata:

    - ``shuffle``, the placebo: known values are permuted among a share of the samples,
      so that every value stays as frequent as before. A changed sample may get the
      value it had, with the frequency of this value as probability, such as 1/10 for
      ten domains of equal size.
    - ``noise``, the dose: ids become another id, each of the others equally likely,
      including those that do not occur. Numbers get normal noise with the standard
      deviation of the known values of their column.
    - ``drop``, the coverage: known values become missing.
    - ``infer``, metadata for free: ids of k-means clusters of `features` replace the
      values, numbered in the order in which they occur. Missing values get an id too.

    Missing values stay missing in the other modes. Exactly the share `rate` of the
    samples with a known value is changed, rounded, halves up. With equal seeds the
    samples changed at a smaller rate are among those changed at a larger one; ``noise``
    also gives them the same new values.

    Args:
        values: A value of every sample: ids (integers or booleans, −1 = missing) or
            numbers (floats, NaN = missing), `[samples]` or `[samples, fields]`. Each
            field is corrupted separately, but ``shuffle`` moves all fields of a sample
            together, among the samples with the same fields missing.
        mode: The corruption; ``none`` gives a copy.
        rate: Share of the samples with a known value to change; 1 for ``infer``.
        seed: Of the random numbers.
        numbers: Integers are numbers, −1 too; ``noise`` and ``drop`` make them float32.
        num_values: Number of ids, for ``noise`` of ids and ``infer``; the default is
            the largest id + 1.
        features: What ``infer`` clusters, `[samples, dim]`.

    Returns:
        The new values, with the shape and kind of the old ones; ids with less than 32
        bits become int32, and ``infer`` gives int32.

    Example:
        >>> domains = np.array([0, 0, 1, 1, 2, 2, -1])
        >>> sorted(corrupt_metadata(domains, "shuffle")[:6].tolist())
        [0, 0, 1, 1, 2, 2]
        >>> noisy = corrupt_metadata(domains, "noise", rate=0.5)
        >>> int((noisy != domains).sum()), int(noisy[-1])
        (3, -1)
        >>> corrupt_metadata(np.array([0.5, 2.0]), "drop").tolist()
        [nan, nan]
        >>> colors = np.eye(3)[[2, 2, 0, 0, 1, 1, 1]]
        >>> corrupt_metadata(domains, "infer", features=colors)
        array([0, 0, 1, 1, 2, 2, 2], dtype=int32)
    """
    values = _check(values, mode, rate, seed)
    numbers = numbers and values.dtype.kind in "iu"
    if numbers and mode in ("noise", "drop"):
        values = _as_floats(values, mode)
    if mode == "infer":
        return _infer(values, num_values, features, seed)
    columns = values[:, None] if values.ndim == 1 else values
    known = np.ones(columns.shape, bool) if numbers else _known(columns)
    if mode == "shuffle":
        return _permute(columns, known, rate, seed).reshape(values.shape)
    result = columns.copy()
    for field in range(columns.shape[1] if mode != "none" else 0):
        changed = _chosen(known[:, field], rate, seed)
        if not len(changed):
            continue
        column = columns[:, field]
        if mode == "drop":
            result[changed, field] = np.nan if column.dtype.kind == "f" else -1
        else:
            new = _with_noise(column, known[:, field], num_values, seed, field)
            result[changed, field] = new[changed]
    return result.reshape(values.shape)


def _check(values: np.ndarray, mode: str, rate: float, seed: int) -> np.ndarray:
    if mode not in get_args(Mode):
        modes = ", ".join(map(repr, get_args(Mode)))
        raise ConfigError(f"`mode` must be one of {modes}, got {mode!r}")
    if not 0 <= rate <= 1:
        raise ConfigError(f"`rate` must be between 0 and 1, got {rate}")
    if mode == "infer" and rate != 1:
        raise ConfigError(
            f"`rate` must be 1 for 'infer', whose ids are no values, got {rate}"
        )
    if seed < 0:
        raise ConfigError(f"`seed` must be at least 0, got {seed}")
    values = np.asarray(values)
    if values.ndim not in (1, 2) or values.dtype.kind not in "biuf":
        raise ConfigError(
            "`values` must be ids or numbers, [samples] or [samples, fields], "
            f"got {values.dtype} of shape {values.shape}"
        )
    if values.dtype.kind == "f":
        if np.isinf(values).any():
            raise ConfigError("`values` must be finite, or NaN for missing, got inf")
        return values
    if values.dtype.kind != "i" or values.dtype.itemsize < 4:
        # Room for -1, and for ids that do not occur.
        values = values.astype(np.int64 if values.dtype.itemsize >= 4 else np.int32)
    return values


def _known(columns: np.ndarray) -> Bool[np.ndarray, "samples fields"]:
    """Where a number is not NaN, and an id not −1."""
    return ~np.isnan(columns) if columns.dtype.kind == "f" else columns != -1


def _as_floats(values: np.ndarray, mode: str) -> np.ndarray:
    """Whole numbers as float32, which must hold them exactly."""
    floats = values.astype(np.float32)
    changed = floats.astype(np.int64) != values
    if changed.any():
        raise ConfigError(
            f"`values` must be numbers that float32 holds exactly for {mode!r}, "
            f"got {values[changed][0]}"
        )
    return floats


def _chosen(
    known: Bool[np.ndarray, " samples"], rate: float, seed: int
) -> Int64[np.ndarray, " chosen"]:
    """Positions of the share of the known samples that comes first in random order."""
    order = permutation(len(known), seed, stream=Stream.TOUCHED)
    order = order[known[order]]
    return order[: share_of(rate, len(order))]


def _permute(
    columns: np.ndarray, known: np.ndarray, rate: float, seed: int
) -> np.ndarray:
    result = columns.copy()
    patterns, pattern = np.unique(known, axis=0, return_inverse=True)
    for i in range(len(patterns)):
        members = _chosen(pattern.reshape(-1) == i, rate, seed)
        order = permutation(len(members), seed, stream=Stream.PERMUTED, part=i)
        result[members] = columns[members[order]]
    return result


def _with_noise(
    column: np.ndarray, known: np.ndarray, num_values: int | None, seed: int, field: int
) -> np.ndarray:
    # Drawn for all samples, so that a larger rate does not draw others anew.
    draws = raw_draws(len(column), seed, stream=Stream.NOISE, part=field)
    if column.dtype.kind == "f":
        return column + column[known].std(dtype=np.float64) * _normal(draws)
    count = _count_values(column, num_values)
    return (column + 1 + bounded(draws, count - 1)) % count


def _count_values(column: np.ndarray, num_values: int | None) -> int:
    """The number of ids of a column, at least 2, so that there is another to draw."""
    smallest, largest = int(column.min()), int(column.max())
    if smallest < -1:
        raise ConfigError(
            f"`values` must be ids from 0, or -1 for a missing one, for 'noise', "
            f"got {smallest}"
        )
    count = largest + 1 if num_values is None else num_values
    if not max(2, largest + 1) <= count <= 2**31:
        raise ConfigError(
            f"`num_values` must be at least 2 for 'noise', more than the largest id, "
            f"{largest}, and at most 2**31, got {count}"
        )
    return count


def _normal(draws: np.ndarray) -> np.ndarray:
    """Raw draws as normal numbers, by the inverse of their distribution."""
    from scipy.special import ndtri

    # 52 bits plus one half: never 0 or 1, where the inverse is infinite.
    return ndtri(((draws >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52)


def _infer(
    values: np.ndarray, num_values: int | None, features: np.ndarray | None, seed: int
) -> np.ndarray:
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    if values.ndim != 1:
        raise ConfigError(
            f"`values` must be one a sample for 'infer', got shape {values.shape}"
        )
    if num_values is None:
        num_values = 0 if values.dtype.kind == "f" else int(values.max(initial=-1)) + 1
    features = np.asarray(np.nan if features is None else features, np.float64)
    fits = features.ndim == 2 and len(features) == len(values)
    if not fits or not np.isfinite(features).all():
        raise ConfigError(
            "`features` must be finite numbers [samples, dim] for 'infer', "
            f"got shape {features.shape} for {len(values)} samples"
        )
    distinct = len(np.unique(features, axis=0))
    if not 1 <= num_values <= distinct:
        raise ConfigError(
            f"`num_values` must be the number of clusters for 'infer', from 1 to the "
            f"{distinct} distinct rows of `features`, got {num_values}"
        )
    # Threads add up in another order each time.
    with threadpool_limits(1):
        means: Any = KMeans(num_values, random_state=seed % 2**32)
        clusters = means.set_params(n_init=10).fit(features).labels_
    _, first, cluster = np.unique(clusters, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[cluster].astype(np.int32)
