"""Waterbirds: birds cut out of photographs and put before land or water."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from jaxcl.data._builders import _manual
from jaxcl.data._builders._own import Example, OwnBuilder, Splits, images

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


class Waterbirds(OwnBuilder):
    """Birds before land or water, which goes with the kind of bird in training only.

    The splits follow the official ones of the birds: `train` 4,795 images, `validation`
    1,199, `test` 5,794. In `train` 95 % of landbirds stand before land and 95 % of
    waterbirds before water, in the two others half of either. Only 56 waterbirds of
    `train` stand before land, and 184 landbirds before water.

    Columns: image, label (2), place (2, bias or domain), species (200, as CUB spells
    them: `001.Black_footed_Albatross`), instance (the number that CUB gave the
    photograph).
    """

    def _columns(self) -> dict[str, Any]:
        return {
            "image": images(),
            "label": tfds.features.ClassLabel(names=LABELS),
            "place": tfds.features.ClassLabel(names=PLACES),
            "species": tfds.features.Text(),
            "instance": tfds.features.Scalar(np.int32),
        }

    def _examples(self, dl_manager: Any) -> Splits:
        root = _manual.find_root(Path(dl_manager.manual_dir), _LAYOUT)
        rows = [*_manual.read_table(root / "metadata.csv", _COLUMNS)]
        paths = _manual.locate(root, [file for _, file, *_ in rows])
        names = list(COUNTS)
        splits: dict[str, list[Example]] = {split: [] for split in names}
        for (instance, _, label, split, place), path in zip(rows, paths, strict=True):
            known = {"label": label, "place": place, "species": path.parent.name}
            splits[names[split]].append({"image": path, **known, "instance": instance})
        groups = {
            split: dict(
                Counter((LABELS[e["label"]], PLACES[e["place"]]) for e in found)
            )
            for split, found in splits.items()
        }
        _manual.compare_counts(self.name, root, groups, COUNTS)
        return splits
