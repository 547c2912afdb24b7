"""Waterbirds: birds cut out of photographs and put before land or water.

Splits, after the official ones of the birds: `train` 4,795 images, `validation` 1,199,
`test` 5,794. In `train` 95 % of landbirds stand before land and 95 % of waterbirds
before water, in the two others half of either. Only 56 waterbirds of `train` stand
before land, and 184 landbirds before water.

Columns: image, label (2), place (2, bias or domain), species (200, as CUB spells them:
`001.Black_footed_Albatross`), instance (the number that CUB gave the photograph).
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from jaxcl.data._builders import _manual

LABELS = ("landbird", "waterbird")
PLACES = ("land", "water")
COUNTS = {
    "train": {
        ("landbird", "land"): 3498,
        ("landbird", "water"): 184,
        ("waterbird", "land"): 56,
        ("waterbird", "water"): 1057,
    },
    "validation": {
        ("landbird", "land"): 467,
        ("landbird", "water"): 466,
        ("waterbird", "land"): 133,
        ("waterbird", "water"): 133,
    },
    "test": {
        ("landbird", "land"): 2255,
        ("landbird", "water"): 2255,
        ("waterbird", "land"): 642,
        ("waterbird", "water"): 642,
    },
}
_COLUMNS = {
    "img_id": range(1, 1 << 31),
    "img_filename": None,
    "y": range(len(LABELS)),
    "split": range(len(COUNTS)),
    "place": range(len(PLACES)),
}
_LAYOUT = _manual.Layout(
    folders=("waterbird_complete95_forest2water2", "waterbirds_v1.0"),
    archives={"waterbird_complete95_forest2water2.tar.gz": ""},
    marker="metadata.csv",
    max_bytes=4 << 30,
    max_files=20_000,
)


class Waterbirds(tfds.core.GeneratorBasedBuilder):
    """Birds before land or water, which goes with the kind of bird in training only."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
Fetch Waterbirds from the link in https://github.com/kohpangwei/group_DRO:
https://nlp.stanford.edu/data/dro/waterbird_complete95_forest2water2.tar.gz
(no checksum is published). The copy of WILDS, waterbirds_v1.0, has the same layout.
Terms: non-commercial research and education (WILDS); made from CUB-200-2011 and Places.
Layout, in the manual directory: waterbird_complete95_forest2water2/metadata.csv with
the columns img_id, img_filename, y, split, place, and beside it the images it names,
<species>/<file>.jpg; or the archive as it was downloaded.
"""

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__ or "",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3)),
                    "label": tfds.features.ClassLabel(names=LABELS),
                    "place": tfds.features.ClassLabel(names=PLACES),
                    "species": tfds.features.Text(),
                    "instance": tfds.features.Scalar(np.int32),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://github.com/kohpangwei/group_DRO",
            citation="""
@inproceedings{sagawa2020distributionally,
  author = {Sagawa, Shiori and Koh, Pang Wei and Hashimoto, Tatsunori B. and Liang,
            Percy},
  title = {Distributionally Robust Neural Networks for Group Shifts: On the Importance
           of Regularization for Worst-Case Generalization},
  booktitle = {International Conference on Learning Representations},
  year = {2020},
}
""",
            license="Non-commercial research and education.",
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
        root = _manual.find_root(Path(dl_manager.manual_dir), _LAYOUT)
        rows = _manual.read_table(root / "metadata.csv", _COLUMNS)
        birds = [_Bird(*row) for row in rows]
        paths = _manual.locate(root, [bird.file for bird in birds])
        splits: dict[str, list[tuple[_Bird, Path]]] = {split: [] for split in COUNTS}
        names = list(COUNTS)
        for bird, path in zip(birds, paths, strict=True):
            splits[names[bird.split]].append((bird, path))
        _manual.compare_counts(self.name, root, _count_groups(splits), COUNTS)
        return {
            split: self._generate_examples(pairs) for split, pairs in splits.items()
        }

    def _generate_examples(
        self, pairs: list[tuple["_Bird", Path]]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for bird, path in pairs:
            yield (
                bird.instance,
                {
                    "image": path,
                    "label": bird.label,
                    "place": bird.place,
                    "species": path.parent.name,
                    "instance": bird.instance,
                },
            )


class _Bird(NamedTuple):
    """A row of the table, in the order of its columns."""

    instance: int
    file: str
    label: int
    split: int
    place: int


def _count_groups(splits: dict[str, list[tuple[_Bird, Path]]]) -> dict[str, Any]:
    return {
        split: dict(Counter((LABELS[b.label], PLACES[b.place]) for b, _ in pairs))
        for split, pairs in splits.items()
    }
