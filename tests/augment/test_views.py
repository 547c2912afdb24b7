import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxcl.augment import (
    BASE_DRAWS,
    Box,
    augment_batch,
    augment_small,
    crop_and_resize,
    sample_keys,
)
from jaxcl.augment._draws import Draws
from jaxcl.augment._geometry import draw_box
from jaxcl.config import AugmentationConfig

NOTHING = AugmentationConfig(crop_scale=(1.0, 1.0), flip=0.0, jitter=0.0)
EVERYTHING = AugmentationConfig(
    plain_views=1,
    crop_scale=(0.08, 1.0),
    flip=0.5,
    rotate=30.0,
    jitter=0.8,
    brightness=0.8,
    hue=0.5,
    hue_space="hsv",
    grayscale=0.2,
    blur=0.5,
    erase=0.5,
    small_views=2,
    small_size=7,
)


def images(count=64, size=12, channels=3, seed=0):
    generator = np.random.default_rng(seed)
    shape = (count, size, size, channels)
    return jnp.asarray(generator.integers(0, 256, shape, dtype=np.uint8))


# As one program: run piece by piece, every operation would be compiled alone.
make_views = jax.jit(augment_batch, static_argnums=(2, 3))
make_small = jax.jit(augment_small, static_argnums=2)


def draw(config, batch, seed=0, epoch=0, views=2):
    keys = sample_keys(seed, jnp.int32(epoch), jnp.arange(len(batch)))
    return np.asarray(make_views(keys, batch, views, config))


def test_without_operations_a_view_is_its_image():
    batch = images()
    views = draw(NOTHING, batch)
    np.testing.assert_allclose(views[:, 0], np.float32(batch) / 255.0, atol=1e-7)
    np.testing.assert_array_equal(views[:, 1], views[:, 0])


def test_views_do_not_depend_on_the_batch_they_are_drawn_in():
    batch = images(6)
    keys = sample_keys(0, jnp.arange(6), jnp.arange(6))

    def make(keys, batch):
        views = make_views(keys, batch, 3, EVERYTHING)
        return views, make_small(keys, batch, EVERYTHING)

    together = make(keys, batch)
    for part in (slice(0, 3), slice(3, 6)):
        alone = make(keys[part], batch[part])
        for found, expected in zip(alone, together, strict=True):
            np.testing.assert_allclose(found, expected[part], atol=1e-6)


@pytest.mark.parametrize("change", [{"seed": 1}, {"epoch": 1}])
def test_another_seed_or_epoch_gives_other_views(change):
    batch = images(4)
    config = AugmentationConfig()
    assert np.abs(draw(config, batch) - draw(config, batch, **change)).max() > 0.1


def test_the_two_views_differ():
    views = draw(AugmentationConfig(), images(4))
    assert np.abs(views[:, 0] - views[:, 1]).max() > 0.1


@pytest.mark.parametrize("space", ["yiq", "hsv"])
def test_values_stay_between_zero_and_one(space):
    config = dataclasses.replace(EVERYTHING, hue_space=space)
    views = draw(config, images())
    assert views.min() >= 0.0
    assert views.max() <= 1.0 + 1e-6


def test_the_whole_box_is_the_image_and_its_flip_the_mirror_image():
    image = jnp.float32(images(1)[0]) / 255.0
    whole = Box(*map(jnp.float32, (0, 0, 1, 1)))
    same = crop_and_resize(image, whole, jnp.bool_(False))
    mirrored = crop_and_resize(image, whole, jnp.bool_(True))
    np.testing.assert_allclose(same, image, atol=1e-6)
    np.testing.assert_allclose(mirrored, image[:, ::-1], atol=1e-6)


def test_a_crop_agrees_with_pillow():
    # Enlarging, where the bilinear filters of both are the same triangle.
    image = np.float32(images(1, size=16, channels=1)[0, :, :, 0])
    box = Box(*map(jnp.float32, (0.25, 0.125, 0.5, 0.5)))
    ours = crop_and_resize(jnp.asarray(image[:, :, None]), box, jnp.bool_(False))[
        :, :, 0
    ]
    theirs = Image.fromarray(image).resize(
        (16, 16), Image.Resampling.BILINEAR, box=(2, 4, 10, 12)
    )
    inside = slice(1, -1)  # Pillow does not look beyond the box at its border
    np.testing.assert_allclose(
        ours[inside, inside], np.asarray(theirs)[inside, inside], atol=1e-3
    )


