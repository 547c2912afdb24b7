"""ResNets against a slow one that is written from the papers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcl.models import ResNet, _resnet, from_nnx
from jaxcl.models._layers import ConvNorm

KEY = jax.random.key(0)
COUNTS = {
    (18, "imagenet"): 11_176_512,
    (34, "imagenet"): 21_284_672,
    (50, "imagenet"): 23_508_032,
    (18, "cifar"): 11_168_832,
    (34, "cifar"): 21_276_992,
    (50, "cifar"): 23_500_352,
}


def make(depth, stem, **options):
    return from_nnx(
        lambda rngs: ResNet(
            3, depth=depth, stem=stem, axis_name=None, rngs=rngs, **options
        )
    )


@pytest.mark.parametrize(("depth", "stem"), COUNTS)
def test_parameters_are_as_many_as_published(depth, stem):
    module = nnx.eval_shape(
        lambda: ResNet(3, depth=depth, stem=stem, axis_name=None, rngs=nnx.Rngs(0))
    )
    leaves = jax.tree.leaves(nnx.state(module, nnx.Param))
    assert sum(leaf.size for leaf in leaves) == COUNTS[depth, stem]
    assert module.dim == (2048 if depth == 50 else 512)


@pytest.mark.slow
@pytest.mark.parametrize(("stem", "sizes"), [("cifar", (32, 64)), ("imagenet", (224,))])
def test_images_of_every_size_have_embeddings_of_one_dimension(stem, sizes):
    encoder = make(18, stem)
    params, state = jax.eval_shape(encoder.init, KEY, None)
    for size in sizes:
        images = jax.ShapeDtypeStruct((2, size, size, 3), np.float32)
        rows, changed = jax.eval_shape(
            lambda *args: encoder.apply(*args, True, KEY), params, state, images
        )
        assert rows.shape == (2, 512)
        assert jax.tree.map(np.shape, changed) == jax.tree.map(np.shape, state)


def convolve(maps, kernel, stride):
    """out[y, x] = Σ_ij kernel[i, j]ᵀ · padded[stride · y + i, stride · x + j]"""
    size = kernel.shape[0]
    pad = size // 2
    padded = np.pad(maps, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    rows = (maps.shape[1] + 2 * pad - size) // stride + 1
    columns = (maps.shape[2] + 2 * pad - size) // stride + 1
    out = np.zeros((len(maps), rows, columns, kernel.shape[-1]))
    for y in range(rows):
        for x in range(columns):
            top, left = stride * y, stride * x
            window = padded[:, top : top + size, left : left + size]
            out[:, y, x] = np.einsum("bijc,ijco->bo", window, kernel)
    return out


def pool(maps):
    """The largest of 3×3 pixels, at every second pixel of every second row."""
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    rows, columns = (maps.shape[1] + 1) // 2, (maps.shape[2] + 1) // 2
    out = np.zeros((len(maps), rows, columns, maps.shape[-1]))
    for y in range(rows):
        for x in range(columns):
            window = padded[:, 2 * y : 2 * y + 3, 2 * x : 2 * x + 3]
            out[:, y, x] = window.max((1, 2))
    return out


class Reference:
    """Reads kernels and norms by name."""

    def __init__(self, params, state, train):
        self.params, self.state = jax.tree.map(np.float64, (params, state))
        self.train = train

    def conv_norm(self, maps, names, stride=1):
        params, state = self.params, self.state
        for name in names:
            params, state = params[name], state[name]
        maps = convolve(maps, params["conv"]["kernel"], stride)
        mean, variance = state["norm"]["mean"], state["norm"]["var"]
        if self.train:
            mean, variance = maps.mean((0, 1, 2)), maps.var((0, 1, 2))
        maps = (maps - mean) / np.sqrt(variance + 1e-5)
        return maps * params["norm"]["scale"] + params["norm"]["bias"]

    def basic(self, maps, name, stride):
        out = np.maximum(self.conv_norm(maps, (name, "layer0"), stride), 0)
        return self.conv_norm(out, (name, "layer1"))

    def bottleneck(self, maps, name, stride):
        out = np.maximum(self.conv_norm(maps, (name, "layer0")), 0)
        # v1.5: the 3×3 convolution has the stride.
        out = np.maximum(self.conv_norm(out, (name, "layer1"), stride), 0)
        return self.conv_norm(out, (name, "layer2"))

    def embed(self, maps, depth, stem):
        maps = np.float64(maps)
        if stem == "imagenet":
            maps = pool(np.maximum(self.conv_norm(maps, ("stem",), 2), 0))
        else:
            maps = np.maximum(self.conv_norm(maps, ("stem",)), 0)
        for name in sorted(name for name in self.params if "stage" in name):
            stride = 2 if name.endswith("block0") and "stage0" not in name else 1
            block = self.bottleneck if depth == 50 else self.basic
            out = block(maps, name, stride)
            if "shortcut" in self.params[name]:
                maps = self.conv_norm(maps, (name, "shortcut"), stride)
            maps = np.maximum(out + maps, 0)
        return maps.mean((1, 2))


@pytest.mark.slow
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize(("depth", "stem"), [(18, "cifar"), (50, "imagenet")])
def test_embeddings_are_those_of_the_papers(depth, stem, train, monkeypatch):
    monkeypatch.setitem(_resnet._STAGES, depth, (2, 1))
    generator = np.random.default_rng(0)
    # Neither square nor even: padding on one side only would show.
    images = np.float32(generator.normal(size=(3, 19, 14, 3)))
    encoder = make(depth, stem, width=4)
    params, state = jax.jit(encoder.init)(KEY, images)
    params, state = jax.tree.map(
        lambda leaf: leaf + np.float32(generator.uniform(0.1, 0.5, leaf.shape)),
        (params, state),
    )
    apply = jax.jit(encoder.apply, static_argnums=3)
    found, _ = apply(params, state, images, train, KEY)
    expected = Reference(params, state, train).embed(images, depth, stem)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("norm", ["batch", "group", "none"])
@pytest.mark.parametrize("depth", [18, 50])
def test_a_block_starts_as_its_shortcut(depth, norm, monkeypatch):
    # As many channels out as in: no convolution in the shortcut.
    features = jnp.float32(np.random.default_rng(0).uniform(size=(2, 4, 4, 16)))
    blocks = {}
    for zero_init in (True, False):

        def layer(*args, **options):
            return ConvNorm(
                *args,
                norm=norm,
                axis_name=None,
                dtype=None,
                rngs=nnx.Rngs(0),
                **options,
            )

        blocks[zero_init] = _resnet._Block(
            16,
            4 if depth == 50 else 16,
            stride=1,
            bottleneck=depth == 50,
            zero_init=zero_init,
            layer=layer,
        )
    np.testing.assert_array_equal(blocks[True](features), features)
    # By its last layer alone: if the first were zero, no gradient would reach either.
    assert np.abs(blocks[True].layer0(features)).max() > 0.1
    assert np.abs(blocks[False](features) - features).max() > 0.1


def test_kernels_are_drawn_for_what_comes_back_through_a_relu():
    layer = ConvNorm(
        64, 256, 3, norm="batch", axis_name=None, dtype=None, rngs=nnx.Rngs(0)
    )
    kernel = np.asarray(layer.conv.kernel[...])
    # Fan-out: an output has 9 · 64 inputs, an input 9 · 256 outputs.
    np.testing.assert_allclose(kernel.std(), np.sqrt(2 / (9 * 256)), rtol=0.02)
    # A normal distribution, not one that is cut at two deviations.
    assert np.abs(kernel).max() > 4 * kernel.std()


def test_a_depth_that_there_is_not_is_an_error():
    with pytest.raises(ValueError, match="`depth` must be one of 18, 34, 50, got 101"):
        make(101, "cifar")
