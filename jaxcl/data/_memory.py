"""Data sets out of arrays and data frames, stored like those of folders."""

import hashlib
import tempfile
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
from jaxcl.data._builders.image_folder import Samples
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
            are unknown where they are NaN. Others may be numbers `[samples, k]`.

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
    if split is None:
        split = ["train"] * len(pixels)
    if instance is None:
        instance = range(len(pixels))
    paths = columns.pop("path", range(len(pixels)))
    samples = Samples(
        folder=_SOURCE,
        paths=[str(path) for path in _cells("path", paths, len(pixels)).values],
        splits=as_splits(_cells("split", split, len(pixels))),
        instances=as_instances(_cells("instance", instance, len(pixels))),
        columns={
            name: _as_column(name, values, len(pixels))
            for name, values in columns.items()
        },
        notes=[],
        pixels=pixels,
    )
    return build_samples(
        f"arrays-{_fingerprint(pixels, samples)}", lambda: samples, data_dir
    )


def from_dataframe(
    frame: Any, folder: str | Path, *, data_dir: str = "", **options: Any
) -> str:
    """Stores the images that a data frame names, and returns the name of the data set.

    The frame is a table of images as in `data.table`: its columns get their types by
    the same rules. A config takes the name in `data.name`.

    Args:
        frame: A pandas data frame with a column `path`, and any others.
        folder: Where the paths start.
        data_dir: Where data sets are kept; empty = TFDS_DATA_DIR, else a user cache.
        **options: Other fields of `DataConfig` that say how a folder is read:
            `missing`, `white`, `bad_records`.

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
    with tempfile.TemporaryDirectory() as scratch:
        table = Path(scratch, "data frame.parquet")
        try:
            frame.to_parquet(table, index=False)
        except Exception as error:  # what pyarrow raises for columns of mixed types
            raise DataError(f"`frame` cannot be kept as a table: {error}") from error
        config = DataConfig(
            path=str(folder), table=str(table), data_dir=data_dir, **options
        )
        return build_image_folder(config)


def _as_pixels(image: Any) -> UInt8[np.ndarray, "samples height width ..."]:
    """Images as `[samples, height, width]`, or with three colors as last axis."""
    pixels = np.asarray(image)
    if pixels.ndim == 4 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    fits = pixels.ndim == 3 or (pixels.ndim == 4 and pixels.shape[-1] == 3)
    if pixels.dtype != np.uint8 or not fits or 0 in pixels.shape:
        raise DataError(
            "`image` must be uint8 [samples, height, width], or with 1 or 3 channels "
            f"as last axis, got {pixels.dtype} {list(np.shape(image))}: scale other "
            "numbers to 0 … 255 first"
        )
    return pixels


def _cells(name: str, values: Any, count: int) -> Cells:
    """A column as that of a table; one value a sample."""
    if hasattr(values, "dtype") or not isinstance(values, list):
        values = np.asarray(values)
        if values.dtype.kind == "M":
            values = values.astype("datetime64[us]")
        unknown = name in ROLES and values.dtype.kind == "i"
        values = [None if unknown and v == -1 else v for v in values.tolist()]
    if len(values) != count:
        raise DataError(
            f"`{name}` must have one value for each of the {count} images, got "
            f"{len(values)}"
        )
    cells = Cells(_SOURCE, name, [f"position {i}" for i in range(count)], values)
    return without_missing(cells, frozenset(DataConfig.missing))


def _as_column(name: str, values: Any, count: int) -> Column:
    numbers = np.asarray(values) if np.ndim(values) == 2 else None
    if numbers is None:
        return as_column(_cells(name, values, count))
    if numbers.dtype.kind not in "iuf" or len(numbers) != count:
        raise DataError(
            f"`{name}` must be numbers [{count}, k], or one value for each image, got "
            f"{numbers.dtype} {list(numbers.shape)}"
        )
    feature = tfds.features.Tensor(shape=numbers.shape[1:], dtype=np.float32)
    return Column(feature, [*numbers.astype(np.float32)])


def _fingerprint(pixels: np.ndarray, samples: Samples) -> str:
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    for known in (samples.paths, samples.splits, samples.instances):
        digest.update(repr(known).encode())
    for name, column in sorted(samples.columns.items()):
        names = getattr(column.feature, "names", None)
        digest.update(repr((name, names, np.asarray(column.values).tolist())).encode())
    return digest.hexdigest()[:16]
