"""Every image of a folder, decoded once before it is stored."""

import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxcl.data._builders._folder_layout import listed
from jaxcl.data._decode import encode_png, on_white, open_picture, open_upright
from jaxcl.data._deep import (
    FLOAT,
    SIXTEEN,
    WHOLE,
    deep_values,
    is_deep,
    to_gray,
)
from jaxcl.data._errors import DataError

_LOG = logging.getLogger(__name__)
_AT_ONCE = 256
_SECONDS_BETWEEN_LINES = 10.0
# What is white where the file does not say so: the smallest that holds all values.
_COLORS = "16-bit colors"
_WHITES = {
    SIXTEEN: (),
    _COLORS: (),
    WHOLE: (255.0, 65535.0),
    FLOAT: (1.0, 255.0),
}
# No value above this share of white: values of another range were meant.
_DARKEST = 1 / 16


class Pictures(NamedTuple):
    """What was found when the images of a folder were decoded."""

    unreadable: Mapping[str, str]
    """Why each one that cannot be read cannot, by its path."""
    whites: Mapping[str, float]
    """The value that is white in each one of more than 8 bits, by its path."""
    notes: Sequence[str]
    """What a reader should know about them."""


class _Facts(NamedTuple):
    """What is known of an image."""

    kind: str
    """How its values are stored; empty = in 8 bits."""
    high: float
    """The largest value."""
    white: float
    """The value that is white, if the file says so; else 0."""
    frames: bool
    """Whether it has several frames."""
    flat: bool
    """Whether it is of one color."""


def check_pictures(
    folder: Path, paths: Sequence[str], white: float, max_pixels: int
) -> Pictures:
    """Decodes every image once.

    Args:
        folder: The folder of the images.
        paths: Their paths in it.
        white: The value that is white in images of more than 8 bits; 0 = 65535 for 16
            bits, and for others the smallest usual one that holds all their values.
        max_pixels: An image with more cannot be read.

    Raises:
        DataError: Nobody can say which value is white, or nothing can be read.
    """
    unreadable: dict[str, str] = {}
    facts: dict[str, _Facts] = {}
    examined = _examine_all(folder, paths, max_pixels)
    for path, found in zip(paths, examined, strict=True):
        if isinstance(found, str):
            unreadable[path] = found
        elif white and found.kind in (SIXTEEN, WHOLE, FLOAT) and found.high > white:
            unreadable[path] = f"holds values up to {found.high:g}, above `data.white`"
        else:
            facts[path] = found
    if not facts:
        raise DataError(explain_unreadable(str(folder), unreadable))
    notes: list[str] = []
    whites = _find_whites(folder, facts, white, notes)
    several = [path for path, found in facts.items() if found.frames]
    notes += _note("with several frames, of which the first is used", several)
    flat = [path for path, found in facts.items() if found.flat]
    notes += _note("of one color", flat)
    limits = {path: whites.get(path, f.white) * _DARKEST for path, f in facts.items()}
    dark = [path for path, limit in limits.items() if 0 < facts[path].high < limit]
    notes += _note("almost black, without a value above 1/16 of white", dark)
    return Pictures(unreadable, whites, notes)


def explain_unreadable(source: str, unreadable: Mapping[str, str]) -> str:
    """Which images of a folder cannot be read, and why, in a sentence."""
    some = ", ".join(f"{path!r} ({why})" for path, why in [*unreadable.items()][:5])
    rest = f" and {len(unreadable) - 5:,} more" if len(unreadable) > 5 else ""
    return (
        f"{len(unreadable):,} of the images of {source!r} cannot be read: {some}{rest}"
    )


def read_for_storing(file: Path, white: float | None, max_pixels: int) -> bytes:
    """The bytes of an image as they are; one of more than 8 bits as a gray PNG.

    Args:
        file: The file.
        white: The value that is white; None for an image of 8 bits.
        max_pixels: The most that it may have.
    """
    data = file.read_bytes()
    if white is None:
        return data
    return encode_png(to_gray(deep_values(*open_upright(data, max_pixels)), white))


