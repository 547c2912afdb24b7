"""Digits whose color predicts better than their shape, until it does not (IRM).

The images are the 60,000 of MNIST's training set, every second pixel of every second
row. The clean label is 1 for the digits 0 to 4 and 0 for 5 to 9. The label is the clean
label, flipped with probability 0.25; the color is the label, flipped with probability
e: red goes with 0 and green with 1. The gray image stands in the channel of its color,
the two other channels are 0 (the paper has no blue one).

The first 50,000 images are shuffled and dealt in turn to two environments, e = 0.2 and
e = 0.1, the split `train`; the last 10,000 are the environment e = 0.9, the split
`test`. The paper draws all this anew for every run; here it is drawn once, from a fixed
seed.
"""

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from jaxcl.data._builders import _idx
from jaxcl.data._draws import Stream, permutation, uniform

LABELS = ("digits_5_to_9", "digits_0_to_4")
COLORS = ("red", "green")
FLIP_RATES = (0.2, 0.1, 0.9)
LABEL_NOISE = 0.25
_TEST = 2
_SEED = 20190
_permutation = functools.partial(permutation, seed=_SEED, stream=Stream.BUILDERS)
_uniform = functools.partial(uniform, seed=_SEED, stream=Stream.BUILDERS)
_ORDER_STREAM, _LABEL_STREAM, _COLOR_STREAM = range(3)

_CITATION = """
@article{arjovsky2019invariant,
  author = {Arjovsky, Martin and Bottou, L{\\'e}on and Gulrajani, Ishaan and
            Lopez-Paz, David},
  title = {Invariant Risk Minimization},
  journal = {arXiv preprint arXiv:1907.02893},
  year = {2019},
}
"""


class ColoredMnist(tfds.core.GeneratorBasedBuilder):
    """Two groups of digits whose color predicts the label, but not so in the test."""

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
                        shape=(14, 14, 3), encoding_format="png"
                    ),
                    "label": tfds.features.ClassLabel(names=LABELS),
                    "digit": tfds.features.ClassLabel(names=_idx.DIGITS),
                    "clean_label": tfds.features.ClassLabel(names=LABELS),
                    "bias": tfds.features.ClassLabel(names=COLORS),
                    "domain": tfds.features.ClassLabel(
                        names=[f"e_{rate}" for rate in FLIP_RATES]
                    ),
                    "instance": tfds.features.Scalar(np.int32),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://github.com/facebookresearch/InvariantRiskMinimization",
            citation=_CITATION + _idx.CITATION,
            license=_idx.LICENSE,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
        digits = _idx.read_digits(dl_manager, "train")
        draws = draw_environments(digits.labels)
        is_test = draws.domain == _TEST
        return {
            "train": self._generate_examples(digits, draws, np.flatnonzero(~is_test)),
            "test": self._generate_examples(digits, draws, np.flatnonzero(is_test)),
        }

    def _generate_examples(
        self, digits: _idx.Digits, draws: "Draws", rows: np.ndarray
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        columns = {**draws._asdict(), "digit": digits.labels}
        for row in rows:
            image = paint(digits.images[row], int(draws.bias[row]))
            instance = int(digits.instances[row])
            example = {name: int(values[row]) for name, values in columns.items()}
            example |= {"image": _idx.encode_png(image), "instance": instance}
            yield instance, example


class Draws(NamedTuple):
    """What is drawn for every image."""

    domain: np.ndarray
    clean_label: np.ndarray
    label: np.ndarray
    bias: np.ndarray


def draw_environments(digits: np.ndarray) -> Draws:
    """Environment, labels and color of every image; the last sixth is the test.

    Example:
        >>> draws = draw_environments(np.array([0, 1, 2, 7, 8, 9]))
        >>> np.bincount(draws.domain), draws.clean_label
        (array([3, 2, 1]), array([1, 1, 1, 0, 0, 0]))
    """
    size = len(digits)
    order = _permutation(size * 5 // 6, part=_ORDER_STREAM)
    domain = np.full(size, _TEST)
    domain[order[::2]] = 0
    domain[order[1::2]] = 1
    clean = (digits < 5).astype(int)
    label = clean ^ (_uniform(size, part=_LABEL_STREAM) < LABEL_NOISE)
    rates = np.array(FLIP_RATES)[domain]
    bias = label ^ (_uniform(size, part=_COLOR_STREAM) < rates)
    return Draws(domain, clean, label, bias)


def paint(image: np.ndarray, color: int) -> np.ndarray:
    """Every second pixel of a gray image, in the channel of its color."""
    small = image[::2, ::2]
    painted = np.zeros((*small.shape, 3), np.uint8)
    painted[..., color] = small
    return painted
