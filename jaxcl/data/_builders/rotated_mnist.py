"""Rotated MNIST: the rotation angle is the domain (DomainBed)."""

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from jaxcl.data._builders._mnist import (
    DIGITS,
    Digits,
    MnistBuilder,
    draw_examples,
    read_digits,
)
from jaxcl.data._builders._own import Example, Splits, images
from jaxcl.data._draws import Stream, permutation, uniform

STEP = 15
DOMAINS = tuple(f"angle_{angle}" for angle in range(0, 90, STEP))
_SEED = 20210
_ORDER, _ANGLE = range(2)


class RotatedMnist(MnistBuilder):
    """Digits rotated by one of six angles, or by any.

    The 70,000 images, training and test set together, are dealt in a fixed random order
    and in turn to the six angles 0, 15, ..., 75 degrees (counterclockwise). The
    rotation is about the center, bilinear, and black in the corners. DomainBed mixes
    the two sets; here `test` holds images of MNIST's test set alone.

    The config `continuous` draws the angle of every image uniformly from [0, 90)
    instead; the domain is then the largest of the six angles that is not above it.
    """

    DEFAULT_BUILDER_CONFIG_NAME = "six_angles"
    BUILDER_CONFIGS: ClassVar = [
        tfds.core.BuilderConfig(
            name="six_angles", description="0, 15, 30, 45, 60 or 75 degrees."
        ),
        tfds.core.BuilderConfig(
            name="continuous", description="An angle drawn evenly from 0 to 90 degrees."
        ),
    ]

    def _columns(self) -> dict[str, Any]:
        return {
            "image": images(28, 28, 1),
            "label": tfds.features.ClassLabel(names=DIGITS),
            "domain": tfds.features.ClassLabel(names=DOMAINS),
            "angle": tfds.features.Scalar(np.float32),
            "instance": tfds.features.Scalar(np.int32),
        }

    def _examples(self, dl_manager: Any) -> Splits:
        train = read_digits(dl_manager, "train")
        test = read_digits(dl_manager, "test")
        size = len(train.labels)
        continuous = self.config_name == "continuous"
        angles = draw_angles(size + len(test.labels), continuous)
        return {
            "train": _turn(train, angles[:size]),
            "test": _turn(test, angles[size:]),
        }


def _turn(digits: Digits, angles: np.ndarray) -> Iterable[Example]:
    return draw_examples(
        digits,
        lambda image, row: turn(image, float(angles[row])),
        domain=(angles // STEP).astype(int),
        angle=angles,
    )


def draw_angles(size: int, continuous: bool) -> np.ndarray:
    """Degrees by which each of `size` images is rotated.

    Example:
        >>> sorted(draw_angles(6, continuous=False).tolist())
        [0.0, 15.0, 30.0, 45.0, 60.0, 75.0]
    """
    if continuous:
        draws = uniform(size, _SEED, stream=Stream.BUILDERS, part=_ANGLE)
        degrees = draws * len(DOMAINS) * STEP
    else:
        degrees = np.empty(size)
        order = permutation(size, _SEED, stream=Stream.BUILDERS, part=_ORDER)
        degrees[order] = np.arange(size) % len(DOMAINS) * STEP
    return degrees.astype(np.float32)


def turn(image: np.ndarray, angle: float) -> Image.Image:
    """A gray image, rotated counterclockwise by degrees."""
    return Image.fromarray(image).rotate(angle, Image.Resampling.BILINEAR)
