"""Projection heads."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcl.models import ConvNet, MLPHead, from_nnx

KEY = jax.random.key(0)
GENERATOR = np.random.default_rng(0)
ROWS = jnp.float32(GENERATOR.normal(size=(16, 6)))


def make(in_dim=6, hidden=8, out_dim=4, axis_name=None, **options):
    return from_nnx(
        lambda rngs: MLPHead(
            in_dim,
            hidden=hidden,
            out_dim=out_dim,
            axis_name=axis_name,
            rngs=rngs,
            **options,
        )
    )


def project(encoder, params, state, rows=ROWS, train=True):
    return jax.jit(encoder.apply, static_argnums=3)(params, state, rows, train, KEY)


def moved(encoder):
    draw = np.random.default_rng(1)
    return jax.tree.map(
        lambda leaf: leaf + np.float32(draw.uniform(0.1, 0.5, leaf.shape)),
        encoder.init(KEY, ROWS),
    )


class PlainHead(nnx.Module):
    """The head as it was when there was only this one."""

    def __init__(self, rngs):
        self.hidden = nnx.Linear(6, 8, rngs=rngs)
        self.norm = nnx.BatchNorm(8, momentum=0.9, use_fast_variance=False, rngs=rngs)
        self.out = nnx.Linear(8, 4, rngs=rngs)

    def __call__(self, rows):
        return self.out(nnx.relu(self.norm(self.hidden(rows))))


class PlainConvNet(nnx.Module):
    """The convnet as it was when it had no options."""

    def __init__(self, rngs):
        for i, (inputs, outputs) in enumerate([(3, 4), (4, 8)]):
            conv = nnx.Conv(
                inputs, outputs, (3, 3), strides=i + 1, use_bias=False, rngs=rngs
            )
            norm = nnx.BatchNorm(
                outputs, momentum=0.9, use_fast_variance=False, rngs=rngs
            )
            setattr(self, f"conv{i}", conv)
            setattr(self, f"norm{i}", norm)

    def __call__(self, images):
        images = nnx.relu(self.norm0(self.conv0(images)))
        images = nnx.relu(self.norm1(self.conv1(images)))
        return jnp.mean(images, axis=(1, 2))


IMAGES = jnp.float32(GENERATOR.normal(size=(5, 7, 6, 3)))


def make_convnet():
    return from_nnx(
        lambda rngs: ConvNet(3, width=4, stages=2, axis_name=None, rngs=rngs)
    )


DEFAULTS = {
    "head": (make, PlainHead, ROWS),
    "convnet": (make_convnet, PlainConvNet, IMAGES),
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_without_options_every_number_is_as_it_always_was(name):
    make_encoder, plain, rows = DEFAULTS[name]
    encoder, reference = make_encoder(), from_nnx(plain)
    start = encoder.init(KEY, rows)
    jax.tree.map(np.testing.assert_array_equal, start, reference.init(KEY, rows))
    for train in (True, False):
        found = encoder.apply(*start, rows, train, KEY)
        expected = reference.apply(*start, rows, train, KEY)
        jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_no_layers_are_the_embeddings_themselves():
    encoder = make(out_dim=6, layers=0)
    params, state = encoder.init(KEY, ROWS)
    assert params == state == {}
    np.testing.assert_array_equal(project(encoder, params, state)[0], ROWS)
    message = "`out_dim` must be the dimension of the embeddings without layers, 6, got"
    with pytest.raises(ValueError, match=message):
        make(layers=0)


def test_one_layer_is_a_linear_map():
    encoder = make(layers=1)
    params, state = jax.tree.map(np.asarray, moved(encoder))
    expected = np.asarray(ROWS) @ params["out"]["kernel"] + params["out"]["bias"]
    found, _ = project(encoder, params, state)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def standardized(rows):
    return (rows - rows.mean(0)) / np.sqrt(rows.var(0) + 1e-5)


def test_three_layers_with_a_norm_at_the_end_are_the_projector_of_moco_v3():
    encoder = make(layers=3, last_norm=True)
    params, _ = jax.tree.map(np.float64, moved(encoder))
    rows = np.float64(ROWS)
    for linear, norm in (("hidden", "norm"), ("hidden1", "norm1")):
        assert sorted(params[linear]) == ["kernel"]
        rows = standardized(rows @ params[linear]["kernel"])
        rows = np.maximum(rows * params[norm]["scale"] + params[norm]["bias"], 0)
    assert sorted(params) == ["hidden", "hidden1", "norm", "norm1", "out"]
    assert sorted(params["out"]) == ["kernel"]
    expected = standardized(rows @ params["out"]["kernel"])
    found, changed = project(encoder, *moved(encoder))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    assert sorted(changed) == ["norm", "norm1", "out_norm"]


# Linear maps and norms of each paper's code, less the biases that its norms take away.
PUBLISHED = {
    "MoCo v3's projector": ((384, 4096, 256, 3, True), 19_415_040),
    "MoCo v3's predictor": ((256, 4096, 256, 2, True), 2_105_344),
    "SimSiam's projector": ((2048, 2048, 2048, 3, True), 12_591_104),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_heads_are_as_large_as_published(name):
    (in_dim, hidden, out_dim, layers, last_norm), expected = PUBLISHED[name]
    encoder = make(in_dim, hidden, out_dim, layers=layers, last_norm=last_norm)
    params, _ = jax.eval_shape(encoder.init, KEY, None)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == expected


@pytest.mark.parametrize("last_norm", [True, False])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_bfloat16_is_for_the_arithmetic_alone(layers, last_norm):
    options = {"layers": layers, "last_norm": last_norm}
    encoder = make(dtype=jnp.bfloat16, **options)
    params, state = moved(encoder)
    found, changed = project(encoder, params, state)
    expected, _ = project(make(**options), params, state)
    for leaf in jax.tree.leaves((params, changed, found)):
        assert leaf.dtype == jnp.float32
    error = np.abs(found - expected).max() / np.abs(expected).max()
    assert 1e-5 < error < 8 * 2.0**-8


@pytest.mark.parametrize("last_norm", [True, False])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_gradient_reaches_every_parameter(layers, last_norm):
    encoder = make(layers=layers, last_norm=last_norm)
    params, state = moved(encoder)
    weights = jnp.float32(np.random.default_rng(2).normal(size=(16, 4)))

    def loss(params):
        rows, _ = encoder.apply(params, state, ROWS, True, KEY)
        return jnp.sum(jnp.tanh(rows) * weights)

    grads = jax.jit(jax.grad(loss))(params)
    if layers == 2 and not last_norm:
        del grads["hidden"]["bias"]  # the norm behind it takes it away
    for path, leaf in jax.tree_util.tree_leaves_with_path(grads):
        assert np.abs(leaf).max() > 1e-4, path


@pytest.mark.parametrize("options", [{}, {"layers": 3, "last_norm": True}])
def test_devices_of_an_axis_share_their_statistics(options):
    alone, shared = make(**options), make(axis_name="batch", **options)
    params, state = moved(alone)
    expected, _ = project(alone, params, state)

    def split(encoder):
        def apply(rows):
            return encoder.apply(params, state, rows, True, KEY)[0]

        mapped = jax.jit(jax.vmap(apply, axis_name="batch"))
        return mapped(ROWS.reshape(4, 4, 6)).reshape(expected.shape)

    np.testing.assert_allclose(split(shared), expected, rtol=1e-3, atol=1e-4)
    assert np.abs(split(alone) - expected).max() > 1e-2


def test_without_batchnorm_a_row_does_not_depend_on_the_others():
    for norm in ("group", "none"):
        encoder = make(layers=3, norm=norm)
        params, state = moved(encoder)
        whole, _ = project(encoder, params, state)
        alone, _ = project(encoder, params, state, ROWS[:3])
        np.testing.assert_allclose(alone, whole[:3], rtol=1e-4, atol=1e-5)
        assert np.std(np.asarray(whole), axis=0).max() > 1e-2


def test_fewer_than_no_layers_are_an_error():
    with pytest.raises(ValueError, match="`layers` must be at least 0, got -1"):
        make(layers=-1)
