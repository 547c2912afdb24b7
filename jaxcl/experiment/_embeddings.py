"""The embeddings of images as a table, with all that is known about each image."""

import dataclasses
import hashlib
import json
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pyarrow as pa
from pyarrow import parquet

from jaxcl.config import ConfigError
from jaxcl.data import BadRecords, ordered_images
from jaxcl.experiment._load import load
from jaxcl.experiment._parts import Parts, open_parts
from jaxcl.experiment._source import Source, open_source
from jaxcl.experiment._trained import TrainedEncoder, choose_size, fill_up
from jaxcl.models import Encoder
from jaxcl.runtime import Progress, describe_settings, describe_versions

# Rows of a row group, which is also what a kill can lose.
_ROWS_OF_PART = 2048


def embed_run(
    workdir: str | Path,
    out: str | Path,
    *,
    folder: str | Path = "",
    table: str | Path = "",
    data: str = "",
    step: int | None = None,
    data_dir: str = "",
    batch_size: int = 256,
    encoder: Encoder | None = None,
    quiet: bool = False,
) -> parquet.FileMetaData:
    """Embeds images with the encoder of a run, and writes them as a Parquet file.

    One row for each image: `path`, `instance` and `split`; the roles `label`, `domain`
    and `bias` that the config names; all other columns by their names; and `embedding`,
    a list of `dim` float32. Categories are words, what is unknown is null, and rows are
    in the order of paths. The metadata of the file names the run, its step and commit.

    Embeddings are not held in memory. Those that are done lie in parts beside the file
    until it is whole; after a kill, the same command continues with them.

    Args:
        workdir: The directory of a run. Its data are needed only to embed them.
        out: The file, `*.parquet`.
        folder: Images to embed; empty = those of `data`.
        table: Describes the images of `folder`; by default that of the run, if the
            images are those of the run.
        data: The name of a data set to embed; empty = training and test splits of the
            run.
        step: The step of an older checkpoint to use instead of the newest.
        data_dir: Where data sets are kept; empty = where the run had them.
        batch_size: Images at once.
        encoder: The encoder that was passed to `train`, if any.
        quiet: Whether to hide the progress.

    Returns:
        What the file says of itself, such as `num_rows`. Images that cannot be read are
        left out, if the config skips such.

    Raises:
        ConfigError: The options do not go together.
        DataError: Images are missing or cannot be read.
        CheckpointError: There is no such checkpoint, or it is damaged.
        WorkdirError: The directory is none of a run, or another process writes `out`.
    """
    _check(str(out), str(folder), str(table), data, batch_size)
    trained = load(workdir, step=step, encoder=encoder)
    progress = Progress(trained.config.num_steps, quiet=quiet)
    progress.say(f"embedding with step {trained.step} of {trained.run}")
    source = open_source(trained, str(folder), str(table), data, data_dir)
    for note in source.notes:
        progress.say(f"note: {note}")
    size = choose_size(len(source.order), batch_size)
    digest = _digest(trained, source, size)
    with open_parts(Path(out), digest) as parts:
        written = _embed(trained, source, size, parts, progress)
        schema = _schema(trained, source)
        found = parts.join(Path(out), written, schema)
    if lost := len(source.order) - found.num_rows:
        progress.say(f"{lost:,} images that cannot be read are left out")
    return found


def _check(out: str, folder: str, table: str, data: str, batch_size: int) -> None:
    if Path(out).suffix != ".parquet":
        raise ConfigError(f"`out` must be a file *.parquet, got {out!r}")
    if table and not folder:
        raise ConfigError("`table` must come with a folder of images")
    if folder and data:
        raise ConfigError(
            f"`data` must not come with a folder of images, got {data!r} and {folder!r}"
        )
    if batch_size < 1:
        raise ConfigError(f"`batch_size` must be at least 1, got {batch_size}")


