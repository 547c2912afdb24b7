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


KEY = jax.random.key(0)


def draws(encoder, key):
    rows, _ = encoder.apply(*encoder.init(KEY, IMAGES), IMAGES, True, key)
    return np.asarray(rows)


class TwoDropouts(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Dropout(0.5, rngs=rngs)
        self.second = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, images):
        rows = jnp.ones((images.shape[0], 64))
        return jnp.concatenate([self.first(rows), self.second(rows)], axis=1)


class ScannedDropouts(nnx.Module):
    def __init__(self, rngs):
        @nnx.split_rngs(splits=3)
        @nnx.vmap
        def make(rngs):
            return nnx.Dropout(0.5, rngs=rngs)

        self.layers = make(rngs)

    def __call__(self, images):
        def drop(rows, layer):
            return rows, layer(rows)

        axes = nnx.Carry, 0
        _, dropped = nnx.scan(drop, in_axes=axes, out_axes=axes)(
            jnp.ones((images.shape[0], 64)), self.layers
        )
        return jnp.concatenate(list(dropped), axis=1)


@pytest.mark.parametrize(("module", "count"), [(TwoDropouts, 2), (ScannedDropouts, 3)])
def test_every_dropout_draws_for_itself(module, count):
    encoder = from_nnx(module)
    rows = draws(encoder, KEY)
    np.testing.assert_array_equal(rows, draws(encoder, KEY))
    parts = [
        *np.split(rows, count, axis=1),
        *np.split(draws(encoder, jax.random.key(1)), count, axis=1),
    ]
    for i, part in enumerate(parts):
        assert 0.2 < (part == 0).mean() < 0.8
        for other in parts[:i]:
            assert (part != other).mean() > 0.3


class NnxCounter(nnx.Module):
    """Counts its calls, keeps what it saw last, and has no parameters."""

    def __init__(self, rngs):
        self.calls = nnx.BatchStat(jnp.zeros((), jnp.int32))

    def __call__(self, images):
        rows = images.reshape(images.shape[0], -1)
        self.calls[...] = self.calls[...] + 1
        self.kept = nnx.Intermediate(rows)
        return rows


class LinenCounter(nn.Module):
    @nn.compact
    def __call__(self, images, *, train):
        rows = images.reshape(images.shape[0], -1)
        calls = self.variable("counts", "calls", lambda: jnp.zeros((), jnp.int32))
        if train:
            calls.value += 1
        self.sow("intermediates", "kept", rows)
        return rows


COUNTERS = {
    "nnx": lambda: from_nnx(NnxCounter),
    "linen": lambda: from_linen(LinenCounter()),
}


@pytest.mark.parametrize("kind", COUNTERS)
def test_a_count_stays_a_count_and_what_is_sown_is_dropped(kind):
    encoder = COUNTERS[kind]()
    params, state = encoder.init(KEY, IMAGES)
    assert params == {}
    first = state
    for _ in range(3):
        rows, state = jax.jit(
            lambda state: encoder.apply(params, state, IMAGES, True, KEY)
        )(state)
        assert jax.tree.structure(state) == jax.tree.structure(first)
    (calls,) = jax.tree.leaves(state)
    assert calls.dtype == jnp.int32
    assert int(calls) == 3
    np.testing.assert_array_equal(rows, IMAGES.reshape(6, -1))


def test_layers_in_a_list_are_found_again():
    encoder = from_nnx(
        lambda rngs: nnx.Sequential(*[nnx.Linear(3, 3, rngs=rngs) for _ in range(11)])
    )
    params, state = encoder.init(KEY, IMAGES)
    expected = np.asarray(IMAGES)
    # By number: as text, the tenth would come before the second.
    for i in range(11):
        expected = expected @ np.asarray(params["layers"][i]["kernel"])
    found, _ = encoder.apply(params, state, IMAGES, True, KEY)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


class LinenWithoutState(nn.Module):
    @nn.compact
    def __call__(self, images, train):
        rows = nn.Dense(4)(images.reshape(images.shape[0], -1))
        if train:
            rows += jax.random.normal(self.make_rng("noise"), rows.shape)
        return rows


def test_a_linen_module_needs_no_state_and_may_name_its_streams():
    encoder = from_linen(LinenWithoutState())
    params, state = encoder.init(KEY, IMAGES)
    assert state == {}
    for train in (True, False):
        rows, state = encoder.apply(params, state, IMAGES, train, KEY)
        assert rows.shape == (6, 4)
        assert state == {}
    np.testing.assert_array_equal(draws(encoder, KEY), draws(encoder, KEY))
    assert np.abs(draws(encoder, KEY) - draws(encoder, jax.random.key(1))).max() > 0.1


class WithoutTrain(nn.Module):
    @nn.compact
    def __call__(self, images):
        return nn.Dense(4)(images.reshape(images.shape[0], -1))


class Deterministic(nn.Module):
    @nn.compact
    def __call__(self, images, deterministic):
        rows = images.reshape(images.shape[0], -1)
        return nn.Dropout(0.5, deterministic=deterministic)(rows)


@pytest.mark.parametrize("module", [WithoutTrain, Deterministic])
def test_a_linen_module_must_take_the_argument_train(module):
    message = r"`module` must be called as module\(images, train=...\), got "
    with pytest.raises(ValueError, match=message + module.__name__):
        from_linen(module())
