"""UTKFace: 23,708 faces, aligned and cropped, with age, gender and race in their names.

A file is named `<age>_<gender>_<race>_<date>.jpg.chip.jpg`. Three official ones lack a
field (`61_1_20170109142408075...`): which of the two is missing cannot be known, as the
uncropped image of one of them says `61_3`, so that gender and race are both -1. Empty
fields and values that do not exist are -1 as well, and what a date should not hold is
left away. The log says how many there are.

Config `all` (the default) has one split, `train`. Configs `race_bias` and `age_bias`
follow Hong and Yang: the label is the gender, the bias is race (white or not) or age
(20 and older, or 10 and younger; faces between are left out).

- `train`: four fifths of the files. Of the men only those with the first value of the
  bias are kept, of the women those with the second; the two other groups are cut to a
  tenth of the one that has the same bias (the paper's bias rate of 0.9).
- `validation`, `test`: halves of the last fifth, in which no group was cut.

The paper drew its division without a seed. Here it follows from the sorted names of the
files; what is held out by one config is held out by the other.

Columns: image, label and gender (2, the same), race (5), age, date, bias (2, in the
configs that have one), instance (the place among the sorted names).
"""

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from jaxcl.data._builders import _manual
from jaxcl.data._draws import Stream, permutation
from jaxcl.data._errors import DataError

_LOG = logging.getLogger(__name__)

GENDERS = ("male", "female")
RACES = ("white", "black", "asian", "indian", "others")
BIASES = {"race": ("white", "not_white"), "age": ("20_and_older", "10_and_younger")}
COUNT = 23_708
_SEED, _STREAM = 20_210, 0
# One for ten. The paper's int(n * (1 - 0.9)) gives one less where ten divides n.
_MAJORITY_FOR_ONE = 10
_OLDEST = 150
_LAYOUT = _manual.Layout(
    folders=("UTKFace",),
    archives={"UTKFace.tar.gz": ""},
    marker="[0-9]*_*.jpg",
    max_bytes=2 << 30,
    max_files=50_000,
)


@dataclass(eq=False)
class UtkFaceConfig(tfds.core.BuilderConfig):
    """Whether the training faces are chosen so that something goes with the gender.

    Attributes:
        bias: What does, `race` or `age`; empty = all faces, as they are.
    """

    bias: str = ""


