"""Retrieval: how often the nearest rows of a gallery have the label of a query."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from jaxcl.kernels import check_arguments, full_product, unit_rows

# Similarities of a tile of queries and the whole gallery that are held at a time.
_TILE = 2**23
_MOST_QUERIES = 1024
# Similarities nearer than the rounding of a product are a tie.
_TIE = 2.0**-22


class RetrievalScores(NamedTuple):
    """What the nearest rows of the gallery say of every query."""

    recall: Bool[Array, "queries ks"]
    """Whether a row of the query's label is among its k nearest, for every k."""
    average_precision: Float[Array, " queries"]
    """Average precision at R, the number of rows with the query's label."""
    judged: Bool[Array, " queries"]
    """Whether the label is known and the gallery has it; other queries score 0."""


@check_arguments
def retrieval_scores(
    embeddings: Float[Array, "queries dim"],
    labels: Int[Array, " queries"],
    *,
    ks: tuple[int, ...] = (1,),
    gallery: Float[Array, "items dim"] | None = None,
    gallery_labels: Int[Array, " items"] | None = None,
) -> RetrievalScores:
    r"""Recall at k and average precision at R of every query, in one pass.

    The rows of the gallery are ranked by cosine similarity. Those that are as near as
    each other, to within the rounding of a product (2⁻²²), rank as if the relevant ones
    were farther: neither the order of rows nor a collapse of all to one point helps.
    Memory is a tile of queries and the gallery. Under `jit` all of the gallery is
    sorted; elsewhere as much of it as the largest class needs.

    Args:
        embeddings: The queries, of any floating type.
        labels: Their ids; −1 = unknown, here and in `gallery_labels`.
        ks: How many neighbors `recall` looks at.
        gallery: Rows to search; None = the queries, each without itself.
        gallery_labels: Their ids. Rows of unknown label are left out.

    Returns:
        One score per query.

    Example:
        >>> rows = jnp.array([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [0.0, 1.0]])
        >>> scores = retrieval_scores(rows, jnp.array([0, 1, 0, 1]), ks=(1, 2))
        >>> scores.recall.tolist()
        [[False, True], [False, False], [False, True], [False, True]]
    """
    if (gallery is None) != (gallery_labels is None):
        raise ValueError(
            "`gallery` and `gallery_labels` must be given together, got one of them"
        )
    if not ks or min(ks) < 1:
        raise ValueError(f"`ks` must be counts of at least 1, got {ks}")
    alone = gallery is None
    items, ids = (embeddings, labels) if alone else (gallery, gallery_labels)
    assert items is not None and ids is not None
    depth = min(max(_largest_class(ids), *ks), len(items))
    return _scores(embeddings, labels, items, ids, alone, ks, depth)


@check_arguments
def recall_at_k(
    embeddings: Float[Array, "queries dim"],
    labels: Int[Array, " queries"],
    *,
    k: int = 1,
    gallery: Float[Array, "items dim"] | None = None,
    gallery_labels: Int[Array, " items"] | None = None,
) -> Float[Array, ""]:
    r"""Share of queries with a row of their label among their k nearest rows.

    See `retrieval_scores` for ties and memory.

    Args:
        embeddings: The queries.
        labels: Their ids; queries of unknown label (−1), or whose label the gallery
            does not have, are left out of the mean.
        k: Neighbors that count.
        gallery: Rows to search; None = the queries, each without itself.
        gallery_labels: Their ids.

    Returns:
        A scalar; 0 if no query remains.

    References:
        Jégou et al., TPAMI 2011; Musgrave et al., arXiv 2003.08505, section 3.1.

    Example:
        >>> rows = jnp.array([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [0.0, 1.0]])
        >>> labels = jnp.array([0, 1, 0, 1])
        >>> float(recall_at_k(rows, labels)), float(recall_at_k(rows, labels, k=2))
        (0.0, 0.75)
    """
    scores = retrieval_scores(
        embeddings, labels, ks=(k,), gallery=gallery, gallery_labels=gallery_labels
    )
    return _mean(scores.recall[:, 0].astype(jnp.float32), scores.judged)


