import colorsys
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scipy import ndimage

from jaxcl.augment import (
    Box,
    augment_batch,
    augment_small,
    crop_and_resize,
    sample_keys,
)
from jaxcl.augment._blur import blur
from jaxcl.augment._color import jitter
from jaxcl.augment._draws import Draws
from jaxcl.augment._geometry import erase, rotate
from jaxcl.config import AugmentationConfig

ALWAYS = AugmentationConfig(
    jitter=1.0,
    blur=1.0,
    erase=1.0,
    brightness=0.0,
    contrast=0.0,
    saturation=0.0,
    hue=0.0,
)
MIDDLE = Draws(*[0.5] * len(Draws._fields))


def picture(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def planes(image):
    return jnp.moveaxis(jnp.float32(image) / 255.0, -1, 0)


def jittered(image, config, **draws):
    result = jitter(planes(image), MIDDLE._replace(jitter=0.0, **draws), config)
    return np.moveaxis(np.asarray(result), 0, -1)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_quarter_turns_are_exact(turns):
    image = jnp.float32(picture(9, 9, 3))
    found = rotate(image, 90.0 * turns)
    np.testing.assert_allclose(found, np.rot90(image, turns), atol=2e-3)


@pytest.mark.slow
def test_a_view_is_turned_by_up_to_the_angle_that_was_asked_for():
    # A single bright pixel, eight to the right of the center.
    image = np.zeros((600, 21, 21, 1), np.uint8)
    image[:, 10, 18] = 255
    config = AugmentationConfig(crop_scale=(1.0, 1.0), rotate=40.0)
    keys = sample_keys(0, 0, jnp.arange(600))
    views = np.asarray(augment_batch(keys, image, 1, config))[:, 0]
    light = views[..., 0] / views.sum(axis=(1, 2, 3))[:, None, None]
    row = light.sum(axis=2) @ np.arange(21) - 10
    column = light.sum(axis=1) @ np.arange(21) - 10
    degrees = np.rad2deg(np.arctan2(-row, column))
    assert np.abs(degrees).max() < 41
    # Uniform: mean 0, deviation 80 / √12; four standard errors.
    assert abs(degrees.mean()) < 4 * 23.1 / np.sqrt(600)
    assert abs(degrees.std() - 23.1) < 1.5


def test_a_rotation_is_that_of_scipy():
    image = np.zeros((15, 15, 1), np.float32)
    image[3:12, 3:12, 0] = picture(9, 9)
    expected = ndimage.rotate(
        image[:, :, 0], 25.0, reshape=False, order=1, mode="grid-constant"
    )
    np.testing.assert_allclose(
        rotate(jnp.asarray(image), 25.0)[:, :, 0], expected, atol=0.05
    )


@pytest.mark.parametrize("sigma", [0.5, 1.3])
def test_a_blur_is_that_of_scipy(sigma):
    config = dataclasses.replace(ALWAYS, blur_size=9, blur_sigma=(sigma, sigma))
    image = picture(20, 14, 3)
    found = np.moveaxis(np.asarray(blur(planes(image), MIDDLE, config)), 0, -1)
    expected = ndimage.gaussian_filter(
        image / 255.0, (sigma, sigma, 0), mode="mirror", radius=(4, 4, 0)
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "across"), [(32, 3), (96, 9), (224, 23)])
def test_a_kernel_is_a_tenth_of_the_view(size, across):
    light = jnp.zeros((1, size, size)).at[0, size // 2, size // 2].set(1.0)
    config = dataclasses.replace(ALWAYS, blur_sigma=(50.0, 50.0))
    blurred = np.asarray(blur(light, MIDDLE, config)[0])
    assert (blurred.max(axis=0) > 0).sum() == across
    assert (blurred.max(axis=1) > 0).sum() == across
    assert abs(blurred.sum() - 1) < 1e-5


def test_a_blurred_point_spreads_by_sigma_each_way():
    light = jnp.zeros((1, 41, 41)).at[0, 20, 20].set(1.0)
    config = dataclasses.replace(ALWAYS, blur_size=31, blur_sigma=(1.0, 3.0))
    blurred = np.asarray(blur(light, MIDDLE._replace(blur_sigma=0.5), config)[0])
    offset = np.arange(41) - 20
    for axis in (0, 1):
        assert abs(blurred.sum(axis=axis) @ offset**2 - 2.0**2) < 1e-3


def test_a_kernel_that_an_image_cannot_reflect_is_refused():
    config = dataclasses.replace(ALWAYS, blur_size=11)
    with pytest.raises(ValueError, match="`blur_size` must be less than twice"):
        blur(jnp.zeros((1, 20, 5)), MIDDLE, config)


@pytest.mark.slow
def test_erased_rectangles_have_the_share_that_was_asked_for():
    config = dataclasses.replace(ALWAYS, erase_scale=(0.1, 0.3))
    draws = jax.random.uniform(jax.random.key(1), (400, len(Draws._fields)))
    white = jnp.ones((1, 40, 40))
    left = jax.vmap(lambda row: erase(white, Draws(*row), config))(draws)
    share = 1.0 - np.asarray(left).mean(axis=(1, 2, 3))
    assert abs(share.mean() - 0.2) < 0.01
    assert share.min() > 0.07
    assert share.max() < 0.34
    # Rectangles: every row that is touched is touched at the same columns.
    touched = np.asarray(left)[:, 0] == 0
    rows, columns = touched.any(2), touched.any(1)
    np.testing.assert_array_equal(touched, rows[:, :, None] & columns[:, None, :])
    # Height / width lies between 0.3 and 3.3, lower as often as upright.
    height, width = rows.sum(axis=1), columns.sum(axis=1)
    assert (height + 1 >= 0.3 * (width - 1)).all()
    assert (height - 1 <= 3.3 * (width + 1)).all()
    assert abs((height > width).mean() - 0.5) < 0.12


@pytest.mark.parametrize("factor", [0.6, 1.4])
@pytest.mark.parametrize("kind", ["Brightness", "Contrast", "Color"])
def test_strengths_mean_what_they_mean_to_pillow(kind, factor):
    name = {"Color": "saturation"}.get(kind, kind.lower())
    config = dataclasses.replace(ALWAYS, **{name: 0.4}, hue_space="hsv")
    # Reddish, so that the mean luma is not the mean of all values.
    image = picture(8, 8, 3) // np.array([1, 2, 4], np.uint8)
    found = jittered(image, config, **{name: 0.0 if factor < 1 else 1.0})
    expected = getattr(ImageEnhance, kind)(Image.fromarray(image)).enhance(factor)
    # Pillow rounds to whole values, and the mean of the contrast as well.
    np.testing.assert_allclose(found * 255, np.asarray(expected), atol=1.6)


@pytest.mark.parametrize("turn", [-0.1, 0.1, 0.5])
def test_a_hue_of_hsv_is_that_of_the_standard_library(turn):
    config = dataclasses.replace(ALWAYS, hue=abs(turn), hue_space="hsv")
    image = picture(6, 6, 3)
    found = jittered(image, config, hue=0.0 if turn < 0 else 1.0)
    for color, pixel in zip(found.reshape(-1, 3), image.reshape(-1, 3), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*(pixel / 255.0))
        expected = colorsys.hsv_to_rgb((hue + turn) % 1.0, saturation, value)
        np.testing.assert_allclose(color, expected, atol=2e-5)


@pytest.mark.parametrize("space", ["yiq", "hsv"])
def test_gray_has_no_hue_to_turn(space):
    config = dataclasses.replace(ALWAYS, hue=0.3, saturation=0.5, hue_space=space)
    image = np.repeat(picture(6, 6, 1), 3, axis=2)
    found = jittered(image, config, hue=0.9, saturation=0.9)
    np.testing.assert_allclose(found, image / 255.0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(6, 6), (9, 5), (24, 24)])
