"""Data sets out of arrays and data frames."""

import dataclasses
import datetime

import numpy as np
import pandas
import pytest
from PIL import Image

from jaxcl.config import DataConfig
from jaxcl.data import DataError, from_arrays, from_dataframe, open_data, open_split

COUNT = 6
PIXELS = np.random.default_rng(0).integers(0, 256, (COUNT, 5, 4, 3), np.uint8)


def stored(name, split="train", **fields):
    """The whole split, in the order of its instances."""
    config = DataConfig(name=name, batch_size=COUNT, test_splits=(), **fields)
    config = dataclasses.replace(config, train_split=split)
    batch = next(iter(open_data(config, tests=False).batches(0, 1)))
    order = np.argsort(batch.instance)
    values = {**vars(batch), **batch.metadata}
    return {k: v[order] for k, v in values.items() if isinstance(v, np.ndarray)}


@pytest.mark.parametrize("pixels", [PIXELS, PIXELS[..., 0], PIXELS[..., :1]])
def test_pixels_come_back_as_they_were(pixels):
    found = stored(from_arrays(image=pixels))["image"]
    np.testing.assert_array_equal(found.squeeze(), pixels.squeeze())
    assert found.shape == (COUNT, 5, 4, 3 if pixels.shape[3:] == (3,) else 1)


def test_columns_have_their_kinds():
    dates = [datetime.date(1970, 1, day) for day in range(1, COUNT + 1)]
    name = from_arrays(
        image=PIXELS,
        label=np.array([2, 0, -1, 2, 0, 2]),
        domain=["b", "a", "", "b", "a", "b"],
        bias=np.array([-7, 5, -1, 5, -7, 5]),
        celsius=np.array([-1, -2, 3, 4, -1, 6]),
        age=np.array([1.5, np.nan, 3.0, 4.0, 5.0, 6.0]),
        patient=3_000_000_000 + np.arange(COUNT) // 2,
        pose=np.arange(12.0).reshape(COUNT, 2),
        day=np.array(dates, "datetime64[D]"),
    )
    found = stored(name, domain="domain", bias="bias")
    assert found["label"].tolist() == [1, 0, -1, 1, 0, 1]
    assert found["domain"].tolist() == [1, 0, -1, 1, 0, 1]
    assert found["bias"].tolist() == [0, 1, -1, 1, 0, 1]
    assert found["celsius"].tolist() == [-1, -2, 3, 4, -1, 6]
    np.testing.assert_array_equal(found["age"], [1.5, np.nan, 3, 4, 5, 6])
    assert found["patient"].tolist() == [0, 0, 1, 1, 2, 2]
    np.testing.assert_array_equal(found["pose"], np.arange(12.0).reshape(COUNT, 2))
    assert found["day"].tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("label", [-1, np.int64(-1), -1.0, None, np.nan, ""])
def test_minus_one_is_no_class_however_labels_are_given(label):
    given = ["b", "a", label, "b", "a", "b"]
    numbers = [7, 3, label, 7, 3, 7]
    masked = np.ma.masked_array([7, 3, 99, 7, 3, 7], [0, 0, 1, 0, 0, 0])
    for labels in (given, numbers, pandas.Series(numbers), masked):
        found = stored(from_arrays(image=PIXELS, label=labels))
        assert found["label"].tolist() == [1, 0, -1, 1, 0, 1]


def test_what_is_masked_is_unknown():
    ages = np.ma.masked_array([30, 31, -999, 33, 34, 35], [0, 0, 1, 0, 0, 0])
    found = stored(from_arrays(image=PIXELS, age=ages, size=[np.float32(1.5)] * 6))
    np.testing.assert_array_equal(found["age"], [30, 31, np.nan, 33, 34, 35])
    assert found["size"].tolist() == [1.5] * 6


def test_splits_and_instances_are_those_given():
    split = ["train", "test"] * 3
    name = from_arrays(image=PIXELS, split=split, instance=[5, 4, 3, 2, 1, 0])
    test = open_split(DataConfig(name=name), "test")
    assert test.instances().tolist() == [4, 2, 0]
    assert len(open_split(DataConfig(name=name), "train")) == 3


def test_equal_arrays_are_one_data_set_and_others_are_not(tmp_path):
    def name(pixels=PIXELS, **columns):
        return from_arrays(image=pixels, data_dir=str(tmp_path), **columns)

    labels = ["a", "b", "c"] * 2
    assert name(label=labels) == name(label=labels)
    others = [{}, {"label": labels[::-1]}, {"age": labels}, {"pixels": PIXELS[::-1]}]
    assert len({name(**{"label": labels, **other}) for other in others}) == 4
    assert name(label=["d", "e", "f"] * 2) != name(label=labels)


WRONG = [
    ({"image": PIXELS / 255}, r"`image` must be uint8 .* got float64 \[6, 5, 4, 3\]"),
    ({"image": PIXELS[..., :2]}, r"1 or 3 channels as last axis, got uint8"),
    (
        {"label": [1, 2]},
        "`label` must have one value for each of the 6 images, got shape",
    ),
    ({"pose": np.zeros((5, 2))}, r"`pose` must have one value .* got shape \(5, 2\)"),
    ({"pose": 1.7e9 + np.arange(12).reshape(6, 2) / 2}, r"0\]` must be .* rounded"),
    ({"pose": 1.7e9 + np.arange(12).reshape(6, 2) / 3}, r"0\]` must be .* too little"),
    ({"pose": 2**40 + np.arange(12).reshape(6, 2)}, r"0\]` must be .* beyond 32 bits"),
    ({"age": 5}, "`age` must be an array or a list"),
    ({"age": [[1, 2], [1]] * 3}, "'age', position 0: holds a list"),
    ({"image": [PIXELS[0], PIXELS[0][:3]] * 3}, "`image` must be an array or a list"),
    ({"instance": [0] * COUNT}, "0 is there already, in position 0"),
    ({"split": ["a b"] * COUNT}, "split 'a b' must be letters"),
]


@pytest.mark.parametrize(("given", "message"), WRONG)
def test_what_cannot_be_kept_is_named(given, message):
    with pytest.raises(DataError, match=message):
        from_arrays(**{"image": PIXELS, **given})


def test_a_data_frame_is_a_table_of_a_folder(tmp_path):
    for i in range(COUNT):
        Image.fromarray(PIXELS[i]).save(tmp_path / f"{i}.png")
    frame = pandas.DataFrame(
        {
            "path": [f"{i}.png" for i in range(COUNT)],
            "label": list("abcabc"),
            "age": [30, 35, None, 40, 20, 25],
        }
    )
    found = stored(from_dataframe(frame, tmp_path), image_size=4)
    np.testing.assert_array_equal(found["age"], [30, 35, np.nan, 40, 20, 25])
    assert found["label"].tolist() == [0, 1, 2, 0, 1, 2]
    assert from_dataframe(frame, tmp_path) != from_dataframe(frame[:5], tmp_path)


def test_a_frame_that_no_table_can_hold_is_refused(tmp_path):
    with pytest.raises(DataError, match="`frame` cannot be kept as a table"):
        from_dataframe(pandas.DataFrame({"path": ["a.png"], "x": [object()]}), tmp_path)
