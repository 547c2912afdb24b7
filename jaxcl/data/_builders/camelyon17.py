"""Camelyon17 of WILDS: patches of lymph nodes from five hospitals."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from jaxcl.data._builders import _manual
from jaxcl.data._builders._own import Example, OwnBuilder, Splits, images

LABELS = ("normal", "tumor")
DOMAINS = tuple(f"hospital_{i}" for i in range(5))
COUNTS = {"train": 302_436, "id_val": 33_560, "val": 34_904, "test": 85_054}
# The table divides all hospitals into training and validation; two are held out.
_HELD_OUT = {1: "val", 2: "test"}
_NUMBERS = range(1 << 31)
_COLUMNS = {
    "": _NUMBERS,
    "patient": None,  # 004 in the names of the files
    "node": _NUMBERS,
    "x_coord": _NUMBERS,
    "y_coord": _NUMBERS,
    "tumor": range(len(LABELS)),
    "slide": _NUMBERS,
    "center": range(len(DOMAINS)),
    "split": range(2),
}
_LAYOUT = _manual.Layout(
    folders=("camelyon17_v1.0",),
    archives={"camelyon17_v1.0.tar.gz": ""},
    marker="metadata.csv",
    max_bytes=32 << 30,
    max_files=500_000,
)


class Camelyon17(OwnBuilder):
    """Patches of lymph nodes with tumor or without; the domain is the hospital.

    Splits: `train` 302,436 patches of hospitals 0, 3 and 4; `id_val` 33,560 of the same
    hospitals; `val` 34,904 of hospital 1; `test` 85,054 of hospital 2. A patch is 96
    pixels across and counts as tumor when there is any in its middle third.

    Columns: image, label (2), domain (5, the hospital), slide (0 to 49), patient, node,
    x and y (where the middle lies in the slide), instance (the line in the table).
    """

    def _columns(self) -> dict[str, Any]:
        numbers = ("slide", "patient", "node", "x", "y", "instance")
        return {
            # The files have a fourth channel, which is left out.
            "image": images(96, 96, 3),
            "label": tfds.features.ClassLabel(names=LABELS),
            "domain": tfds.features.ClassLabel(names=DOMAINS),
            **{name: tfds.features.Scalar(np.int32) for name in numbers},
        }

    def _examples(self, dl_manager: Any) -> Splits:
        root = _manual.find_root(Path(dl_manager.manual_dir), _LAYOUT)
        rows = _manual.read_table(root / "metadata.csv", _COLUMNS)
        patches = [_Patch(*row) for row in rows]
        paths = _manual.locate(root, (patch.file for patch in patches))
        splits = {split: [] for split in COUNTS}
        for patch, path in zip(patches, paths, strict=True):
            splits[patch.split].append(patch.example(path))
        counts = {split: len(found) for split, found in splits.items() if found}
        _manual.compare_counts(self.name, root, counts, COUNTS)
        return splits


class _Patch(NamedTuple):
    """A row of the table, in the order of its columns."""

    instance: int
    patient: str
    node: int
    x: int
    y: int
    tumor: int
    slide: int
    center: int
    fold: int

    @property
    def split(self) -> str:
        """The split of WILDS."""
        return _HELD_OUT.get(self.center, "id_val" if self.fold else "train")

    @property
    def file(self) -> str:
        """Path of the image in the folder."""
        slide = f"patient_{self.patient}_node_{self.node}"
        return f"patches/{slide}/patch_{slide}_x_{self.x}_y_{self.y}.png"

    def example(self, path: Path) -> Example:
        """What is stored of it."""
        known = ("node", "x", "y", "slide", "instance")
        return {
            "image": path,
            "label": self.tumor,
            "domain": self.center,
            "patient": int(self.patient),
            **{name: getattr(self, name) for name in known},
        }
