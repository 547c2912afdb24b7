"""Styled MNIST: the drawing style is the domain, to be held out style by style."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image, ImageFilter

from jaxcl.data._builders._mnist import (
    DIGITS,
    Digits,
    MnistBuilder,
    draw_examples,
    read_digits,
)
from jaxcl.data._builders._own import Example, Splits, images
from jaxcl.data._draws import Stream, permutation

STYLES = ("plain", "bold", "soft", "striped")
_SEED = 20220
_STRIPE, _PERIOD = 96, 6


class StyledMnist(MnistBuilder):
    """Digits in one of four styles.

    The 70,000 images, training and test set together, are dealt in a fixed random order
    and in turn to the styles, so a style says nothing about the digit. `test` holds
    images of MNIST's test set. The styles are mild: a person reads all of them.
    """

    def _columns(self) -> dict[str, Any]:
        return {
            "image": images(28, 28, 1),
            "label": tfds.features.ClassLabel(names=DIGITS),
            "domain": tfds.features.ClassLabel(names=STYLES),
            "instance": tfds.features.Scalar(np.int32),
        }

    def _examples(self, dl_manager: Any) -> Splits:
        train = read_digits(dl_manager, "train")
        test = read_digits(dl_manager, "test")
        size = len(train.labels)
        styles = deal_styles(size + len(test.labels))
        return {
            "train": _restyle(train, styles[:size]),
            "test": _restyle(test, styles[size:]),
        }


def _restyle(digits: Digits, styles: np.ndarray) -> Iterable[Example]:
    return draw_examples(
        digits, lambda image, row: restyle(image, STYLES[styles[row]]), domain=styles
    )


def deal_styles(size: int) -> np.ndarray:
    """Style of each of `size` images, as a position in `STYLES`.

    Example:
        >>> sorted(deal_styles(8).tolist())
        [0, 0, 1, 1, 2, 2, 3, 3]
    """
    styles = np.empty(size, int)
    order = permutation(size, _SEED, stream=Stream.BUILDERS)
    styles[order] = np.arange(size) % len(STYLES)
    return styles


def restyle(image: np.ndarray, style: str) -> Image.Image:
    """A gray image in a style.

    plain: unchanged; bold: every pixel the lightest of the 3×3 around it; soft: blurred
    by a Gaussian of 1.5 pixels; striped: diagonal stripes behind the ink.
    """
    picture = Image.fromarray(image)
    if style == "bold":
        return picture.filter(ImageFilter.MaxFilter(3))
    if style == "soft":
        return picture.filter(ImageFilter.GaussianBlur(1.5))
    if style == "striped":
        diagonal = np.add.outer(*map(np.arange, image.shape))
        stripes = np.where(diagonal % _PERIOD < _PERIOD // 2, _STRIPE, 0)
        return Image.fromarray(np.maximum(image, stripes.astype(np.uint8)))
    return picture
