"""Real handwritten digits on colored backgrounds, built without a network.

The 1,797 scans of 8×8 pixels are part of scikit-learn (from the UCI optical
recognition set). Every digit stands in exactly one split. The background color is the
domain; in `train` and `id_test` it goes with the label, in `ood_test` it does not.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

SIZE = 16
NUM_LABELS = 10
COLORS = {
    "red": (205, 45, 45),
    "orange": (225, 125, 25),
    "yellow": (190, 170, 20),
    "green": (45, 150, 60),
    "teal": (20, 155, 150),
    "sky": (60, 140, 220),
    "blue": (50, 70, 200),
    "violet": (130, 70, 190),
    "pink": (215, 70, 150),
    "gray": (120, 120, 120),
}
_SPLIT_SIZES = {"train": 1197, "id_test": 300, "ood_test": 300}
_SEED = 20260
_RHOS = (0.9, 0.1, 0.5, 0.8, 0.95, 0.99)

_CITATION = """
@misc{alpaydin1998optical,
  author = {Alpaydin, E. and Kaynak, C.},
  title = {Optical Recognition of Handwritten Digits},
  year = {1998},
  howpublished = {UCI Machine Learning Repository},
  doi = {10.24432/C50P49},
}
"""


@dataclass(eq=False)
class ColoredDigitsConfig(tfds.core.BuilderConfig):
    """How strongly color and label go together.

    Attributes:
        rho: Share of the samples of every label that have the label's own color.
    """

    rho: float = 0.9


class ColoredDigits(tfds.core.GeneratorBasedBuilder):
    """Handwritten digits whose background color predicts the label in training only."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}  # noqa: RUF012  the tfds contract
    BUILDER_CONFIGS = [  # noqa: RUF012  the tfds contract
        ColoredDigitsConfig(
            name=f"rho_{rho}",
            description=f"{rho:.0%} of every label have the label's own color.",
            rho=rho,
        )
        for rho in _RHOS
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__ or "",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(
                        shape=(SIZE, SIZE, 3), encoding_format="png"
                    ),
                    "label": tfds.features.ClassLabel(
                        names=[str(digit) for digit in range(NUM_LABELS)]
                    ),
                    "domain": tfds.features.ClassLabel(names=list(COLORS)),
                    "instance": tfds.features.Scalar(np.int32),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://archive.ics.uci.edu/dataset/80",
            citation=_CITATION,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
        del dl_manager  # nothing is downloaded
        return {split: self._generate_examples(split) for split in _SPLIT_SIZES}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        from sklearn.datasets import load_digits

        digits: Any = load_digits()
        config: Any = self.builder_config
        ids = split_ids(digits.target)[split]
        colors = split_colors(digits.target[ids], split, config.rho)
        for key, (row, color) in enumerate(colors):
            instance = int(ids[row])
            yield (
                key,
                {
                    "image": io.BytesIO(_encode(digits.images[instance], color)),
                    "label": int(digits.target[instance]),
                    "domain": color,
                    "instance": instance,
                },
            )


def split_ids(labels: np.ndarray) -> dict[str, np.ndarray]:
    """Digits of every split, each digit in one split; the same for every `rho`."""
    order = np.random.RandomState(_SEED).permutation(len(labels))
    bounds = np.cumsum([0, *_SPLIT_SIZES.values()])
    return {
        split: order[bounds[i] : bounds[i + 1]] for i, split in enumerate(_SPLIT_SIZES)
    }


def split_colors(labels: np.ndarray, split: str, rho: float) -> list[tuple[int, int]]:
    """Rows of a split with their colors; the counts follow from `rho` alone.

    `ood_test` shows every digit in every color. Elsewhere round(rho · n) of the n
    digits of a label have the label's color, and the others take the nine other colors
    in turn.
    """
    if split == "ood_test":
        return [(row, color) for row in range(len(labels)) for color in range(10)]
    colors = np.empty(len(labels), int)
    for label in range(NUM_LABELS):
        rows = np.flatnonzero(labels == label)
        aligned = round(rho * len(rows))
        others = np.arange(len(rows) - aligned) % (NUM_LABELS - 1)
        # Starting behind the label's own color never comes back to it in nine steps.
        colors[rows[:aligned]] = label
        colors[rows[aligned:]] = (label + 1 + others) % NUM_LABELS
    return [(row, int(color)) for row, color in enumerate(colors)]


def _encode(scan: np.ndarray, color: int) -> bytes:
    """A white digit on a colored background, as PNG."""
    from PIL import Image

    ink = Image.fromarray(np.uint8(np.round(scan / 16.0 * 255)))
    ink = ink.resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    background = Image.new("RGB", (SIZE, SIZE), list(COLORS.values())[color])
    white = Image.new("RGB", (SIZE, SIZE), (255, 255, 255))
    file = io.BytesIO()
    Image.composite(white, background, ink).save(file, "png")
    return file.getvalue()
