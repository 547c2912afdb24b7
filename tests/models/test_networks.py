"""What every encoder promises."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from jaxcl.models import (
    MLP,
    ConvNet,
    ResNet,
    SimpleConvNet,
    ViT,
    _resnet,
    _vit,
    from_nnx,
)
from jaxcl.models._checks import check_choice, check_count

SHAPE = (16, 16, 3)
GENERATOR = np.random.default_rng(0)
IMAGES = jnp.float32(GENERATOR.normal(size=(8, *SHAPE)))
KEY = jax.random.key(0)

NETWORKS = {
    "convnet": lambda **options: ConvNet(3, width=4, stages=2, **options),
    "mlp": lambda **options: MLP(768, width=16, layers=2, **options),
    "resnet18": lambda **options: ResNet(
        3, depth=18, stem="cifar", width=4, zero_init=False, **options
    ),
    "resnet50": lambda **options: ResNet(
        3, depth=50, stem="imagenet", width=4, zero_init=False, **options
    ),
    "simple": lambda **options: SimpleConvNet(3, **options),
    "vit": lambda **options: ViT(SHAPE, size="ti", patch_size=8, **options),
}
NORMED = [name for name in NETWORKS if name != "vit"]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """One block a stage, two stages; a transformer of two narrow blocks."""
    monkeypatch.setitem(_resnet._STAGES, 18, (1, 1))
    monkeypatch.setitem(_resnet._STAGES, 50, (1, 1))
    monkeypatch.setitem(_vit.SIZES, "ti", (16, 2, 2))


def make(name, **options):
    if name != "vit":
        options = {"axis_name": None, **options}
    return from_nnx(lambda rngs: NETWORKS[name](rngs=rngs, **options))


@functools.cache
def start(name):
    """Parameters and state that differ from where they start."""
    params, state = jax.jit(make(name).init)(KEY, IMAGES)
    draw = np.random.default_rng(1)

    params = jax.tree.map(
        lambda leaf: leaf + jnp.float32(draw.normal(0.0, 0.05, leaf.shape)), params
    )
    state = jax.tree.map(
        lambda leaf: leaf + jnp.float32(draw.uniform(0.0, 0.1, leaf.shape)), state
    )
    return params, state


def embed(encoder, params, state, images=IMAGES):
    return jax.jit(lambda *args: encoder.apply(*args, True, KEY))(params, state, images)


@functools.cache
def embedded(name):
    """Embeddings of the images in training, and the state behind them."""
    return embed(make(name), *start(name))


@pytest.mark.parametrize("name", NETWORKS)
def test_an_encoder_knows_the_dimension_of_its_embeddings(name):
    dims = []

    def build(rngs):
        options = {} if name == "vit" else {"axis_name": None}
        module = NETWORKS[name](rngs=rngs, **options)
        dims.append(module.dim)
        return module

    encoder = from_nnx(build)
    params, state = jax.eval_shape(encoder.init, KEY, IMAGES)
    rows, _ = jax.eval_shape(
        lambda *args: encoder.apply(*args, True, KEY), params, state, IMAGES
    )
    assert rows.shape == (8, dims[0])
    assert isinstance(dims[0], int)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_bfloat16_is_for_the_arithmetic_alone(name):
    narrow = make(name, dtype=jnp.bfloat16)
    params, state = start(name)
    drawn = jax.eval_shape(narrow.init, KEY, IMAGES)
    found, changed = embed(narrow, params, state)
    expected, _ = embedded(name)
    for leaf in jax.tree.leaves((drawn, changed, found)):
        assert leaf.dtype == jnp.float32
    # A narrow number has 8 digits; some errors of a few layers come together.
    error = np.abs(found - expected).max() / np.abs(expected).max()
    assert 1e-5 < error < 8 * 2.0**-8


@pytest.mark.parametrize("name", NETWORKS)
def test_a_gradient_reaches_every_parameter(name):
    encoder = make(name, dtype=jnp.bfloat16)
    params, state = start(name)
    weights = jnp.float32(np.random.default_rng(2).normal(size=(8, 1)))

    def loss(params):
        rows, _ = encoder.apply(params, state, IMAGES, True, KEY)
        return jnp.sum(jnp.tanh(rows) * weights)

    grads = jax.jit(jax.grad(loss))(params)
    for path, leaf in jax.tree_util.tree_leaves_with_path(grads):
        assert leaf.dtype == jnp.float32, path
        assert np.isfinite(leaf).all(), path
        assert np.abs(leaf).max() > 1e-7, path


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet50", "vit"])
def test_gradients_of_two_devices_are_those_of_one(name):
    params, state = start(name)

    def gradients(encoder, images, average):
        def loss(params):
            rows, _ = encoder.apply(params, state, images, True, KEY)
            return average(jnp.mean(jnp.sin(rows)))

        return jax.tree.map(average, jax.grad(loss)(params))

    alone = make(name)
    expected = jax.jit(lambda images: gradients(alone, images, lambda x: x))(IMAGES)
    shared = make(name) if name == "vit" else make(name, axis_name="batch")
    mapped = jax.shard_map(
        lambda images: gradients(shared, images, lambda x: jax.lax.pmean(x, "batch")),
        mesh=Mesh(np.array(jax.devices()[:2]), ("batch",)),
        in_specs=PartitionSpec("batch"),
        out_specs=PartitionSpec(),
    )
    for found, whole in zip(
        jax.tree.leaves(jax.jit(mapped)(IMAGES)), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(found, whole, rtol=1e-2, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", NORMED)
def test_devices_of_an_axis_share_their_statistics(name):
    params, state = start(name)
    expected, expected_state = embedded(name)

    def split(encoder):
        def apply(images):
            return encoder.apply(params, state, images, True, KEY)

        halves = IMAGES.reshape(2, 4, *SHAPE)
        rows, changed = jax.jit(jax.vmap(apply, axis_name="batch"))(halves)
        return rows.reshape(expected.shape), changed

    found, changed = split(make(name, axis_name="batch"))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    jax.tree.map(
        lambda leaf, whole: np.testing.assert_allclose(leaf[1], whole, rtol=1e-3),
        changed,
        expected_state,
    )
    assert np.abs(split(make(name))[0] - expected).max() > 1e-3


@pytest.mark.parametrize("name", NORMED)
def test_with_groupnorm_the_rest_of_the_batch_leaves_no_trace(name):
    encoder = make(name, norm="group")
    params, _ = start(name)
    drawn, state = jax.eval_shape(encoder.init, KEY, IMAGES)
    assert jax.tree.structure(drawn) == jax.tree.structure(params)
    assert jax.tree.leaves(state) == []
    both = jnp.stack([IMAGES, IMAGES.at[2:].set(IMAGES[2:] ** 2)])
    # One program for both batches.
    first, second = jax.jit(
        lambda both: jax.lax.map(
            lambda images: encoder.apply(params, state, images, True, KEY)[0], both
        )
    )(both)
    np.testing.assert_allclose(first[:2], second[:2], rtol=1e-5, atol=1e-6)
    # Not because they are all the same: an embedding tells images apart.
    assert np.abs(first[2:] - second[2:]).max() > 1e-3


@pytest.mark.parametrize("name", NORMED)
def test_without_a_norm_there_are_biases_instead(name):
    params, state = jax.eval_shape(make(name, norm="none").init, KEY, IMAGES)
    assert jax.tree.leaves(state) == []
    paths = [
        jax.tree_util.keystr(path)
        for path, _ in jax.tree_util.tree_leaves_with_path(params)
    ]
    assert not any("scale" in path for path in paths)
    kernels = {path[: -len("['kernel']")] for path in paths if "kernel" in path}
    assert {path[: -len("['bias']")] for path in paths if "bias" in path} == kernels


def test_the_mlp_takes_images_as_rows_of_values():
    encoder = make("mlp")
    params, state = start("mlp")
    rows, _ = embedded("mlp")
    flat, _ = embed(encoder, params, state, IMAGES.reshape(8, -1))
    np.testing.assert_array_equal(rows, flat)
    with pytest.raises(ValueError, match="`images` must have 768 values each, got 192"):
        embed(encoder, params, state, IMAGES[:, :8, :8])
    with pytest.raises(ValueError, match="`layers` must be at least 1, got 0"):
        from_nnx(lambda rngs: MLP(4, width=4, layers=0, axis_name=None, rngs=rngs))


def normalize(rows, params):
    """BatchNorm over all axes but the last."""
    axes = tuple(range(rows.ndim - 1))
    rows = (rows - rows.mean(axes)) / np.sqrt(rows.var(axes) + 1e-5)
    return rows * params["scale"] + params["bias"]


def test_the_mlp_is_linear_norm_and_relu_twice():
    params, _ = jax.tree.map(np.float64, start("mlp"))
    rows = np.float64(IMAGES).reshape(8, -1)
    for i in range(2):
        rows = rows @ params[f"linear{i}"]["kernel"]
        rows = np.maximum(normalize(rows, params[f"norm{i}"]), 0)
    np.testing.assert_allclose(embedded("mlp")[0], rows, rtol=1e-3, atol=1e-4)


def test_the_encoder_of_biased_mnist_is_that_of_the_reference():
    params, _ = jax.tree.map(np.float64, start("simple"))
    maps = np.float64(IMAGES)
    for i, width in enumerate((16, 32, 64, 128)):
        kernel = params[f"layer{i}"]["conv"]["kernel"]
        assert kernel.shape == (7, 7, maps.shape[-1], width)
        padded = np.pad(maps, ((0, 0), (3, 3), (3, 3), (0, 0)))
        maps = sum(
            padded[:, y : y + 16, x : x + 16] @ kernel[y, x]
            for y in range(7)
            for x in range(7)
        )
        maps = np.maximum(normalize(maps, params[f"layer{i}"]["norm"]), 0)
    expected = maps.mean((1, 2))
    np.testing.assert_allclose(embedded("simple")[0], expected, rtol=1e-3, atol=1e-4)


def test_a_choice_that_there_is_not_is_named():
    with pytest.raises(ValueError, match="`norm` must be one of 'a', 'b', got 'c'"):
        check_choice("norm", "c", ("a", "b"))
    with pytest.raises(ValueError, match="`layers` must be at least 1, got 0"):
        check_count("layers", 0, 1)
