"""What the nearest samples say: the best k for kNN, and label against domain."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.batch import AnyArray
from jaxcl.evaluation._domains import unit
from jaxcl.evaluation._probes import vote_weights

_CANDIDATES = (1, 5, 10, 20, 50, 100, 200)
_ROWS_AT_ONCE = 256


def choose_neighbors(embeddings: AnyArray, labels: AnyArray) -> int:
    """The number of neighbors with which kNN is right most often, without test data.

    Every sample is classified by the others, with the votes of `knn_predictions`, for
    1, 5, 10, 20, 50, 100 and 200 neighbors. Of equally good numbers it is the smallest.

    Args:
        embeddings: The training embeddings, `[samples, dim]`, two at least.
        labels: Their ids, all known.

    Example:
        The fourth sample lies among others, so that one neighbor misleads its own.

        >>> rows = np.array([[9.0, y] for y in (0, 1, 2, 2.1, 3, 4)])
        >>> choose_neighbors(rows, np.array([0, 0, 0, 1, 0, 0]))
        5
    """
    classes, ids = np.unique(labels, return_inverse=True)
    counts = [count for count in _CANDIDATES if count < len(ids)] or [1]
    near, cosines = nearest_others(embeddings, counts[-1])
    weights = vote_weights(1.0 - cosines)
    votes, rows = np.zeros((len(ids), len(classes))), np.arange(len(ids))[:, None]
    right, done = [], 0
    for count in counts:
        part = slice(done, count)
        np.add.at(votes, (rows, ids[near[:, part]]), weights[:, part])
        right.append(np.mean(votes.argmax(1) == ids))
        done = count
    return counts[int(np.argmax(right))]


def robustness_index(
    embeddings: AnyArray, labels: AnyArray, domains: AnyArray, *, neighbors: int = 10
) -> dict[str, Any]:
    r"""Whether near samples share the label rather than the domain.

        index = Σ SO / (Σ SO + Σ OS)

    over the k nearest samples of each sample by cosine similarity: SO have the same
    label and another domain, OS another label and the same domain. It is 1 where only
    the label makes samples near, and 0 where only the domain does. Of samples that are
    equally near, the earlier ones count.

    Args:
        embeddings: `[samples, dim]`.
        labels: Ids; samples with −1 here or in `domains` are left out.
        domains: Ids.
        neighbors: k, or all other samples where there are fewer.

    Returns:
        ``{"index", "neighbors", "same_label_other_domain",
        "other_label_same_domain"}``; the index is None if both numbers are 0.

    References:
        Kömen et al., arXiv 2507.17845 (PathoROB). There, k is chosen for each data set.

    Example:
        >>> rows = np.array([[1.0, 0.0], [1.0, 0.1], [1.0, 0.3], [1.0, 0.4]])
        >>> labels, domains = np.array([0, 0, 1, 0]), np.array([0, 1, 1, 1])
        >>> robustness_index(rows, labels, domains, neighbors=1)["index"]
        0.5
    """
    if neighbors < 1:
        raise ValueError(f"`neighbors` must be at least 1, got {neighbors}")
    labels, domains = np.asarray(labels), np.asarray(domains)
    known = (labels != -1) & (domains != -1)
    rows, labels, domains = np.asarray(embeddings)[known], labels[known], domains[known]
    count = min(neighbors, max(len(rows) - 1, 0))
    so = os = 0
    if count:
        near, _ = nearest_others(rows, count)
        same_label = labels[near] == labels[:, None]
        same_domain = domains[near] == domains[:, None]
        so = int(np.sum(same_label & ~same_domain))
        os = int(np.sum(~same_label & same_domain))
    return {
        "index": so / (so + os) if so + os else None,
        "neighbors": count,
        "same_label_other_domain": so,
        "other_label_same_domain": os,
    }


def nearest_others(embeddings: AnyArray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions and cosines of the nearest other rows, `[rows, count]`, in order."""
    return nearest_rows(embeddings, np.arange(len(embeddings)), embeddings, count)


def nearest_rows(
    queries: AnyArray, own: AnyArray, gallery: AnyArray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """The rows of a gallery that are nearest to each query, by cosine similarity.

    Args:
        queries: `[queries, dim]`.
        own: Position of each query in the gallery, where it is not found; −1 = it is
            not there.
        gallery: `[rows, dim]`.
        count: Rows to find; all others, where there are fewer.

    Returns:
        Positions and cosine similarities, `[queries, count]`, the nearest first. Of
        rows that are equally near, the earlier ones come first.

    Example:
        >>> near, _ = nearest_rows(np.eye(2), np.array([0, -1]), np.eye(2), 1)
        >>> near.tolist()
        [[1], [1]]
    """
    own = np.asarray(own)
    count = min(count, len(gallery) - int(own.max(initial=-1) >= 0))
    if len(own) == 0:
        return np.zeros((0, count), int), np.zeros((0, count))
    tiles = -(-len(own) // _ROWS_AT_ONCE)
    places = np.arange(tiles * _ROWS_AT_ONCE).reshape(tiles, -1) % len(own)
    asked = unit(queries)[places], own[places]
    near, cosines = _nearest(*asked, unit(gallery), count)
    near, cosines = (
        np.asarray(one).reshape(-1, count)[: len(own)] for one in (near, cosines)
    )
    return near, cosines


@functools.partial(jax.jit, static_argnames="count")
def _nearest(queries: jax.Array, own: jax.Array, gallery: jax.Array, count: int):
    """The nearest rows of tiles of queries, `[tiles, queries, dim]`, one at a time."""

    def of_tile(part):
        rows, places = part
        similarities = jnp.matmul(rows, gallery.T, precision="highest")
        itself = places[:, None] == jnp.arange(len(gallery))[None]
        cosines, near = jax.lax.top_k(jnp.where(itself, -jnp.inf, similarities), count)
        return near, cosines

    return jax.lax.map(of_tile, (queries, own))
