import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn, nnx

from jaxcl.models import ConvNet, from_linen, from_nnx


class LinenNet(nn.Module):
    @nn.compact
    def __call__(self, images, train):
        rows = nn.Dense(16)(images.reshape(images.shape[0], -1))
        rows = nn.BatchNorm(use_running_average=not train)(rows)
        return nn.Dropout(0.5, deterministic=not train)(rows)


class NnxNet(nnx.Module):
    def __init__(self, rngs):
        self.dense = nnx.Linear(12, 16, rngs=rngs)
        self.norm = nnx.BatchNorm(16, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, images):
        rows = self.dense(images.reshape(images.shape[0], -1))
        return self.dropout(self.norm(rows))


ENCODERS = {"linen": lambda: from_linen(LinenNet()), "nnx": lambda: from_nnx(NnxNet)}
IMAGES = jnp.asarray(np.random.default_rng(0).normal(size=(6, 2, 2, 3)), jnp.float32)


@pytest.mark.parametrize("kind", ENCODERS)
def test_an_encoder_is_two_pure_functions(kind):
    encoder = ENCODERS[kind]()
    params, state = encoder.init(jax.random.key(0), IMAGES)
    same, _ = encoder.init(jax.random.key(0), IMAGES)
    jax.tree.map(np.testing.assert_array_equal, params, same)
    key = jax.random.key(1)
    first, changed = encoder.apply(params, state, IMAGES, True, key)
    again, _ = encoder.apply(params, state, IMAGES, True, key)
    other, _ = encoder.apply(params, state, IMAGES, True, jax.random.key(2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1  # Dropout draws from the key
    assert jax.tree.structure(changed) == jax.tree.structure(state)
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), state, changed)
    assert max(jax.tree.leaves(moved)) > 0  # BatchNorm has seen a batch
    frozen, kept = encoder.apply(params, state, IMAGES, False, key)
    jax.tree.map(np.testing.assert_array_equal, kept, state)
    assert frozen.shape == (6, 16)


@pytest.mark.parametrize("kind", ENCODERS)
def test_an_encoder_can_be_differentiated_under_jit(kind):
    encoder = ENCODERS[kind]()
    params, state = encoder.init(jax.random.key(0), IMAGES)

    @jax.jit
    def gradient(params):
        def loss(params):
            rows, _ = encoder.apply(params, state, IMAGES, True, jax.random.key(0))
            return jnp.sum(rows**2)

        return jax.grad(loss)(params)

    leaves = jax.tree.leaves(gradient(params))
    assert all(np.isfinite(leaf).all() for leaf in leaves)
    assert max(np.abs(leaf).max() for leaf in leaves) > 0


@pytest.mark.parametrize(("size", "channels"), [(16, 3), (28, 1), (7, 2)])
def test_the_convnet_takes_small_images_of_any_size(size, channels):
    encoder = from_nnx(
        lambda rngs: ConvNet(channels, width=4, stages=3, axis_name=None, rngs=rngs)
    )
    images = jnp.ones((2, size, size, channels))
    params, state = encoder.init(jax.random.key(0), images)
    rows, _ = encoder.apply(params, state, images, True, jax.random.key(0))
    assert rows.shape == (2, 16)
