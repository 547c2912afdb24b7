"""Images to embed: those of a run, of a folder or of a data set, as a table."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jaxcl.config import (
    ConfigError,
    CorruptionConfig,
    SamplerConfig,
    SelectionConfig,
)
from jaxcl.data import Split, open_data, open_splits
from jaxcl.experiment._trained import TrainedEncoder
from jaxcl.runtime import check_same_data


@dataclasses.dataclass(frozen=True)
class Source:
    """Images to embed.

    Attributes:
        splits: What holds them.
        table: What is known of each, in the order of paths.
        order: Positions of the rows of `table` among the samples of all splits.
        notes: What is not as it was when the run was trained.
    """

    splits: list[Split]
    table: pa.Table
    order: np.ndarray
    notes: tuple[str, ...] = ()

    @property
    def unreadable(self) -> dict[str, str]:
        """Why images were left out when the data set was built, by path."""
        return {
            path: why for split in self.splits for path, why in split.unreadable.items()
        }

    def name_of(self, row: int) -> tuple[str, int]:
        """Where a row of the table is stored: its split, and its place there."""
        place = int(self.order[row])
        for split in self.splits:
            if place < len(split):
                return split.origin, int(split.stored[split.positions[place]])
            place -= len(split)
        raise IndexError(row)


def open_source(
    trained: TrainedEncoder, folder: str, table: str, data: str, data_dir: str
) -> Source:
    """Opens images with their true metadata and labels.

    Args:
        trained: The encoder.
        folder: Images; empty = those of `data`.
        table: Describes the images of `folder`.
        data: Name of a data set; empty = the splits of the run.
        data_dir: Where data sets are kept; empty = where the run had them.
    """
    notes: tuple[str, ...] = ()
    if folder or data:
        splits = _other_splits(trained, folder, table, data, data_dir)
    else:
        splits = _own_splits(trained, data_dir)
        try:
            check_same_data(trained.extra, {"data": splits[0].digest})
        except ConfigError as error:
            notes = (str(error),)
    splits = [
        dataclasses.replace(split, image_shape=trained.image_shape) for split in splits
    ]
    parts = [pa.table(dict(_columns(split))) for split in splits]
    # The types of all columns are known before the first row is written.
    joined = pa.concat_tables(parts, promote_options="default")
    # Stable: without paths, samples stay in the order in which they are stored.
    order = np.argsort(np.concatenate([*map(_paths, splits)]), kind="stable")
    return Source(splits, joined.take(pa.array(order)), order, notes)


def _own_splits(trained: TrainedEncoder, data_dir: str) -> list[Split]:
    """Training and test splits of the run, without what it was not to see."""
    config = trained.config
    chosen = dataclasses.replace(
        config.data.selection, labeled_fraction=1.0, labeled_per_class=0
    )
    clean = dataclasses.replace(
        config.data,
        selection=chosen,
        corruption=CorruptionConfig(),
        data_dir=data_dir or config.data.data_dir,
    )
    found = open_data(clean, config.seed)
    return [found.train, *found.tests.values()]


def _other_splits(
    trained: TrainedEncoder, folder: str, table: str, data: str, data_dir: str
) -> list[Split]:
    config = trained.config.data
    own = config.path
    if folder and own and not table and Path(own).resolve() == Path(folder).resolve():
        fields: dict[str, Any] = {"path": own}
    else:
        fields = {"path": folder, "table": table, "metadata": ()}
        fields |= {"name": data or config.name, "label": "label"}
        fields |= {"domain": "", "bias": "", "instance": ""}
    chosen = dataclasses.replace(
        config,
        image_size=trained.image_shape[0],
        selection=SelectionConfig(),
        sampler=SamplerConfig(),
        data_dir=data_dir or config.data_dir,
        **fields,
    )
    return open_splits(chosen)


def _paths(split: Split) -> np.ndarray:
    known = "path" in split.columns.names
    return split.values("path") if known else np.full(len(split), "")


def _columns(split: Split) -> Iterator[tuple[str, pa.Array]]:
    """What is known about the samples, by name."""
    stored = dict.fromkeys(split.columns.names)
    yield "path", _values(_paths(split))
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
