"""What jaxcl writes beside the arrays of a file, and reads again."""

import json
import math
from collections.abc import Mapping
from typing import Any

from jaxcl.models._architecture import Architecture, ImageShape
from jaxcl.models._pretrained import Pretrained
from jaxcl.models._weights._arrays import (
    NO_ENCODER,
    STATE,
    check_keys,
    check_shapes,
    expected_shapes,
    read_rows,
    split_state,
)
from jaxcl.models._weights._describe import table_of
from jaxcl.models._weights._errors import WeightsError
from jaxcl.models._weights._families import RESNET, TIMM, TIMM_ROPE, Family
from jaxcl.models._weights._file import WeightFile
from jaxcl.models._weights._table import Place, Row

OWN_KEY = "jaxcl"
_MOST_BLOCKS = 1000


def own_metadata(pretrained: Pretrained, names: str) -> dict[str, str]:
    """The metadata of a safetensors file, from which its weights are loaded again.

    Args:
        pretrained: The weights.
        names: Whose names the arrays have: "timm", "torchvision" or "jaxcl".
    """
    stored = {
        "architecture": pretrained.architecture.as_dict(),
        "image_shape": list(pretrained.image_shape),
        "mean": list(pretrained.mean),
        "std": list(pretrained.std),
        "names": names,
    }
    # Readers of torch's files ask for a format.
    return {"format": "pt", OWN_KEY: json.dumps(stored, sort_keys=True)}


def own_table(
    architecture: Architecture, image_shape: ImageShape, names: str
) -> tuple[list[Row], Place]:
    """The rows of an encoder under the names that jaxcl writes, and their place."""
    options = architecture.options
    if names == "jaxcl":
        paths = expected_shapes(architecture, image_shape)
        return [Row(path.replace(STATE, "state."), path) for path in paths], Place()
    if architecture.kind == "resnet":
        return table_of(RESNET, architecture), Place()
    return table_of(timm_family(options), architecture), timm_place(options)


def timm_family(options: Mapping[str, Any]) -> Family:
    """Whose table timm uses for a ViT."""
    return TIMM_ROPE if options.get("positions") == "rope" else TIMM


def timm_place(options: Mapping[str, Any]) -> Place:
    """With registers or without a class token, timm embeds the patches alone."""
    pool = options.get("pool", "class")
    with_class = options.get("class_token")
    with_class = pool == "class" if with_class is None else with_class
    prefix = int(with_class and not options.get("registers", 0))
    return Place(options["patch_size"], prefix)


def read_own(weights: WeightFile) -> Pretrained:
    """The weights of a file that jaxcl wrote.

    Raises:
        WeightsError: Its arrays are not those of the encoder that it names.
    """
    try:
        stored = json.loads(weights.metadata[OWN_KEY])
        architecture = Architecture.from_dict(stored["architecture"])
        names, image_shape = stored["names"], _shape(stored["image_shape"])
        mean, std = _numbers(stored["mean"]), _numbers(stored["std"])
        _check_sizes(architecture)
    except (*NO_ENCODER, RecursionError) as error:
        raise WeightsError(f"what jaxcl wrote in it is damaged: {error}") from error
    if names not in ("timm", "torchvision", "jaxcl"):
        raise WeightsError(f"its arrays have names that are not known: {names!r}")
    expected = expected_shapes(architecture, image_shape)
    try:
        rows, place = own_table(architecture, image_shape, names)
    except NO_ENCODER as error:
        raise WeightsError(f"{names} has no such encoder: {error}") from error
    shapes = dict(weights.shapes)
    if architecture.options.get("positions", "sincos") == "sincos" and names == "timm":
        shapes.pop("pos_embed", None)  # computed, and written for timm alone
    check_keys(rows, shapes, "jaxcl")
    check_shapes(rows, expected, shapes, place)
    params, state = split_state(read_rows(rows, weights.read, place))
    return Pretrained(
        architecture,
        params,
        state,
        image_shape,
        mean=mean,
        std=std,
        source="jaxcl",
        digest=weights.digest,
    )


def _shape(stored: Any) -> ImageShape:
    height, width, channels = (int(side) for side in stored)
    if not all(0 < side < 2**15 for side in (height, width, channels)):
        raise ValueError(f"`image_shape` is {stored!r}")
    return height, width, channels


def _numbers(stored: Any) -> tuple[float, ...]:
    values = tuple(float(value) for value in stored)
    if not all(math.isfinite(value) for value in values):
        raise ValueError(f"`mean` and `std` must be finite, got {stored!r}")
    return values


def _check_sizes(architecture: Architecture) -> None:
    """A file of a stranger must not make an encoder of a million blocks."""
    for name in ("depth", "layers", "stages"):
        count = architecture.options.get(name, 1)
        if isinstance(count, int) and count > _MOST_BLOCKS:
            raise ValueError(f"`{name}` is {count}")
