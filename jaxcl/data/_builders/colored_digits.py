"""Colored digits: scans from scikit-learn, built without a network."""

import io
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from jaxcl.data._builders._own import Example, OwnBuilder, Splits, images
from jaxcl.data._decode import encode_png

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


class ColoredDigits(OwnBuilder):
    """Handwritten digits whose background color predicts the label in training only.

    The 1,797 scans of 8×8 pixels are part of scikit-learn (from the UCI optical
    recognition set). Every digit is in exactly one split. The background color is the
    domain; in `train` and `id_test` it goes with the label, in `ood_test` it does not.
    """

    BUILDER_CONFIGS: ClassVar = [
        tfds.core.BuilderConfig(
            name=f"rho_{rho}",
            description=f"{rho:.0%} of every label have the label's own color.",
        )
        for rho in _RHOS
    ]

    def _columns(self) -> dict[str, Any]:
        digits = [str(digit) for digit in range(NUM_LABELS)]
        return {
            "image": images(SIZE, SIZE, 3),
            "label": tfds.features.ClassLabel(names=digits),
            "domain": tfds.features.ClassLabel(names=list(COLORS)),
            "instance": tfds.features.Scalar(np.int32),
        }

    def _examples(self, dl_manager: Any) -> Splits:
        del dl_manager  # nothing is downloaded
        rho = float(self.config_name.removeprefix("rho_"))
        return {split: _make_examples(split, rho) for split in _SPLIT_SIZES}

    def _generate_examples(
        self, examples: Iterable[Example]
    ) -> Iterator[tuple[int, Example]]:
        # A digit is in `ood_test` once in every color, each time as the same instance.
        return enumerate(examples)


def _make_examples(split: str, rho: float) -> Iterator[Example]:
    from sklearn.datasets import load_digits

    digits: Any = load_digits()
    ids = split_ids(digits.target)[split]
    for row, color in split_colors(digits.target[ids], split, rho):
        instance = int(ids[row])
        picture = _paint(digits.images[instance], color)
        yield {
            "image": io.BytesIO(encode_png(picture)),
            "label": int(digits.target[instance]),
            "domain": color,
            "instance": instance,
        }


def split_ids(labels: np.ndarray) -> dict[str, np.ndarray]:
    """Digits of every split, each digit in one split; the same for every `rho`."""
    order = np.random.RandomState(_SEED).permutation(len(labels))
    parts = np.split(order, np.cumsum([*_SPLIT_SIZES.values()]))
    return dict(zip(_SPLIT_SIZES, parts, strict=False))


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
        # Nine steps from the color after the label's own never come back to it.
        colors[rows[:aligned]] = label
        colors[rows[aligned:]] = (label + 1 + others) % NUM_LABELS
    return [(row, int(color)) for row, color in enumerate(colors)]


def _paint(scan: np.ndarray, color: int) -> Image.Image:
    """A white digit on a colored background."""
    ink = Image.fromarray(np.uint8(np.round(scan / 16.0 * 255)))
    ink = ink.resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    background = Image.new("RGB", (SIZE, SIZE), list(COLORS.values())[color])
    white = Image.new("RGB", (SIZE, SIZE), (255, 255, 255))
    return Image.composite(white, background, ink)
