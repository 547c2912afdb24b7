"""Colored MNIST: the color predicts better than the shape, except in the test (IRM)."""

from collections.abc import Iterable
from typing import Any, NamedTuple

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

LABELS = ("digits_5_to_9", "digits_0_to_4")
COLORS = ("red", "green")
FLIP_RATES = (0.2, 0.1, 0.9)
LABEL_NOISE = 0.25
_TEST = 2
_SEED = 20190
_ORDER, _LABEL, _COLOR = range(3)


class ColoredMnist(MnistBuilder):
    """Two groups of digits whose color predicts the label, except in the test.

    The images are the 60,000 of MNIST's training set, every second pixel of every
    second row. The clean label is 1 for the digits 0 to 4 and 0 for 5 to 9. The label
    is the clean label, flipped with probability 0.25; the color is the label, flipped
    with probability e: red goes with 0 and green with 1. The gray image stands in the
    channel of its color, the two other channels are 0 (the paper has no blue one).

    The first 50,000 images are dealt in random order and in turn to two environments,
    e = 0.2 and e = 0.1, the split `train`; the last 10,000 are the environment e = 0.9,
    the split `test`. The paper draws all this anew for every run; here it is drawn
    once, from a fixed seed.
    """

    def _columns(self) -> dict[str, Any]:
        environments = [f"e_{rate}" for rate in FLIP_RATES]
        return {
            "image": images(14, 14, 3),
            "label": tfds.features.ClassLabel(names=LABELS),
            "digit": tfds.features.ClassLabel(names=DIGITS),
            "clean_label": tfds.features.ClassLabel(names=LABELS),
            "bias": tfds.features.ClassLabel(names=COLORS),
            "domain": tfds.features.ClassLabel(names=environments),
            "instance": tfds.features.Scalar(np.int32),
        }

    def _examples(self, dl_manager: Any) -> Splits:
        digits = read_digits(dl_manager, "train")
        draws = draw_environments(digits.labels)
        is_test = draws.domain == _TEST
        return {
            "train": _color(digits, draws, ~is_test),
            "test": _color(digits, draws, is_test),
        }


class Draws(NamedTuple):
    """What is drawn for every image."""

    domain: np.ndarray
    clean_label: np.ndarray
    label: np.ndarray
    bias: np.ndarray


def _color(digits: Digits, draws: Draws, chosen: np.ndarray) -> Iterable[Example]:
    digits = Digits(*(part[chosen] for part in digits))
    draws = Draws(*(part[chosen] for part in draws))
    return draw_examples(
        digits,
        lambda image, row: paint(image, int(draws.bias[row])),
        digit=digits.labels,
        **draws._asdict(),
    )


def draw_environments(digits: np.ndarray) -> Draws:
    """Environment, labels and color of every image; the last sixth is the test.

    Example:
        >>> draws = draw_environments(np.array([0, 1, 2, 7, 8, 9]))
        >>> np.bincount(draws.domain), draws.clean_label
        (array([3, 2, 1]), array([1, 1, 1, 0, 0, 0]))
    """

    def drawn(part: int) -> np.ndarray:
        return uniform(size, _SEED, stream=Stream.BUILDERS, part=part)

    size = len(digits)
    order = permutation(size * 5 // 6, _SEED, stream=Stream.BUILDERS, part=_ORDER)
    domain = np.full(size, _TEST)
    domain[order[::2]] = 0
    domain[order[1::2]] = 1
    clean = (digits < 5).astype(int)
    label = clean ^ (drawn(_LABEL) < LABEL_NOISE)
    bias = label ^ (drawn(_COLOR) < np.array(FLIP_RATES)[domain])
    return Draws(domain, clean, label, bias)


def paint(image: np.ndarray, color: int) -> np.ndarray:
    """Every second pixel of a gray image, in the channel of its color."""
    small = image[::2, ::2]
    painted = np.zeros((*small.shape, 3), np.uint8)
    painted[..., color] = small
    return painted
