"""The numbers of the layers of every encoder."""

import jax
import jax.numpy as jnp
import pytest

from jaxcl.models import Architecture, count_blocks, number_layers, parameter_layers

SHAPE = (8, 8, 3)
# Every top-level part of an encoder, from the pixels up.
EXPECTED = {
    "vit": [
        {"embed", "token"},
        *({f"block{i}"} for i in range(12)),
        {"norm"},
    ],
    "resnet": [
        {"stem"},
        *({f"stage{i // 2}_block{i % 2}"} for i in range(8)),
    ],
    "convnet": [set(), *({f"conv{i}", f"norm{i}"} for i in range(3))],
    "mlp": [set(), *({f"linear{i}", f"norm{i}"} for i in range(2))],
    "simple_convnet": [set(), *({f"layer{i}"} for i in range(4))],
}
OPTIONS = {
    "vit": {"size": "ti", "patch_size": 4},
    "resnet": {"depth": 18, "stem": "cifar"},
    "convnet": {"width": 4, "stages": 3},
    "mlp": {"width": 4, "layers": 2},
    "simple_convnet": {},
}


@pytest.mark.parametrize("kind", EXPECTED)
def test_layers_are_counted_from_the_pixels(kind):
    encoder = Architecture(kind, OPTIONS[kind]).make_encoder(SHAPE)
    images = jnp.zeros((1, *SHAPE))
    params, state = jax.eval_shape(encoder.init, jax.random.key(0), images)
    expected = {name: i for i, names in enumerate(EXPECTED[kind]) for name in names}
    assert number_layers(params) == expected
    assert set(state) <= set(params)
    by_leaf = parameter_layers(params)
    assert jax.tree.structure(by_leaf) == jax.tree.structure(params)
    for name, part in by_leaf.items():
        assert set(jax.tree.leaves(part)) == {expected[name]}


def test_more_than_ten_blocks_are_in_the_order_of_their_numbers():
    names = [f"block{i}" for i in range(24)]
    assert [number_layers(names)[name] for name in names] == [*range(1, 25)]
    assert count_blocks([*names, "norm", "embed"]) == 24


def test_blocks_of_a_custom_encoder_need_numbers_and_one_name():
    assert number_layers(["layers_1", "layers_0"]) == {"layers_0": 1, "layers_1": 2}
    for names in (["Conv_0", "Dense_0"], ["block0", "pool"], ["backbone"], []):
        with pytest.raises(ValueError, match="must be blocks of one name with a numb"):
            number_layers(names)
