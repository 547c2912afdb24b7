"""Biased MNIST: digits whose background color goes with the digit (ReBias)."""

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from jaxcl.data._builders._mnist import (
    DIGITS,
    Digits,
    MnistBuilder,
    draw_examples,
    read_digits,
)
from jaxcl.data._builders._own import Example, Splits, images
from jaxcl.data._draws import Stream, permutation, uniform

PALETTE = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (225, 225, 0),  # 225, as in the code of the paper
    "magenta": (225, 0, 225),
    "cyan": (0, 255, 255),
    "orange": (255, 128, 0),
    "rose": (255, 0, 128),
    "violet": (128, 0, 255),
    "gray": (128, 128, 128),
}
RHOS = (0.999, 0.997, 0.995, 0.99, 0.95, 0.9, 0.8, 0.5, 0.1)
_SEED = 20200
_ORDER = {"train": 0, "test": 1}
_TURNS = {"train": 2, "test": 3}


class BiasedMnist(MnistBuilder):
    """Digits whose background color predicts the label in training only.

    Pixels of 0 take the background color, all others become white. Of the n images of a
    digit the first ⌊ρ·n⌋ of a fixed order get the digit's own color. The rest is cut
    into chunks of ⌈(n - ⌊ρ·n⌋) / 9⌉, and each chunk gets one of the nine other colors,
    whose order is drawn for each digit. So the counts follow from ρ alone, and some
    pairs of digit and color stay empty when ρ is large. The order is the same for all
    ρ: an image whose color conflicts at one ρ conflicts at every smaller one, though
    not always in the same color.

    `train` has the ρ of the config, `test` has ρ = 0.1 (the color says nothing about
    the digit) and `biased_test`, the same images, has ρ = 1.
    """

    DEFAULT_BUILDER_CONFIG_NAME = "rho_0.99"
    BUILDER_CONFIGS: ClassVar = [
        tfds.core.BuilderConfig(
            name=f"rho_{rho}",
            description=f"{rho:.1%} of every digit have the digit's own color.",
        )
        for rho in RHOS
    ]

    def _columns(self) -> dict[str, Any]:
        return {
            "image": images(28, 28, 3),
            "label": tfds.features.ClassLabel(names=DIGITS),
            "bias": tfds.features.ClassLabel(names=list(PALETTE)),
            "instance": tfds.features.Scalar(np.int32),
        }

    def _examples(self, dl_manager: Any) -> Splits:
        rho = float(self.config_name.removeprefix("rho_"))
        train = read_digits(dl_manager, "train")
        test = read_digits(dl_manager, "test")
        return {
            "train": _color(train, rho, "train"),
            "test": _color(test, 0.1, "test"),
            "biased_test": _color(test, 1.0, "test"),
        }


def _color(digits: Digits, rho: float, split: str) -> Iterable[Example]:
    colors = assign_colors(digits.labels, rho, split)
    return draw_examples(
        digits, lambda image, row: paint(image, int(colors[row])), bias=colors
    )


def assign_colors(labels: np.ndarray, rho: float, split: str) -> np.ndarray:
    """Background color of every image of `train` or `test`.

    Example:
        >>> colors = assign_colors(np.zeros(100, int), rho=0.8, split="train")
        >>> np.bincount(colors)[0], sorted(np.bincount(colors)[1:].tolist())
        (np.int64(80), [0, 0, 2, 3, 3, 3, 3, 3, 3])
    """
    order = permutation(len(labels), _SEED, stream=Stream.BUILDERS, part=_ORDER[split])
    turns = uniform(90, _SEED, stream=Stream.BUILDERS, part=_TURNS[split])
    colors = np.empty(len(labels), int)
    for label, turn in enumerate(turns.reshape(10, 9)):
        rows = order[labels[order] == label]
        aligned = int(len(rows) * rho)
        chunk = -(-(len(rows) - aligned) // 9)
        others = (label + 1 + np.argsort(turn, kind="stable")) % 10
        colors[rows[:aligned]] = label
        colors[rows[aligned:]] = others.repeat(chunk)[: len(rows) - aligned]
    return colors


def paint(image: np.ndarray, color: int) -> np.ndarray:
    """All ink of a gray image in white, on a background color of the palette."""
    background = np.array(list(PALETTE.values())[color], np.uint8)
    return np.where(image[..., None] == 0, background, np.uint8(255))
