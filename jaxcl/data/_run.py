"""All the data of a run: what is trained on, what is tested on, in which order."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jaxcl.batch import Batch
from jaxcl.config import (
    AugmentationConfig,
    ConfigError,
    CorruptionConfig,
    DataConfig,
    SelectionConfig,
)
from jaxcl.data._errors import DataError
from jaxcl.data._memory import ImageMemory
from jaxcl.data._metadata import corrupt_metadata
from jaxcl.data._open import open_split
from jaxcl.data._pipeline import (
    BadRecords,
    ImageReader,
    ReadBatch,
    evaluation_batches,
    stacked_side_data,
    training_batches,
)
from jaxcl.data._samplers import NEEDED_ROLES, Sampler, make_sampler
from jaxcl.data._selection import Selection, find_overlap, select
from jaxcl.data._selection_file import (
    check_selection,
    name_samples,
    read_selection,
    write_selection,
)
from jaxcl.data._split import Split
from jaxcl.data._statistics import color_features, read_images

COLORS = "colors"
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
    instances: np.ndarray | None
    """Numbers of all samples that could be selected; None when all are trained on."""
    bad: BadRecords
    memory: ImageMemory | None = None
    """Images that were decoded before, for evaluation and for `train_images`."""

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
        """Training batches of the steps from `start` to `stop`, this process's part.

        Args:
            start: The first step.
            stop: One behind the last step.
            seed: Of the views, where tf.data makes them.
            augmentation: How views are made there.
        """
        config = self.config
        options: dict[str, Any] = {"start": start, "stop": stop, "bad": self.bad}
        if config.pipeline == "tf_data":
            from jaxcl.data._tf._pipeline import tf_batches

            host = augmentation is not None and augmentation.on == "host"
            return tf_batches(
                self.train,
                self.sampler,
                augmentation=augmentation if host else None,
                views=config.views,
                seed=seed,
                **options,
            )
        return training_batches(
            self.train,
            self.sampler,
            workers=config.workers,
            images=not config.keep_on_device,
            **options,
        )

    def stacked_batches(self, start: int, stop: int) -> Batch:
        """Batches of the steps from `start` to `stop` at once, without their images."""
        draws = [self.sampler.draw(step) for step in range(start, stop)]
        return stacked_side_data(self.train, draws, self.bad)

    def train_images(self) -> np.ndarray:
        """All training images, `[samples, height, width, channels]` of uint8."""
        if self.memory is None:
            return read_images(self.train, self.bad)
        rows = np.arange(len(self.train))
        images, _ = self.memory.read(self.config, self.train, rows, self.bad)
        return images

    def evaluation_batches(
        self, split: Split, batch_size: int, max_samples: int
    ) -> Iterator[Batch]:
        """Batches of a split in order."""
        size = min(batch_size, len(split), max_samples)
        return evaluation_batches(split, size, max_samples, self._reader(split))

    def _reader(self, split: Split) -> ReadBatch:
        if self.memory is None:
            return ImageReader(split, self.bad).batch
        read = self.memory.batch
        return lambda rows: read(self.config, split, rows, self.bad)


def load(
    config: DataConfig, *, seed: int = 0, num_steps: int = 1_000_000_000
) -> Iterator[Batch]:
    """Training batches of a config, read ahead: this process's part of each.

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
    memory: ImageMemory | None = None,
) -> RunData:
    """Opens what a config names: selected, corrupted, and checked for leaks.

    Args:
        config: Data set, selection, sampler, corruption.
        seed: Of the order of samples.
        tests: Open the test splits too.
        memory: Keeps decoded images for other runs.

    Raises:
        ConfigError: The config and the data set do not go together.
        DataError: Data is missing, or a test sample would be trained on.
    """
    whole = open_split(config, config.train_split)
    selection = _select(config, whole)
    opened = {
        name: _open_test(config, whole, selection, name)
        for name in (config.test_splits if tests else ())
    }
    whole, *others = share_names([whole, *opened.values()])
    opened = dict(zip(opened, others, strict=True))
    train = _hide_labels(whole.take(selection.train), whole, selection)
    for name, test in opened.items():
        check_no_leak(train, test, name)
    bad = BadRecords(config.bad_records, config.max_bad_records)
    train = _with_colors(train, config.colors, bad)
    train = corrupted(train, config.corruption, bad)
    return RunData(
        config=config,
        train=train,
        tests=opened,
        sampler=_make_sampler(config, train, seed),
        selection=selection,
        instances=None if config.selection == SelectionConfig() else whole.instances(),
        bad=bad,
        memory=memory,
    )


