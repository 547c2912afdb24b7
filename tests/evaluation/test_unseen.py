"""Probes on domains on which they were not fitted, and retrieval by domain."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jaxcl.evaluation import retrieval_by_domain, unseen_domain_probe


def draw(count=240, seed=0):
    """The class shows in the first axis, whose sign domain 2 turns around."""
    generator = np.random.default_rng(seed)
    labels, domains = np.arange(count) % 2, np.arange(count) // 2 % 3
    rows = 0.3 * generator.normal(size=(count, 5))
    rows[:, 0] += np.where(domains == 2, -1, 1) * (2 * labels - 1)
    rows[:, 1] += domains
    rows[:, 2] += (domains == 2) * (2 * labels - 1)
    return rows, labels, domains


def test_each_domain_is_judged_by_a_probe_of_the_others():
    rows, labels, domains = draw()
    found = unseen_domain_probe(rows, labels, domains, ["a", "b", "turned"])
    for domain, name in enumerate(("a", "b", "turned")):
        held = domains == domain
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
        score = probe.fit(rows[~held], labels[~held]).score(rows[held], labels[held])
        assert found["domains"][name]["unseen"] == pytest.approx(score)
        assert found["domains"][name]["count"] == held.sum()
    assert found["worst"]["name"] == "turned" and found["worst"]["accuracy"] < 0.2
    assert found["domains"]["turned"]["seen"] > 0.9
    scores = [one["unseen"] for one in found["domains"].values()]
    assert found["unseen"] == pytest.approx(np.mean(scores))
    assert found["unseen"] < found["seen"]
    assert found["left_out"] == {}


def test_a_domain_is_left_out_where_the_others_lack_a_class_of_it():
    rows, labels, domains = draw()
    labels[domains == 1] += 1  # classes 1 and 2, of which no other domain has 2
    found = unseen_domain_probe(rows, labels, domains)
    assert set(found["domains"]) == {"0", "2"}
    assert found["left_out"] == {"1": "the other domains lack 1 class of it"}


@pytest.mark.parametrize(
    ("domains", "why"),
    [(np.zeros(240, int), "there is no other domain"), (np.full(240, -1), None)],
)
def test_one_domain_is_not_judged(domains, why):
    rows, labels, _ = draw()
    found = unseen_domain_probe(rows, labels, domains)
    assert found["domains"] == {} and found["unseen"] is None
    assert found["worst"] is None
    assert list(found["left_out"].values()) == ([why] if why else [])


def test_queries_of_a_domain_search_the_whole_split():
    rows = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0], [0.9, 1.0]])
    labels, domains = np.array([0, 0, 1, 1, 0]), np.array([0, 1, 0, 1, -1])
    found = retrieval_by_domain(rows, labels, domains, ["left", "right"])
    assert found["recall_at_1"] == pytest.approx(4 / 5) and found["count"] == 5
    assert found["domains"]["left"] == {
        "recall_at_1": 1.0,
        "recall_at_5": 1.0,
        "map_at_r": pytest.approx((1.0 + 1.0) / 2),
        "count": 2,
    }
    assert retrieval_by_domain(rows, np.arange(5), domains) is None
    assert retrieval_by_domain(rows, np.full(5, -1), domains) is None
    assert "domains" not in retrieval_by_domain(rows, labels)
