"""Writes weights under the names of timm and torchvision, or under ours."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import PyTree
from safetensors.numpy import save_file

from jaxcl.files import replacing
from jaxcl.models._architecture import Architecture, ImageShape
from jaxcl.models._checks import check_choice
from jaxcl.models._positions import patch_grid, sincos_positions
from jaxcl.models._pretrained import Pretrained
from jaxcl.models._vit import SIZES
from jaxcl.models._weights._arrays import STATE
from jaxcl.models._weights._calls import loading_line, why_not
from jaxcl.models._weights._own import own_metadata, own_table
from jaxcl.models._weights._table import Values, flatten, write_layout

Names = Literal["auto", "timm", "torchvision", "jaxcl"]


def to_source(
    architecture: Architecture,
    params: PyTree,
    model_state: PyTree,
    *,
    image_shape: ImageShape,
    names: Names = "auto",
) -> tuple[dict[str, np.ndarray], str]:
    """The arrays of an encoder under the names of another library.

    Args:
        architecture: The encoder.
        params: Its parameters.
        model_state: Its statistics of BatchNorm.
        image_shape: Height, width and channels of its images. timm keeps positions
            that are fixed here as an array, for one size of images.
        names: "timm", "torchvision", "jaxcl" (paths with dots), or "auto": the first
            of torchvision and timm that has such an encoder, or else "jaxcl".

    Returns:
        Arrays by name, in float32, and whose names they are.

    Raises:
        ValueError: The library has no such encoder.
    """
    check_choice("names", names, get_args(Names))
    chosen = _choose(architecture, image_shape, names)
    trees = {**flatten(params), **flatten(model_state, STATE)}
    flat = {path: np.asarray(leaf, np.float32) for path, leaf in trees.items()}
    written = architecture
    if chosen == "timm" and architecture.kind == "vit":
        written = _fix_positions(architecture, image_shape, flat)
    rows, place = own_table(written, image_shape, chosen)
    arrays: dict[str, Values] = {}
    for row in rows:
        parts = write_layout(flat[row.ours], row.layout, place, len(row.keys))
        arrays |= dict(zip(row.keys, parts, strict=True))
    return arrays, chosen


def save_pretrained(
    pretrained: Pretrained, path: str | os.PathLike[str], *, names: Names = "auto"
) -> str:
    """Writes weights as a safetensors file, which `load_pretrained` reads again.

    Args:
        pretrained: The weights.
        path: The file; one that is there is replaced, once the new one is complete.
        names: As for `to_source`.

    Returns:
        A line of Python that loads the file: with timm, torchvision or jaxcl.

    Raises:
        ValueError: The library of `names` has no such encoder.
    """
    made, image_shape = pretrained.architecture, pretrained.image_shape
    arrays, chosen = to_source(
        made,
        pretrained.params,
        pretrained.model_state,
        image_shape=image_shape,
        names=names,
    )
    with replacing(Path(path)) as unfinished:
        mode = unfinished.stat().st_mode
        save_file(arrays, unfinished, own_metadata(pretrained, chosen))
        unfinished.chmod(mode)  # it writes a file that only its owner can read
    return loading_line(made, image_shape, chosen, os.fspath(path))


def _choose(architecture: Architecture, image_shape: ImageShape, names: Names) -> str:
    if names == "jaxcl":
        return names
    reasons = {
        name: why_not(architecture, image_shape, name)
        for name in ("torchvision", "timm")
    }
    if names == "auto":
        return next((name for name, why in reasons.items() if why is None), "jaxcl")
    if reasons[names] is not None:
        raise ValueError(f"`names` must not be {names!r}: {reasons[names]}")
    return names


def _fix_positions(
    architecture: Architecture, image_shape: ImageShape, flat: dict[str, Values]
) -> Architecture:
    """Fixed positions as learned ones, which timm has alone."""
    options: Mapping[str, Any] = architecture.options
    if options.get("positions", "sincos") != "sincos":
        return architecture
    height, width, _ = image_shape
    grid = patch_grid(height, width, options["patch_size"])
    dim = options.get("dim") or SIZES[options["size"]][0]
    flat["positions"] = np.asarray(sincos_positions(*grid, grid, dim))[None]
    return Architecture("vit", {**options, "positions": "learned"})
