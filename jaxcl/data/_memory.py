"""Data sets out of arrays and data frames, stored like those of folders."""

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import UInt8

from jaxcl.config import DataConfig
from jaxcl.data._build import build_image_folder, build_samples
from jaxcl.data._builders._folder_cells import Cells, without_missing
from jaxcl.data._builders._folder_columns import (
    Column,
    as_column,
    as_instances,
    as_splits,
)
from jaxcl.data._builders.image_folder import FORMAT, Samples
from jaxcl.data._errors import DataError
from jaxcl.data._split import ROLES

_SOURCE = Path("arrays")


def from_arrays(
    *,
    image: Any,
    split: Any = None,
    instance: Any = None,
    data_dir: str = "",
    **columns: Any,
) -> str:
    """Stores images and what is known of them, and returns the name of the data set.

    A config takes the name in `data.name`. It is a fingerprint of the arrays: the same
    arrays are stored once, and a run finds them again in another process.

    Args:
        image: uint8 `[samples, height, width]`, or with 1 or 3 channels as last axis.
        split: The name of the split of each sample; None = all are `train`.
        instance: Distinct whole numbers in [0, 2^31); None = the positions.
        data_dir: Where data sets are kept; empty = TFDS_DATA_DIR, else a user cache.
        **columns: Side data by name, one value a sample: `label`, `domain`, `bias`,
            and any others. Columns get their type as those of a table do. Whole
            numbers of `label`, `domain` and `bias` are ids, and -1 is unknown; numbers
            are unknown where they are NaN, and both where an array is masked. Others
            may be numbers `[samples, k]`.

    Raises:
        DataError: An array has another length, or values that cannot be kept.

    Example:
        >>> name = from_arrays(
        ...     image=np.zeros((4, 8, 8, 3), np.uint8),
        ...     label=["cat", "dog", "cat", "dog"],
        ...     age=[2.0, 7.5, np.nan, 1.0],
        ... )
        >>> from jaxcl.data import load
        >>> batch = next(load(DataConfig(name=name, batch_size=4)))
        >>> sorted(batch.label.tolist()), batch.metadata["age"].shape
        ([0, 0, 1, 1], (4,))
    """
    pixels = _as_pixels(image)
    count = len(pixels)
    if split is None:
        split = ["train"] * count
    if instance is None:
        instance = np.arange(count)
    paths = _one_each("path", columns.pop("path", np.arange(count)), count)
    samples = Samples(
        folder=_SOURCE,
        paths=[str(path) for path in paths.values],
        splits=as_splits(_one_each("split", split, count)),
        instances=as_instances(_one_each("instance", instance, count)),
        columns={
            name: _as_column(name, values, count) for name, values in columns.items()
        },
        notes=[],
        pixels=pixels,
    )
    name = f"arrays-{_fingerprint(pixels, samples)}"
    return build_samples(name, lambda: samples, data_dir)


def from_dataframe(
    frame: Any,
    folder: str | Path,
    *,
    missing: Sequence[str] = DataConfig.missing,
    white: float = 0.0,
    max_pixels: int = DataConfig.max_pixels,
    data_dir: str = "",
) -> str:
    """Stores the images that a data frame names, and returns the name of the data set.

    The frame is a table of images as in `data.table`: its columns get their types by
    the same rules. A config takes the name in `data.name`.

    Args:
        frame: A pandas data frame with a column `path`, and any others.
        folder: Where the paths start.
        missing: Words that stand for a missing value; see `DataConfig`.
        white: The value that is white in images of more than 8 bits; see `DataConfig`.
        max_pixels: The most that an image may have; see `DataConfig`.
        data_dir: Where data sets are kept; empty = TFDS_DATA_DIR, else a user cache.

    Raises:
        DataError: An image is missing, or a column cannot be kept.

    Example:
        >>> import pandas, tempfile
        >>> from PIL import Image
        >>> folder = tempfile.mkdtemp()
        >>> Image.new("RGB", (8, 8)).save(f"{folder}/a.png")
        >>> frame = pandas.DataFrame({"path": ["a.png"], "age": [7.5]})
        >>> from_dataframe(frame, folder).startswith("image_folder/")
        True
    """
    if "path" in frame:
        frame = frame.assign(path=frame["path"].map(str, na_action="ignore"))
    with tempfile.TemporaryDirectory() as scratch:
        table = Path(scratch, "data frame.parquet")
        try:
            frame.to_parquet(table, index=False)
        except Exception as error:  # what pyarrow raises for columns of mixed types
            raise DataError(f"`frame` cannot be kept as a table: {error}") from error
        config = DataConfig(
            path=str(folder),
            table=str(table),
            missing=tuple(missing),
            white=white,
            max_pixels=max_pixels,
            data_dir=data_dir,
        )
        return build_image_folder(config)


