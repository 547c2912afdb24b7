"""The public families of weights, and how to know one."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from jaxcl.models._weights import _clip, _dino, _resnet, _timm, _transformers
from jaxcl.models._weights._errors import WeightsError
from jaxcl.models._weights._table import Row

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = (
    (0.48145466, 0.4578275, 0.40821073),
    (0.26862954, 0.26130258, 0.27577711),
)

# The share of its names above which a family is named as the nearest.
_ALIKE = 0.5


class Family(NamedTuple):
    """Weights that were published under the same names.

    Attributes:
        name: Who names them so.
        kind: Our encoder for them.
        rows: The table; that of the smallest, if depths differ by more than a count.
        marks: Keys that all of them have, and no family further down does.
        spellings: Patterns of keys and what they are replaced by, for the table.
        ignored: Pattern of the keys that are left out: what is no part of an encoder.
        normalization: Mean and standard deviation of the channels, if no file says it.
        rope: Whether queries and keys are rotated by their positions.
        norm_epsilon: Added to the variance in each norm, if no file says it.
        note: What is to be known about all of them.
    """

    name: str
    kind: str
    rows: tuple[Row, ...]
    marks: tuple[str, ...]
    spellings: tuple[tuple[str, str], ...] = ()
    ignored: str = ""
    normalization: tuple[tuple[float, ...], tuple[float, ...]] = IMAGENET
    rope: bool = False
    norm_epsilon: float = 1e-6
    note: str = ""


RESNET = Family(
    "torchvision or timm",
    "resnet",
    _resnet.resnet_rows(18),
    ("conv1.weight", "bn1.running_mean", "layer1.0.conv1.weight"),
    ignored=r"fc\..*|.*\.num_batches_tracked",
)
TIMM = Family(
    "timm",
    "vit",
    _timm.ROWS,
    ("patch_embed.proj.weight", "blocks.0.attn.qkv.weight", "blocks.0.mlp.fc1.weight"),
    ignored=r"head\..*|head_dist\..*",
)
TIMM_ROPE = Family(
    "timm (DINOv3)",
    "vit",
    _timm.ROPE_ROWS,
    ("reg_token", "blocks.0.gamma_1", "blocks.0.attn.qkv.weight"),
    ignored=r"head\..*|rope\.periods",
    rope=True,
    norm_epsilon=1e-5,
)
DINOV2 = Family(
    "DINOv2",
    "vit",
    _dino.V2_ROWS,
    ("mask_token", "pos_embed", "patch_embed.proj.weight"),
    # Files of its training keep the blocks in chunks: blocks.CHUNK.BLOCK.
    spellings=((r"^blocks\.\d+\.(\d+)\.", r"blocks.\1."),),
    ignored=r"mask_token|head\..*",
)
DINOV3 = Family(
    "DINOv3",
    "vit",
    _dino.V3_ROWS,
    ("storage_tokens", "blocks.0.attn.qkv.weight", "blocks.0.ls1.gamma"),
    ignored=r"mask_token|head\..*|local_cls_norm\..*|.*\.bias_mask|rope_embed\.periods",
    rope=True,
    norm_epsilon=1e-5,
)
HF_DINOV2 = Family(
    "transformers (DINOv2)",
    "vit",
    _transformers.V2_ROWS,
    (
        "embeddings.patch_embeddings.projection.weight",
        "encoder.layer.0.attention.q_proj.weight",
        "encoder.layer.0.layer_scale1.lambda1",
    ),
    spellings=(
        (r"^(dinov2|dinov2_with_registers)\.", ""),
        (r"\.attention\.attention\.(query|key|value)\.", r".attention.\1_proj."),
        (r"\.(q|k|v)(uery|ey|alue)_proj\.", r".\1_proj."),
        (r"\.attention\.output\.dense\.", ".attention.o_proj."),
    ),
    ignored=r"embeddings\.mask_token|classifier\..*",
)
HF_DINOV3 = Family(
    "transformers (DINOv3)",
    "vit",
    _transformers.V3_ROWS,
    (
        "embeddings.patch_embeddings.weight",
        "layer.0.attention.q_proj.weight",
        "layer.0.layer_scale1.lambda1",
    ),
    spellings=((r"^(dinov3_vit\.)?(model\.)?", ""),),
    ignored=r"embeddings\.mask_token|classifier\..*|rope_embeddings\..*",
    rope=True,
    norm_epsilon=1e-5,
)
OPEN_CLIP = Family(
    "open_clip",
    "vit",
    _clip.ROWS,
    (
        "visual.class_embedding",
        "visual.conv1.weight",
        "visual.transformer.resblocks.0.attn.in_proj_weight",
    ),
    ignored=r"(?!visual\.).*",
    normalization=CLIP,
    norm_epsilon=1e-5,
)
FAMILIES = (
    RESNET,
    OPEN_CLIP,
    HF_DINOV2,
    HF_DINOV3,
    TIMM_ROPE,
    DINOV3,
    DINOV2,
    TIMM,
)


def find_family(keys: Iterable[str]) -> tuple[Family, dict[str, str]]:
    """The family of a file, and the keys of its table with those of the file.

    Raises:
        WeightsError: It is none of the known.
    """
    keys = tuple(keys)
    if not keys:
        raise WeightsError("the file holds no arrays")
    missing: dict[str, tuple[float, list[str]]] = {}
    for family in FAMILIES:
        names = spell(family, keys)
        absent = [mark for mark in family.marks if mark not in names]
        if not absent:
            return family, names
        missing[family.name] = (_likeness(family, names), absent)
    name, (likeness, absent) = min(
        missing.items(), key=lambda item: (len(item[1][1]), -item[1][0])
    )
    first = ", ".join(repr(key) for key in sorted(keys)[:3])
    nearest = f"; the nearest is {name}, which has {', '.join(map(repr, absent))}"
    if likeness < _ALIKE:
        known = ", ".join(family.name for family in FAMILIES)
        nearest = f"; ResNets and ViTs of these are: {known}"
    raise WeightsError(
        f"the file holds weights of a network that is not known: {first}, … "
        f"({len(keys)} arrays){nearest}"
    )


def spell(family: Family, keys: Iterable[str]) -> dict[str, str]:
    """Keys in the spelling of a family's table, each with that of the file."""
    spelled = {}
    for key in keys:
        name = key
        for pattern, replacement in family.spellings:
            name = re.sub(pattern, replacement, name)
        spelled[name] = key
    return spelled


def _likeness(family: Family, names: Mapping[str, str]) -> float:
    """The share of the table that a file has."""
    known = [key.format(i=0) for row in family.rows for key in row.keys]
    return sum(key in names for key in known) / len(known)
