"""Vision transformers against a slow one that is written from the papers."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcl.models import ViT, _positions, _vit, _vit_block, from_nnx

KEY = jax.random.key(0)
GENERATOR = np.random.default_rng(0)
IMAGES = jnp.float32(GENERATOR.normal(size=(3, 8, 12, 2)))


def make(shape=(8, 12, 2), size="ti", patch_size=4, **options):
    return from_nnx(
        lambda rngs: ViT(shape, size=size, patch_size=patch_size, rngs=rngs, **options)
    )


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setitem(_vit.SIZES, "ti", (16, 2, 2))


def moved(encoder):
    params, state = encoder.init(KEY, IMAGES)
    draw = np.random.default_rng(1)
    return jax.tree.map(
        lambda leaf: leaf + np.float32(draw.normal(0.0, 0.2, leaf.shape)), params
    ), state


# With timm's table of 197 positions, and without its classifier.
PUBLISHED = {"ti": (192, 5_524_416), "s": (384, 21_665_664)}


@pytest.mark.slow
@pytest.mark.parametrize("size", PUBLISHED)
def test_parameters_are_as_many_as_published(size):
    dim, published = PUBLISHED[size]
    module = nnx.eval_shape(
        lambda: ViT((224, 224, 3), size=size, patch_size=16, rngs=nnx.Rngs(0))
    )
    leaves = jax.tree.leaves(nnx.state(module, nnx.Param))
    found = sum(leaf.size for leaf in leaves)
    block = (
        2 * 2 * dim  # two norms
        + dim * 3 * dim + 3 * dim  # queries, keys and values
        + dim * dim + dim  # what attention returns
        + 2 * 4 * dim * dim + 4 * dim + dim  # the two layers on each token
    )  # fmt: skip
    assert found == 16 * 16 * 3 * dim + dim + dim + 12 * block + 2 * dim
    assert found + 197 * dim == published
    assert module.dim == dim


def normalize(rows, params):
    mean, variance = rows.mean(-1, keepdims=True), rows.var(-1, keepdims=True)
    rows = (rows - mean) / np.sqrt(variance + 1e-6)
    return rows * params["scale"] + params["bias"]


def linear(rows, params):
    return rows @ params["kernel"] + params["bias"]


def gelu(values):
    return values * 0.5 * (1 + np.vectorize(math.erf)(values / math.sqrt(2)))


def attend(tokens, params, heads):
    """softmax(q · kᵀ / √d) · v, head by head."""
    dim = tokens.shape[-1]
    side = dim // heads
    qkv = linear(tokens, params["qkv"])
    parts = []
    for head in range(heads):
        query, key, value = (
            qkv[:, i * dim + head * side : i * dim + (head + 1) * side]
            for i in range(3)
        )
        weights = np.exp(query @ key.T / math.sqrt(side))
        parts.append(weights / weights.sum(-1, keepdims=True) @ value)
    return linear(np.concatenate(parts, -1), params["out"])


def positions(rows, columns, dim, step=1.0, first=0.0):
    table = np.zeros((rows, columns, dim))
    quarter = dim // 4
    for r in range(rows):
        for c in range(columns):
            for i in range(quarter):
                frequency = 10_000 ** (-i / quarter)
                down, across = (frequency * (first + step * at) for at in (r, c))
                table[r, c, i] = math.sin(down)
                table[r, c, quarter + i] = math.cos(down)
                table[r, c, 2 * quarter + i] = math.sin(across)
                table[r, c, 3 * quarter + i] = math.cos(across)
    return table.reshape(rows * columns, dim)


def embed(image, params, pool, heads=2, patch=4, dim=16, blocks=2):
    """One image, in the order of the paper's equations."""
    rows, columns = image.shape[0] // patch, image.shape[1] // patch
    tokens = np.zeros((rows * columns, dim))
    for r in range(rows):
        for c in range(columns):
            square = image[r * patch : (r + 1) * patch, c * patch : (c + 1) * patch]
            tokens[r * columns + c] = linear(square.ravel(), params["embed"])
    tokens = tokens + positions(rows, columns, dim)
    if pool == "class":
        tokens = np.concatenate([params["token"][0], tokens])
    for i in range(blocks):
        block = params[f"block{i}"]
        tokens = tokens + attend(normalize(tokens, block["norm1"]), block, heads)
        hidden = gelu(linear(normalize(tokens, block["norm2"]), block["up"]))
        tokens = tokens + linear(hidden, block["down"])
    tokens = normalize(tokens, params["norm"])
    return tokens[0] if pool == "class" else tokens.mean(0)


