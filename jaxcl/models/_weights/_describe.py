"""Which encoder a file holds: from names, shapes, and what stands beside it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxcl.models._architecture import Architecture, ImageShape
from jaxcl.models._vit import SIZES
from jaxcl.models._weights._errors import WeightsError
from jaxcl.models._weights._facts import Facts
from jaxcl.models._weights._families import OPEN_CLIP, Family
from jaxcl.models._weights._resnet import DEPTHS, resnet_rows
from jaxcl.models._weights._table import Place, Row, expand, grid_of

Shapes = Mapping[str, tuple[int, ...]]

_HEADS = {dim: heads for dim, _, heads in SIZES.values()}
_USUAL_SIDE = 224


class Found(NamedTuple):
    """An encoder in a file.

    Attributes:
        architecture: The encoder.
        image_shape: Height, width and channels of its images.
        rows: The table of its arrays.
        place: What their layouts depend on.
        notes: What was guessed.
    """

    architecture: Architecture
    image_shape: ImageShape
    rows: list[Row]
    place: Place
    notes: tuple[str, ...]


def describe(family: Family, shapes: Shapes, facts: Facts) -> Found:
    """The encoder of a family with arrays of these shapes.

    Raises:
        WeightsError: It has parts that are not known.
    """
    if family.kind == "resnet":
        return _describe_resnet(shapes, facts)
    return _describe_vit(family, shapes, facts)


def table_of(family: Family, architecture: Architecture) -> list[Row]:
    """The rows of an encoder."""
    options = architecture.options
    if architecture.kind == "resnet":
        return list(resnet_rows(options["depth"]))
    depth = options.get("depth") or SIZES[options["size"]][1]
    return expand(family.rows, vit_parts(options), depth)


def vit_parts(options: Mapping[str, Any]) -> set[str]:
    """The parts that a ViT has, as tables call them."""
    pool = options.get("pool", "class")
    with_class = options.get("class_token")
    has = {
        "class_token": pool == "class" if with_class is None else with_class,
        "registers": options.get("registers", 0) > 0,
        "learned": options.get("positions") == "learned",
        "embed_bias": options.get("embed_bias", True),
        "pre_norm": options.get("pre_norm", False),
        "layer_scale": options.get("layer_scale") is not None,
        "qkv_bias": options.get("qkv_bias", "all") == "all",
        "query_value_bias": options.get("qkv_bias") == "query_value",
        "norm_after_pool": options.get("norm_after_pool", False),
        "norm": not options.get("norm_after_pool", False),
        "out": options.get("out_dim") is not None,
    }
    return {part for part, present in has.items() if present}


def _describe_resnet(shapes: Shapes, facts: Facts) -> Found:
    convolutions = 3 if "layer1.0.conv3.weight" in shapes else 2
    blocks = tuple(
        _count_blocks(shapes, f"layer{stage}.", ".conv1.weight")
        for stage in range(1, 5)
    )
    layout = (blocks, convolutions)
    depth = next((depth for depth, known in DEPTHS.items() if known == layout), None)
    if depth is None:
        listed = "-".join(map(str, blocks))
        raise WeightsError(
            f"it is a ResNet of {listed} blocks of {convolutions} convolutions; "
            "ResNet-18, -34 and -50 are known"
        )
    options: dict[str, Any] = {"depth": depth, "stem": "imagenet"}
    features, channels, *_ = _four(shapes, "conv1.weight")
    if features != 64:
        options["width"] = features
    height, width = facts.image_size or (_USUAL_SIDE, _USUAL_SIDE)
    made = Architecture("resnet", options)
    rows = list(resnet_rows(depth))
    return Found(made, (height, width, channels), rows, Place(), ())


def _describe_vit(family: Family, shapes: Shapes, facts: Facts) -> Found:
    has = {row.when for row in family.rows if row.keys[0].format(i=0) in shapes}
    keys = {row.ours: row.keys[0].format(i=0) for row in family.rows}
    first_up = next(row for row in family.rows if row.ours == "block{i}.up.kernel")
    before, after = first_up.keys[0].split("{i}")
    depth = _count_blocks(shapes, before, after)
    dim, channels, patch_size, _ = _four(shapes, keys["embed.kernel"])
    notes: list[str] = []
    heads = _find_heads(dim, facts, notes)
    options = _size_options(dim, depth, heads)
    options["patch_size"] = patch_size
    hidden = shapes.get(keys["block{i}.up.kernel"], (4 * dim,))[0]
    if hidden != 4 * dim:
        options["mlp_dim"] = hidden
    registers = 0
    if "registers" in has:
        registers = shapes[keys["registers"]][-2]
        options["registers"] = registers
    options |= _part_options(family, has, shapes, keys)
    options |= _pool_options(has, facts, notes)
    options |= _norm_options(family, has, facts, notes)
    grid, prefix = _find_grid(family, has, shapes, keys, registers, patch_size, facts)
    if grid is None:
        grid = (_USUAL_SIDE // patch_size,) * 2
        notes.append(f"The size of its images is not known; {_USUAL_SIDE} is guessed.")
    made = Architecture("vit", options)
    image_shape = (grid[0] * patch_size, grid[1] * patch_size, channels)
    rows = expand(family.rows, vit_parts(options), depth)
    return Found(made, image_shape, rows, Place(patch_size, prefix), tuple(notes))


def _part_options(
    family: Family, has: set[str], shapes: Shapes, keys: Mapping[str, str]
) -> dict[str, Any]:
    """What stands in the file, and is not there by default."""
    options: dict[str, Any] = {}
    if family.rope:
        options["positions"] = "rope"
    elif "learned" in has:
        options["positions"] = "learned"
    else:
        raise WeightsError("it has no position embeddings, and does not rotate by them")
    if "layer_scale" in has:
        options["layer_scale"] = 1e-5
    if "pre_norm" in has:
        options["pre_norm"] = True
    if "embed_bias" not in has:
        options["embed_bias"] = False
    if "qkv_bias" not in has:
        biased = "query_value_bias" in has
        options["qkv_bias"] = "query_value" if biased else "none"
    if "out" in has:
        options["out_dim"] = shapes[keys["project.kernel"]][-1]
    return options


def _pool_options(has: set[str], facts: Facts, notes: list[str]) -> dict[str, Any]:
    """The embedding: the class token after the last norm, unless a file says else."""
    options: dict[str, Any] = {}
    late = "norm_after_pool" in has
    pool = facts.pool or ("class" if "class_token" in has and not late else "mean")
    if pool == "class" and "class_token" not in has:
        raise WeightsError("its config pools the class token, which it does not have")
    if pool == "mean":
        options["pool"] = "mean"
        notes.append("Embeddings are the mean over the patches.")
        if "class_token" in has:
            options["class_token"] = True
    if late or facts.late_norm:
        options["norm_after_pool"] = late or pool == "mean"
    return options


def _norm_options(
    family: Family, has: set[str], facts: Facts, notes: list[str]
) -> dict[str, Any]:
    options: dict[str, Any] = {}
    # In timm, only the towers of CLIP have a norm before the blocks, with 1e-5.
    usual = 1e-5 if "pre_norm" in has else family.norm_epsilon
    epsilon = facts.norm_epsilon or usual
    if epsilon != 1e-6:
        options["norm_epsilon"] = epsilon
    if facts.activation == "quick_gelu":
        options["activation"] = "quick_gelu"
    elif facts.activation is None and family is OPEN_CLIP:
        notes.append(
            "Whether it uses GELU or QuickGELU, as OpenAI's own weights do, is not "
            "known without open_clip_config.json; GELU is guessed."
        )
    return options


def _find_heads(dim: int, facts: Facts, notes: list[str]) -> int:
    heads = facts.heads or _HEADS.get(dim)
    if heads is None:
        heads = max(1, dim // 64)
        notes.append(f"The number of heads is not known; {heads} of 64 are guessed.")
    if dim % heads:
        raise WeightsError(f"{heads} heads do not divide its dimension {dim}")
    return heads


def _size_options(dim: int, depth: int, heads: int) -> dict[str, Any]:
    for size, usual in SIZES.items():
        if usual == (dim, depth, heads):
            return {"size": size}
    return {"dim": dim, "depth": depth, "heads": heads}


def _find_grid(
    family: Family,
    has: set[str],
    shapes: Shapes,
    keys: Mapping[str, str],
    registers: int,
    patch_size: int,
    facts: Facts,
) -> tuple[tuple[int, int] | None, int]:
    """Patches down and across, and the vectors before theirs in the positions."""
    said = None
    if facts.image_size is not None:
        said = (facts.image_size[0] // patch_size, facts.image_size[1] // patch_size)
    if "learned" not in has:
        return said, 0
    shape = shapes[keys["positions"]]
    if len(shape) < 2:
        raise WeightsError(f"{keys['positions']!r} must be a table, got {shape}")
    count = shape[-2]
    first = int("class_token" in has)
    # With registers, timm embeds the patches alone; its first such models embed all.
    for prefix in dict.fromkeys((first, 0, first + registers)):
        if said is not None and said[0] * said[1] == count - prefix:
            return said, prefix
        if said is None and (side := grid_of(count - prefix)):
            return (side, side), prefix
    for prefix in dict.fromkeys((first, 0, first + registers)):
        if side := grid_of(count - prefix):
            return (side, side), prefix
    raise WeightsError(
        f"{keys['positions']!r} holds positions of {count} tokens, which are no square "
        "of patches; config.json beside it would say the size of the images"
    )


def _four(shapes: Shapes, key: str) -> tuple[int, ...]:
    """Shape of the kernel of a convolution: features, channels, height, width."""
    shape = shapes[key]
    if len(shape) != 4 or shape[2] != shape[3] or 0 in shape:
        raise WeightsError(f"{key!r} must be the kernel of square patches, got {shape}")
    return shape


def _count_blocks(shapes: Shapes, before: str, after: str) -> int:
    count = 0
    while f"{before}{count}{after}" in shapes:
        count += 1
    return count
