"""Writes the encoder of a run in a format that other programs read."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from jaxcl.config import ConfigError, nearest
from jaxcl.experiment._card import MARK, write_card
from jaxcl.experiment._formats import FORMATS, ExportError, Format
from jaxcl.experiment._load import load
from jaxcl.experiment._trained import TrainedEncoder
from jaxcl.models import Encoder
from jaxcl.runtime import describe_versions

# Batches of the comparison with the run.
_SIZES = (1, 3, 8)


class Exported(NamedTuple):
    """What was written."""

    file: Path
    card: Path
    """A page that says what the file is, and how to load it."""
    difference: float
    """Largest difference from the embeddings of the run, relative to their largest."""


def export_run(
    workdir: str | Path,
    out: str | Path,
    *,
    to: str,
    step: int | None = None,
    encoder: Encoder | None = None,
) -> Exported:
    """Writes the encoder of a run in a format that other programs read.

    The file is run again, on random images in batches of 1, 3 and 8, and refused if its
    embeddings differ from those of the run. A page beside it says what it is.

    Args:
        workdir: The directory of a run; its data are not needed.
        out: The file, `*.stablehlo`, `*.onnx` or `*.safetensors` as the format is.
        to: "stablehlo": a program with its weights, from uint8 images to float32 rows,
            that JAX runs without this library. "onnx": the same for onnxruntime and
            others. "safetensors": the weights alone, under the names of timm or
            torchvision where those have the encoder.
        step: The step of an older checkpoint; None = the newest.
        encoder: The encoder that was passed to `train`, if any.

    Returns:
        The paths of the file and of its page, and the difference.

    Raises:
        ConfigError: The format is unknown, or the file has another suffix.
        ExportError: The encoder cannot be written in the format, or differs there.
        ModuleNotFoundError: The format needs an extra: `pip install 'jaxcl[onnx]'`.
    """
    out = Path(out)
    if to not in FORMATS:
        raise ConfigError(f"`to` must be a format, got {to!r}; {nearest(to, FORMATS)}")
    form = FORMATS[to]
    card = out.with_name(f"{out.name}.md")
    _check_paths(out, card, to, form)
    trained = load(workdir, step=step, encoder=encoder)
    out.parent.mkdir(parents=True, exist_ok=True)
    with _scratch(out) as folder:
        file, page = folder / out.name, folder / card.name
        said = form.write(trained, file)
        difference = _compare(trained, form, file)
        text = write_card(
            trained,
            to,
            form,
            out.name,
            said,
            difference=difference,
            sizes=_SIZES,
            versions=describe_versions(),
        )
        page.write_text(text)
        os.replace(file, out)
        os.replace(page, card)
    return Exported(out, card, difference)


def _check_paths(out: Path, card: Path, to: str, form: Format) -> None:
    if out.suffix != form.suffix:
        raise ConfigError(
            f"`out` must be a file *{form.suffix} for {to}, got {str(out)!r}"
        )
    if card.exists() and MARK not in card.read_text(errors="replace"):
        raise ConfigError(
            f"{str(card)!r} must not exist: the page of the export would replace it; "
            "choose another `out`"
        )


@contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    """A hidden directory beside a file: what is in it is complete, or is not renamed.

    A kill can leave it behind.
    """
    folder = tempfile.mkdtemp(
        prefix=f".{out.name}-", suffix=".unfinished", dir=out.parent
    )
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _compare(trained: TrainedEncoder, form: Format, file: Path) -> float:
    """The largest difference of a file from its run; raises where it is too large."""
    run = form.open(trained, file)
    rng, largest = np.random.default_rng(0), 0.0
    for size in _SIZES:
        images = rng.integers(0, 256, (size, *trained.image_shape), np.uint8)
        with jax.default_matmul_precision(form.precision):  # type: ignore[arg-type]
            expected, found = np.asarray(trained.embed(images)), run(images)
        if found.shape != expected.shape:
            raise ExportError(
                f"the file must return rows {expected.shape}, got {found.shape}"
            )
        scale = max(float(np.abs(expected).max()), np.finfo(np.float32).tiny)
        largest = max(largest, float(np.abs(found - expected).max()) / scale)
    if not largest <= form.bound:  # NaN is no success
        raise ExportError(
            f"the file must embed as the run does, up to {form.bound:.0e} of the "
            f"largest entry, but differs by {largest:.1e}; it was removed"
        )
    return float(largest)
