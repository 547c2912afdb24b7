"""Embeddings as a page to look at: maps, thumbnails, columns and neighbors."""

import importlib
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow import parquet
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize

from jaxcl.config import ConfigError
from jaxcl.evaluation import nearest_others
from jaxcl.experiment._embeddings import embed_run
from jaxcl.experiment._explore_columns import describe_columns, group_columns
from jaxcl.experiment._explore_images import (
    ReadImages,
    images_of_folder,
    images_of_run,
    thumbnails,
)
from jaxcl.experiment._thumbnails import draw_evenly
from jaxcl.files import write_whole
from jaxcl.reports import render_explore
from jaxcl.runtime import Progress

_NEIGHBORS = 5
_LEAST = 3
_LEAST_UMAP = 16  # it compares fifteen neighbors


def explore_run(
    source: str | Path,
    out: str | Path,
    *,
    folder: str | Path = "",
    table: str | Path = "",
    most: int = 5000,
    step: int | None = None,
    data_dir: str = "",
    quiet: bool = False,
) -> int:
    """Writes a page on which the embeddings of images are looked at.

    It has a map by PCA, and one by UMAP where umap-learn is installed.

    Args:
        source: The directory of a run, or a file that `embed_run` wrote.
        out: The page, `*.html`.
        folder: Images to embed; empty = those of the run's splits. With a file, the
            folder in which its paths are found.
        table: Describes the images of `folder`, as in `embed_run`.
        most: Images to show, drawn evenly over labels and domains.
        step: The step of an older checkpoint to use instead of the newest.
        data_dir: The new directory of the run's data, if it has moved.
        quiet: Whether to hide the progress.

    Returns:
        How many images the page shows.

    Raises:
        ConfigError: There are fewer than 3 images, or `out` is no page.
    """
    if Path(out).suffix != ".html":
        raise ConfigError(f"`out` must be a file *.html, got {str(out)!r}")
    if most < _LEAST:
        raise ConfigError(f"`most` must be at least {_LEAST}, got {most}")
    progress = Progress(0, quiet=quiet)
    if Path(source).is_file():
        if table or step is not None or data_dir:
            raise ConfigError(
                "`table`, `step` and `data_dir` must come with a run, got a file"
            )
        read = images_of_folder(folder or Path(source).parent)
        page = _page(Path(source), read, most, progress)
    else:
        with tempfile.TemporaryDirectory() as place:
            file = Path(place) / "embeddings.parquet"
            chosen: dict[str, Any] = {"folder": folder, "table": table, "step": step}
            embed_run(source, file, **chosen, data_dir=data_dir, quiet=quiet)
            read = (
                images_of_folder(folder)
                if folder
                else images_of_run(source, data_dir=data_dir)
            )
            page = _page(file, read, most, progress)
    page["title"] = Path(source).resolve().stem
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    write_whole(Path(out), render_explore(page))
    return len(page["images"])


def _page(
    file: Path, read: ReadImages, most: int, progress: Progress
) -> dict[str, Any]:
    """All that the page shows, of images drawn from a file of embeddings."""
    sides, drawn, rows = _draw(file, most)
    progress.say(f"reading {len(drawn):,} images")
    images = thumbnails(read(sides, drawn), len(drawn))
    count, sides = len(sides), sides.take(pa.array(drawn))
    # Neighbors go by cosine, and so do the maps.
    rows = np.asarray(normalize(rows))
    near, _ = nearest_others(rows, _NEIGHBORS)
    shown = f"{len(rows):,} of {count:,}" if len(rows) < count else f"{count:,}"
    missing = sum(image is None for image in images)
    return {
        "origin": [
            f"{shown} images",
            f"{rows.shape[1]:,} dimensions, compared by cosine",
            *([f"{missing:,} images were not found"] if missing else []),
        ],
        "maps": _maps(rows, progress),
        "columns": describe_columns(sides),
        "images": images,
        "neighbors": near.tolist(),
    }


def _draw(file: Path, most: int) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """All rows of a file without embeddings, those to show, and their embeddings."""
    try:
        schema = parquet.read_schema(file)
        kind = schema.field("embedding").type
        sides = parquet.read_table(
            file, columns=[name for name in schema.names if name != "embedding"]
        )
    except (pa.ArrowInvalid, KeyError) as error:
        raise ConfigError(
            f"{str(file)!r} must be a file that `jaxcl embed` wrote: {error}"
        ) from error
    if not (pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)):
        raise ConfigError(f"`embedding` must hold lists of numbers, got {kind}")
    count = len(sides)
    if count < _LEAST:
        raise ConfigError(f"at least {_LEAST} images are needed, got {count}")
    drawn = np.sort(draw_evenly(group_columns(sides), most))
    lists = ds.dataset(file).take(pa.array(drawn), columns=["embedding"])["embedding"]
    flat = lists.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    rows = np.nan_to_num(flat.astype(np.float32).reshape(len(drawn), -1))
    return sides, drawn, rows


def _maps(rows: np.ndarray, progress: Progress) -> dict[str, list[list[float]]]:
    """Two coordinates of every image, by the name of the map."""
    pca = PCA(min(2, *rows.shape), random_state=0)
    flat = pca.fit_transform(rows)
    # The variance is 0 where all embeddings are equal.
    share = float(np.nan_to_num(pca.explained_variance_ratio_).sum())
    found = {f"PCA ({share:.0%} of the variance)": flat}
    umap = _import_umap() if len(rows) >= _LEAST_UMAP else None
    if umap is not None:
        progress.say("computing a map by UMAP")
        with warnings.catch_warnings():
            # It warns that a seed leaves it one thread.
            warnings.simplefilter("ignore")
            mapped = umap.UMAP(metric="cosine", random_state=0, n_jobs=1)
            found = {"UMAP": mapped.fit_transform(rows)} | found
    return {name: _coordinates(place) for name, place in found.items()}


def _import_umap() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module("umap")
    except ImportError:
        return None


def _coordinates(place: np.ndarray) -> list[list[float]]:
    padded = np.zeros((len(place), 2))
    padded[:, : place.shape[1]] = place
    return [[float(f"{value:.5g}") for value in axis] for axis in padded.T.tolist()]
