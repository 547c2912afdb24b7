"""UTKFace: faces with age, gender and race in the names of their files."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from jaxcl.data._builders import _manual
from jaxcl.data._builders._own import OwnBuilder, Splits, images
from jaxcl.data._draws import Stream, permutation
from jaxcl.data._errors import DataError

_LOG = logging.getLogger(__name__)

GENDERS = ("male", "female")
RACES = ("white", "black", "asian", "indian", "others")
BIASES = {"race": ("white", "not_white"), "age": ("20_and_older", "10_and_younger")}
COUNT = 23_708
_SEED, _STREAM = 20_210, 0
# The paper's int(n * (1 - 0.9)) gives one less where ten divides n.
_MAJORITY_FOR_ONE = 10
_OLDEST = 150
_LAYOUT = _manual.Layout(
    folders=("UTKFace",),
    archives={"UTKFace.tar.gz": ""},
    marker="[0-9]*_*.jpg",
    max_bytes=2 << 30,
    max_files=50_000,
)


class UtkFace(OwnBuilder):
    """Faces, aligned and cropped, with age, gender and race: 23,708 images.

    A file is named `<age>_<gender>_<race>_<date>.jpg.chip.jpg`. Three official ones
    lack a field (`61_1_20170109142408075...`). Which one is missing cannot be known, as
    the uncropped image of one of them says `61_3`, so gender and race are both -1.
    Empty fields and impossible values are -1 as well, and a date is cut where anything
    but digits follows. The log says how many names have no value.

    Config `all` (the default) has one split, `train`. Configs `race_bias` and
    `age_bias` follow Hong and Yang: the label is the gender, the bias is race (white or
    not) or age (20 and older, or 10 and younger; faces between are left out).

    - `train`: four fifths of the files. All men with the first value of the bias are
      kept and all women with the second; the two other groups are cut to a tenth of the
      group that has the same bias (the paper's bias rate of 0.9).
    - `validation`, `test`: halves of the last fifth, in which no group is cut.

    The paper drew its division without a seed. Here it follows from the sorted names of
    the files; what one config holds out the other holds out too.

    Columns: image, label and gender (2, the same), race (5), age, date, bias (2, in the
    configs that have one), instance (the place among the sorted names).
    """

    BUILDER_CONFIGS: ClassVar = [
        tfds.core.BuilderConfig(name="all", description="All faces."),
        *(
            tfds.core.BuilderConfig(
                name=f"{bias}_bias",
                description=f"In training, {bias} goes with the gender.",
            )
            for bias in BIASES
        ),
    ]

    @property
    def _bias(self) -> str:
        """What goes with the gender in training, `race` or `age`; empty = nothing."""
        name, _, biased = self.config_name.partition("_")
        return name if biased else ""

    def _columns(self) -> dict[str, Any]:
        columns: dict[str, Any] = {
            "image": images(),
            "label": tfds.features.ClassLabel(names=GENDERS),
            "gender": tfds.features.ClassLabel(names=GENDERS),
            "race": tfds.features.ClassLabel(names=RACES),
            "age": tfds.features.Scalar(np.int32),
            "date": tfds.features.Text(),
            "instance": tfds.features.Scalar(np.int32),
        }
        if self._bias:
            columns["bias"] = tfds.features.ClassLabel(names=BIASES[self._bias])
        return columns

    def _examples(self, dl_manager: Any) -> Splits:
        root = _manual.find_root(Path(dl_manager.manual_dir), _LAYOUT)
        paths, faces = _read_names(root)
        _manual.compare_counts(self.name, root, len(paths), COUNT)
        splits = {"train": np.arange(len(paths))}
        examples = [
            {**face._asdict(), "image": path, "label": face.gender, "instance": row}
            for row, (path, face) in enumerate(zip(paths, faces, strict=True))
        ]
        if self._bias:
            bias = find_bias(faces, self._bias)
            splits = divide(np.array([face.gender for face in faces]), bias)
            for example, value in zip(examples, bias.tolist(), strict=True):
                example["bias"] = value
        return {
            split: [examples[row] for row in rows] for split, rows in splits.items()
        }


class Face(NamedTuple):
    """What a file name says; -1 and an empty text are missing values."""

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
    """The files in the order of their names, and the values in the names."""
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
    """Rows of every split of a config with a bias, in ascending order.

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
