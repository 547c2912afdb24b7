import colorsys
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scipy import ndimage

from jaxcl._recipes import RECIPES
from jaxcl.augment import Box, augment_batch, crop_and_resize, sample_keys
from jaxcl.augment._blur import blur
from jaxcl.augment._color import jitter
from jaxcl.augment._draws import Draws
from jaxcl.augment._geometry import erase, rotate
from jaxcl.config import AugmentationConfig, from_dict

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


@pytest.mark.parametrize("factor", [0.6, 1.4])
@pytest.mark.parametrize("kind", ["Brightness", "Contrast", "Color"])
def test_strengths_mean_what_they_mean_to_pillow(kind, factor):
    name = {"Color": "saturation"}.get(kind, kind.lower())
    config = dataclasses.replace(ALWAYS, **{name: 0.4}, hue_space="hsv")
    image = picture(8, 8, 3) // 2 + 50
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


@pytest.mark.parametrize("rate", [0.2, 0.7])
@pytest.mark.parametrize("operation", ["blur", "erase"])
def test_the_later_operations_fire_at_their_rates(operation, rate):
    nothing = AugmentationConfig(crop_scale=(1.0, 1.0))
    config = dataclasses.replace(nothing, **{operation: rate}, blur_sigma=(1.0, 2.0))
    batch = jnp.asarray(picture(1000, 5, 5, 1))
    keys = sample_keys(0, 0, jnp.arange(1000))
    views = augment_batch(keys, batch, 1, config)[0]
    fired = np.abs(views - np.float32(batch) / 255.0).max(axis=(1, 2, 3)) > 1e-4
    assert abs(fired.mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / 1000)


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_every_recipe_is_a_config_that_holds_its_rules(recipe):
    views = 2
    given = {"recipe": recipe}
    objective = {"name": "within_domain"} if recipe == "multi_crop" else {}
    config = from_dict(
        {
            "augmentation": given,
            "data": {"views": views, "domain": "domain"},
            "objective": objective,
        }
    )
    config.check()
    for name, value in RECIPES[recipe].items():
        found = getattr(config.augmentation, name)
        assert found == (tuple(value) if isinstance(value, (list, tuple)) else value)


def test_what_is_given_comes_after_the_recipe():
    config = from_dict({"augmentation": {"recipe": "simclr", "grayscale": 0.0}})
    assert config.augmentation.grayscale == 0.0
    assert config.augmentation.jitter == 0.8
    assert config.augmentation.crop_scale == (0.08, 1.0)


def test_all_recipes_are_there():
    names = AugmentationConfig.__dataclass_fields__["recipe"].type.__args__
    assert {*RECIPES, "custom"} == set(names)


def test_one_program_serves_every_epoch():
    traces = []

    @functools.partial(jax.jit, static_argnames="views")
    def views_of(epoch, instances, batch, views):
        traces.append(epoch)
        keys = sample_keys(0, epoch, instances)
        return augment_batch(keys, batch, views, AugmentationConfig())

    for epoch in range(3):
        views_of(jnp.int32(epoch), jnp.arange(2), picture(2, 6, 6, 3), views=2)
    assert len(traces) == 1
