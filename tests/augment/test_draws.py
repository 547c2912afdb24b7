import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.augment import (
    BASE_DRAWS,
    EXTRA_DRAWS,
    augment_batch,
    draw_numbers,
    sample_keys,
)
from jaxcl.config import AugmentationConfig

NOTHING = AugmentationConfig(crop_scale=(1.0, 1.0))
BLURRED = AugmentationConfig(blur=0.5)


def test_the_numbers_have_these_names_in_this_order():
    # Whoever stored numbers, or makes views from them elsewhere, counts on it.
    base = (
        "area ratio top left flip jitter brightness contrast saturation hue grayscale"
    )
    extra = "rotate blur blur_sigma erase erase_area erase_ratio erase_top erase_left"
    assert list(BASE_DRAWS) == base.split()
    assert list(EXTRA_DRAWS) == extra.split()


def test_a_key_is_made_of_seed_then_epoch_then_sample():
    keys = sample_keys(3, jnp.array([4, 9]), np.array([100, 7]))
    for found, epoch, instance in zip(keys, (4, 9), (100, 7), strict=True):
        of_epoch = jax.random.fold_in(jax.random.key(3), epoch)
        assert found == jax.random.fold_in(of_epoch, instance)


def test_one_epoch_for_all_samples_is_that_epoch_for_each():
    together = sample_keys(3, 5, jnp.arange(4))
    assert jnp.all(together == sample_keys(3, jnp.full(4, 5), jnp.arange(4)))


def test_views_and_small_crops_have_streams_of_their_own():
    keys = sample_keys(0, 0, jnp.arange(3))
    base, extra = draw_numbers(keys, 2, BLURRED)
    small_base, small_extra = draw_numbers(keys, 4, BLURRED, small=True)
    for i, key in enumerate(keys):
        small = jax.random.fold_in(key, 2)
        for found, source, views in ((base, key, 2), (small_base, small, 4)):
            expected = jax.random.uniform(source, (views, 11))
            np.testing.assert_array_equal(found[i], expected)
        for found, source, views in ((extra, key, 2), (small_extra, small, 4)):
            expected = jax.random.uniform(jax.random.fold_in(source, 1), (views, 8))
            np.testing.assert_array_equal(found[i], expected)


def test_later_operations_leave_the_numbers_of_the_others_alone():
    keys = sample_keys(0, 0, jnp.arange(3))
    base, extra = draw_numbers(keys, 2, AugmentationConfig())
    assert extra is None
    np.testing.assert_array_equal(base, draw_numbers(keys, 2, BLURRED)[0])


def test_a_view_is_flipped_where_its_number_says_so():
    batch = np.random.default_rng(0).integers(0, 256, (32, 5, 5, 1), dtype=np.uint8)
    config = AugmentationConfig(crop_scale=(1.0, 1.0), flip=0.3)
    keys = sample_keys(0, 0, jnp.arange(32))
    flips = draw_numbers(keys, 2, config)[0][:, :, BASE_DRAWS.index("flip")] < 0.3
    original = np.float32(batch) / 255.0
    mirrored = original[:, :, ::-1]
    flips = flips[:, :, None, None, None]
    expected = np.where(flips, mirrored[:, None], original[:, None])
    found = augment_batch(keys, batch, 2, config)
    np.testing.assert_allclose(found, expected, atol=1e-6)
