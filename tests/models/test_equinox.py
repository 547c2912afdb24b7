"""Equinox modules as encoders."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.models import from_equinox

KEY = jax.random.key(0)
IMAGES = jnp.float32(np.random.default_rng(0).normal(size=(6, 2, 2, 3)))


class Net(eqx.Module):
    layers: list[eqx.nn.Linear]
    dropout: eqx.nn.Dropout
    order: jax.Array

    def __init__(self, key):
        first, second = jax.random.split(key)
        self.layers = [
            eqx.nn.Linear(12, 16, key=first),
            eqx.nn.Linear(16, 64, key=second),
        ]
        self.dropout = eqx.nn.Dropout(0.5)
        self.order = jnp.arange(12)[::-1]

    def __call__(self, image, *, key=None):
        values = jax.nn.relu(self.layers[0](image.ravel()[self.order]))
        return self.dropout(self.layers[1](values), key=key)


def by_hand(params, images):
    """Without Equinox: two products, image by image."""
    wide = {name: np.float64(leaf) for name, leaf in params.items()}
    rows = []
    for image in np.float64(images):
        hidden = wide["layers.0.weight"] @ image.ravel()[::-1] + wide["layers.0.bias"]
        hidden = np.maximum(hidden, 0)
        rows.append(wide["layers.1.weight"] @ hidden + wide["layers.1.bias"])
    return np.stack(rows)


def test_embeddings_are_those_of_the_module_image_by_image():
    encoder = from_equinox(Net)
    params, state = encoder.init(KEY, IMAGES)
    rows, kept = jax.jit(encoder.apply, static_argnums=3)(
        params, state, IMAGES, False, KEY
    )
    np.testing.assert_allclose(rows, by_hand(params, IMAGES), rtol=1e-5, atol=1e-6)
    assert list(state) == ["order"]
    jax.tree.map(np.testing.assert_array_equal, kept, state)


def test_dropout_draws_for_each_image_and_only_in_training():
    encoder = from_equinox(Net)
    params, state = encoder.init(KEY, IMAGES)
    same = jnp.broadcast_to(IMAGES[:1], IMAGES.shape)
    rows, _ = encoder.apply(params, state, same, True, KEY)
    dropped = np.asarray(rows) == 0
    assert 0.3 < dropped.mean() < 0.7
    assert (dropped[0] != dropped[1]).mean() > 0.2
    again, _ = encoder.apply(params, state, same, True, KEY)
    np.testing.assert_array_equal(rows, again)


def test_every_seed_has_its_own_parameters_unless_the_module_is_given():
    def weights(encoder, seed):
        return encoder.init(jax.random.key(seed), IMAGES)[0]["layers.0.weight"]

    fresh = from_equinox(Net)
    assert np.abs(weights(fresh, 0) - weights(fresh, 1)).max() > 0.01
    module = Net(jax.random.key(5))
    given = from_equinox(lambda key: module)
    np.testing.assert_array_equal(weights(given, 0), module.layers[0].weight)
    np.testing.assert_array_equal(weights(given, 0), weights(given, 1))


def test_every_parameter_has_a_gradient():
    encoder = from_equinox(Net)
    params, state = encoder.init(KEY, IMAGES)

    @jax.jit
    @jax.grad
    def gradient(params):
        return jnp.sum(encoder.apply(params, state, IMAGES, False, KEY)[0] ** 2)

    for name, leaf in gradient(params).items():
        assert np.abs(leaf).max() > 0, name


def test_a_module_with_state_is_refused():
    class Normed(eqx.Module):
        norm: eqx.nn.BatchNorm

        def __call__(self, image, state):
            return self.norm(image.ravel(), state)

    def make(key):
        norm, _ = eqx.nn.make_with_state(eqx.nn.BatchNorm)(12, "batch", mode="batch")
        return Normed(norm)

    with pytest.raises(ValueError, match="a module without state, got one with Batch"):
        from_equinox(make)
