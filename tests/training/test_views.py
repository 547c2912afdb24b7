"""What the step makes of a batch before the encoder sees it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from long_tests import slow

from jaxcl.augment import augment_batch, sample_keys
from jaxcl.batch import Batch
from jaxcl.config import AugmentationConfig, ModelConfig, ObjectiveConfig
from jaxcl.experiment import make_model
from jaxcl.objectives import Facts, make_objective
from jaxcl.training import (
    AXIS,
    Normalization,
    StepOptions,
    init_state,
    make_devices,
    make_train_step,
    normalize,
    parallelize,
)
from jaxcl.training._views import with_views

IMAGES = np.random.default_rng(0).integers(0, 256, (8, 6, 6, 3), dtype=np.uint8)
BATCH = Batch(
    image=IMAGES,
    instance=np.arange(8, dtype=np.int32),
    where=np.array([True] * 5 + [False, True, False]),
    position=np.arange(8, dtype=np.int32)[::-1].copy(),
    epoch=np.array([0, 1, 2, 0, 1, 2, 0, 1], np.int32),
    domain=np.arange(8, dtype=np.int32) % 2,
)
AUGMENTATION = AugmentationConfig(flip=0.5)


def test_normalized_pixels_have_mean_zero_and_deviation_one():
    pixels = IMAGES / 255.0
    normalization = Normalization(pixels.mean((0, 1, 2)), pixels.std((0, 1, 2)))
    found = np.asarray(normalize(jnp.float32(pixels), normalization))
    np.testing.assert_allclose(found.mean((0, 1, 2)), 0.0, atol=1e-5)
    np.testing.assert_allclose(found.std((0, 1, 2)), 1.0, rtol=1e-5)


def test_a_channel_that_is_constant_stays_finite():
    normalization = Normalization(np.full(3, 0.5), np.array([0.0, 1.0, 2.0]))
    found = normalize(jnp.full((2, 2, 3), 0.5), normalization)
    np.testing.assert_array_equal(found, 0.0)


def test_views_are_drawn_by_the_epoch_of_each_sample_and_then_normalized():
    normalization = Normalization(np.full(3, 0.2), np.full(3, 0.5))
    found = with_views(BATCH, 3, 2, AUGMENTATION, normalization).views
    for i in range(8):
        keys = sample_keys(3, int(BATCH.epoch[i]), jnp.arange(i, i + 1))
        expected = augment_batch(keys, IMAGES[i : i + 1], 2, AUGMENTATION)[0]
        np.testing.assert_allclose(found[i], (expected - 0.2) / 0.5, atol=1e-5)


def test_views_that_were_made_before_are_taken_as_they_are():
    made = jnp.full((8, 2, 6, 6, 3), 0.25)
    batch = dataclasses.replace(BATCH, image=None, views=made)
    found = with_views(batch, 3, 2, AUGMENTATION, None)
    np.testing.assert_array_equal(found.views, made)
    with pytest.raises(ValueError, match="`batch` must have images"):
        with_views(dataclasses.replace(BATCH, image=None), 3, 2, AUGMENTATION, None)


@pytest.mark.parametrize("parallel", ["pmap", *slow("shard_map")])
def test_samples_that_could_not_be_read_are_counted_over_all_devices(parallel):
    config = ModelConfig(width=4, stages=2, head_hidden=8, head_dim=4)
    chosen = ObjectiveConfig("within_domain")
    model = make_model(config, chosen, (6, 6, 3), axis_name=AXIS)
    optimizer = optax.sgd(0.1)
    objective = make_objective(chosen, Facts(num_instances=8))
    step = make_train_step(
        objective,
        model,
        optimizer,
        augmentation=AugmentationConfig(small_views=3, small_size=4),
        seed=0,
        options=StepOptions(count_left_out=True),
        axis_name=AXIS,
    )
    mapped = parallelize(
        step, make_devices(parallel, jax.devices()[:2]), IMAGES[::-1].copy()
    )
    images = np.zeros((2, 6, 6, 3), np.float32)
    state = mapped.place_state(init_state(model, objective, optimizer, 0, images))
    batch = mapped.place_batch(dataclasses.replace(BATCH, image=None))
    _, metrics = mapped.step(state, batch)
    assert float(metrics["left_out"]) == 2
    # Positions count backwards here, and so do the images on the devices.
    state = mapped.place_state(init_state(model, objective, optimizer, 0, images))
    sent = parallelize(step, make_devices(parallel, jax.devices()[:2]))
    _, expected = sent.step(state, sent.place_batch(BATCH))
    np.testing.assert_allclose(metrics["loss"], expected["loss"], rtol=1e-6)