def test_a_crop_to_another_size_is_that_of_pillow(size):
    image = picture(24, 24).astype(np.float32)
    box = Box(*map(jnp.float32, (0.25, 0.125, 0.5, 0.75)))
    found = crop_and_resize(
        jnp.asarray(image)[:, :, None], box, jnp.bool_(False), size
    )[:, :, 0]
    theirs = Image.fromarray(image).resize(
        (size[1], size[0]), Image.Resampling.BILINEAR, box=(3, 6, 21, 18)
    )
    inside = slice(1, -1)  # Pillow does not look beyond the box at its border
    np.testing.assert_allclose(
        found[inside, inside], np.asarray(theirs)[inside, inside], atol=0.05
    )


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.2, 0.7])
@pytest.mark.parametrize("operation", ["blur", "erase"])
def test_the_later_operations_fire_at_their_rates(operation, rate):
    nothing = AugmentationConfig(crop_scale=(1.0, 1.0))
    config = dataclasses.replace(nothing, **{operation: rate}, blur_sigma=(1.0, 2.0))
    batch = jnp.asarray(picture(1000, 5, 5, 1))
    keys = sample_keys(0, 0, jnp.arange(1000))
    views = augment_batch(keys, batch, 1, config)[:, 0]
    fired = np.abs(views - np.float32(batch) / 255.0).max(axis=(1, 2, 3)) > 1e-4
    assert abs(fired.mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / 1000)


@pytest.mark.slow
def test_small_crops_cover_the_share_that_was_asked_for():
    # Channels that say where a pixel comes from: its row, its column.
    places = np.arange(0, 256, 4, dtype=np.uint8)
    image = np.zeros((64, 64, 3), np.uint8)
    image[..., 0], image[..., 1] = places[:, None], places[None, :]
    images = np.repeat(image[None], 200, axis=0)
    config = AugmentationConfig(small_views=2, small_size=9, small_scale=(0.2, 0.4))
    keys = sample_keys(0, 0, jnp.arange(200))
    small = np.asarray(augment_small(keys, images, config)) * 255 / 4
    # Eight steps between the nine centers of rows, and of columns.
    height = (small[:, :, -1, 4, 0] - small[:, :, 0, 4, 0]) * 9 / 8 / 64
    width = (small[:, :, 4, -1, 1] - small[:, :, 4, 0, 1]) * 9 / 8 / 64
    # The triangles at the border of the image see nothing beyond it.
    area, ratio = height * width, width / height
    assert area.min() > 0.2 - 0.02
    assert area.max() < 0.4 + 0.01
    assert abs(area.mean() - 0.3) < 0.02
    assert ratio.min() > 0.75 - 0.05
    assert ratio.max() < 1.34 + 0.05
