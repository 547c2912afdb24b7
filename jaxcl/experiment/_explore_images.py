"""Thumbnails of the rows of a table of embeddings, from wherever their images are."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath

import numpy as np
import pandas as pd
import pyarrow as pa
from PIL import Image

from jaxcl.data import BadRecords, Split, open_data, read_images, read_picture
from jaxcl.experiment._thumbnails import LARGEST, encode, shrink
from jaxcl.runtime import find_workdir

Images = Iterator[Image.Image | None]
"""Images one after another, small and square; None where one is not found."""
ReadImages = Callable[[pa.Table, np.ndarray], Images]
"""Reads the images of some rows of a whole table of embeddings."""

# Of a page; a page of 10 MB has room for the library and the columns too.
_MOST_BYTES = 7_000_000
_SIZES = (LARGEST, 48, 32, 24)
_TRIED = 200
_AT_ONCE = 256
_SHOWN = 48  # at least so many pixels wide on the map


def thumbnails(images: Images, count: int) -> list[str | None]:
    """Data URIs, of a size at which all of them fit on a page."""
    kept = list(images)
    few = kept[:: max(1, count // _TRIED)]
    for size in _SIZES:
        encoded = [_encode(image, size) or "" for image in few]
        if sum(map(len, encoded)) / len(few) * count <= _MOST_BYTES:
            break
    return [_encode(image, size) for image in kept]


def _encode(image: Image.Image | None, size: int) -> str | None:
    return None if image is None else encode(shrink(image, size), least=_SHOWN)


def images_of_folder(folder: str | Path) -> ReadImages:
    """Reads the images at the paths of a table, which are those in a folder.

    A path that leads out of the folder is not followed.
    """

    def read(table: pa.Table, drawn: np.ndarray) -> Images:
        if "path" not in table.column_names:
            yield from (None for _ in drawn)
            return
        for path in table["path"].take(pa.array(drawn)).to_pylist():
            inside = PurePath(path or "..")
            if inside.is_absolute() or ".." in inside.parts:
                yield None
                continue
            try:
                yield _square(read_picture((Path(folder) / inside).read_bytes()))
            except (OSError, ValueError):
                yield None

    return read


def images_of_run(workdir: str | Path, *, data_dir: str = "") -> ReadImages:
    """Reads the images of the splits of a run."""
    _, config = find_workdir(workdir)
    data = config.data
    if data.path:
        return images_of_folder(data.path)
    if data_dir:
        data = dataclasses.replace(data, data_dir=data_dir)

    def read(table: pa.Table, drawn: np.ndarray) -> Images:
        opened = open_data(data, config.seed)
        found: dict[int, Image.Image] = {}
        for split in (opened.train, *opened.tests.values()):
            places = _places(split, table)[drawn]
            rows = np.flatnonzero(places >= 0)
            images = _read(split, places[rows], opened.bad)
            found |= dict(zip(rows.tolist(), images, strict=True))
        yield from (found.get(i) for i in range(len(drawn)))

    return read


def _places(split: Split, table: pa.Table) -> np.ndarray:
    """Where each row of a table is in a split; -1 if it is not there.

    Samples of one instance are told apart by their order, and are not taken where the
    table has fewer of them than the split.
    """
    rows = pd.DataFrame({key: table[key].to_pandas() for key in ("split", "instance")})
    rows["row"] = np.arange(len(rows))
    rows = rows[rows["split"] == split.name].drop(columns="split")
    samples = pd.DataFrame({"instance": split.instances()})
    samples["place"] = np.arange(len(samples))
    for frame in (rows, samples):
        groups = frame.groupby("instance")["instance"]
        frame["nth"], frame["of"] = groups.cumcount(), groups.transform("size")
    both = rows.merge(samples, on=["instance", "nth", "of"])
    places = np.full(len(table), -1)
    places[both["row"]] = both["place"]
    return places


def _read(split: Split, places: np.ndarray, bad: BadRecords) -> Iterator[Image.Image]:
    for start in range(0, len(places), _AT_ONCE):
        part = split.take(places[start : start + _AT_ONCE])
        for image in read_images(part, bad):
            gray = image.shape[-1] == 1
            yield _square(Image.fromarray(image[..., 0] if gray else image))


def _square(picture: Image.Image) -> Image.Image:
    """The middle of an image, small enough to keep thousands."""
    side = min(picture.size)
    left, top = ((length - side) // 2 for length in picture.size)
    cut = picture.crop((left, top, left + side, top + side))
    return shrink(cut, LARGEST)
