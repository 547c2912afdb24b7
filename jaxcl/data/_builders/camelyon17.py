"""Camelyon17 of WILDS: patches of lymph nodes from five hospitals, with tumor or not.

Splits: `train` 302,436 patches of hospitals 0, 3 and 4; `id_val` 33,560, of these too;
`val` 34,904 of hospital 1; `test` 85,054 of hospital 2. A patch is 96 pixels across and
is a tumor when there is any in its middle third.

Columns: image, label (2), domain (5, the hospital), slide (0 to 49), patient, node, x
and y (where the middle lies in the slide), instance (the line in the table).
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from jaxcl.data._builders import _manual

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


class Camelyon17(tfds.core.GeneratorBasedBuilder):
    """Patches of lymph nodes with tumor or without; the domain is the hospital."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
Fetch Camelyon17 of WILDS, version 1.0 (10.7 GB, no checksum is published):
https://worksheets.codalab.org/bundles/0xe45e15f39fb54e9d9e919556af67aabe
or with the Python package wilds, https://wilds.stanford.edu
Terms: public domain (CC0).
Layout, in the manual directory: camelyon17_v1.0/metadata.csv and
camelyon17_v1.0/patches/patient_<p>_node_<n>/patch_patient_<p>_node_<n>_x_<x>_y_<y>.png;
or the archive as it was downloaded, called camelyon17_v1.0.tar.gz.
"""

    def _info(self) -> tfds.core.DatasetInfo:
        numbers = ("slide", "patient", "node", "x", "y", "instance")
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__ or "",
            features=tfds.features.FeaturesDict(
                {
                    # The files have a fourth channel, which is left away.
                    "image": tfds.features.Image(
                        shape=(96, 96, 3), encoding_format="png"
                    ),
                    "label": tfds.features.ClassLabel(names=LABELS),
                    "domain": tfds.features.ClassLabel(names=DOMAINS),
                    **{name: tfds.features.Scalar(np.int32) for name in numbers},
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://wilds.stanford.edu/datasets/#camelyon17",
            citation="""
@article{bandi2018detection,
  author = {Bandi, Peter and Geessink, Oscar and Manson, Quirine and Van Dijk, Marcory
            and Balkenhol, Maschenka and Hermsen, Meyke and Bejnordi, Babak Ehteshami
            and others},
  title = {From Detection of Individual Metastases to Classification of Lymph Node
           Status at the Patient Level: the {CAMELYON17} Challenge},
  journal = {IEEE Transactions on Medical Imaging},
  volume = {38},
  number = {2},
  pages = {550--560},
  year = {2018},
}
@inproceedings{koh2021wilds,
  author = {Koh, Pang Wei and Sagawa, Shiori and Marklund, Henrik and Xie, Sang Michael
            and Zhang, Marvin and others},
  title = {{WILDS}: A Benchmark of in-the-Wild Distribution Shifts},
  booktitle = {International Conference on Machine Learning},
  year = {2021},
}
""",
            license="CC0",
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
        root = _manual.find_root(Path(dl_manager.manual_dir), _LAYOUT)
        rows = _manual.read_table(root / "metadata.csv", _COLUMNS)
        patches = [_Patch(*row) for row in rows]
        paths = _manual.locate(root, (patch.file for patch in patches))
        counts = Counter(patch.split for patch in patches)
        _manual.compare_counts(self.name, root, dict(counts), COUNTS)
        return {
            split: self._generate_examples(split, patches, paths) for split in COUNTS
        }

    def _generate_examples(
        self, split: str, patches: Iterable["_Patch"], paths: Iterable[Path]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for patch, path in zip(patches, paths, strict=True):
            if patch.split == split:
                yield (
                    patch.instance,
                    {
                        "image": path,
                        "label": patch.tumor,
                        "domain": patch.center,
                        "slide": patch.slide,
                        "patient": int(patch.patient),
                        "node": patch.node,
                        "x": patch.x,
                        "y": patch.y,
                        "instance": patch.instance,
                    },
                )


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
        """Where the patch lies."""
        slide = f"patient_{self.patient}_node_{self.node}"
        return f"patches/{slide}/patch_{slide}_x_{self.x}_y_{self.y}.png"
