import itertools

import numpy as np
import pytest

from jaxcl.evaluation import (
    balanced_positions,
    check_disjoint,
    draw_labeled,
    draw_share,
    head_predictions,
    split_for_head,
)

LABELS = np.array([0, 1, 2, -1] * 25 + [3])


def test_every_class_gives_as_many_samples_as_asked():
    drawn = draw_labeled(LABELS, 5, seed=0)
    assert np.bincount(LABELS[drawn]).tolist() == [5, 5, 5, 1]
    assert len(np.unique(drawn)) == len(drawn)
    assert (np.diff(drawn) > 0).all()


def test_labels_of_a_smaller_budget_lie_in_a_larger_one():
    for draw in (
        [draw_labeled(LABELS, n, seed=3) for n in (1, 4, 10)],
        [draw_share(LABELS, s, seed=3) for s in (0.01, 0.2, 0.5)],
    ):
        for small, large in itertools.pairwise(draw):
            assert set(small) < set(large)


def test_the_draw_is_a_function_of_the_seed():
    one, two = (draw_labeled(LABELS, 5, seed=seed) for seed in (0, 1))
    np.testing.assert_array_equal(one, draw_labeled(LABELS, 5, seed=0))
    assert not np.array_equal(one, two)


def test_unknown_labels_are_never_drawn():
    assert (LABELS[draw_labeled(LABELS, 0, seed=0)] >= 0).all()
    assert len(draw_labeled(LABELS, 0, seed=0)) == 76
    assert len(draw_share(LABELS, 1.0, seed=0)) == 76
    hidden = np.full(4, -1)
    assert len(draw_labeled(hidden, 2, seed=0)) == len(draw_share(hidden, 0.5, seed=0))


def test_a_share_leaves_no_class_out():
    drawn = draw_share(LABELS, 0.1, seed=0)
    assert np.bincount(LABELS[drawn]).tolist() == [3, 3, 3, 1]


def test_one_head_predicts_several_sets():
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=300)
    rows = np.eye(3)[labels] * 4 + rng.normal(size=(300, 3))
    first, second = head_predictions(
        rows[:200], labels[:200], rows[200:250], rows[250:]
    )
    assert np.mean(first == labels[200:250]) > 0.9
    assert np.mean(second == labels[250:]) > 0.9
    (none,) = head_predictions(rows, labels, rows[:0])
    assert len(none) == 0


def test_balance_gives_a_rare_class_its_weight():
    rng = np.random.default_rng(0)
    labels = (np.arange(400) < 20).astype(int)
    rows = labels[:, None] * 1.0 + rng.normal(size=(400, 1))
    plain, balanced = (
        head_predictions(rows, labels, rows, balanced=flag)[0] for flag in (False, True)
    )
    rare = labels == 1
    assert np.mean(balanced[rare] == 1) > 0.5 > np.mean(plain[rare] == 1)


def test_one_class_is_predicted_everywhere_and_none_is_an_error():
    (found,) = head_predictions(np.ones((3, 2)), np.full(3, 7), np.zeros((2, 2)))
    assert found.tolist() == [7, 7]
    with pytest.raises(ValueError, match="`labels` must not be empty"):
        head_predictions(np.ones((0, 2)), np.zeros(0, int), np.ones((1, 2)))


def test_what_a_shifted_head_was_fitted_on_is_not_tested():
    fit, rest = split_for_head(LABELS, 30, seed=0)
    assert len(fit) == 30 and len(rest) == 46
    assert not set(fit) & set(rest)
    assert (LABELS[np.concatenate([fit, rest])] >= 0).all()
    with pytest.raises(ValueError, match="`count` must leave two of the 76"):
        split_for_head(LABELS, 75, seed=0)


def test_balanced_samples_have_all_pairs_alike():
    labels = np.array([0] * 50 + [1] * 50)
    groups = np.array([0] * 45 + [1] * 5 + [0] * 10 + [1] * 39 + [-1])
    chosen = balanced_positions(labels, groups, seed=0)
    pairs = np.stack([labels[chosen], groups[chosen]], 1)
    counts = np.unique(pairs, axis=0, return_counts=True)[1]
    assert counts.tolist() == [5, 5, 5, 5]
    assert len(balanced_positions(labels, np.full(100, -1), seed=0)) == 0


def test_a_shared_sample_is_named():
    check_disjoint(np.array([1, 2]), np.array([3]), "the test split")
    with pytest.raises(ValueError, match=r"the test split must .* got 1: \[2\]"):
        check_disjoint(np.array([1, 2]), np.array([2, 9]), "the test split")


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ValueError, match=r"`share` must be in \(0, 1\]"):
        draw_share(LABELS, share, seed=0)
    with pytest.raises(ValueError, match="`per_class` must be at least 0"):
        draw_labeled(LABELS, -1, seed=0)


def test_a_head_never_learns_the_unknown():
    rows = np.array([[0.0], [0.1], [1.0], [1.1], [5.0], [5.1]])
    labels = np.array([0, 0, 1, 1, -1, -1])
    (found,) = head_predictions(rows, labels, rows)
    (alone,) = head_predictions(rows[:4], labels[:4], rows)
    assert found.tolist() == alone.tolist() == [0, 0, 1, 1, 1, 1]
    with pytest.raises(ValueError, match="`labels` must not be empty"):
        head_predictions(rows, np.full(6, -1), rows)
