"""Loads public weights, and those that jaxcl wrote."""

import os
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from jaxcl.models._pretrained import Pretrained
from jaxcl.models._weights._arrays import (
    Read,
    check_keys,
    check_shapes,
    expected_shapes,
    read_rows,
    split_state,
)
from jaxcl.models._weights._describe import Found, describe
from jaxcl.models._weights._errors import WeightsError
from jaxcl.models._weights._facts import Facts, read_facts
from jaxcl.models._weights._families import TIMM, Family, find_family
from jaxcl.models._weights._file import WeightFile, find_file, open_weights
from jaxcl.models._weights._own import OWN_KEY, read_own
from jaxcl.models._weights._table import Values


def load_pretrained(
    path: str | os.PathLike[str],
    *,
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
) -> Pretrained:
    """Loads trained weights of an encoder from a file; none is ever unpickled.

    The names of the arrays say what they are: those of torchvision's and timm's
    ResNet-18, -34 and -50, of timm's ViTs, of DINOv2 and DINOv3 (their own files,
    those of transformers and those of timm), of the image towers of open_clip, and of
    files that `save_pretrained` wrote. The embedding is the class token after the last
    norm, with open_clip after its projection; the mean over the patches where timm's
    config says so; and the mean over the last map of a ResNet. Classifiers and text
    towers are left out. Numbers become float32.

    Args:
        path: A .safetensors or .npz file, or a directory that holds one, as the
            Hugging Face hub has it. Of ``config.json``, ``open_clip_config.json`` and
            ``preprocessor_config.json`` beside it, what names cannot tell is read.
        mean: Mean of each channel, in [0, 1], which images are normalized by; empty =
            what the files say, or else what the family of weights was trained with.
        std: Standard deviation of each channel; empty = as for `mean`.

    Returns:
        The weights. Its `notes` say what was guessed.

    Raises:
        WeightsError: It is no such file, or not all of it is understood. The message
            is one line.
    """
    try:
        file = find_file(path)
        with open_weights(file) as weights:
            if OWN_KEY in weights.metadata:
                found = read_own(weights)
            else:
                found = _read_public(weights, read_facts(file.parent))
        return _with_normalization(found, mean, std)
    except WeightsError as error:
        raise WeightsError(f"cannot load weights from {str(path)!r}: {error}") from None


def _read_public(weights: WeightFile, facts: Facts) -> Pretrained:
    family, names = find_family(weights.shapes)
    names = {
        name: key
        for name, key in names.items()
        if not re.fullmatch(family.ignored, name)
    }
    shapes = {name: weights.shapes[key] for name, key in names.items()}
    found = describe(family, shapes, facts)
    check_keys(found.rows, shapes, family.name)
    expected = expected_shapes(found.architecture, found.image_shape)
    check_shapes(found.rows, expected, shapes, found.place)
    flat = _read_arrays(found, lambda name: weights.read(names[name]))
    params, state = split_state(flat)
    mean, std = family.normalization
    notes = found.notes
    if facts.mean and facts.std:
        mean, std = facts.mean, facts.std
    else:
        notes = (*notes, *_normalization_notes(family))
    channels = found.image_shape[-1]
    if len(mean) != channels:
        if len(mean) != len(family.normalization[0]):
            raise WeightsError(
                f"its config has a mean of {len(mean)} channels, and the weights take "
                f"{channels}"
            )
        mean, std = (), ()
        notes = (*notes, f"Images of {channels} channels are not normalized.")
    source = f"timm {facts.name}" if facts.name else family.name
    return Pretrained(
        found.architecture,
        params,
        state,
        found.image_shape,
        mean=mean,
        std=std,
        source=source,
        digest=weights.digest,
        notes=notes,
    )


def _normalization_notes(family: Family) -> tuple[str, ...]:
    if family is TIMM:
        return (
            "The mean and std of the images are not known; those of ImageNet are "
            "guessed. timm's augreg weights use 0.5 for all.",
        )
    others = "; DINOv3 for satellite images uses others" if family.rope else ""
    return (
        f"The mean and std of the images are those usual for {family.name}{others}.",
    )


def _read_arrays(found: Found, read: Read) -> dict[str, Values]:
    """Our arrays. What a file adds to tokens other than patches is added here, once."""
    flat = read_rows(found.rows, read, found.place)
    if not found.place.prefix:
        return flat
    row = next(row for row in found.rows if row.ours == "positions")
    table = read(row.keys[0])
    slots = table.reshape(1, *table.shape[-2:])
    start = 0
    for name in ("token", "registers"):
        if name in flat and start < found.place.prefix:
            stop = start + flat[name].shape[1]
            flat[name] = flat[name] + slots[:, start:stop]
            start = stop
    return flat


def _with_normalization(
    found: Pretrained, mean: Sequence[float], std: Sequence[float]
) -> Pretrained:
    """Replaces mean and std by those that are given."""
    channels = found.image_shape[-1]
    given = {"mean": mean or found.mean, "std": std or found.std}
    for name, values in given.items():
        if len(values) not in (0, channels) or not np.isfinite(values).all():
            raise WeightsError(
                f"`{name}` must hold a number for each of {channels} channels, got "
                f"{values!r}"
            )
    if any(value <= 0 for value in given["std"]):
        raise WeightsError(f"`std` must be positive, got {given['std']!r}")
    if not (mean or std):
        return found
    notes = tuple(note for note in found.notes if "mean and std" not in note)
    tuples = {name: tuple(map(float, values)) for name, values in given.items()}
    return replace(found, notes=notes, **tuples)