class UtkFace(tfds.core.GeneratorBasedBuilder):
    """Faces with age, gender and race."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
Fetch the aligned and cropped faces, UTKFace.tar.gz, from the links in
https://susanqq.github.io/UTKFace/ (no checksum is published).
Terms: non-commercial research only; the images belong to others.
Layout, in the manual directory: UTKFace/<age>_<gender>_<race>_<date>.jpg.chip.jpg, or
UTKFace.tar.gz as it was downloaded. Leave the names as they are, the odd ones as well.
"""
    BUILDER_CONFIGS: ClassVar = [
        UtkFaceConfig(name="all", description="All faces."),
        *(
            UtkFaceConfig(
                name=f"{bias}_bias",
                description=f"In training, {bias} goes with the gender.",
                bias=bias,
            )
            for bias in BIASES
        ),
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        config: Any = self.builder_config
        features = {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "label": tfds.features.ClassLabel(names=GENDERS),
            "gender": tfds.features.ClassLabel(names=GENDERS),
            "race": tfds.features.ClassLabel(names=RACES),
            "age": tfds.features.Scalar(np.int32),
            "date": tfds.features.Text(),
            "instance": tfds.features.Scalar(np.int32),
        }
        if config.bias:
            features["bias"] = tfds.features.ClassLabel(names=BIASES[config.bias])
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__ or "",
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
            homepage="https://susanqq.github.io/UTKFace/",
            citation="""
@inproceedings{zhang2017age,
  author = {Zhang, Zhifei and Song, Yang and Qi, Hairong},
  title = {Age Progression/Regression by Conditional Adversarial Autoencoder},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition},
  year = {2017},
}
@inproceedings{hong2021unbiased,
  author = {Hong, Youngkyu and Yang, Eunho},
  title = {Unbiased Classification through Bias-Contrastive and Bias-Balanced Learning},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2021},
}
""",
            license="Non-commercial research only.",
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
        config: Any = self.builder_config
        root = _manual.find_root(Path(dl_manager.manual_dir), _LAYOUT)
        paths, faces = _read_names(root)
        _manual.compare_counts(self.name, root, len(paths), COUNT)
        splits, bias = {"train": np.arange(len(paths))}, None
        if config.bias:
            bias = find_bias(faces, config.bias)
            splits = divide(np.array([face.gender for face in faces]), bias)
        return {
            split: self._generate_examples(paths, faces, rows, bias)
            for split, rows in splits.items()
        }

    def _generate_examples(
        self,
        paths: Sequence[Path],
        faces: Sequence["Face"],
        rows: np.ndarray,
        bias: np.ndarray | None,
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for row in rows.tolist():
            face = faces[row]
            example = {**face._asdict(), "image": paths[row], "label": face.gender}
            if bias is not None:
                example["bias"] = int(bias[row])
            yield row, {**example, "instance": row}


class Face(NamedTuple):
    """What the name of a file says; -1 and an empty text are missing."""

    age: int
    gender: int
    race: int
    date: str


def parse_name(name: str) -> Face:
    """Reads the name of a file.

    Example:
        >>> parse_name("26_1_3_20170117175041574.jpg.chip.jpg")
        Face(age=26, gender=1, race=3, date='20170117175041574')
        >>> parse_name("61_1_20170109142408075.jpg.chip.jpg")
        Face(age=61, gender=-1, race=-1, date='20170109142408075')
    """
    fields = name.split("_")
    gender, race = fields[1:3] if len(fields) == 4 else ("", "")
    date = re.match(r"\d{14,17}", fields[-1])
    return Face(
        age=_number(fields[0], _OLDEST),
        gender=_number(gender, len(GENDERS) - 1),
        race=_number(race, len(RACES) - 1),
        date=date.group() if date else "",
    )


def _number(text: str, largest: int) -> int:
    is_number = text.isascii() and text.isdigit() and int(text) <= largest
    return int(text) if is_number else -1


def _read_names(root: Path) -> tuple[list[Path], list[Face]]:
    """The files in the order of their names, and what the names say."""
    files = [path for path in root.iterdir() if path.is_file()]
    paths = sorted(
        (path for path in files if re.match(r"\d+_", path.name)),
        key=lambda path: path.name,
    )
    faces = [parse_name(path.name) for path in paths]
    for field in Face._fields:
        missing = sum(getattr(face, field) in (-1, "") for face in faces)
        if missing:
            _LOG.warning("%d names of files in %s have no %s", missing, root, field)
    if len(files) > len(paths):
        _LOG.warning("%d files in %s are no faces", len(files) - len(paths), root)
    return paths, faces


def find_bias(faces: Sequence[Face], name: str) -> np.ndarray:
    """The value of `race` or `age` bias of each face; -1 = none.

    Example:
        >>> ages = [parse_name(f"{age}_0_0_") for age in (9, 10, 11, 19, 20)]
        >>> find_bias(ages, "age")
        array([ 1,  1, -1, -1,  0])
    """
    if name == "race":
        race = np.array([face.race for face in faces])
        return np.where(race < 0, -1, np.minimum(race, 1))
    age = np.array([face.age for face in faces])
    return np.select([age < 0, age <= 10, age >= 20], [-1, 1, 0], -1)


def divide(gender: np.ndarray, bias: np.ndarray) -> dict[str, np.ndarray]:
    """Rows of every split of a config with a bias, in rising order.

    Args:
        gender: Of each face; -1 = missing.
        bias: Of each face; -1 = none.

    Returns:
        The rows of train, validation and test.
    """
    order = permutation(len(gender), _SEED, stream=Stream.BUILDERS, part=_STREAM)
    cut = len(order) * 4 // 5
    train, held_out = order[:cut], order[cut:]
    chosen = []
    for value in (0, 1):
        same_bias = train[bias[train] == value]
        majority = same_bias[gender[same_bias] == value]
        minority = same_bias[gender[same_bias] == 1 - value]
        chosen += [majority, minority[: len(majority) // _MAJORITY_FOR_ONE]]
    held_out = held_out[(gender[held_out] >= 0) & (bias[held_out] >= 0)]
    half = len(held_out) // 2
    splits = {
        "train": np.concatenate(chosen),
        "validation": held_out[:half],
        "test": held_out[half:],
    }
    empty = [split for split, rows in splits.items() if not len(rows)]
    if empty:
        raise DataError(f"too few faces: there would be none in {', '.join(empty)}")
    return {split: np.sort(rows) for split, rows in splits.items()}
