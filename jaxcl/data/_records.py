"""Records of a split by position: parsed, but with their images still encoded."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Int

Record = Mapping[str, Any]
Positions = Int[np.ndarray, " positions"] | Sequence[int]


@runtime_checkable
class Records(Protocol):
    """Samples by position."""

    def __len__(self) -> int: ...

    def read(self, positions: Positions) -> list[Record | Exception]:
        """Columns of samples, or the error of a sample that cannot be read."""
        ...


class ParsedRecords:
    """Examples of tfds as flat dicts; ``attributes.Male`` is a column inside another.

    Args:
        raw: Serialized examples by position.
        features: The tfds features of their fields.
    """

    def __init__(self, raw: Any, features: Any):
        self._raw = raw
        self._features = features = _without_inner_images(features)
        # Images are decoded later: in threads, and with a policy for errors.
        self._decoders = {
            name: tfds.decode.SkipDecoding()
            for name, feature in features.items()
            if isinstance(feature, tfds.features.Image)
        }

    def __len__(self) -> int:
        return len(self._raw)

    def read(self, positions: Positions) -> list[Record | Exception]:
        """See `Records`."""
        positions = [int(position) for position in positions]
        try:
            raws = self._raw.__getitems__(positions)
        except Exception:
            # One bad record fails them all; one by one the others can be read.
            raws = [self._read_raw(position) for position in positions]
        return [self._parse(raw) for raw in raws]

    def _read_raw(self, position: int) -> bytes | Exception:
        try:
            return self._raw[position]
        except Exception as error:  # whatever a reader of files raises
            return error

    def _parse(self, raw: bytes | Exception) -> Record | Exception:
        if isinstance(raw, Exception):
            return raw
        try:
            example = self._features.deserialize_example_np(
                raw, decoders=self._decoders
            )
        except Exception as error:  # whatever a parser of bytes raises
            return error
        return flatten(example)


def _without_inner_images(features: Any) -> Any:
    """Features without images inside others, which tfds would decode in its own way."""
    return tfds.features.FeaturesDict(
        {
            name: feature
            for name, feature in features.items()
            if isinstance(feature, tfds.features.Image) or not _holds_image(feature)
        }
    )


def _holds_image(feature: Any) -> bool:
    if isinstance(feature, tfds.features.Sequence):
        return _holds_image(feature.feature)
    if isinstance(feature, tfds.features.FeaturesDict):
        return any(map(_holds_image, feature.values()))
    return isinstance(feature, tfds.features.Image)


class JoinedRecords:
    """Several splits one after the other, with a column of their numbers.

    Args:
        parts: The records of each.
        column: The name of the column.
    """

    def __init__(self, parts: Sequence[Records], column: str):
        self._parts, self._column = parts, column
        self._starts = np.cumsum([0, *map(len, parts)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def read(self, positions: Positions) -> list[Record | Exception]:
        """See `Records`."""
        asked = np.asarray(positions, np.int64)
        which = np.searchsorted(self._starts, asked, side="right") - 1
        found: list[Record | Exception] = [KeyError()] * len(asked)
        for part in np.unique(which).tolist():
            places = np.flatnonzero(which == part).tolist()
            records = self._parts[part].read(asked[places] - self._starts[part])
            for place, record in zip(places, records, strict=True):
                if not isinstance(record, Exception):
                    record = {**record, self._column: part}
                found[place] = record
        return found


class TFRecordSource:
    """Random access to TFRecord files, without TensorFlow.

    A TFRecord is a length of eight bytes, its checksum, the bytes, their checksum. A
    walk over the lengths finds the start of each example.

    Args:
        instructions: tfds' list of files, and how many examples of each to take.
    """

    def __init__(self, instructions: Sequence[Any]):
        self._files = [str(instruction.filename) for instruction in instructions]
        places = [
            _find_examples(name)[instruction.skip :][: instruction.take]
            for name, instruction in zip(self._files, instructions, strict=True)
        ]
        self._file = np.repeat(np.arange(len(places)), [len(part) for part in places])
        self._place = np.concatenate([np.empty((0, 2), np.int64), *places])

    def __len__(self) -> int:
        return len(self._place)

    def __getitem__(self, position: int) -> bytes:
        start, length = self._place[position].tolist()
        name = self._files[self._file[position]]
        # Opened for each example, so that threads and processes share no handle.
        with open(name, "rb") as file:
            file.seek(start)
            data = file.read(length)
        if len(data) != length:
            raise OSError(f"{name} ends within example {position}")
        return data

    def __getitems__(self, positions: Sequence[int]) -> list[bytes]:
        return [self[position] for position in positions]


def _find_examples(name: str) -> np.ndarray:
    """Start and length of every example of a TFRecord file, `[examples, 2]`."""
    places = []
    with open(name, "rb") as file:
        size = file.seek(0, 2)
        start = 0
        while start < size:
            file.seek(start)
            header = file.read(12)
            if len(header) < 12:
                break
            length = struct.unpack("<Q", header[:8])[0]
            places.append((start + 12, length))
            start += 12 + length + 4
    return np.array(places, np.int64).reshape(-1, 2)


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Fields inside fields, or features inside features, under dotted names."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, (dict, tfds.features.FeaturesDict)):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def open_records(builder: Any, split: str) -> Records:
    """The records of a split of a builder that is stored on disk."""
    if builder.info.file_format.value == "tfrecord":
        instructions = builder.info.splits[split].file_instructions
        return ParsedRecords(TFRecordSource(instructions), builder.info.features)
    raw = builder.as_data_source(
        split=split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES
    )
    return ParsedRecords(raw, builder.info.features)