@pytest.mark.parametrize("rate", [0.25, 0.8])
@pytest.mark.parametrize("operation", ["flip", "jitter", "grayscale"])
def test_every_operation_fires_at_its_rate(operation, rate):
    config = dataclasses.replace(NOTHING, **{operation: rate})
    batch = images(1000, size=4)
    views = draw(config, batch, views=1)[:, 0]
    original = np.float32(batch) / 255.0
    fired = np.abs(views - original).max(axis=(1, 2, 3)) > 1e-4
    # Four standard deviations of a share of 1000 draws.
    assert abs(fired.mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / 1000)


def test_grayscale_leaves_no_color():
    config = dataclasses.replace(NOTHING, grayscale=1.0)
    views = draw(config, images(4))
    np.testing.assert_allclose(views[..., 0], views[..., 1], atol=1e-6)
    np.testing.assert_allclose(views[..., 0], views[..., 2], atol=1e-6)


def test_a_turn_of_the_hue_keeps_the_luma():
    config = dataclasses.replace(
        NOTHING, jitter=1.0, brightness=0.0, contrast=0.0, saturation=0.0, hue=0.02
    )
    gentle = images(16, size=4) // 4 + 96  # far from where values are cut off
    views = draw(config, gentle)
    luma = np.array([0.299, 0.587, 0.114])
    expected = (np.float32(gentle) / 255.0) @ luma
    np.testing.assert_allclose(views[:, 0] @ luma, expected, atol=2e-3)
    assert np.abs(views[:, 0] - np.float32(gentle) / 255.0).max() > 1e-3


def test_crops_have_the_area_and_shape_that_was_asked_for():
    config = AugmentationConfig(crop_scale=(0.3, 0.5), crop_ratio=(0.8, 1.25))
    draws = jax.random.uniform(jax.random.key(0), (2000, len(BASE_DRAWS)))
    boxes = jax.vmap(lambda row: draw_box(Draws(*row), config))(draws)
    area = np.asarray(boxes.height * boxes.width)
    ratio = np.asarray(boxes.width / boxes.height)
    assert area.min() > 0.3 - 1e-5
    assert area.max() < 0.5 + 1e-5
    assert abs(area.mean() - 0.4) < 0.01
    assert ratio.min() > 0.8 - 1e-4
    assert ratio.max() < 1.25 + 1e-4
    for start, extent in ((boxes.top, boxes.height), (boxes.left, boxes.width)):
        assert float(jnp.min(start)) >= 0
        assert float(jnp.max(start + extent)) <= 1 + 1e-6


def test_gray_images_have_views_too():
    config = AugmentationConfig(flip=0.5, jitter=1.0, grayscale=0.5)
    assert draw(config, images(4, channels=1)).shape == (4, 2, 12, 12, 1)


def test_all_views_can_be_plain():
    config = dataclasses.replace(NOTHING, plain_views=5)
    batch = images(2)
    views = draw(config, batch)
    assert views.shape == (2, 2, 12, 12, 3)
    np.testing.assert_allclose(views[:, 1], np.float32(batch) / 255.0, atol=1e-7)


@pytest.mark.slow
def test_plain_views_are_the_image_and_change_no_other_view():
    batch = images(8)
    plain = draw(EVERYTHING, batch, views=3)
    drawn = draw(dataclasses.replace(EVERYTHING, plain_views=0), batch, views=3)
    np.testing.assert_allclose(plain[:, 0], np.float32(batch) / 255.0, atol=1e-7)
    np.testing.assert_allclose(plain[:, 1:], drawn[:, 1:], atol=1e-6)


@pytest.mark.slow
def test_small_crops_have_their_size_and_their_share_of_the_image():
    config = AugmentationConfig(small_views=3, small_size=6, small_scale=(0.2, 0.3))
    batch = images(16, size=24)
    keys = sample_keys(0, 0, jnp.arange(16))
    small = augment_small(keys, batch, config)
    assert small.shape == (16, 3, 6, 6, 3)
    # The average of noise over more pixels is calmer: antialiasing is at work.
    assert np.asarray(small).std() < 0.8 * np.float32(batch / 255.0).std()
    assert np.asarray(small).min() >= 0
    assert np.asarray(small).max() <= 1


def test_one_program_serves_every_epoch():
    traces = []

    @functools.partial(jax.jit, static_argnames="views")
    def views_of(epoch, instances, batch, views):
        traces.append(epoch)
        keys = sample_keys(0, epoch, instances)
        return augment_batch(keys, batch, views, AugmentationConfig())

    for epoch in range(3):
        views_of(jnp.int32(epoch), jnp.arange(2), images(2), views=2)
    assert len(traces) == 1