@check_arguments
def mean_average_precision_at_r(
    embeddings: Float[Array, "queries dim"],
    labels: Int[Array, " queries"],
    *,
    gallery: Float[Array, "items dim"] | None = None,
    gallery_labels: Int[Array, " items"] | None = None,
) -> Float[Array, ""]:
    r"""MAP@R: precision among the R nearest rows, weighted toward early ranks.

        (1/R) Σ_{i=1}^{R} P(i) · [row i has the label]

    averaged over queries, with R the rows of the query's label in the gallery and P(i)
    the share of that label among the i nearest. It is 1 only if all R come first.

    See `retrieval_scores` for ties and memory.

    Args:
        embeddings: The queries.
        labels: Their ids; queries of unknown label (−1), or whose label the gallery
            does not have, are left out of the mean.
        gallery: Rows to search; None = the queries, each without itself.
        gallery_labels: Their ids.

    Returns:
        A scalar; 0 if no query remains.

    References:
        Musgrave, Belongie and Lim, arXiv 2003.08505, eqs. 3 and 4.

    Example:
        R = 2. Two rows find one of their label, at rank 2: ½ · ½. One finds it at rank
        1: ½ · 1.

        >>> rows = jnp.array([[1.0, 0.0], [1.0, 0.1], [1.0, 0.3], [0.0, 1.0]])
        >>> found = mean_average_precision_at_r(rows, jnp.array([0, 1, 0, 0]))
        >>> round(float(found), 4)
        0.3333
    """
    scores = retrieval_scores(
        embeddings, labels, gallery=gallery, gallery_labels=gallery_labels
    )
    return _mean(scores.average_precision, scores.judged)


def _largest_class(labels: Int[Array, " items"]) -> int:
    """Rows of the largest class, or all rows where labels are traced."""
    if isinstance(labels, Tracer):
        return len(labels)
    known = np.asarray(labels)
    known = known[known != -1]
    return int(np.unique(known, return_counts=True)[1].max(initial=1))


@functools.partial(jax.jit, static_argnames=("alone", "ks", "depth"))
def _scores(
    queries: Float[Array, "queries dim"],
    labels: Int[Array, " queries"],
    items: Float[Array, "items dim"],
    ids: Int[Array, " items"],
    alone: bool,
    ks: tuple[int, ...],
    depth: int,
) -> RetrievalScores:
    items = unit_rows(items)
    positions, known = jnp.arange(len(items))[None], (ids != -1)[None]

    def of_query_rows(block) -> RetrievalScores:
        rows, wanted, places = block
        similarities = full_product(unit_rows(rows), items.T)
        present = jnp.broadcast_to(known, similarities.shape)
        if alone:
            present = present & (places[:, None] != positions)
        relevant = present & (wanted[:, None] == ids[None])
        ranked = jnp.where(relevant, similarities - _TIE, similarities)
        _, near = lax.top_k(jnp.where(present, ranked, -jnp.inf), depth)
        return _judge(jnp.take_along_axis(relevant, near, 1), relevant.sum(1), ks)

    blocks, count = _in_blocks(queries, labels, len(items))
    scores = lax.map(of_query_rows, blocks)
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:count], scores)


def _judge(
    hits: Bool[Array, "queries depth"],
    total: Int[Array, " queries"],
    ks: tuple[int, ...],
) -> RetrievalScores:
    """The scores of queries, whose nearest rows are hits or not."""
    ranks = jnp.arange(1, hits.shape[1] + 1)[None]
    precision = jnp.cumsum(hits, axis=1) / ranks
    counted = hits & (ranks <= total[:, None])
    summed = jnp.sum(jnp.where(counted, precision, 0.0), axis=1)
    return RetrievalScores(
        jnp.stack([jnp.any(hits[:, :k], axis=1) for k in ks], axis=1),
        summed / jnp.maximum(total, 1),
        total > 0,
    )


def _in_blocks(
    queries: Float[Array, "queries dim"], labels: Int[Array, " queries"], items: int
) -> tuple[tuple[Array, Array, Array], int]:
    """Queries, labels and positions, cut into tiles; the last one is filled up."""
    count = len(queries)
    most = max(1, min(_MOST_QUERIES, _TILE // items, count))
    tiles = -(-count // most)
    size = -(-count // tiles)
    missing = tiles * size - count
    rows = jnp.pad(queries, ((0, missing), (0, 0)))
    labels = jnp.pad(labels, (0, missing), constant_values=-1)
    blocks = (
        rows.reshape(tiles, size, -1),
        labels.reshape(tiles, size),
        jnp.arange(tiles * size).reshape(tiles, size),
    )
    return blocks, count


def _mean(scores: Float[Array, " queries"], judged: Bool[Array, " queries"]) -> Array:
    return jnp.sum(jnp.where(judged, scores, 0.0)) / jnp.maximum(jnp.sum(judged), 1)
