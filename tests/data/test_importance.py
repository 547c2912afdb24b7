import numpy as np
import pytest

from jaxcl.config import ConfigError
from jaxcl.data._samplers._importance import ImportanceSampler, importance_weights

WEIGHTS = np.random.RandomState(1).uniform(1, 10, 80)


def draw_all(sampler, steps):
    draws = [sampler.draw(step) for step in steps]
    return np.stack([d.rows for d in draws]), np.stack([d.epochs for d in draws])


# --- As often as they weigh


def test_counts_of_an_epoch_are_the_expected_ones_rounded_up_or_down():
    sampler = ImportanceSampler(WEIGHTS, batch_size=8, seed=0)
    expected = 80 * WEIGHTS / WEIGHTS.sum()
    total = np.zeros(80)
    for epoch in range(500):
        rows, _ = draw_all(sampler, range(10 * epoch, 10 * epoch + 10))
        counts = np.bincount(rows.ravel(), minlength=80)
        assert counts.sum() == 80
        assert (abs(counts - expected) < 1).all()
        total += counts
    rest = expected % 1
    deviation = np.sqrt(rest * (1 - rest) / 500)
    assert (abs(total / 500 - expected) < 4 * deviation + 1e-9).all()


def test_equal_weights_give_permutations():
    for size in (3, 10, 49, 77):
        sampler = ImportanceSampler(np.full(size, 0.1), batch_size=1, seed=2)
        for epoch in range(5):
            steps = range(size * epoch, size * epoch + size)
            rows, epochs = draw_all(sampler, steps)
            assert sorted(rows.ravel().tolist()) == list(range(size))
            assert (epochs == epoch).all()


def test_copies_of_a_sample_count_on_from_those_of_the_epoch_before():
    sampler = ImportanceSampler(np.array([5.0, 1, 1, 1]), batch_size=8 // 2, seed=0)
    assert sampler.max_copies == 3  # 4 · 5/8 = 2.5
    for epoch in range(50):
        draw = sampler.draw(epoch)
        of_first = sorted(draw.epochs[draw.rows == 0].tolist())
        assert of_first == [3 * epoch + k for k in range(len(of_first))]
        assert len(of_first) in (2, 3)


def test_a_pattern_in_the_order_of_the_data_is_not_rounded_alike():
    # 50 samples are expected 1.5 times each, 50 others 0.5 times, in turns: rounding in
    # the order of the data would round all 50 up or all 50 down.
    weights = np.tile([3.0, 1.0], 50)
    sampler = ImportanceSampler(weights, batch_size=100, seed=0)
    totals = [int((sampler.draw(epoch).rows % 2 == 0).sum()) for epoch in range(200)]
    assert 65 < min(totals) < max(totals) < 85
    assert abs(np.mean(totals) - 75) < 1


def test_weights_of_any_size_and_scale_can_be_drawn_by():
    weights = np.array([1e-300, 1e300, 1.0])
    sampler = ImportanceSampler(weights, batch_size=3, seed=0)
    assert sampler.draw(0).rows.tolist() == [1, 1, 1]
    assert sorted(sampler.draw(1).epochs.tolist()) == [3, 4, 5]
    scaled = ImportanceSampler(WEIGHTS * 2.0**70, 7, 0).draw(9)
    assert (
        scaled.rows.tolist() == ImportanceSampler(WEIGHTS, 7, 0).draw(9).rows.tolist()
    )


def test_a_million_samples_are_resampled_exactly():
    weights = np.random.RandomState(0).uniform(1, 10, 1_000_000)
    sampler = ImportanceSampler(weights, batch_size=1_000_000, seed=0)
    counts = np.bincount(sampler.draw(3).rows, minlength=1_000_000)
    # Weights are rounded to about a part in a million.
    assert abs(counts - 1e6 * weights / weights.sum()).max() < 1 + 1e-5


# --- The weights


def test_weights_make_every_bias_of_a_label_equally_likely():
    draws = np.random.RandomState(0)
    labels, biases = draws.randint(0, 4, 2000), draws.choice(3, 2000, p=[0.6, 0.3, 0.1])
    biases = np.where(draws.uniform(size=2000) < 0.5, labels % 3, biases)
    weights = importance_weights(labels, biases, cap=1e9)
    for label in range(4):
        cells = [weights[(labels == label) & (biases == bias)] for bias in range(3)]
        # 1 / p times the samples of the cell is the number of samples of the label.
        sums = [cell.sum() for cell in cells]
        np.testing.assert_allclose(sums, (labels == label).sum())
        assert all(len(set(cell.tolist())) == 1 for cell in cells)


def test_the_cap_is_a_multiple_of_the_smallest_weight():
    # As in biased MNIST at 0.99: 99 of 100 are aligned, and one is not.
    labels, biases = np.zeros(100, int), np.zeros(100, int)
    biases[7] = 1
    weights = importance_weights(labels, biases, cap=10.0)
    np.testing.assert_allclose(weights[0], 100 / 99)
    np.testing.assert_allclose(weights[7], 10 * 100 / 99)
    np.testing.assert_allclose(importance_weights(labels, biases, cap=1.0), 100 / 99)
    np.testing.assert_allclose(importance_weights(labels, biases, cap=200.0)[7], 100)


def test_a_sample_of_unknown_bias_weighs_as_little_as_any():
    labels, biases = np.array([0, 0, 0, -1, 0]), np.array([0, 0, 1, 1, -1])
    weights = importance_weights(labels, biases)
    np.testing.assert_allclose(weights, [1.5, 1.5, 3, 1.5, 1.5])


# --- Refusals


@pytest.mark.parametrize("weight", [0.0, -1.0, np.nan, np.inf])
def test_weights_that_are_no_weights_are_refused(weight):
    with pytest.raises(ConfigError, match="`weights` must be positive and finite"):
        ImportanceSampler(np.array([1.0, weight]), 1, 0)


def test_labels_and_biases_that_do_not_go_together_are_refused():
    zeros = np.zeros(3, int)
    with pytest.raises(ConfigError, match="one a sample"):
        importance_weights(zeros, zeros[:2])
    with pytest.raises(ConfigError, match="known of some sample"):
        importance_weights(zeros - 1, zeros)
    with pytest.raises(ConfigError, match=r"`data.sampler.cap` must be at least 1"):
        importance_weights(zeros, zeros, cap=0.5)


def test_a_batch_larger_than_the_weighed_samples_is_refused():
    with pytest.raises(ConfigError, match=r"at most the 2 samples .* got 3"):
        ImportanceSampler(np.ones(2), 3, 0)


def test_negative_ids_other_than_minus_one_are_weighed_like_all():
    labels, biases = np.array([0, 0, 0, 0, 1, -1]), np.array([5, 5, 5, 6, 5, 5])
    hashed = np.where(labels == -1, -1, labels - 9)
    found = importance_weights(hashed, biases - 99)
    np.testing.assert_array_equal(found, importance_weights(labels, biases))
    assert found[3] == 4.0 and found[5] == 1.0
