"""A picture of samples with their views and metadata."""

import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from jaxcl.batch import Batch
from jaxcl.config import ConfigError, DataConfig, TrainConfig, read_toml
from jaxcl.data import REGISTRY, EpochSampler, Split, open_data, training_batches
from jaxcl.reports import printable
from jaxcl.training import with_views

_LINE = 24


def show_data(
    source: str,
    out: Path,
    *,
    split: str = "",
    count: int = 8,
    seed: int = 0,
    data_dir: str = "",
    folder: DataConfig | None = None,
) -> None:
    """Saves a PNG with one column per sample: image, views and metadata.

    Args:
        source: A config (`*.toml`), the name of a data set, or a folder.
        out: The PNG file.
        split: The split; empty = the training split.
        count: Number of samples.
        seed: Seed of the samples and their views.
        data_dir: Directory of the data sets; empty = the config's value.
        folder: The data of a source that is a folder of images.
    """
    config = _config_of(source, data_dir, split, folder)
    config.check()
    opened = open_data(config.data, seed, tests=False).train
    if not 1 <= count <= len(opened):
        raise ConfigError(f"`count` must be between 1 and {len(opened)}, got {count}")
    sampler = EpochSampler(len(opened), count, seed)
    batch = next(training_batches(opened, sampler, stop=1))
    drawn = with_views(batch, seed, config.data.views, config.augmentation, None)
    _draw_grid(opened, batch, np.asarray(drawn.views), out)


def _config_of(
    source: str, data_dir: str, split: str, folder: DataConfig | None
) -> TrainConfig:
    if source.endswith(".toml"):
        config = read_toml(source)
        changes = {"data_dir": data_dir, "train_split": split}
    else:
        config = TrainConfig(data=folder or _data_of(source))
        changes = {"data_dir": data_dir, "train_split": split}
    given = {name: value for name, value in changes.items() if value}
    data = DataConfig(**{**vars(config.data), "batch_size": 2, **given})
    return TrainConfig(**{**vars(config), "data": data})


def _data_of(name: str) -> DataConfig:
    """A config with the roles that the registry gives to columns."""
    entry = REGISTRY.get(name.split("/")[0].split(":")[0])
    if entry is None:
        return DataConfig(name=name)
    return DataConfig(
        name=name,
        label=entry.label or "label",
        domain=entry.domain,
        bias=entry.bias,
        # Images of different sizes are shown at the same size.
        image_size=96 if entry.image == "any" else 0,
    )


def _draw_grid(split: Split, batch: Batch, views: np.ndarray, out: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    captions = [_caption(split, batch, j) for j in range(len(batch.instance))]
    lines = max(caption.count("\n") + 1 for caption in captions)
    count, rows = len(captions), 1 + views.shape[1]
    size = (1.5 * count, 1.5 * rows + 0.5 + 0.13 * lines)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, count, squeeze=False)
    pixels = np.asarray(batch.image)[:, None] / 255.0
    images = np.concatenate([pixels, views], axis=1)
    for i in range(rows):
        for j in range(count):
            axes[i, j].imshow(images[j, i].clip(0, 1), cmap="gray", vmin=0, vmax=1)
            axes[i, j].set(xticks=[], yticks=[])
        axes[i, 0].set_ylabel("image" if i == 0 else f"view {i}", fontsize=8)
    for j, caption in enumerate(captions):
        # A dollar in a name is a dollar.
        axes[-1, j].set_xlabel(caption, fontsize=7, parse_math=False)
    title = printable(f"{split.origin}: {len(split):,} samples")
    figure.suptitle(title, fontsize=9, parse_math=False)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=150, format="png")


def _caption(split: Split, batch: Batch, j: int) -> str:
    """Label, domain and every other column of sample j, one per line."""
    lines = []
    for role, column in split.roles.items():
        value = int(getattr(batch, role)[j])
        lines.append(_line(column, value, split.names.get(role)))
    lines.append(f"instance = {int(batch.instance[j])}")
    for name, values in batch.metadata.items():
        value = values[j]
        if np.ndim(value) == 0:
            lines.append(_line(name, value, split.names.get(name)))
    return "\n".join("\n".join(textwrap.wrap(line, _LINE)) for line in lines)


def _line(column: str, value: Any, names: tuple[str, ...] | None) -> str:
    if names is None:
        text = f"{value:.4g}" if np.issubdtype(type(value), np.floating) else str(value)
    else:
        text = names[int(value)] if value >= 0 else "unknown"
    return printable(f"{column} = {text}")
