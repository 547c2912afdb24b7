"""LoRA: the encoder starts as it was, and merged weights give the same embeddings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcl.models import Architecture, Lora, Pretrained, _vit, merge_lora

KEY = jax.random.key(0)
SHAPE = (8, 8, 3)
IMAGES = jnp.float32(np.random.default_rng(0).uniform(size=(4, *SHAPE)))
VIT = Architecture("vit", {"size": "ti", "patch_size": 4})
LAYERS = {"attention": {"qkv", "out"}, "mlp": {"up", "down"}}
LAYERS["all"] = LAYERS["attention"] | LAYERS["mlp"]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setitem(_vit.SIZES, "ti", (16, 2, 2))


def embed(encoder, params, state=None):
    return np.asarray(encoder.apply(params, state or {}, IMAGES, True, KEY)[0])


def start(lora=None, dtype=None):
    encoder = VIT.make_encoder(SHAPE, lora=lora, dtype=dtype)
    return encoder, encoder.init(KEY, IMAGES)[0]


def moved(params):
    """Parameters with other values, as after training."""
    draw = np.random.default_rng(1)
    return jax.tree.map(
        lambda leaf: leaf + np.float32(draw.normal(0, 0.2, leaf.shape)), params
    )


@pytest.mark.parametrize("layers", LAYERS)
def test_the_encoder_starts_as_it_was(layers):
    (plain, weights), (encoder, params) = start(), start(Lora(3, 5.0, layers))
    np.testing.assert_array_equal(embed(encoder, params), embed(plain, weights))
    for name, layer in params["block1"].items():
        added = layer.keys() - weights["block1"][name].keys()
        assert added == ({"lora_a", "lora_b"} if name in LAYERS[layers] else set())


@pytest.mark.parametrize("layers", LAYERS)
def test_merged_weights_give_the_same_embeddings(layers):
    (plain, weights), (encoder, params) = start(), start(Lora(3, 5.0, layers))
    params = moved(params)
    merged = merge_lora(params, alpha=5.0)
    assert jax.tree.structure(merged) == jax.tree.structure(weights)
    expected = embed(encoder, params)
    assert np.abs(expected - embed(plain, weights)).max() > 0.1
    np.testing.assert_allclose(embed(plain, merged), expected, rtol=2e-5, atol=2e-5)


def test_a_merged_weight_is_the_sum_of_the_paper():
    layer = moved(start(Lora(3, 5.0))[1])["block0"]["qkv"]
    kernel, a, b = (np.float64(layer[name]) for name in ("kernel", "lora_a", "lora_b"))
    expected = kernel + 5.0 / 3 * sum(np.outer(a[:, r], b[r]) for r in range(3))
    found = merge_lora(layer, alpha=5.0)
    np.testing.assert_allclose(found["kernel"], expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(found["bias"], layer["bias"])


def test_parameters_without_lora_are_merged_already():
    weights = start()[1]
    jax.tree.map(np.testing.assert_array_equal, merge_lora(weights, 2.0), weights)


def test_public_weights_stay_and_the_key_draws_only_a():
    weights = moved(start()[1])
    loaded = Pretrained(VIT, weights, {}, SHAPE)
    encoder = loaded.make_encoder(lora=Lora(2))
    one, _ = encoder.init(KEY, IMAGES)
    other, _ = encoder.init(jax.random.key(1), IMAGES)
    jax.tree.map(np.testing.assert_array_equal, merge_lora(one, 16.0), weights)
    same = jax.tree.map(lambda a, b: bool(np.all(a == b)), one, other)
    drawn = {
        jax.tree_util.keystr(path[-1:])
        for path, same in jax.tree_util.tree_leaves_with_path(same)
        if not same
    }
    assert drawn == {"['lora_a']"}
    expected = embed(loaded.make_encoder(), weights)
    np.testing.assert_array_equal(embed(encoder, one), expected)


def test_narrow_types_are_for_products_only():
    encoder, params = start(Lora(2), dtype=jnp.bfloat16)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    (plain, weights) = start(dtype=jnp.bfloat16)
    np.testing.assert_array_equal(embed(encoder, params), embed(plain, weights))


def test_layers_without_bias_have_none():
    class Block(nnx.Module):
        def __init__(self, rngs):
            self.out = nnx.Linear(4, 2, use_bias=False, rngs=rngs)

    from jaxcl.models._lora import add_lora

    module = add_lora(Block(nnx.Rngs(0)), Lora(1), nnx.Rngs(1))
    assert set(nnx.to_pure_dict(nnx.state(module))["out"]) == {
        "kernel",
        "lora_a",
        "lora_b",
    }


@pytest.mark.parametrize(
    ("kind", "options"),
    [("resnet", {"depth": 18, "stem": "cifar"}), ("mlp", {"width": 4, "layers": 1})],
)
def test_an_encoder_without_such_layers_is_refused(kind, options):
    with pytest.raises(ValueError, match="must have linear layers of a transformer"):
        Architecture(kind, options).make_encoder(SHAPE, lora=Lora())


def test_a_rank_of_zero_is_refused():
    with pytest.raises(ValueError, match="`rank` must be at least 1, got 0"):
        Lora(0)