def _embed(
    trained: TrainedEncoder, source: Source, size: int, parts: Parts, progress: Progress
) -> int:
    """Writes the parts that are missing, and returns how many there are."""
    batches_of_part = max(1, _ROWS_OF_PART // size)
    rows_of_part, total = batches_of_part * size, len(source.order)
    done = min(parts.kept * rows_of_part, total)
    if parts.found_others:
        progress.say("parts of another run, or of other images, are not used")
    if done:
        progress.say(
            f"{done:,} of {total:,} images were embedded before, and are kept "
            f"({parts.directory})"
        )
    config = trained.config.data
    known = {**source.unreadable, **parts.left_out}
    bad = BadRecords(config.bad_records, config.max_bad_records, known)
    rows: list[np.ndarray] = []
    where: list[np.ndarray] = []
    number = parts.kept
    for embedded, readable in _embedded(trained, source, done, size, bad, progress):
        rows.append(embedded)
        where.append(readable)
        reached = number * rows_of_part + sum(map(len, where))
        if len(rows) == batches_of_part or reached == total:
            kept = np.concatenate(where)
            chosen = number * rows_of_part + np.flatnonzero(kept)
            missing = number * rows_of_part + np.flatnonzero(~kept)
            side = source.table.take(pa.array(chosen))
            column = _as_column(np.concatenate(rows)[kept], trained.dim)
            left_out = dict(bad.found[source.name_of(row)] for row in missing.tolist())
            parts.write(number, side.append_column("embedding", column), left_out)
            number, rows, where = number + 1, [], []
    return number


def _embedded(
    trained: TrainedEncoder,
    source: Source,
    done: int,
    size: int,
    bad: BadRecords,
    progress: Progress,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Embeddings of batches from a row on, and which of their images could be read."""
    order, workers = source.order[done:], trained.config.data.workers
    batches = ordered_images(source.splits, order, size, workers=workers, bad=bad)
    readable: deque[np.ndarray] = deque()

    def images() -> Iterator[np.ndarray]:
        total = -(-len(order) // size)
        for pixels, where in progress.follow(batches, total, f"batches of {size}"):
            readable.append(where)
            yield fill_up(pixels, size)

    for rows in trained.embed_batches(images()):
        where = readable.popleft()
        yield rows[: len(where)], where


def _as_column(rows: np.ndarray, dim: int) -> pa.Array:
    flat = pa.array(rows.astype(np.float32).reshape(-1), pa.float32())
    return pa.FixedSizeListArray.from_arrays(flat, dim)


def _schema(trained: TrainedEncoder, source: Source) -> pa.Schema:
    """The types of all columns, and where the embeddings come from."""
    origin = trained.extra.get("origin") or {}
    known = {
        "run": trained.run.name,
        "step": trained.step,
        "commit": origin.get("commit") or "",
        "version": describe_versions()["jaxcl"],
        "dim": trained.dim,
        "encoder": trained.digest,
    }
    column = pa.field("embedding", pa.list_(pa.float32(), trained.dim))
    return source.table.schema.append(column).with_metadata(
        {f"jaxcl.{name}": str(value) for name, value in known.items()}
    )


def _digest(trained: TrainedEncoder, source: Source, size: int) -> str:
    """A SHA-256 of all that the embeddings depend on."""
    versions = describe_versions()
    made: dict[str, Any] = {
        "encoder": [trained.step, trained.digest, repr(trained.normalization)],
        "data": dataclasses.asdict(trained.config.data),
        "splits": [[one.name, one.digest, len(one)] for one in source.splits],
        "order": hashlib.sha256(source.order.tobytes()).hexdigest(),
        "columns": str(source.table.schema),
        "size": [size, _ROWS_OF_PART],
        "settings": [describe_settings(), jax.default_backend()],
        "versions": [versions["source of jaxcl"], versions["jax"], versions["jaxlib"]],
    }
    return hashlib.sha256(json.dumps(made, default=str).encode()).hexdigest()
