import math

import numpy as np
import pytest
from scipy import stats

from jaxcl.evaluation import (
    between_domain_share,
    domain_distance,
    group_accuracy,
    low_shot_domain_probe,
    neighbor_domain_share,
    similarities_by_domain,
)

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(60, 5))
DOMAINS = np.array([0, 1, 2, -1] * 15)


def test_the_share_between_domains_is_that_of_loops():
    known = [i for i in range(60) if DOMAINS[i] >= 0]
    mean = [sum(ROWS[i][k] for i in known) / len(known) for k in range(5)]
    total = sum((ROWS[i][k] - mean[k]) ** 2 for i in known for k in range(5))
    between = 0.0
    for d in range(3):
        mine = [i for i in known if DOMAINS[i] == d]
        for k in range(5):
            own = sum(ROWS[i][k] for i in mine) / len(mine)
            between += len(mine) * (own - mean[k]) ** 2
    assert between_domain_share(ROWS, DOMAINS) == pytest.approx(between / total)


def test_domains_that_are_points_have_all_the_variance():
    rows = np.eye(3)[DOMAINS.clip(0)]
    assert between_domain_share(rows, DOMAINS) == pytest.approx(1.0)
    assert domain_distance(rows, DOMAINS) == math.inf


def test_the_distance_is_in_units_of_the_spread():
    rows = np.array([[0.0, 0.0], [0.0, 2.0], [6.0, 0.0], [6.0, 2.0]])
    domains = np.array([0, 0, 1, 1])
    assert domain_distance(rows, domains) == pytest.approx(6.0)
    assert domain_distance(rows * 1e3, domains) == pytest.approx(6.0)


def test_one_domain_or_none_has_a_value_without_a_warning():
    for domains in (np.zeros(60, int), np.full(60, -1)):
        assert between_domain_share(ROWS, domains) == 0.0
        assert domain_distance(ROWS, domains) == 0.0
        assert low_shot_domain_probe(ROWS, domains) is None
    assert between_domain_share(np.ones((4, 2)), np.array([0, 0, 1, 1])) == 0.0
    assert math.isnan(neighbor_domain_share(ROWS, np.full(60, -1)))
    assert math.isnan(neighbor_domain_share(ROWS[:1], np.zeros(1, int)))


def test_neighbors_are_those_of_loops():
    instances = np.arange(60) // 2
    shares = []
    for i in range(60):
        if DOMAINS[i] < 0:
            continue
        others = []
        for j in range(60):
            if DOMAINS[j] >= 0 and instances[j] != instances[i]:
                a, b = ROWS[i], ROWS[j]
                cosine = a @ b / math.sqrt((a @ a) * (b @ b))
                others.append((-cosine, DOMAINS[j]))
        near = sorted(others)[:4]
        shares.append(sum(d == DOMAINS[i] for _, d in near) / 4)
    found = neighbor_domain_share(ROWS, DOMAINS, instances, neighbors=4)
    assert found == pytest.approx(np.mean(shares))


def test_neighbors_beyond_a_block_are_found():
    rows = np.repeat(np.eye(4), 700, axis=0) + RNG.normal(size=(2800, 4)) * 0.01
    order = RNG.permutation(2800)
    domains = np.repeat(np.arange(4), 700)
    assert neighbor_domain_share(rows[order], domains[order]) == 1.0
    assert neighbor_domain_share(rows, domains[order]) == pytest.approx(0.25, abs=0.02)


def test_few_samples_tell_domains_apart_that_lie_apart():
    domains = np.arange(300) % 3
    apart = np.eye(3)[domains] * 5 + RNG.normal(size=(300, 3))
    found = low_shot_domain_probe(apart, domains)
    assert found["accuracy"] > 0.95 and found["chance"] == pytest.approx(1 / 3)
    mixed = low_shot_domain_probe(RNG.normal(size=(300, 3)), domains)
    assert mixed["accuracy"] < 0.5


def test_groups_have_wilson_intervals_and_small_ones_are_counted():
    labels = np.array([0] * 80 + [1] * 40)
    groups = np.array([0] * 40 + [1] * 40 + [0] * 35 + [1] * 5)
    correct = np.ones(120, bool)
    correct[40:60] = False
    found = group_accuracy(correct, labels, groups)
    assert found["left_out"] == 1 and len(found["groups"]) == 3
    worst = found["worst"]
    assert (worst["name"], worst["accuracy"]) == ("label=0, group=1", 0.5)
    z = stats.norm.ppf(0.975)
    center = (0.5 + z * z / 80) / (1 + z * z / 40)
    reach = z * math.sqrt(0.25 / 40 + z * z / (4 * 40**2)) / (1 + z * z / 40)
    assert worst["low"] == pytest.approx(center - reach)
    assert worst["high"] == pytest.approx(center + reach)
    assert group_accuracy(correct[:3], labels[:3], groups[:3])["worst"] is None


def test_cosines_of_pairs_are_split_by_domain():
    instances = np.arange(60) // 2
    same, different = [], []
    for i in range(60):
        for j in range(i + 1, 60):
            if min(DOMAINS[i], DOMAINS[j]) < 0 or instances[i] == instances[j]:
                continue
            a, b = ROWS[i], ROWS[j]
            cosine = a @ b / math.sqrt((a @ a) * (b @ b))
            (same if DOMAINS[i] == DOMAINS[j] else different).append(cosine)
    found = similarities_by_domain(ROWS, DOMAINS, instances=instances, bins=10)
    for name, expected in (("same_domain", same), ("different_domain", different)):
        assert found[name]["count"] == len(expected) == sum(found[name]["histogram"])
        assert found[name]["mean"] == pytest.approx(np.mean(expected), abs=1e-6)
        assert found[name]["variance"] == pytest.approx(np.var(expected), abs=1e-6)
    assert len(found["edges"]) == 11


def test_no_pair_has_no_moments():
    found = similarities_by_domain(ROWS[:2], np.zeros(2, int), instances=np.zeros(2))
    assert found["same_domain"]["count"] == 0
    assert math.isnan(found["different_domain"]["mean"])


def test_rows_of_zeros_and_huge_rows_are_rows():
    rows = np.array([[0.0, 0.0], [1e30, 0.0], [1e-30, 0.0], [0.0, 1.0]])
    found = similarities_by_domain(rows, np.array([0, 0, 0, 1]))
    assert found["same_domain"]["mean"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("value", [0.1, 0.3, 7.7])
def test_rounding_is_no_variance(value):
    domains = np.array([0, 0, 0, 1, 1, 1, 1])
    constant = np.full((7, 3), value)
    assert between_domain_share(constant, domains) == 0.0
    assert domain_distance(constant, domains) == 0.0
    points = constant * (1 + domains[:, None])
    assert between_domain_share(points, domains) == 1.0
    assert domain_distance(points, domains) == math.inf


def test_a_split_sorted_by_domain_has_pairs_of_two_domains():
    domains = np.repeat([0, 1], 600)
    rows = RNG.normal(size=(1200, 3))
    found = similarities_by_domain(rows, domains, max_rows=100)
    assert found["same_domain"]["count"] + found["different_domain"]["count"] == 4950
    assert found["different_domain"]["count"] > 1000


def test_a_number_of_none_is_refused():
    with pytest.raises(ValueError, match="`per_domain` must be at least 1, got 0"):
        low_shot_domain_probe(ROWS, DOMAINS, per_domain=0)
    with pytest.raises(ValueError, match="`neighbors` must be at least 1, got -1"):
        neighbor_domain_share(ROWS, DOMAINS, neighbors=-1)
