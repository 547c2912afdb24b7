from typing import get_args, get_type_hints

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.augment import augment_batch, augment_small, sample_keys
from jaxcl.config import AugmentationConfig, from_dict
from jaxcl.config._recipes import RECIPES


def read(recipe, **given):
    tree = {"augmentation": {"recipe": recipe, **given}}
    if recipe == "multi_crop":  # the losses of two views take no small crops
        tree |= {"objective": {"name": "within_domain"}, "data": {"domain": "domain"}}
    return from_dict(tree)


def test_all_recipes_are_there():
    names = get_args(get_type_hints(AugmentationConfig)["recipe"])
    assert {*RECIPES, "custom"} == set(names)


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_every_recipe_is_a_config_that_holds_its_rules(recipe):
    config = read(recipe)
    config.check()
    for name, value in RECIPES[recipe].items():
        assert getattr(config.augmentation, name) == value


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_every_recipe_makes_views(recipe):
    config = read(recipe).augmentation

    def make(images):
        keys = sample_keys(0, 0, jnp.arange(4))
        return augment_batch(keys, images, 2, config), augment_small(
            keys, images, config
        )

    images = jax.ShapeDtypeStruct((4, 32, 32, 3), "uint8")
    views, small = jax.eval_shape(make, images)
    assert views.shape == (4, 2, 32, 32, 3)
    assert small.shape == (4, config.small_views, 96, 96, 3)


def test_what_is_given_comes_after_the_recipe():
    config = read("simclr", grayscale=0.0).augmentation
    assert config.grayscale == 0.0
    assert config.jitter == 0.8
    assert config.crop_scale == (0.08, 1.0)


def test_the_recipe_none_leaves_images_alone():
    images = np.random.default_rng(0).integers(0, 256, (3, 6, 6, 3), dtype=np.uint8)
    keys = sample_keys(0, 0, jnp.arange(3))
    views = augment_batch(keys, images, 2, read("none").augmentation)
    np.testing.assert_array_equal(views[:, 0], np.float32(images) / np.float32(255))
    np.testing.assert_array_equal(views[:, 1], views[:, 0])
