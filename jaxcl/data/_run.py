"""All the data of a run: training and test splits, and the order of the samples."""

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from jaxcl.batch import Batch
from jaxcl.config import AugmentationConfig, ConfigError, DataConfig, SelectionConfig
from jaxcl.data._batches import BadRecords, ImageReader, Images, side_columns
from jaxcl.data._builders._folder_pictures import explain_unreadable
from jaxcl.data._controls import (
    add_colors,
    check_no_leak,
    corrupt,
    note_hidden_columns,
    share_names,
)
from jaxcl.data._errors import DataError
from jaxcl.data._image_cache import ImageCache
from jaxcl.data._open import open_split
from jaxcl.data._pipeline import evaluation_batches, training_batches
from jaxcl.data._samplers import NEEDED_ROLES, Sampler, make_sampler
from jaxcl.data._selection import Selection, select
from jaxcl.data._selection_file import (
    check_selection,
    name_samples,
    read_selection,
    write_selection,
)
from jaxcl.data._split import Split
from jaxcl.data._statistics import read_images

_LOG = logging.getLogger(__name__)
# Test splits that a selection makes, and the field that does so.
_SELECTED = {
    "held_out": "held_out_domains",
    "validation_domains": "validation_domains",
    "validation": "validation_fraction",
}


@dataclass(frozen=True)
class RunData:
    """Open splits, and the order in which the training samples come."""

    config: DataConfig
    train: Split
    tests: dict[str, Split]
    sampler: Sampler
    selection: Selection
    instances: Int[np.ndarray, " samples"] | None
    """Numbers of all samples that could be selected; None without a selection."""
    bad: BadRecords
    cache: ImageCache | None = None
    """Images that were decoded before, for evaluation and for `train_images`."""

    @property
    def digest(self) -> str:
        """A SHA-256 of all splits of the data set, whatever is selected or corrupted.

        It is the same for the same data in another directory or on another machine. Of
        folders, tables and arrays it changes with every image, name and value. Of other
        data sets it changes with name, version, columns and numbers of examples.
        """
        return self.train.digest

    @property
    def facts(self) -> dict[str, str]:
        """SHA-256 of the data and of the samples that were selected, by name."""
        chosen = hashlib.sha256()
        for rows in self.selection:
            chosen.update(np.asarray(rows, np.int64).tobytes() + b"|")
        return {"data": self.digest, "selected samples": chosen.hexdigest()}

    def keep_selection(self, file: Path) -> None:
        """Stores which samples were selected, or compares them with those stored.

        Raises:
            ConfigError: The file names other samples: the data has changed.
        """
        if self.instances is None:
            return
        if file.exists():
            now = name_samples(self.selection, self.instances)
            check_selection(read_selection(file), now)
        else:
            write_selection(file, self.selection, self.instances)

    def batches(
        self,
        start: int,
        stop: int,
        *,
        seed: int = 0,
        augmentation: AugmentationConfig | None = None,
    ) -> Iterator[Batch]:
        """This process's part of the training batches from `start` to `stop`.

        Args:
            start: The first step.
            stop: One after the last step.
            seed: Of the views, where tf.data makes them.
            augmentation: How views are made there.
        """
        config = self.config
        options: dict[str, Any] = {"start": start, "stop": stop, "bad": self.bad}
        if config.pipeline == "tf_data":
            from jaxcl.data._tf._pipeline import tf_batches

            host = augmentation is not None and augmentation.on == "host"
            options |= {"augmentation": augmentation if host else None}
            options |= {"views": config.views, "seed": seed}
            return tf_batches(self.train, self.sampler, **options)
        options |= {"workers": config.workers, "images": not config.keep_on_device}
        return training_batches(self.train, self.sampler, **options)

    def stacked_batches(self, start: int, stop: int) -> Batch:
        """Batches of the steps from `start` to `stop`, stacked, without images."""
        draws = [self.sampler.draw(step) for step in range(start, stop)]
        rows = np.stack([draw.rows for draw in draws])
        epochs = np.stack([draw.epochs for draw in draws])
        return side_columns(self.train, rows, epochs, self.bad)

    def train_images(self) -> Images:
        """All training images."""
        if self.cache is None:
            return read_images(self.train, self.bad)
        rows = np.arange(len(self.train))
        return self.cache.read(self.config, self.train, rows, self.bad)[0]

    def evaluation_batches(
        self, split: Split, batch_size: int, max_samples: int
    ) -> Iterator[Batch]:
        """Batches of a split in order."""
        size = min(batch_size, len(split), max_samples)

        def read(rows: np.ndarray) -> Batch:
            if self.cache is None:
                return ImageReader(split, self.bad).batch(rows)
            return self.cache.batch(self.config, split, rows, self.bad)

        return evaluation_batches(split, size, max_samples, read)


