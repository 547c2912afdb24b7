"""Numbers of a run, beside scikit-learn on the pixels themselves."""

import dataclasses
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from jaxcl.config import AnalysisConfig, from_dict
from jaxcl.data import open_data
from jaxcl.data._builders.colored_digits import COLORS
from jaxcl.evaluation import (
    balanced_positions,
    draw_labeled,
    draw_share,
    split_for_head,
)
from jaxcl.labs.studies._measure import IntegrityError, check_inference, measure

PALETTE = np.array(list(COLORS.values()), float)
CONFIG = from_dict(
    {
        "seed": 4,
        "data": {
            "name": "colored_digits/rho_0.8",
            "domain": "domain",
            "test_splits": ["id_test", "ood_test"],
        },
    }
)
ANALYSIS = AnalysisConfig(
    labels=(2, 8),
    primary_labels=8,
    percents=(5,),
    ood_labels=(60,),
    max_train=400,
    max_test=200,
)


def pixels(_, images):
    """An encoder that keeps a few pixels."""
    return images[:, ::4, ::4].reshape(len(images), -1)


def rows_and_labels(data, split, most):
    batches = list(data.evaluation_batches(split, 500, most))
    rows = np.concatenate([pixels(None, b.image / 255.0)[b.where] for b in batches])
    labels = np.concatenate([b.label[b.where] for b in batches])
    return rows.astype(np.float32), labels


@pytest.fixture(scope="module")
def data(data_dir):
    return open_data(CONFIG.data, CONFIG.seed)


@pytest.fixture(scope="module")
def found(data):
    run = SimpleNamespace(encode=pixels, project=pixels, classify=None)
    measured = measure(run, {"nothing": np.zeros(1)}, data, CONFIG, ANALYSIS)
    return {(v.metric, v.split, v.labels): v.value for v in measured.values}


