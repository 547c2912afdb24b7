"""MNIST in four styles that are the domains: for leaving one style out.

The 70,000 images, training and test set together, are shuffled from a fixed seed and
dealt in turn to the styles, so a style says nothing of the digit. `test` holds images
of MNIST's test set. The styles are mild: a person reads all of them.
"""

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from jaxcl.data._builders import _idx
from jaxcl.data._draws import Stream, permutation

STYLES = ("plain", "bold", "soft", "striped")
_SEED = 20220
_permutation = functools.partial(permutation, seed=_SEED, stream=Stream.BUILDERS)
_STRIPE, _PERIOD = 96, 6


class StyledMnist(tfds.core.GeneratorBasedBuilder):
    """Digits in one of four styles."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}  # noqa: RUF012  the tfds contract
    MANUAL_DOWNLOAD_INSTRUCTIONS = _idx.MANUAL_DOWNLOAD_INSTRUCTIONS
    url_infos = _idx.url_infos()

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__ or "",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(
                        shape=(28, 28, 1), encoding_format="png"
                    ),
                    "label": tfds.features.ClassLabel(names=_idx.DIGITS),
                    "domain": tfds.features.ClassLabel(names=STYLES),
                    "instance": tfds.features.Scalar(np.int32),
                }
            ),
            supervised_keys=("image", "label"),
            homepage=_idx.HOMEPAGE,
            citation=_idx.CITATION,
            license=_idx.LICENSE,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
        train = _idx.read_digits(dl_manager, "train")
        test = _idx.read_digits(dl_manager, "test")
        size = len(train.labels)
        styles = deal_styles(size + len(test.labels))
        return {
            "train": self._generate_examples(train, styles[:size]),
            "test": self._generate_examples(test, styles[size:]),
        }

    def _generate_examples(
        self, digits: _idx.Digits, styles: np.ndarray
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for image, label, instance, style in zip(*digits, styles, strict=True):
            yield (
                int(instance),
                {
                    "image": _idx.encode_png(restyle(image, STYLES[style])),
                    "label": int(label),
                    "domain": int(style),
                    "instance": int(instance),
                },
            )


def deal_styles(size: int) -> np.ndarray:
    """Style of each of `size` images, as a position in `STYLES`.

    Example:
        >>> sorted(deal_styles(8).tolist())
        [0, 0, 1, 1, 2, 2, 3, 3]
    """
    styles = np.empty(size, int)
    styles[_permutation(size)] = np.arange(size) % len(STYLES)
    return styles


def restyle(image: np.ndarray, style: str) -> Any:
    """A gray image in a style, as a Pillow image.

    plain: as it is; bold: every pixel the lightest of the 3×3 around it; soft: blurred
    by a Gaussian of 1.5 pixels; striped: diagonal stripes behind the ink.
    """
    from PIL import Image, ImageFilter

    picture = Image.fromarray(image)
    if style == "bold":
        return picture.filter(ImageFilter.MaxFilter(3))
    if style == "soft":
        return picture.filter(ImageFilter.GaussianBlur(1.5))
    if style == "striped":
        height, width = image.shape
        diagonal = np.add.outer(np.arange(height), np.arange(width))
        is_stripe = diagonal % _PERIOD < _PERIOD // 2
        behind = np.where(is_stripe, _STRIPE, 0).astype(np.uint8)
        return Image.fromarray(np.maximum(image, behind))
    return picture
