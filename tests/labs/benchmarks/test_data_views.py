import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.augment import augment_batch, sample_keys
from jaxcl.labs.benchmarks import DataBenchmark
from jaxcl.labs.benchmarks._children import run_job
from jaxcl.labs.benchmarks._data._options import AUGMENTATION
from jaxcl.labs.benchmarks._data._peers import tf_image_views
from jaxcl.labs.benchmarks._data._views import (
    Pictures,
    completed,
    draw_base,
    jax_views,
    make_pictures,
    tf_views,
)


def test_pictures_are_seeded_and_neither_black_nor_white():
    pictures = make_pictures(3, 16, seed=1)
    assert pictures.shape == (3, 16, 16, 3)
    assert pictures.dtype == np.uint8
    np.testing.assert_array_equal(pictures, make_pictures(3, 16, seed=1))
    assert (pictures != make_pictures(3, 16, seed=2)).mean() > 0.9
    assert 64 < pictures.mean() < 192
    # Neighbors are alike, as in a photograph.
    assert np.abs(np.diff(pictures.astype(float), axis=1)).mean() < 32


def test_the_stream_of_jax_holds_the_views_of_a_run():
    images = make_pictures(4, 8, seed=0)
    stream = jax_views(Pictures(images, seed=5))
    assert stream.images == 4
    batches = stream.start()
    for epoch in range(2):
        keys = sample_keys(5, epoch, jnp.arange(4))
        expected = augment_batch(keys, images, 2, AUGMENTATION)
        np.testing.assert_allclose(next(batches), expected, atol=1e-5)


def test_numbers_of_views_are_uniform_and_change_with_the_step():
    draw = draw_base(0, 512)
    first, second = draw(0), draw(1)
    assert first.shape == (512, 2, 11)
    assert first.dtype == np.float32
    assert abs(first.mean() - 0.5) < 0.01
    assert (first != second).all(axis=(0, 1)).any()


def test_completed_batches_come_in_order_and_the_source_is_closed():
    closed = []

    def source():
        try:
            for i in range(5):
                yield jnp.int32(i)
        finally:
            closed.append(True)

    batches = completed(source())
    assert [int(next(batches)) for _ in range(3)] == [0, 1, 2]
    batches.close()
    assert closed == [True]


def test_tf_data_makes_the_views_that_jax_makes():
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    pictures = Pictures(make_pictures(4, 16, seed=0), seed=5)
    ours, theirs = tf_views(pictures).start(), jax_views(pictures).start()
    for _ in range(2):
        np.testing.assert_allclose(next(ours), next(theirs), atol=1e-3)


def test_the_customary_views_of_tf_image_are_two_and_differ():
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    pictures = Pictures(make_pictures(4, 16, seed=0), seed=5)
    batches = tf_image_views(pictures).start()
    first, second = next(batches), next(batches)
    assert first.shape == (4, 2, 16, 16, 3)
    assert first.dtype == np.float32
    assert first.min() >= 0
    assert first.max() <= 1
    assert np.abs(first[:, 0] - first[:, 1]).mean() > 0.01
    # The same images, other numbers.
    assert np.abs(first - second).mean() > 0.01


def test_torchvision_takes_part_where_it_is_installed():
    pytest.importorskip("torchvision", reason="torchvision is not installed")
    options = DataBenchmark(
        sizes=(16,),
        paths=("torchvision",),
        threads=(1,),
        rounds=1,
        seconds=0.01,
        data=(),
    )
    (job,) = options.plan("cpu")
    found = {one.quantity: one for one in run_job(job)}
    assert found["wall"].status == "measured", found
    assert found["wall ratio"].value > 0
