"""What a stored data set says of itself, checked before tensorflow-datasets reads it.

tensorflow-datasets imports every module that these files name, and opens every file. A
directory of data can come from a stranger, so nothing that it names is imported, and
nothing outside of it is opened.
"""

import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core import dataset_info, naming

from jaxcl.data._errors import DataError
from jaxcl.files import read_regular

_PACKAGE = "tensorflow_datasets.core.features."
_READ = (
    *("features_dict.FeaturesDict", "sequence_feature.Sequence"),
    *("image_feature.Image", "class_label_feature.ClassLabel"),
    *("text_feature.Text", "scalar.Scalar", "tensor_feature.Tensor"),
    # The name of Tensor in files of older versions.
    *("feature.Tensor", "bounding_boxes.BBoxFeature"),
)
_TYPES = frozenset(_PACKAGE + name for name in _READ)
_SHOWN = ", ".join(sorted({name.split(".")[1] for name in _READ}))
# Two versions of the format, and the two spellings that protocol buffers accept.
_TYPE_KEYS = ("type", "pythonClassName", "python_class_name")
_COUNT_KEYS = ("num_classes", "numClasses")
_MOST_BYTES = 1 << 26
_MOST_DEPTH = 64
_MOST_CLASSES = 1 << 24
_NAME = re.compile(r"\w[\w.+-]*")
_TEMPLATE = re.compile(
    r"([\w.%=-]|\{(DATASET|SPLIT|FILEFORMAT|SHARD_INDEX|NUM_SHARDS|SHARD_X_OF_Y)\})+"
)


def check_stored(name: str, directory: Path) -> None:
    """Raises a `DataError` for a stored data set that may not be read.

    Args:
        name: A data set, or name/config, or with a version.
        directory: Where data sets are kept.
    """
    for folder in _folders(name, directory):
        try:
            _check_entries(folder)
            _check_types(_read_json(folder / "features.json"), 0)
            _check_object(_read_json(folder / "metadata.json"))
            _check_info(folder)
        except Exception as error:  # whatever a parser raises
            raise _refusal(folder, error) from error


def _refusal(path: Path, error: Exception) -> DataError:
    deep = isinstance(error, RecursionError)
    reason = "it is nested too deeply" if deep else str(error) or repr(error)
    reason = " ".join(reason.split())
    return DataError(f"stored data set {str(path)!r} cannot be read: {reason}")


def _folders(name: str, directory: Path) -> Iterator[Path]:
    """The folders that tensorflow-datasets may read for a name."""
    try:
        base, known = naming.parse_builder_name_kwargs(name)
    except ValueError as error:
        raise DataError(f"data set {name!r}: {error}") from error
    if set(known) - {"config", "version"}:
        raise DataError(
            f"data set {name!r} must be NAME, NAME/CONFIG or NAME/CONFIG:VERSION"
        )
    root = directory / base.name / str(known.get("config", ""))
    _check_default(root / ".config" / "metadata.json")
    for pattern in ("*.*.*", "*/*.*.*") if "config" not in known else ("*.*.*",):
        for folder in sorted(root.glob(pattern)):
            if tfds.core.Version.is_valid(folder.name):
                yield folder


def _check_default(file: Path) -> None:
    """Raises a `DataError` where the default config is elsewhere."""
    try:
        default = _check_object(_read_json(file)).get("default_config_name")
        if default is not None and not _is_name(default):
            raise ValueError(f"it must name a config, got {default!r:.50}")
    except (OSError, RecursionError, ValueError) as error:
        raise _refusal(file, error) from error


def _read_json(file: Path) -> Any:
    try:
        return json.loads(read_regular(file.resolve(), _MOST_BYTES))
    except (FileNotFoundError, NotADirectoryError):
        return {}


def _check_object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"it must hold an object, got {value!r:.50}")
    return value


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def _check_entries(folder: Path) -> None:
    """Raises a `ValueError` for devices, pipes, and links that lead elsewhere."""
    whole = folder.resolve()
    for path in folder.iterdir():
        if not path.resolve().is_relative_to(whole):
            raise ValueError(
                f"{path.name!r} is a link that leads out of the folder: copy the file, "
                "or link the whole folder"
            )
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise ValueError(f"{path.name!r} is not a regular file")


def _check_types(value: Any, depth: int) -> None:
    """Raises a `ValueError` for a type of column that is not on the list."""
    if depth > _MOST_DEPTH:
        raise RecursionError
    if isinstance(value, str) and value.lstrip().startswith("{"):
        value = _parse_part(value)
    parts = value if isinstance(value, list) else ()
    if isinstance(value, dict):
        parts = value.values()
        for key, part in value.items():
            _check_field(key, part)
    for part in parts:
        _check_types(part, depth + 1)


def _parse_part(text: str) -> Any:
    """JSON inside a text of JSON; other texts are descriptions."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _check_field(key: str, part: Any) -> None:
    # A column may have any name; what it is then stands in an object.
    if isinstance(part, str) and key in _TYPE_KEYS and part not in _TYPES:
        raise ValueError(
            f"it names the type {part!r:.80}, and types that files name are not "
            f"imported; build it again with types that are read: {_SHOWN}"
        )
    if isinstance(part, str) and key == "names_file":
        raise ValueError(f"it names the file {part!r:.80}, which is not read")
    counted = key in _COUNT_KEYS and isinstance(part, (int, float, str))
    if counted and not 0 <= int(part) <= _MOST_CLASSES:
        raise ValueError(f"it names {part!r:.30} classes")


def _check_info(folder: Path) -> None:
    """Raises a `ValueError` for files outside of the folder, or too small ones."""
    file = folder / "dataset_info.json"
    known = _check_object(_read_json(file))
    if not known:
        return
    _check_types(known.get("features"), 0)
    info: Any = dataset_info.read_from_json(file)
    for split in info.splits:
        template = split.filepath_template or naming.DEFAULT_FILENAME_TEMPLATE
        names = (info.name, split.name, info.file_format or "tfrecord")
        for name in names:
            if not _is_name(name):
                raise ValueError(f"it must hold names, got {name!r:.50}")
        if not _TEMPLATE.fullmatch(template):
            raise ValueError(f"its files must be in the folder, got {template!r:.80}")
        _check_sizes(folder, split, template, *names)


def _check_sizes(
    folder: Any, split: Any, template: str, name: str, part: str, suffix: str
) -> None:
    lengths = list(split.shard_lengths)
    known = naming.ShardedFileTemplate(folder, template, name, part, suffix)
    paths = map(Path, known.sharded_filepaths(len(lengths)))
    for path, length in zip(paths, lengths, strict=True):
        size = path.stat().st_size if path.exists() else length
        # An example takes some bytes; memory is reserved for all that are promised.
        if not 0 <= length <= size:
            raise ValueError(
                f"{path.name!r} must hold {length:,} examples, and has {size:,} bytes"
            )
