"""What the files beside the weights say that names and shapes cannot."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from jaxcl.files import read_regular
from jaxcl.models._weights._errors import WeightsError

_MOST_BYTES = 2**20
# timm's and transformers' word, and ours.
_POOLS = {"token": "class", "avg": "mean", "tok": "class"}


@dataclass(frozen=True)
class Facts:
    """What is known beside the weights; None or empty = nothing.

    Attributes:
        name: Name of the network in timm.
        image_size: Height and width of the images.
        heads: Number of attention heads.
        pool: "class" or "mean".
        activation: "gelu" or "quick_gelu".
        norm_epsilon: Added to the variance in each norm.
        late_norm: Whether the last norm follows the pooling.
        mean: Mean of each channel.
        std: Standard deviation of each channel.
    """

    name: str = ""
    image_size: tuple[int, int] | None = None
    heads: int | None = None
    pool: str | None = None
    activation: str | None = None
    norm_epsilon: float | None = None
    late_norm: bool | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


def read_facts(directory: Path) -> Facts:
    """Reads the configs of timm, transformers and open_clip in a directory.

    Raises:
        WeightsError: One of them is no JSON, or says what jaxcl cannot do.
    """
    found = Facts()
    for name, understand in _READERS.items():
        stored = _read_json(directory / name)
        if stored:
            try:
                found = _merge(found, understand(stored))
            except (
                ArithmeticError,
                AttributeError,
                KeyError,
                TypeError,
                ValueError,
            ) as error:
                raise WeightsError(f"{name} beside it is wrong: {error}") from error
    return found


def _read_json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        stored = json.loads(read_regular(path.resolve(), _MOST_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{path.name} beside it cannot be read: {error}") from error
    return stored if isinstance(stored, dict) else {}


def _merge(first: Facts, second: Facts) -> Facts:
    return Facts(
        **{
            field.name: getattr(second, field.name) or getattr(first, field.name)
            for field in fields(Facts)
        }
    )


def _from_config(stored: Mapping[str, Any]) -> Facts:
    """``config.json`` of timm or transformers."""
    if "pretrained_cfg" in stored or "architecture" in stored:
        return _from_timm(stored)
    if stored.get("rope_theta", 100.0) != 100.0:
        raise ValueError(f"`rope_theta` must be 100, got {stored['rope_theta']!r}")
    if stored.get("use_gated_mlp") or stored.get("use_swiglu_ffn"):
        raise ValueError("SwiGLU is not supported")
    activation = stored.get("hidden_act")
    if activation not in (None, "gelu", "quick_gelu"):
        raise ValueError(f"`hidden_act` must be gelu or quick_gelu, got {activation!r}")
    return Facts(
        image_size=_size(stored.get("image_size")),
        heads=_count(stored.get("num_attention_heads")),
        activation=activation,
        norm_epsilon=_epsilon(stored.get("layer_norm_eps")),
    )


def _from_timm(stored: Mapping[str, Any]) -> Facts:
    name = str(stored.get("architecture", ""))
    name = name if re.fullmatch(r"[\w.]{1,100}", name) else ""
    arguments = stored.get("model_args") or {}
    pretrained = stored.get("pretrained_cfg") or {}
    pool = arguments.get("global_pool", stored.get("global_pool"))
    if pool not in (None, "", *_POOLS):
        raise ValueError(f"`global_pool` must be token or avg, got {pool!r}")
    size = arguments.get("img_size", (pretrained.get("input_size") or [])[1:])
    return Facts(
        name=name,
        image_size=_size(size),
        heads=_count(arguments.get("num_heads")),
        pool=_POOLS.get(pool or ""),
        activation="quick_gelu" if "quickgelu" in name else None,
        mean=_numbers(pretrained.get("mean")),
        std=_numbers(pretrained.get("std")),
    )


def _from_open_clip(stored: Mapping[str, Any]) -> Facts:
    """``open_clip_config.json``."""
    model = stored["model_cfg"]
    vision, preprocess = model["vision_cfg"], stored.get("preprocess_cfg") or {}
    if vision.get("pool_type", "tok") not in _POOLS:
        raise ValueError(f"`pool_type` must be tok or avg, got {vision['pool_type']!r}")
    width, head_width = vision.get("width", 768), vision.get("head_width", 64)
    return Facts(
        image_size=_size(vision.get("image_size")),
        heads=_count(width // head_width) if isinstance(width, int) else None,
        pool=_POOLS[vision.get("pool_type", "tok")],
        activation="quick_gelu" if model.get("quick_gelu") else "gelu",
        norm_epsilon=_epsilon((vision.get("norm_kwargs") or {}).get("eps")),
        late_norm=bool(vision.get("final_ln_after_pool")),
        mean=_numbers(preprocess.get("mean")),
        std=_numbers(preprocess.get("std")),
    )


def _from_processor(stored: Mapping[str, Any]) -> Facts:
    """``preprocessor_config.json`` of transformers."""
    if not stored.get("do_normalize", True):
        return Facts()
    return Facts(
        mean=_numbers(stored.get("image_mean")), std=_numbers(stored.get("image_std"))
    )


_READERS = {
    "config.json": _from_config,
    "open_clip_config.json": _from_open_clip,
    "preprocessor_config.json": _from_processor,
}


def _numbers(stored: Any) -> tuple[float, ...]:
    if isinstance(stored, str):
        raise ValueError(f"mean and std must be lists of numbers, got {stored!r}")
    return tuple(float(value) for value in stored or ())


def _epsilon(stored: Any) -> float | None:
    if stored is None or 0 < float(stored) < 1:
        return None if stored is None else float(stored)
    raise ValueError(f"the epsilon of norms must be in (0, 1), got {stored!r}")


def _count(stored: Any) -> int | None:
    if stored is None or (isinstance(stored, int) and 0 < stored < 2**16):
        return stored
    raise ValueError(f"a count must be a positive integer, got {stored!r}")


def _size(stored: Any) -> tuple[int, int] | None:
    """Height and width, stored as one number or as both."""
    if not stored:
        return None
    sides = stored if isinstance(stored, list | tuple) else (stored, stored)
    height, width = (_count(side) or 0 for side in sides)
    return height, width
