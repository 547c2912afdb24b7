"""The nearest samples, against double loops and by hand."""

import numpy as np
import pytest

from jaxcl.evaluation import choose_neighbors, knn_predictions, robustness_index


def cosines_of(rows):
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit.astype(np.float64) @ unit.T.astype(np.float64)


def draw(count, seed=0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, count)
    rows = generator.normal(size=(count, 4)) + 1.5 * np.eye(3, 4)[labels]
    return rows.astype(np.float32), labels, generator.integers(0, 2, count)


def test_the_robustness_index_is_that_of_a_double_loop():
    rows, labels, domains = draw(300)
    labels[:5], domains[5:9] = -1, -1
    known = np.flatnonzero((labels != -1) & (domains != -1))
    cosines, so, os = cosines_of(rows), 0, 0
    for i in known:
        others = [j for j in known if j != i]
        for j in sorted(others, key=lambda j: -cosines[i, j])[:7]:
            so += labels[j] == labels[i] and domains[j] != domains[i]
            os += labels[j] != labels[i] and domains[j] == domains[i]
    found = robustness_index(rows, labels, domains, neighbors=7)
    assert found["same_label_other_domain"] == so
    assert found["other_label_same_domain"] == os
    assert found["index"] == pytest.approx(so / (so + os)) and found["neighbors"] == 7


def test_it_is_1_where_labels_gather_and_0_where_domains_do():
    corners = np.repeat(np.eye(2), 4, axis=0)
    label, domain = np.repeat([0, 1], 4), np.tile([0, 1], 4)
    assert robustness_index(corners, label, domain, neighbors=3)["index"] == 1.0
    assert robustness_index(corners, domain, label, neighbors=3)["index"] == 0.0


def test_without_a_pair_that_tells_them_apart_the_index_is_none():
    rows = np.eye(3)
    same = robustness_index(rows, np.zeros(3, int), np.zeros(3, int))
    assert same["index"] is None and same["neighbors"] == 2
    assert robustness_index(rows, np.full(3, -1), np.zeros(3, int))["index"] is None
    assert (
        robustness_index(rows[:1], np.zeros(1, int), np.zeros(1, int))["neighbors"] == 0
    )
    with pytest.raises(ValueError, match="`neighbors` must be at least 1"):
        robustness_index(rows, np.zeros(3, int), np.zeros(3, int), neighbors=0)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_k_is_chosen_by_leaving_each_sample_out(seed):
    rows, labels, _ = draw(70, seed)
    right = {}
    for k in (1, 5, 10, 20, 50):
        found = [
            knn_predictions(
                np.delete(rows, i, 0), np.delete(labels, i), rows[i : i + 1], k
            )[0]
            for i in range(len(rows))
        ]
        right[k] = np.sum(found == labels)
    assert choose_neighbors(rows, labels) == max(right, key=right.get)


def test_few_samples_leave_few_candidates():
    assert choose_neighbors(np.eye(2), np.array([0, 1])) == 1
    assert choose_neighbors(np.eye(6), np.arange(6)) in (1, 5)