def _with_colors(split: Split, size: int, bad: BadRecords) -> Split:
    """The split with the colors of its images as metadata, for size blocks a side."""
    if size == 0:
        return split
    if COLORS in split.metadata:
        raise ConfigError(
            f"`data.colors` must be 0 here, got {size}: the data set has a column of "
            "that name"
        )
    values = color_features(split, bad, size).astype(np.float32)
    added = dataclasses.replace(split, metadata=(*split.metadata, COLORS))
    return added.replace(COLORS, values)


def share_names(splits: list[Split]) -> list[Split]:
    """Splits in which an id of texts, or of a product of columns, means the same.

    The ids of such a column are numbered by what occurs in a split.
    """
    for key in splits[0].names:
        if any(key not in split.replaced for split in splits):
            continue
        named = [split.names[key] for split in splits]
        together = tuple(dict.fromkeys(name for names in named for name in names))
        if all(names == together for names in named):
            continue
        places = {name: place for place, name in enumerate(together)}
        for i, names in enumerate(named):
            # The last one is for ids of -1: what is missing stays it.
            new = np.array([*(places[name] for name in names), -1], np.int32)
            splits[i] = splits[i].replace(key, new[splits[i].values(key)], together)
    return splits


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


def _make_sampler(config: DataConfig, train: Split, seed: int) -> Sampler:
    # What it does not need is not asked for: it may have to be read of all samples.
    needed = NEEDED_ROLES[config.sampler.name]
    return make_sampler(
        config.sampler,
        size=len(train),
        batch_size=config.batch_size,
        seed=seed,
        **{role: train.value(role) for role in needed},
    )


def _open_test(
    config: DataConfig, whole: Split, selection: Selection, name: str
) -> Split:
    if name not in _SELECTED:
        return open_split(config, name)
    rows = getattr(selection, name)
    if len(rows) == 0:
        raise ConfigError(
            f"`data.test_splits` must not name {name!r}, which is empty: set "
            f"`data.selection.{_SELECTED[name]}`"
        )
    return whole.take(rows, name)


def _hide_labels(train: Split, whole: Split, selection: Selection) -> Split:
    if len(selection.labeled) == len(selection.train):
        return train
    shown = np.isin(selection.train, selection.labeled)
    return train.replace("label", np.where(shown, train.values("label"), -1))


def check_no_leak(train: Split, test: Split, name: str) -> None:
    """Raises a `DataError` when a sample of a test split is trained on."""
    if train.origin.split(":")[0] != test.origin.split(":")[0]:
        return
    shared = np.empty(0, np.int64)
    if train.origin == test.origin:
        shared = find_overlap(
            train.stored[train.positions], test.stored[test.positions]
        )
    if len(shared) == 0 and train.instance:
        # The same picture can stand in two splits, or twice in one.
        shared = find_overlap(train.instances(), test.instances())
    if len(shared):
        raise DataError(
            f"{len(shared)} samples of the test split {name!r} are trained on too, "
            f"{shared[:3].tolist()} among them: choose other splits or slices"
        )


def corrupted(split: Split, config: CorruptionConfig, bad: BadRecords) -> Split:
    """The split with a column made worse, as the config says."""
    if config.mode == "none":
        return split
    key = config.column
    if key not in split.roles and key not in split.metadata:
        raise ConfigError(
            f"`data.corruption.column` must be a role the config names or a column of "
            f"metadata, one of {[*split.roles, *split.metadata]}, got {key!r}"
        )
    names = split.names.get(key)
    count = len(names) if names else None
    features, clusters = None, None
    if config.mode == "infer":
        features = color_features(split, bad)
        clusters = [f"cluster_{i}" for i in range(count)] if count else None
    values = corrupt_metadata(
        split.values(key),
        config.mode,
        rate=config.rate,
        seed=config.seed,
        num_values=count,
        features=features,
    )
    return split.replace(key, values, clusters)
