import dataclasses

import numpy as np
import pytest

from jaxcl.config import DataConfig
from jaxcl.data import (
    DataError,
    ImageCache,
    _batches,
    open_data,
    read_images,
)

CONFIG = DataConfig(
    name="colored_digits/rho_0.9",
    domain="domain",
    batch_size=10,
    train_split="train[:60]",
    test_splits=("id_test",),
)


@pytest.fixture
def decoded(monkeypatch):
    """Counts decoded images."""
    counts = []

    def decode(data, *how, real=_batches.decode_image):
        counts.append(1)
        return real(data, *how)

    monkeypatch.setattr(_batches, "decode_image", decode)
    return counts


def as_lists(batches):
    return [
        {
            name: None if value is None else np.asarray(value).tolist()
            for name, value in vars(batch).items()
            if name != "metadata"
        }
        for batch in batches
    ]


def test_batches_are_those_that_are_read_without_it():
    with_cache = open_data(CONFIG, cache=ImageCache())
    without = open_data(CONFIG)
    for _ in range(2):
        batches = [
            list(data.evaluation_batches(data.tests["id_test"], 70, 200))
            for data in (with_cache, without)
        ]
        assert as_lists(batches[0]) == as_lists(batches[1])
    images = read_images(without.train, without.bad)
    assert np.array_equal(with_cache.train_images(), images)


def test_an_image_is_decoded_once_for_all_runs(decoded):
    cache = ImageCache()
    first = open_data(CONFIG, cache=cache)
    whole = first.train_images()
    assert len(decoded) == 60
    other = dataclasses.replace(CONFIG, train_split="train[50:70]")
    second = open_data(other, cache=cache).train_images()
    assert np.array_equal(second[:10], whole[50:])
    assert len(decoded) == 70
    again = open_data(CONFIG, cache=cache)
    assert np.array_equal(again.train_images(), whole)
    list(again.evaluation_batches(again.tests["id_test"], 50, 100))
    list(again.evaluation_batches(again.tests["id_test"], 50, 100))
    assert len(decoded) == 170


def test_images_of_another_shape_or_data_set_are_others():
    cache = ImageCache()
    shapes = [
        open_data(dataclasses.replace(CONFIG, **fields), cache=cache).train_images()
        for fields in ({}, {"image_size": 8}, {"name": "colored_digits/rho_0.1"})
    ]
    assert [images.shape[1] for images in shapes] == [16, 8, 16]
    assert not np.array_equal(shapes[0], shapes[2])


def test_what_does_not_fit_is_read_again(decoded):
    data = open_data(CONFIG, cache=ImageCache(limit=16 * 16 * 3 * 59))
    images = data.train_images()
    assert np.array_equal(data.train_images(), images)
    assert len(decoded) == 120


def test_every_run_hears_of_an_image_that_cannot_be_read(monkeypatch):
    def decode(data, *how, real=_batches.decode_image, seen=[]):  # noqa: B006
        seen.append(1)
        if len(seen) % 60 == 5:
            raise OSError("torn")
        return real(data, *how)

    monkeypatch.setattr(_batches, "decode_image", decode)
    config = dataclasses.replace(CONFIG, bad_records="skip")
    cache = ImageCache()
    data = open_data(config, cache=cache)
    assert not data.train_images()[4].any()
    assert len(data.bad.found) == 1
    monkeypatch.setattr(_batches, "decode_image", torn)
    strict = open_data(CONFIG, cache=cache)
    with pytest.raises(DataError, match="record 4 of split"):
        strict.train_images()


def torn(data, *how):
    raise OSError("torn")
