"""The four official archives of MNIST, verified and read.

An archive is a gzip file of one idx array: two zero bytes, the type of its numbers
(8 = unsigned bytes), how many axes it has, the length of each (32 bits, most
significant byte first), and the numbers.
"""

import gzip
import hashlib
import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download.checksums import UrlInfo
from tensorflow_datasets.core.download.download_manager import (
    NonMatchingChecksumError,
)
from tensorflow_datasets.core.utils import Size

from jaxcl.data._errors import DataError

MIRROR = "https://storage.googleapis.com/cvdf-datasets/mnist/"
HOMEPAGE = "http://yann.lecun.com/exdb/mnist/"
LICENSE = "MNIST: Y. LeCun and C. Cortes, CC BY-SA 3.0"
DIGITS = tuple(str(digit) for digit in range(10))
CITATION = """
@article{lecun2010mnist,
  author = {LeCun, Yann and Cortes, Corinna and Burges, Christopher J. C.},
  title = {{MNIST} handwritten digit database},
  journal = {ATT Labs},
  volume = {2},
  year = {2010},
  url = {http://yann.lecun.com/exdb/mnist/},
}
"""


class Archive(NamedTuple):
    """One of the four files, and the array inside."""

    name: str
    size: int
    sha256: str
    shape: tuple[int, ...]


ARCHIVES = {
    "train": (
        Archive(
            "train-images-idx3-ubyte.gz",
            9_912_422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            (60_000, 28, 28),
        ),
        Archive(
            "train-labels-idx1-ubyte.gz",
            28_881,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            (60_000,),
        ),
    ),
    "test": (
        Archive(
            "t10k-images-idx3-ubyte.gz",
            1_648_877,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            (10_000, 28, 28),
        ),
        Archive(
            "t10k-labels-idx1-ubyte.gz",
            4_542,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            (10_000,),
        ),
    ),
}
FIRST_INSTANCE = {"train": 0, "test": 60_000}

MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
Nothing has to be fetched by hand: what is missing is downloaded from {MIRROR}.
On a machine without a network, put the four official archives of MNIST (CC BY-SA 3.0)
into `mnist/` inside the manual directory, as they are:
train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz,
t10k-labels-idx1-ubyte.gz.
"""


class Digits(NamedTuple):
    """One of the two sets of MNIST, in its own order."""

    images: np.ndarray
    """Of bytes, `[images, 28, 28]`; 0 is background."""
    labels: np.ndarray
    instances: np.ndarray
    """0 to 59,999 in the training set, and on from 60,000 in the test set."""


def url_infos() -> dict[str, UrlInfo]:
    """What tfds must know of the downloads: it checks their size and SHA-256."""
    return {
        MIRROR + archive.name: UrlInfo(
            size=Size(archive.size), checksum=archive.sha256, filename=archive.name
        )
        for archives in ARCHIVES.values()
        for archive in archives
    }


def read_digits(dl_manager: Any, split: str) -> Digits:
    """The images of `train` or `test`, from the manual directory or the mirror."""
    archives = ARCHIVES[split]
    paths = _locate(dl_manager, archives)
    images, labels = (
        parse_idx(_read_verified(path, archive), archive)
        for path, archive in zip(paths, archives, strict=True)
    )
    first = FIRST_INSTANCE[split]
    return Digits(images, labels.astype(int), first + np.arange(len(labels)))


def parse_idx(compressed: bytes, archive: Archive) -> np.ndarray:
    """The array of an archive; never unpacks more than the array that is expected."""
    axes = len(archive.shape)
    header = struct.pack(f">HBB{axes}I", 0, 8, axes, *archive.shape)
    expected = len(header) + int(np.prod(archive.shape))
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(compressed)) as file:
            content = file.read(expected + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{archive.name} cannot be unpacked: {error}") from error
    if len(content) != expected:
        got = f"{len(content)}" if len(content) < expected else "more"
        raise DataError(f"{archive.name} must hold {expected} bytes, got {got}")
    if not content.startswith(header):
        raise DataError(
            f"{archive.name} must begin with {header.hex()}, the header of an array of "
            f"bytes of shape {archive.shape}, got {content[: len(header)].hex()}"
        )
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(archive.shape)


def encode_png(pixels: Any) -> io.BytesIO:
    """A file of an array or Pillow image."""
    from PIL import Image

    image = Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels
    file = io.BytesIO()
    image.save(file, "png")
    file.seek(0)
    return file


def _locate(dl_manager: Any, archives: Sequence[Archive]) -> list[Any]:
    """Where each archive lies; what is not in the manual directory is downloaded."""
    try:
        folders = (dl_manager.manual_dir / "mnist", dl_manager.manual_dir)
    except AssertionError:  # there is no such folder, or nothing in it
        folders = ()
    found = {}
    for archive in archives:
        paths = (folder / archive.name for folder in folders)
        found[archive.name] = next((path for path in paths if path.exists()), None)
    missing = {name: MIRROR + name for name, path in found.items() if path is None}
    if missing:
        found |= _download(dl_manager, missing)
    return list(found.values())


def _download(dl_manager: Any, urls: dict[str, str]) -> dict[str, Any]:
    try:
        return dl_manager.download(urls)
    except NonMatchingChecksumError as error:
        raise DataError(
            f"what {MIRROR} sends is not the official archives of MNIST: {error}"
        ) from error
    except (OSError, tfds.download.DownloadError) as error:
        raise DataError(
            f"the archives of MNIST cannot be downloaded: {error}\n"
            f"{MANUAL_DOWNLOAD_INSTRUCTIONS.strip()}"
        ) from error


def _read_verified(path: Any, archive: Archive) -> bytes:
    with path.open("rb") as file:
        content = file.read(archive.size + 1)
    if len(content) != archive.size:
        got = f"{len(content)}" if len(content) < archive.size else "more"
        raise DataError(
            f"{str(path)!r} must be the official {archive.name} of {archive.size} "
            f"bytes, got {got}: delete it and get it again"
        )
    digest = hashlib.sha256(content).hexdigest()
    if digest != archive.sha256:
        raise DataError(
            f"{str(path)!r} must be the official {archive.name} with SHA-256 "
            f"{archive.sha256}, got {digest}: delete it and get it again"
        )
    return content
