"""What a person can look at: views of training images, and neighbors of test images.

The images are chosen by a fixed rule, so that they are the same before and after
training, and in other runs on the same data.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxcl.data import Split
from jaxcl.evaluation import Embedded, nearest_rows
from jaxcl.experiment._experiment import Experiment
from jaxcl.experiment._neighbors import agreement
from jaxcl.experiment._thumbnails import SMALL, draw_evenly, thumbnail
from jaxcl.training import with_views

_VIEWED = 8
_QUERIES = 12
_SHOWN = 5
_COUNTED = 10  # neighbors in the shares
_MOST_COUNTED = 2000  # images whose neighbors are counted

Found = dict[str, Any]


def find_neighbors(
    experiment: Experiment, train: Embedded, tests: Mapping[str, Embedded]
) -> Found:
    """The nearest training images of a few test images, and what they share.

    Without test splits, of a few training images among the others.

    Returns:
        ``{"queries", "shares"}``: of each query the split, its position there, and the
        positions and cosine similarities of its neighbors; of each split the shares
        of neighbors with the label and the domain of the query.
    """
    data, name = experiment.data, experiment.config.data.train_split
    splits, asked = data.tests or {name: data.train}, dict(tests) or {name: train}
    trained = np.asarray(train.position)
    counts = np.diff(np.linspace(0, _QUERIES, len(asked) + 1).astype(int))
    queries, shares = [], {}
    for (split, embedded), count in zip(asked.items(), counts.tolist(), strict=True):
        rows = np.asarray(embedded.position)
        places = draw_evenly(_columns(splits[split], rows), count)
        near, cosines = _nearest(embedded, train, places, _SHOWN)
        queries += [
            {
                "split": split,
                "row": int(rows[place]),
                "rows": trained[near[i]].tolist(),
                "similarities": cosines[i].tolist(),
            }
            for i, place in enumerate(places)
        ]
        places = np.random.default_rng(0).permutation(len(rows))[:_MOST_COUNTED]
        near, _ = _nearest(embedded, train, places, _COUNTED)
        sides = _sides(splits[split], rows[places]), _sides(data.train, trained)
        shares[split] = agreement(*sides, near)
    return {"queries": queries, "shares": shares}


def _nearest(
    embedded: Embedded, train: Embedded, places: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest training images, and their cosine similarities."""
    own = np.where(embedded is train, places, -1)
    queries = np.asarray(embedded.embeddings)[places]
    return nearest_rows(queries, own, train.embeddings, count)


def make_looks(
    experiment: Experiment, step: int, before: Found, after: Found
) -> dict[str, Any]:
    """All that the page of a run shows as images: plain values, and data URIs."""
    train = experiment.data.train
    return {
        "step": step,
        "columns": {key: train.roles[role] for key, role in _roles(train).items()},
        "pixelated": max(train.image_shape[:2]) <= SMALL,
        "views": _views(experiment),
        "queries": _queries(experiment, before["queries"], after["queries"]),
        "shares": {"before": before["shares"], "after": after["shares"]},
    }


def _queries(
    experiment: Experiment, before: list[Found], after: list[Found]
) -> list[dict[str, Any]]:
    """The test images, each with its neighbors before and after training."""
    data, name = experiment.data, experiment.config.data.train_split
    found = {row for query in (*before, *after) for row in query["rows"]}
    near = _described(experiment, data.train, sorted(found))
    shown = {
        name: _described(
            experiment, split, [one["row"] for one in after if one["split"] == name]
        )
        for name, split in (data.tests or {name: data.train}).items()
    }

    def neighbors(query: Found) -> list[dict[str, Any]]:
        pairs = zip(query["rows"], query["similarities"], strict=True)
        return [near[row] | {"similarity": cosine} for row, cosine in pairs]

    return [
        {"split": new["split"], "row": new["row"]}
        | shown[new["split"]][new["row"]]
        | {"before": neighbors(old), "after": neighbors(new)}
        for old, new in zip(before, after, strict=True)
    ]


def _views(experiment: Experiment) -> list[dict[str, Any]]:
    """A few training images with the views that the loss sees in the first epoch."""
    config, split = experiment.config, experiment.data.train
    rows = draw_evenly(_columns(split, np.arange(len(split))), _VIEWED)
    part = split.take(rows)
    (batch,) = experiment.data.evaluation_batches(part, len(rows), len(rows))
    batch = dataclasses.replace(batch, epoch=np.zeros(len(rows), np.int32))
    drawn = with_views(batch, config.seed, config.data.views, config.augmentation, None)
    names = _names(part, np.arange(len(rows)))
    found = []
    for i in np.flatnonzero(batch.where):
        large, small = (
            [] if views is None else _in_bytes(np.asarray(views)[i])
            for views in (drawn.views, drawn.small_views)
        )
        image = thumbnail(np.asarray(batch.image)[i])
        views = [thumbnail(view) for view in [*large, *small]]
        found.append({"image": image, "views": views} | names[i])
    return found


def _in_bytes(views: np.ndarray) -> np.ndarray:
    return (np.clip(views, 0, 1) * 255).round().astype(np.uint8)


def _described(
    experiment: Experiment, split: Split, rows: Sequence[int]
) -> dict[int, dict[str, Any]]:
    """Thumbnail, label and domain of some samples, by their positions."""
    if not rows:
        return {}
    part = split.take(np.array(rows))
    batches = experiment.data.evaluation_batches(part, len(rows), len(rows))
    images = np.concatenate([np.asarray(batch.image) for batch in batches])
    names = _names(split, np.array(rows))
    return {
        row: {"image": thumbnail(image)} | name
        for row, image, name in zip(rows, images, names, strict=True)
    }


def _names(split: Split, rows: np.ndarray) -> list[dict[str, str | None]]:
    """The label and the domain of samples, in words."""
    columns = {
        key: _words(split.values(role)[rows], split.names.get(role))
        for key, role in _roles(split).items()
    }
    return [{key: words[i] for key, words in columns.items()} for i in range(len(rows))]


def _words(ids: np.ndarray, names: Sequence[str] | None) -> list[str | None]:
    def word(i: int) -> str | None:
        known = names[i] if names else str(i)
        return None if i == -1 else known

    return [word(i) for i in ids.tolist()]


def _roles(split: Split) -> dict[str, str]:
    """The roles to show: the label, and the domain or else the bias."""
    found = {"label": "label"} if "label" in split.roles else {}
    other = next((role for role in ("domain", "bias") if role in split.roles), None)
    return found | ({"domain": other} if other else {})


def _sides(split: Split, rows: np.ndarray) -> dict[str, np.ndarray]:
    return {key: split.values(role)[rows] for key, role in _roles(split).items()}


def _columns(split: Split, rows: np.ndarray) -> list[np.ndarray]:
    """What an even draw looks at; a constant where nothing is known."""
    return [*_sides(split, rows).values()] or [np.zeros(len(rows), int)]