def load(
    config: DataConfig, *, seed: int = 0, num_steps: int = 1_000_000_000
) -> Iterator[Batch]:
    """This process's part of the training batches of a config, read ahead.

    Example:
        >>> batch = next(load(DataConfig(domain="domain", batch_size=4)))
        >>> batch.image.shape, batch.label.shape, batch.domain.shape
        ((4, 16, 16, 3), (4,), (4,))
    """
    return open_data(config, seed, tests=False).batches(0, num_steps)


def open_data(
    config: DataConfig,
    seed: int = 0,
    *,
    tests: bool = True,
    cache: ImageCache | None = None,
) -> RunData:
    """Opens the data of a config: selected, corrupted, and checked for leaks.

    Args:
        config: Data set, selection, sampler, corruption.
        seed: Of the order of samples.
        tests: Open the test splits too.
        cache: Keeps decoded images for other runs.

    Raises:
        ConfigError: The config and the data set do not go together.
        DataError: Data is missing, or a test sample would be trained on.
    """
    whole = open_split(config, config.train_split)
    selection = _select(config, whole)
    names = config.test_splits if tests else ()
    opened = [_open_test(config, whole, selection, name) for name in names]
    whole, *opened = share_names([whole, *opened])
    train = _hide_labels(whole.take(selection.train), selection)
    test_splits = dict(zip(names, opened, strict=True))
    for name, test in test_splits.items():
        check_no_leak(train, test, name)
    note_hidden_columns(train)
    if whole.unreadable:
        _LOG.warning("left out: %s", explain_unreadable(config.path, whole.unreadable))
    bad = BadRecords(config.bad_records, config.max_bad_records, whole.unreadable)
    train = add_colors(train, config.colors, bad)
    train = corrupt(train, config.corruption, bad)
    needed = NEEDED_ROLES[config.sampler.name]
    sampler = make_sampler(
        config.sampler,
        size=len(train),
        batch_size=config.batch_size,
        seed=seed,
        # Other columns would be read from all samples for nothing.
        **{role: train.value(role) for role in needed},
    )
    instances = None if config.selection == SelectionConfig() else whole.instances()
    return RunData(
        config, train, test_splits, sampler, selection, instances, bad, cache
    )


def _select(config: DataConfig, whole: Split) -> Selection:
    chosen = config.selection
    by_class = (
        chosen.per_class or chosen.labeled_per_class or chosen.labeled_fraction < 1
    )
    by_domain = chosen.held_out_domains or chosen.validation_domains
    return select(
        chosen,
        size=len(whole),
        label=whole.value("label") if by_class else None,
        domain=whole.value("domain") if by_domain else None,
        domain_names=whole.names.get("domain", ()),
    )


def _open_test(
    config: DataConfig, whole: Split, selection: Selection, name: str
) -> Split:
    if name not in _SELECTED:
        return open_split(config, name)
    rows = getattr(selection, name)
    if len(rows):
        return whole.take(rows, name)
    try:
        return open_split(config, name)  # it may be stored under that name
    except DataError as error:
        raise ConfigError(
            f"`data.test_splits` must not name {name!r}, which is empty: set "
            f"`data.selection.{_SELECTED[name]}`; {error}"
        ) from error


def _hide_labels(train: Split, selection: Selection) -> Split:
    if len(selection.labeled) == len(selection.train):
        return train
    shown = np.isin(selection.train, selection.labeled)
    return train.replace("label", np.where(shown, train.values("label"), -1))
