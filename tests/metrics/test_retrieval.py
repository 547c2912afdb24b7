"""Recall at k and MAP@R against a double loop over queries and sorted neighbors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.metrics import (
    _retrieval,
    mean_average_precision_at_r,
    recall_at_k,
    retrieval_scores,
)


def double_loop(queries, labels, k, gallery=None, ids=None):
    """Recall at k and MAP@R in float64, one query after another."""
    alone = gallery is None
    items, ids = (queries, labels) if alone else (gallery, ids)
    recalls, precisions = [], []
    for i, query in enumerate(np.asarray(queries, np.float64)):
        found = []
        for j, item in enumerate(np.asarray(items, np.float64)):
            if ids[j] == -1 or (alone and i == j):
                continue
            cosine = query @ item / np.linalg.norm(query) / np.linalg.norm(item)
            found.append((-cosine, ids[j] == labels[i]))
        relevant = [right for _, right in sorted(found)]
        total = sum(relevant)
        if labels[i] == -1 or total == 0:
            continue
        recalls.append(any(relevant[:k]))
        value = 0.0
        for rank in range(1, total + 1):
            if relevant[rank - 1]:
                value += sum(relevant[:rank]) / rank
        precisions.append(value / total)
    return np.mean(recalls), np.mean(precisions)


def draw(count, seed=0, classes=4):
    generator = np.random.default_rng(seed)
    rows = generator.normal(size=(count, 5)).astype(np.float32)
    return rows, generator.integers(-1, classes, count)


@pytest.mark.parametrize("k", [1, 3, 200])
def test_scores_are_those_of_a_double_loop(k):
    rows, labels = draw(60)
    labels[0] = 99  # a class with a single row has nothing to find
    recall, precision = double_loop(rows, labels, k)
    assert float(recall_at_k(rows, labels, k=k)) == pytest.approx(recall, abs=1e-6)
    found = float(mean_average_precision_at_r(rows, labels))
    assert found == pytest.approx(precision, abs=1e-6)
    assert 0 < precision < 1


def test_a_gallery_of_its_own_is_searched():
    (rows, labels), (items, ids) = draw(30, 1, classes=6), draw(50, 2)
    recall, precision = double_loop(rows, labels, 2, items, ids)
    other = {"gallery": items, "gallery_labels": ids}
    assert float(recall_at_k(rows, labels, k=2, **other)) == pytest.approx(recall)
    found = float(mean_average_precision_at_r(rows, labels, **other))
    assert found == pytest.approx(precision, abs=1e-6)


def test_tiles_do_not_change_the_scores(monkeypatch):
    rows, labels = draw(61)
    whole = retrieval_scores(rows, labels, ks=(1, 5))
    monkeypatch.setattr(_retrieval, "_TILE", 61 * 8)
    jax.clear_caches()
    tiled = retrieval_scores(rows, labels, ks=(1, 5))
    jax.clear_caches()
    for one, other in zip(whole, tiled, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_no_array_of_all_pairs_is_made():
    rows = jax.ShapeDtypeStruct((20_000, 8), jnp.float32)
    labels = jax.ShapeDtypeStruct((20_000,), jnp.int32)
    compiled = jax.jit(
        lambda rows, labels: _retrieval._scores(
            rows, labels, rows, labels, True, (1,), 100
        )
    ).lower(rows, labels)
    memory = compiled.compile().memory_analysis()
    assert memory.temp_size_in_bytes < 20_000 * 20_000 * 4 / 5


def test_ties_count_against_the_query():
    """All rows in one point, so that the order of rows would decide."""
    rows, labels = np.ones((6, 3), np.float32), np.array([0, 0, 0, 1, 1, 1])
    for order in ([0, 1, 2, 3, 4, 5], [3, 0, 4, 1, 5, 2]):
        assert float(recall_at_k(rows, labels[order], k=3)) == 0.0
        assert float(recall_at_k(rows, labels[order], k=4)) == 1.0
        assert float(mean_average_precision_at_r(rows, labels[order])) == 0.0
    assert float(recall_at_k(0 * rows, labels, k=3)) == 0.0


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, np.float64])
def test_other_types_are_taken(dtype):
    rows, labels = draw(40)
    given = rows.astype(dtype)
    _, expected = double_loop(given.astype(np.float32), labels, 1)
    found = mean_average_precision_at_r(given, labels)
    assert float(found) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("rows", "labels"),
    [(np.ones((3, 2)), [-1, -1, -1]), (np.eye(2), [0, 1]), (np.ones((1, 2)), [0])],
    ids=["no labels", "no pair", "one row"],
)
def test_without_a_query_to_judge_the_scores_are_0(rows, labels):
    labels = np.array(labels, np.int32)
    scores = retrieval_scores(rows, labels, ks=(1, 2))
    assert scores.recall.shape == (len(rows), 2) and not scores.judged.any()
    assert float(recall_at_k(rows, labels)) == 0.0
    assert float(mean_average_precision_at_r(rows, labels)) == 0.0


def test_it_can_be_compiled():
    rows, labels = draw(40)
    found = jax.jit(mean_average_precision_at_r)(rows, labels)
    assert float(found) == pytest.approx(
        float(mean_average_precision_at_r(rows, labels)), abs=1e-6
    )


def test_wrong_arguments_are_named():
    rows, labels = draw(8)
    with pytest.raises(ValueError, match="`gallery` and `gallery_labels`"):
        recall_at_k(rows, labels, gallery=rows)
    with pytest.raises(ValueError, match="`ks` must be"):
        retrieval_scores(rows, labels, ks=())
    with pytest.raises(ValueError, match="`k` must be an int >= 1"):
        recall_at_k(rows, labels, k=0)
