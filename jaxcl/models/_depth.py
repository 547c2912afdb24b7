"""How deep in an encoder its parameters are: numbers of layers, by names."""

import re
from collections.abc import Iterable
from typing import Any

import jax
from jaxtyping import PyTree

# The names that the encoders of this library give to parts that have no number.
_FIRST = {"embed", "norm_pre", "positions", "registers", "stem", "token"}
_LAST = {"norm", "project"}
# Parts of one layer, which share its number.
_TOGETHER = ({"conv", "norm"}, {"linear", "norm"})


def number_layers(names: Iterable[str]) -> dict[str, int]:
    """The layer of every top-level part of an encoder.

    What sees the pixels first (patches, class token, stem) is layer 0, the blocks are
    layers 1 to L, and a norm after the last block is layer L + 1.

    Args:
        names: The names of the parts. Those of blocks end with their number; a ResNet's
            have two, ``stage0_block1``.

    Raises:
        ValueError: The order of the parts does not follow from their names.

    Example:
        >>> number_layers(["norm", "block0", "block1", "embed"])
        {'norm': 3, 'block0': 1, 'block1': 2, 'embed': 0}
    """
    names = list(names)
    numbers = {name: tuple(map(int, re.findall(r"\d+", name))) for name in names}
    words = {re.sub(r"\d+", "", name) for name in names if re.search(r"\d$", name)}
    unknown = [
        name
        for name in names
        if not re.search(r"\d$", name) and name not in _FIRST | _LAST
    ]
    if unknown or not words or (len(words) > 1 and words not in _TOGETHER):
        raise ValueError(
            "the parts of the encoder must be blocks of one name with a number each, "
            f"such as block0, block1, got {', '.join(sorted(names)) or 'none'}"
        )
    order = sorted({number for number in numbers.values() if number})
    layers = {number: i + 1 for i, number in enumerate(order)}
    return {
        name: layers[number] if number else (len(order) + 1) * (name in _LAST)
        for name, number in numbers.items()
    }


def count_blocks(names: Iterable[str]) -> int:
    """The number L of numbered blocks of an encoder: see `number_layers`.

    Example:
        >>> count_blocks(["embed", "block0", "block1", "norm"])
        2
    """
    layers = number_layers(names)
    return max(layer for name, layer in layers.items() if name[-1].isdigit())


def parameter_layers(params: PyTree) -> PyTree:
    """The layer of every parameter of an encoder: see `number_layers`.

    Args:
        params: The parameters of an encoder, a nested dict.

    Returns:
        A tree of integers.

    Example:
        >>> parameter_layers({"conv0": {"kernel": 1.0}, "conv1": {"kernel": 1.0}})
        {'conv0': {'kernel': 1}, 'conv1': {'kernel': 2}}
    """
    layers = number_layers(params)

    def fill(part: Any, layer: int) -> Any:
        return jax.tree.map(lambda _: layer, part)

    return {name: fill(part, layers[name]) for name, part in params.items()}