def _examine_all(
    folder: Path, paths: Sequence[str], max_pixels: int
) -> Iterator[_Facts | str]:
    """Facts of every image, or why it cannot be read; says how long it takes."""
    start = spoken = time.monotonic()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done in range(0, len(paths), _AT_ONCE):
            now = time.monotonic()
            if done and now - spoken >= _SECONDS_BETWEEN_LINES:
                left = (now - start) * (len(paths) - done) / done
                _LOG.info(
                    "checked %s of %s images of %s, about %.0f s left",
                    *(f"{done:,}", f"{len(paths):,}", folder, left),
                )
                spoken = now
            # Some at a time, so that an interrupt need not wait for all.
            part = paths[done : done + _AT_ONCE]
            files = [folder / path for path in part]
            yield from pool.map(_examine, files, repeat(max_pixels))


def _examine(file: Path, max_pixels: int) -> _Facts | str:
    try:
        data = file.read_bytes()
        picture, header = open_upright(data, max_pixels)
        with open_picture(data, max_pixels) as other:
            # Phones store a preview as a second frame.
            frames = other.format != "MPO" and getattr(other, "is_animated", False)
            # All pixels of a PNG may be there when its end is not.
            other.verify()
        if is_deep(picture):
            deep = deep_values(picture, header)
            flat = deep.low == deep.high
            return _Facts(deep.kind, deep.high, deep.declared_white, frames, flat)
        shades = np.asarray(on_white(picture).getextrema()).reshape(-1, 2)
        # Of 16 bits of a color, Pillow keeps the upper 8.
        kind, unit = (_COLORS, 257.0) if header.bits == 16 else ("", 1.0)
        flat = bool((shades[:, 0] == shades[:, 1]).all())
        return _Facts(kind, float(shades.max()) * unit, 255.0 * unit, frames, flat)
    except OSError as error:
        return error.strerror or str(error)
    except Exception as error:  # whatever a decoder of bytes raises
        return str(error) or type(error).__name__


def _find_whites(
    folder: Path, facts: Mapping[str, _Facts], white: float, notes: list[str]
) -> dict[str, float]:
    """The value that is white in each image of more than 8 bits."""
    whites: dict[str, float] = {}
    for kind, usual in _WHITES.items():
        members = {p: f for p, f in facts.items() if f.kind == kind}
        if not members:
            continue
        high = max(found.high for found in members.values())
        said = white if kind != _COLORS else 0.0
        declared = max(found.white for found in members.values())
        usual = (declared,) if declared else usual
        chosen = said or next((one for one in usual if one >= high), 0.0)
        if not said:
            _check_white(folder, members, usual, chosen)
        notes += _note(f"of {kind} up to {high:g}, where {chosen:g} is white", members)
        if kind != _COLORS:
            whites |= {path: said or f.white or chosen for path, f in members.items()}
    return whites


def _check_white(
    folder: Path, members: Mapping[str, _Facts], usual: Sequence[float], chosen: float
) -> None:
    """Raises a `DataError` where another value than the chosen one may be white."""
    highs = {path: found.high for path, found in members.items()}
    kind, high = next(iter(members.values())).kind, max(highs.values())
    smaller = max([one for one in usual if one < chosen], default=0.0)
    odd = [path for path, value in highs.items() if 0 < value <= smaller]
    problem = ""
    if not chosen or high < chosen * _DARKEST:
        odd, problem = list(members), f"hold values up to {high:g}, where white is "
        problem += f"{chosen:g}" if chosen else "unknown"
    elif odd:
        problem = f"hold values up to {smaller:g} alone, others up to {high:g}"
    if problem:
        way_out = "set `data.white` to the value that is white, such as 1, 255 or 4095"
        if kind == _COLORS:
            way_out = "save them with 8 bits"
        raise DataError(
            f"images of {kind} in {str(folder)!r} ({listed(odd)}) {problem}: they "
            f"might become black; {way_out}"
        )


def _note(what: str, paths: Iterable[str]) -> list[str]:
    found = list(paths)
    return [f"images {what}: {len(found):,} ({listed(found)})"] if found else []