def _as_pixels(image: Any) -> UInt8[np.ndarray, "samples height width ..."]:
    """Images as `[samples, height, width]`, or with three colors as last axis."""
    pixels = _as_array("image", image)
    if pixels.ndim == 4 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    fits = pixels.ndim == 3 or (pixels.ndim == 4 and pixels.shape[-1] == 3)
    if pixels.dtype != np.uint8 or not fits or 0 in pixels.shape:
        raise DataError(
            "`image` must be uint8 [samples, height, width], or with 1 or 3 channels "
            f"as last axis, got {pixels.dtype} {list(pixels.shape)}: scale other "
            "numbers to 0 … 255 first"
        )
    return pixels


def _as_array(name: str, given: Any) -> np.ndarray:
    """An array, masked where a value is unknown; of objects where it was a list."""
    try:
        if hasattr(given, "isna"):  # a column of pandas
            return np.ma.masked_array(np.asarray(given, object), given.isna())
        if not hasattr(given, "dtype"):
            first = np.asarray(given[0]) if len(given) else np.asarray(())
            return np.asarray(given, first.dtype if first.ndim > 1 else object)
    except (TypeError, ValueError) as error:
        raise DataError(f"`{name}` must be an array or a list: {error}") from error
    array = given if isinstance(given, np.ma.MaskedArray) else np.asarray(given)
    return array.astype("datetime64[us]") if array.dtype.kind == "M" else array


def _one_each(name: str, given: Any, count: int) -> Cells:
    """A column as that of a table, one value a sample; None for what is unknown."""
    array = _as_array(name, given)
    if array.shape != (count,):
        raise DataError(
            f"`{name}` must have one value for each of the {count} images, got shape "
            f"{array.shape}"
        )
    cells = [
        value.item() if hasattr(value, "item") else value
        for value in np.ma.getdata(array)
    ]
    unknown = np.ma.getmaskarray(array) | [
        name in ROLES and isinstance(value, (int, float)) and value == -1
        for value in cells
    ]
    rows = [f"position {i}" for i in range(count)]
    known = [
        None if gone else value for value, gone in zip(cells, unknown, strict=True)
    ]
    missing = frozenset(DataConfig.missing)
    return without_missing(Cells(_SOURCE, name, rows, known), missing)


def _as_column(name: str, given: Any, count: int) -> Column:
    array = _as_array(name, given)
    if array.ndim != 2 or len(array) != count:
        return as_column(_one_each(name, given, count))
    parts = []
    for k in range(array.shape[1]):
        part = as_column(_one_each(f"{name}[:, {k}]", array[:, k], count))
        values, reason = np.asarray(part.values), part.no_number
        if values.dtype.kind == "i" and np.any(values.astype(np.float32) != values):
            reason = "whole numbers beyond 2^24 would be rounded: subtract one from all"
        if reason:
            raise DataError(f"`{name}[:, {k}]` must be numbers: {reason}")
        parts.append(values.astype(np.float32))
    feature = tfds.features.Tensor(shape=array.shape[1:], dtype=np.float32)
    return Column(feature, [*np.stack(parts, axis=1)])


def _fingerprint(pixels: np.ndarray, samples: Samples) -> str:
    digest = hashlib.sha256(f"{FORMAT} {pixels.shape!r}".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    for known in (samples.paths, samples.splits, samples.instances):
        digest.update(repr(known).encode())
    for name, column in sorted(samples.columns.items()):
        names = getattr(column.feature, "names", None)
        digest.update(repr((name, names, np.asarray(column.values).tolist())).encode())
    return digest.hexdigest()[:16]
