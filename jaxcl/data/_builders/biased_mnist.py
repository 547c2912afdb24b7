"""MNIST in white on backgrounds whose color goes with the digit (ReBias).

Pixels of 0 take the background's color, all others become white. Of the n images of a
digit the first ⌊ρ·n⌋ of a fixed order get the digit's own color. The rest is cut into
chunks of ⌈(n - ⌊ρ·n⌋) / 9⌉, and each chunk gets one of the nine other colors, whose
order is drawn for each digit. So the counts follow from ρ alone, and some pairs of
digit and color stay empty when ρ is large. The order is the same for all ρ: images
whose color conflicts at one ρ conflict at every smaller one, though not in the same
color.

`train` has the ρ of the config, `test` has ρ = 0.1 (color says nothing of the digit)
and `biased_test`, the same images, has ρ = 1.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from jaxcl.data._builders import _idx
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
_permutation = functools.partial(permutation, seed=_SEED, stream=Stream.BUILDERS)
_uniform = functools.partial(uniform, seed=_SEED, stream=Stream.BUILDERS)
_STREAMS = {"train": 0, "test": 1}
_COLOR_STREAMS = {"train": 2, "test": 3}

_CITATION = """
@inproceedings{bahng2020learning,
  author = {Bahng, Hyojin and Chun, Sanghyuk and Yun, Sangdoo and Choo, Jaegul and
            Oh, Seong Joon},
  title = {Learning De-biased Representations with Biased Representations},
  booktitle = {International Conference on Machine Learning},
  year = {2020},
}
"""


@dataclass(eq=False)
class BiasedMnistConfig(tfds.core.BuilderConfig):
    """How strongly color and digit go together in training.

    Attributes:
        rho: Share of the training images of every digit in the digit's own color.
    """

    rho: float = 0.99


class BiasedMnist(tfds.core.GeneratorBasedBuilder):
    """Digits whose background color predicts the label in training only."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}  # noqa: RUF012  the tfds contract
    MANUAL_DOWNLOAD_INSTRUCTIONS = _idx.MANUAL_DOWNLOAD_INSTRUCTIONS
    DEFAULT_BUILDER_CONFIG_NAME = "rho_0.99"
    BUILDER_CONFIGS = [  # noqa: RUF012  the tfds contract
        BiasedMnistConfig(
            name=f"rho_{rho}",
            description=f"{rho:.1%} of every digit have the digit's own color.",
            rho=rho,
        )
        for rho in RHOS
    ]
    url_infos = _idx.url_infos()

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__ or "",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(
                        shape=(28, 28, 3), encoding_format="png"
                    ),
                    "label": tfds.features.ClassLabel(names=_idx.DIGITS),
                    "bias": tfds.features.ClassLabel(names=list(PALETTE)),
                    "instance": tfds.features.Scalar(np.int32),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://github.com/clovaai/rebias",
            citation=_CITATION + _idx.CITATION,
            license=_idx.LICENSE,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
        config: Any = self.builder_config
        train = _idx.read_digits(dl_manager, "train")
        test = _idx.read_digits(dl_manager, "test")
        colors = assign_colors(train.labels, config.rho, "train")
        return {
            "train": self._generate_examples(train, colors),
            "test": self._generate_examples(
                test, assign_colors(test.labels, 0.1, "test")
            ),
            "biased_test": self._generate_examples(
                test, assign_colors(test.labels, 1.0, "test")
            ),
        }

    def _generate_examples(
        self, digits: _idx.Digits, colors: np.ndarray
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for image, label, instance, color in zip(*digits, colors, strict=True):
            yield (
                int(instance),
                {
                    "image": _idx.encode_png(paint(image, color)),
                    "label": int(label),
                    "bias": int(color),
                    "instance": int(instance),
                },
            )


def assign_colors(labels: np.ndarray, rho: float, split: str) -> np.ndarray:
    """Background color of every image of `train` or `test`.

    Example:
        >>> colors = assign_colors(np.zeros(100, int), rho=0.8, split="train")
        >>> np.bincount(colors)[0], sorted(np.bincount(colors)[1:].tolist())
        (np.int64(80), [0, 0, 2, 3, 3, 3, 3, 3, 3])
    """
    order = _permutation(len(labels), part=_STREAMS[split])
    turns = _uniform(10 * 9, part=_COLOR_STREAMS[split]).reshape(10, 9)
    colors = np.empty(len(labels), int)
    for label in range(10):
        rows = order[labels[order] == label]
        aligned = int(len(rows) * rho)
        chunk = -(-(len(rows) - aligned) // 9)
        others = (label + 1 + np.argsort(turns[label], kind="stable")) % 10
        colors[rows[:aligned]] = label
        colors[rows[aligned:]] = others.repeat(chunk)[: len(rows) - aligned]
    return colors


def paint(image: np.ndarray, color: int) -> np.ndarray:
    """All ink of a gray image in white, on a background of a color of the palette."""
    background = np.array(list(PALETTE.values())[color], np.uint8)
    return np.where(image[..., None] == 0, background, np.uint8(255))
