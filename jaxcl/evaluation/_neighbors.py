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
    """Positions and cosines of the nearest other rows, `[rows, count]`, in order.

    Of rows that are equally near, the earlier ones come first.
    """
    rows = unit(embeddings)
    tiles = -(-len(rows) // _ROWS_AT_ONCE)
    places = np.arange(tiles * _ROWS_AT_ONCE).reshape(tiles, -1) % len(rows)
    near, cosines = _nearest(rows, places, count)
    near, cosines = (
        np.asarray(one).reshape(-1, count)[: len(rows)] for one in (near, cosines)
    )
    return near, cosines


@functools.partial(jax.jit, static_argnames="count")
def _nearest(rows: jax.Array, places: jax.Array, count: int):
    """The nearest other rows of the rows at some places, a tile at a time."""

    def of_tile(part):
        similarities = jnp.matmul(rows[part], rows.T, precision="highest")
        alone = similarities.at[jnp.arange(len(part)), part].set(-jnp.inf)
        cosines, near = jax.lax.top_k(alone, count)
        return near, cosines

    return jax.lax.map(of_tile, places)
