"""The embeddings of a run as a table, with all that is known about each image."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pyarrow as pa
from pyarrow import parquet

from jaxcl.config import (
    ConfigError,
    CorruptionConfig,
    SamplerConfig,
    SelectionConfig,
)
from jaxcl.data import Split, open_data, open_splits
from jaxcl.experiment._open_run import OpenRun, open_run
from jaxcl.files import replacing
from jaxcl.models import Encoder
from jaxcl.runtime import Progress


def embed_run(
    workdir: str | Path,
    out: str | Path,
    *,
    folder: str | Path = "",
    table: str | Path = "",
    step: int | None = None,
    data_dir: str = "",
    encoder: Encoder | None = None,
    quiet: bool = False,
) -> pa.Table:
    """Embeds images with the encoder of a run, and writes them as a Parquet file.

    One row for each image: `path`, `instance` and `split`; the roles `label`, `domain`
    and `bias` that the config names; all other columns by their names; and `embedding`.
    Categories are words, what is unknown is null, and rows are in the order of paths.

    Args:
        workdir: The directory of a run.
        out: The file, `*.parquet`.
        folder: Images to embed; empty = those of the training and test splits.
        table: Describes the images of `folder`; by default that of the run, if the
            images are those of the run.
        step: The step of an older checkpoint to use instead of the newest.
        data_dir: The new directory of the run's data, if it has moved.
        encoder: The encoder that was passed to `train`, if any.
        quiet: Whether to hide the progress.

    Returns:
        The table. Images that cannot be read are left out, if the config skips such.
    """
    if Path(out).suffix != ".parquet":
        raise ConfigError(f"`out` must be a file *.parquet, got {str(out)!r}")
    if table and not folder:
        raise ConfigError("`table` must come with a folder of images")
    opened = open_run(workdir, step=step, data_dir=data_dir, encoder=encoder)
    progress = Progress(opened.experiment.config.num_steps, quiet=quiet)
    progress.say(f"embedding with step {int(opened.state.step)} of {opened.run.path}")
    for note in () if folder else opened.notes:
        progress.say(f"note: {note}")
    splits = _splits(opened, str(folder), str(table))
    parts = [_embed_split(opened, split, progress) for split in splits]
    # Data sets are stored in an order of their own.
    embedded = pa.concat_tables(parts, promote_options="default").sort_by("path")
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    with replacing(Path(out)) as unfinished:
        parquet.write_table(embedded, unfinished)
    return embedded


def _splits(opened: OpenRun, folder: str, table: str) -> list[Split]:
    """The splits to embed, with their true metadata and labels."""
    config, shape = opened.experiment.config, opened.experiment.data.train.image_shape
    if not folder:
        chosen = dataclasses.replace(
            config.data.selection, labeled_fraction=1.0, labeled_per_class=0
        )
        clean = dataclasses.replace(
            config.data, selection=chosen, corruption=CorruptionConfig()
        )
        data = open_data(clean, config.seed)
        return [data.train, *data.tests.values()]
    fields: dict[str, Any] = {"path": folder, "table": table, "metadata": ()}
    own = config.data.path
    if own and not table and Path(own).resolve() == Path(folder).resolve():
        fields = {"path": own}
    else:
        fields |= {"label": "label", "domain": "", "bias": "", "instance": ""}
    data = dataclasses.replace(
        config.data,
        image_size=shape[0],
        selection=SelectionConfig(),
        sampler=SamplerConfig(),
        **fields,
    )
    return [dataclasses.replace(one, image_shape=shape) for one in open_splits(data)]


def _embed_split(opened: OpenRun, split: Split, progress: Progress) -> pa.Table:
    experiment, state = opened.experiment, opened.state
    size = experiment.config.evaluation.batch_size
    batches = experiment.data.evaluation_batches(split, size, len(split))
    total = -(-len(split) // size)
    rows, embeddings = [], []
    for batch in progress.follow(batches, total, f"batches of {split.name}"):
        images = jnp.asarray(batch.image, jnp.float32) / 255.0
        embeddings.append(np.asarray(experiment.encode(state, images))[batch.where])
        rows.append(np.asarray(batch.position)[batch.where])
    flat = np.concatenate(embeddings).astype(np.float32)
    chosen = split.take(np.concatenate(rows))
    numbers = pa.array(flat.reshape(-1), pa.float32())
    columns = dict(_columns(chosen))
    columns["embedding"] = pa.FixedSizeListArray.from_arrays(numbers, flat.shape[1])
    return pa.table(columns)


def _columns(split: Split) -> Iterator[tuple[str, pa.Array]]:
    """What is known about the samples, by name."""
    stored = dict.fromkeys(split.columns.names)
    paths = split.values("path") if "path" in stored else np.full(len(split), "")
    yield "path", _values(paths)
    yield "instance", pa.array(split.instances())
    yield "split", pa.array([split.name] * len(split))
    taken = {"path", "instance", "split", "embedding", split.instance}
    for name in dict.fromkeys([*split.roles, *split.metadata, *stored]):
        if name not in taken:
            yield name, _values(split.values(name), split.names.get(name))


def _values(values: np.ndarray, names: Sequence[str] | None = None) -> pa.Array:
    """Values as people know them: names for ids, null for what is unknown."""
    if names:
        found = [None if i == -1 else names[i] for i in values.tolist()]
        return pa.array(found, pa.string())
    if values.dtype.kind == "U":
        return pa.array([text or None for text in values.tolist()], pa.string())
    if values.ndim > 1:
        return pa.array(values.tolist())
    return pa.array(values, from_pandas=True)