def accuracy(fit, test):
    """Of a logistic regression on standardized rows."""
    scaler = StandardScaler().fit(fit[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        head = LogisticRegression(max_iter=300).fit(scaler.transform(fit[0]), fit[1])
    return np.mean(head.predict(scaler.transform(test[0])) == test[1])


@pytest.mark.parametrize("count", [2, 8])
def test_source_heads_see_so_many_labels_and_both_splits(data, found, count):
    rows, labels = rows_and_labels(data, data.train, 400)
    chosen = draw_labeled(labels, count, seed=4)
    assert len(chosen) == 10 * count
    fit = rows[chosen], labels[chosen]
    both = []
    for split, name in (("id", "id_test"), ("ood", "ood_test")):
        test = rows_and_labels(data, data.tests[name], 200)
        expected = accuracy(fit, test)
        assert found["source_head", split, count] == pytest.approx(expected)
        both.append(expected)
    # Two splits that could be taken for each other would show nothing.
    assert both[0] > both[1] + 0.1


def test_a_percentage_of_labels_is_of_each_class(data, found):
    rows, labels = rows_and_labels(data, data.train, 400)
    chosen = draw_share(labels, 0.05, seed=4)
    assert len(chosen) == pytest.approx(20, abs=5)
    test = rows_and_labels(data, data.tests["ood_test"], 200)
    expected = accuracy((rows[chosen], labels[chosen]), test)
    assert found["percent_head", "ood", 5] == pytest.approx(expected)


def test_a_shifted_head_is_tested_on_what_it_has_not_seen(data, found):
    rows, labels = rows_and_labels(data, data.tests["ood_test"], 200)
    fit, rest = split_for_head(labels, 60, seed=4)
    expected = accuracy((rows[fit], labels[fit]), (rows[rest], labels[rest]))
    assert found["ood_head", "ood", 60] == pytest.approx(expected)
    assert expected < 1.0


def test_neighbors_are_of_the_training_split(data, found):
    rows, labels = rows_and_labels(data, data.train, 400)
    knn = KNeighborsClassifier(
        20, metric="cosine", algorithm="brute", weights=lambda d: np.exp((1 - d) / 0.07)
    ).fit(rows, labels)
    for split, name in (("id", "id_test"), ("ood", "ood_test")):
        test, truth = rows_and_labels(data, data.tests[name], 200)
        expected = np.mean(knn.predict(test) == truth)
        assert found["knn", split, 0] == pytest.approx(expected)


def test_a_balanced_head_sees_as_many_of_every_digit_in_every_color(data, found):
    rows, labels = rows_and_labels(data, data.train, 400)
    domains = data.train.values("domain")[:400]
    chosen = balanced_positions(labels, domains, seed=4)
    assert len(set(np.bincount(labels[chosen] * 10 + domains[chosen])) - {0}) == 1
    test = rows_and_labels(data, data.tests["ood_test"], 200)
    expected = accuracy((rows[chosen], labels[chosen]), test)
    assert found["balanced_head", "ood", 0] == pytest.approx(expected)


def by_group(right, labels, domains, least):
    """Accuracies of pairs of label and domain, and how many were too small."""
    groups = {}
    for hit, *pair in zip(right, labels, domains, strict=True):
        groups.setdefault(tuple(pair), []).append(hit)
    kept = [np.mean(hits) for hits in groups.values() if len(hits) >= least]
    return kept, len(groups) - len(kept)


@pytest.mark.parametrize("least", [1, 3, 40])
def test_groups_below_the_minimum_are_counted_and_not_judged(data, least):
    """A classifier that takes the color's digit is right on that group alone."""
    config = dataclasses.replace(ANALYSIS, primary="own_head", min_group=least)

    def by_color(_, images):
        # The corner shows the background; its color says the domain.
        corner = images[:, 0, 0]
        distance = ((corner[:, None] - PALETTE[None] / 255.0) ** 2).sum(-1)
        return -distance

    run = SimpleNamespace(encode=pixels, project=pixels, classify=by_color)
    values = measure(run, {"w": np.zeros(1)}, data, CONFIG, config).values
    found = {(v.metric, v.split, v.labels): v.value for v in values}
    for split, name in (("id", "id_test"), ("ood", "ood_test")):
        labels = data.tests[name].values("label")[:200]
        domains = data.tests[name].values("domain")[:200]
        right = labels == domains
        assert found["own_head", split, 0] == pytest.approx(right.mean())
        kept, out = by_group(right, labels, domains, least)
        assert found["own_head_groups_left_out", split, 0] == out
        if len(kept) <= out:
            assert ("own_head_group_mean", split, 0) not in found
            continue
        assert found["own_head_group_mean", split, 0] == pytest.approx(np.mean(kept))
        assert found["own_head_worst_group", split, 0] == min(kept)
    assert (least == 1) == (out == 0)


def test_an_arm_without_a_classifier_is_judged_by_a_head_on_all_labels(data):
    config = dataclasses.replace(ANALYSIS, primary="own_head")
    run = SimpleNamespace(encode=pixels, project=pixels, classify=None)
    values = measure(run, {"w": np.zeros(1)}, data, CONFIG, config).values
    found = {(v.metric, v.split, v.labels): v.value for v in values}
    fit = rows_and_labels(data, data.train, 400)
    test = rows_and_labels(data, data.tests["ood_test"], 200)
    assert found["own_head", "ood", 0] == pytest.approx(accuracy(fit, test))


def test_chance_is_the_largest_class_under_shift(data, found):
    labels = rows_and_labels(data, data.tests["ood_test"], 200)[1]
    assert found["chance", "ood", 0] == max(np.bincount(labels)) / len(labels)


def test_an_encoder_that_depends_on_the_batch_is_detected():
    """BatchNorm in training mode, which evaluation must not use."""
    images = np.random.default_rng(0).integers(0, 255, (8, 4, 4, 3), np.uint8)

    def encode(_, images):
        rows = images.reshape(len(images), -1)
        return rows - rows.mean(0, keepdims=True)

    check_inference(SimpleNamespace(encode=pixels), None, images)
    with pytest.raises(IntegrityError, match="depends on the images beside it"):
        check_inference(SimpleNamespace(encode=encode), None, images)


def test_an_encoder_that_changes_while_measured_is_detected(data):
    state = {"weights": np.zeros(3)}

    def encode(state, images):
        state["weights"] += 1.0
        return pixels(None, images)

    run = SimpleNamespace(encode=encode, project=pixels, classify=None)
    with pytest.raises(IntegrityError, match="changed while it was measured"):
        measure(run, state, data, CONFIG, ANALYSIS)
