import struct

import numpy as np
import pytest
import tensorflow_datasets as tfds

from jaxcl.data import build
from jaxcl.data._records import (
    JoinedRecords,
    ParsedRecords,
    TFRecordSource,
    flatten,
    open_records,
)

FEATURES = tfds.features.FeaturesDict(
    {
        "number": np.int64,
        "inside": tfds.features.FeaturesDict({"flag": np.bool_, "size": np.float32}),
    }
)


def example(number):
    return FEATURES.serialize_example(
        FEATURES.encode_example(
            {"number": number, "inside": {"flag": number % 2 == 0, "size": number / 2}}
        )
    )


class File:
    """One of tfds' instructions to read a file."""

    def __init__(self, filename, skip, take):
        self.filename, self.skip, self.take = filename, skip, take


def write_tfrecord(path, numbers):
    with path.open("wb") as file:
        for number in numbers:
            data = example(number)
            file.write(struct.pack("<Q", len(data)) + b"sums" + data + b"sums")


@pytest.fixture
def files(tmp_path):
    write_tfrecord(tmp_path / "one", range(5))
    write_tfrecord(tmp_path / "two", range(5, 12))
    return tmp_path


def test_tfrecords_are_read_at_any_position_without_tensorflow(files):
    source = TFRecordSource([File(files / "one", 1, 3), File(files / "two", 0, 7)])
    records = ParsedRecords(source, FEATURES)
    assert len(records) == 10
    found = records.read([9, 0, 2, 3])
    assert [record["number"] for record in found] == [11, 1, 3, 5]
    assert [record["inside.flag"] for record in found] == [False, False, False, False]
    assert [record["inside.size"] for record in found] == [5.5, 0.5, 1.5, 2.5]


def test_a_file_that_was_cut_off_fails_where_it_ends_only(files):
    whole = (files / "two").read_bytes()
    (files / "two").write_bytes(whole[: len(whole) - 25])
    records = ParsedRecords(TFRecordSource([File(files / "two", 0, 7)]), FEATURES)
    first, last = records.read([0, 6])
    assert first["number"] == 5
    assert isinstance(last, Exception)


def test_what_a_record_of_garbage_costs_is_itself_alone(files):
    data = bytearray((files / "one").read_bytes())
    length = len(example(0))
    data[12 : 12 + length] = b"\xff" * length
    (files / "one").write_bytes(data)
    records = ParsedRecords(TFRecordSource([File(files / "one", 0, 5)]), FEATURES)
    found = records.read(range(5))
    assert isinstance(found[0], Exception)
    assert [record["number"] for record in found[1:]] == [1, 2, 3, 4]


def test_joined_records_say_which_part_they_come_from(files):
    parts = [
        ParsedRecords(TFRecordSource([File(files / name, 0, count)]), FEATURES)
        for name, count in (("one", 5), ("two", 7))
    ]
    joined = JoinedRecords(parts, "domain")
    assert len(joined) == 12
    found = joined.read([11, 4, 5, 0])
    assert [record["number"] for record in found] == [11, 4, 5, 0]
    assert [record["domain"] for record in found] == [1, 0, 1, 0]


def test_fields_inside_fields_have_dotted_names():
    assert flatten({"a": {"b": {"c": 1}}, "d": 2}) == {"a.b.c": 1, "d": 2}
    assert set(flatten(FEATURES)) == {"number", "inside.flag", "inside.size"}


def test_images_stay_encoded_until_they_are_needed(data_dir):
    build("colored_digits/rho_0.9", str(data_dir))
    builder = tfds.builder("colored_digits/rho_0.9", data_dir=data_dir)
    record = open_records(builder, "id_test").read([3])[0]
    assert record["image"].startswith(b"\x89PNG")