@pytest.mark.slow
@pytest.mark.parametrize(("pool", "heads"), [("class", 2), ("class", 4), ("mean", 2)])
def test_embeddings_are_those_of_the_papers(small, pool, heads):
    encoder = make(pool=pool, heads=heads)
    params, state = moved(encoder)
    found, _ = jax.jit(encoder.apply, static_argnums=3)(
        params, state, IMAGES, True, KEY
    )
    wide = jax.tree.map(np.float64, params)
    expected = [embed(np.float64(image), wide, pool, heads) for image in IMAGES]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert ("token" in params) == (pool == "class")


def test_positions_are_those_of_moco_v3():
    found = _positions.sincos_positions(2, 3, (2, 3), 16)
    np.testing.assert_allclose(found, positions(2, 3, 16), atol=1e-6)


def test_patches_of_a_smaller_view_are_spread_over_the_same_square():
    found = _positions.sincos_positions(2, 2, (6, 6), 16)
    # Each stands where the middle of three patches by three stood: at 1 and at 4.
    np.testing.assert_allclose(found, positions(2, 2, 16, 3.0, 1.0), atol=1e-5)


def test_images_of_another_size_are_taken(small):
    encoder = make()
    params, state = moved(encoder)

    @jax.jit
    def rows_of(images):
        return encoder.apply(params, state, images, True, KEY)[0]

    wide = IMAGES[:, :4, :8]
    rows = rows_of(wide)
    assert rows.shape == (3, 16)
    # The same two patches one above the other: they stand elsewhere.
    turned = rows_of(jnp.concatenate([wide[:, :, :4], wide[:, :, 4:]], axis=1))
    assert np.abs(rows - turned).max() > 1e-3


def operations(jaxpr):
    """All of a program, those of its functions too."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in equation.params.values():
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from operations(inner)


def test_products_alone_are_narrow(small):
    encoder = make(dtype=jnp.bfloat16)
    params, state = moved(encoder)
    program = jax.make_jaxpr(lambda p: encoder.apply(p, state, IMAGES, True, KEY)[0])
    seen = []
    for operation in operations(program(params).jaxpr):
        seen.append(operation.primitive.name)
        if seen[-1] == "dot_general":
            assert {v.aval.dtype for v in operation.invars} == {jnp.dtype("bfloat16")}
        if seen[-1] in ("exp", "rsqrt", "reduce_sum", "reduce_max"):
            assert operation.outvars[0].aval.dtype == jnp.float32
    # Six products, one softmax and two norms in each of two blocks; one of each besides
    # for the patches, the positions and the end.
    assert seen.count("dot_general") == 2 * 6 + 1
    assert seen.count("exp") == 2 + 1
    assert seen.count("rsqrt") == 2 * 2 + 1


@pytest.mark.slow
def test_the_sums_are_not_narrow():
    block = _vit_block.Block(16, 2, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    for last in (block.out, block.down):
        last.kernel[...] = jnp.zeros(last.kernel[...].shape)
    tokens = jnp.float32(1 + 1e-4 * GENERATOR.normal(size=(2, 3, 16)))
    np.testing.assert_array_equal(block(tokens), tokens)


def test_the_slope_of_gelu_is_that_of_finite_differences():
    values = jnp.linspace(-5.0, 5.0, 41)
    at = np.float64(values)
    expected = (gelu(at + 1e-5) - gelu(at - 1e-5)) / 2e-5
    found = jax.vmap(jax.grad(_vit_block.gelu))(values)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_every_patch_must_be_whole(small):
    message = "`patch_size` must divide the height and width of the images, {}, got 5"
    with pytest.raises(ValueError, match=message.format("8×12")):
        make(patch_size=5)
    encoder = make(shape=(10, 10, 2), patch_size=5)
    params, state = encoder.init(KEY, IMAGES)
    with pytest.raises(ValueError, match=message.format("8×12")):
        encoder.apply(params, state, IMAGES, False, KEY)


def test_heads_must_share_the_dimension():
    with pytest.raises(ValueError, match="`heads` must divide 192, got 5"):
        make(heads=5)


def test_initial_parameters_are_those_of_moco_v3(monkeypatch):
    monkeypatch.setitem(_vit.SIZES, "s", (384, 1, 6))
    params, _ = make((16, 16, 3), "s", 16).init(KEY, None)
    block = params["block0"]
    # Uniform between ± √(6 / (fan in + fan out)), queries, keys and values apart.
    for kernel, fans in [
        (params["embed"]["kernel"], 768 + 384),
        (block["qkv"]["kernel"], 384 + 384),
        (block["out"]["kernel"], 384 + 384),
        (block["up"]["kernel"], 384 + 1536),
        (block["down"]["kernel"], 1536 + 384),
    ]:
        np.testing.assert_allclose(np.abs(kernel).max(), math.sqrt(6 / fans), rtol=1e-3)
    np.testing.assert_allclose(np.std(params["token"]), 1e-6, rtol=0.2)
