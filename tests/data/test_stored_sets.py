"""Sets as they lie on disk: damaged, in slices, in another format."""

import dataclasses
import json
import shutil
import struct

import numpy as np
import tensorflow_datasets as tfds

from jaxcl.config import SelectionConfig
from jaxcl.data import channel_statistics, open_data, open_split, read_images


def test_labels_are_hidden_from_the_right_samples_of_a_selection(damaged):
    chosen = SelectionConfig(validation_fraction=0.5, labeled_fraction=0.5, seed=2)
    data = open_data(
        dataclasses.replace(damaged, selection=chosen, batch_size=5, bad_records="skip")
    )
    assert 0 not in data.selection.train  # else rows and places would be the same
    shown = dict(
        zip(data.train.instances().tolist(), data.train.values("label"), strict=True)
    )
    # The label of a sample is whether its number is odd.
    assert {i: label for i, label in shown.items() if label >= 0} == {
        i: i % 2 for i in data.selection.labeled.tolist()
    }
    for batch in data.batches(0, 4):
        expected = [shown[i] for i in batch.instance.tolist()]
        assert batch.label.tolist() == expected


def test_a_sample_has_the_same_number_in_every_slice(damaged):
    split = open_split(damaged, "train[15:]")
    assert split.instances().tolist() == [15, 16, 17, 18, 19]


def test_statistics_leave_out_what_cannot_be_read(damaged):
    data = open_data(dataclasses.replace(damaged, bad_records="skip"))
    mean, deviation = channel_statistics(data.train)
    images = read_images(data.train, data.bad)
    readable = np.delete(images, [4, 11], axis=0).reshape(-1, 3) / 255.0
    np.testing.assert_allclose(mean, readable.mean(0), rtol=1e-12)
    np.testing.assert_allclose(deviation, readable.std(0), rtol=1e-12)


def test_a_set_stored_as_tfrecord_is_the_same_without_tensorflow(damaged, tmp_path):
    builder = tfds.builder("damaged", data_dir=damaged.data_dir)
    raw = builder.as_data_source(
        "train", deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES
    )
    folder = tmp_path / "damaged" / "1.0.0"
    shutil.copytree(builder.data_path, folder)
    for path in folder.glob("*array_record*"):
        path.unlink()
    with (folder / "damaged-train.tfrecord-00000-of-00001").open("wb") as file:
        for i in range(len(raw)):
            data = raw[i]
            file.write(struct.pack("<Q", len(data)) + b"sums" + data + b"sums")
    info = folder / "dataset_info.json"
    stored = json.loads(info.read_text().replace("array_record", "tfrecord"))
    assert stored["fileFormat"] == "tfrecord"
    info.write_text(json.dumps(stored))
    here = dataclasses.replace(damaged, bad_records="skip")
    there = dataclasses.replace(here, data_dir=str(tmp_path))
    for one, other in zip(
        open_data(here).batches(0, 4), open_data(there).batches(0, 4), strict=True
    ):
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.label, other.label)
        np.testing.assert_array_equal(one.where, other.where)
