import numpy as np
import pytest
from scipy.stats import chisquare, kstest
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_info, threadpool_limits

from jaxcl.config import ConfigError
from jaxcl.data._metadata import corrupt_metadata

DRAWS = np.random.RandomState(0)
IDS = DRAWS.choice(5, 2000, p=[0.4, 0.3, 0.15, 0.1, 0.05]).astype(np.int32)
IDS[DRAWS.uniform(size=2000) < 0.1] = -1
NUMBERS = DRAWS.gamma(2.0, 3.0, 2000)
NUMBERS[DRAWS.uniform(size=2000) < 0.1] = np.nan
TABLE = np.stack([NUMBERS, np.roll(NUMBERS, 1) * 10 + 5, np.arange(2000.0)], axis=1)

MODES = ("shuffle", "noise", "drop")


def differs(first, second):
    return ~((first == second) | ((first != first) & (second != second)))


# --- What every mode promises


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "values", [IDS, NUMBERS, TABLE], ids=["ids", "floats", "table"]
)
def test_a_corruption_is_the_same_each_time_and_leaves_its_input_alone(mode, values):
    before = values.copy()
    once = corrupt_metadata(values, mode, rate=0.5, seed=3)
    again = corrupt_metadata(values, mode, rate=0.5, seed=3)
    other = corrupt_metadata(values, mode, rate=0.5, seed=4)
    np.testing.assert_array_equal(values, before)
    np.testing.assert_array_equal(once, again)
    assert differs(once, other).any()
    assert (once.shape, once.dtype) == (values.shape, values.dtype)
    assert not np.shares_memory(once, values)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("values", [IDS, NUMBERS], ids=["ids", "floats"])
def test_a_rate_of_zero_or_no_mode_changes_nothing(mode, values):
    np.testing.assert_array_equal(corrupt_metadata(values, mode, rate=0.0), values)
    unchanged = corrupt_metadata(values, "none")
    np.testing.assert_array_equal(unchanged, values)
    assert not np.shares_memory(unchanged, values)


@pytest.mark.parametrize("mode", ["shuffle", "noise"])
@pytest.mark.parametrize(
    "values", [IDS, NUMBERS, TABLE], ids=["ids", "floats", "table"]
)
def test_what_is_missing_stays_missing(mode, values):
    new = corrupt_metadata(values, mode)
    missing = (values == -1) if values.dtype == np.int32 else np.isnan(values)
    found = (new == -1) if values.dtype == np.int32 else np.isnan(new)
    np.testing.assert_array_equal(found, missing)


@pytest.mark.parametrize("mode", ["noise", "drop"])
@pytest.mark.parametrize("values", [IDS, NUMBERS], ids=["ids", "floats"])
def test_exactly_the_rate_of_the_known_is_touched_and_a_lower_one_lies_within(
    mode, values
):
    known = (values != -1) & (values == values)
    smaller = np.zeros(2000, bool)
    new = values
    for rate in (0.1, 0.3, 0.5, 1.0):
        older, new = new, corrupt_metadata(values, mode, rate=rate, seed=1)
        touched = differs(new, values)
        assert touched.sum() == int(rate * known.sum() + 0.5)
        assert not touched[~known].any()
        assert (touched | ~smaller).all()
        np.testing.assert_array_equal(new[smaller], older[smaller])
        smaller = touched


def test_other_negative_ids_are_ids():
    hashes = np.array([-2, -(2**31), 7, -1, -2])
    assert corrupt_metadata(hashes, "drop").tolist() == [-1] * 5
    shuffled = corrupt_metadata(hashes, "shuffle")
    assert shuffled[3] == -1
    np.testing.assert_array_equal(np.sort(shuffled), np.sort(hashes))


def test_minus_one_is_a_number_among_whole_numbers():
    celsius = np.array([-8, -1, -1, 0, 3], np.int32)
    moved = {
        int(corrupt_metadata(celsius, "shuffle", numbers=True, seed=seed)[1])
        for seed in range(20)
    }
    assert moved == {-8, -1, 0, 3}
    assert np.isnan(corrupt_metadata(celsius, "drop", numbers=True)).all()
    half = corrupt_metadata(celsius, "drop", rate=0.4, numbers=True)
    assert half.dtype == np.float32
    np.testing.assert_array_equal(half[~np.isnan(half)], celsius[~np.isnan(half)])
    noisy = corrupt_metadata(celsius, "noise", numbers=True)
    assert noisy.dtype == np.float32
    assert (noisy != celsius).all()
    with pytest.raises(ConfigError, match="for 'drop', got 20240101"):
        corrupt_metadata(np.array([20240101]), "drop", numbers=True)


def test_samples_are_touched_by_lot():
    counts = np.zeros(50)
    for seed in range(400):
        counts += corrupt_metadata(np.zeros(50, int), "drop", rate=0.5, seed=seed) < 0
    assert abs(counts - 200).max() < 4 * np.sqrt(400 / 4)


def test_a_column_of_nothing_but_missing_values_is_left_alone():
    for mode in MODES:
        missing = np.full(5, -1)
        np.testing.assert_array_equal(corrupt_metadata(missing, mode), missing)
        empty = corrupt_metadata(np.empty((0, 2)), mode)
        assert empty.shape == (0, 2)


@pytest.mark.parametrize("kind", [np.bool_, np.uint8, np.int8, np.int16])
def test_small_ids_have_room_for_what_is_drawn(kind):
    values = np.array([0, 1, 1, 0], kind)
    assert corrupt_metadata(values, "drop").tolist() == [-1] * 4
    drawn = corrupt_metadata(values, "noise", num_values=300)
    assert drawn.dtype == np.int32
    assert (drawn != values).all()
    assert corrupt_metadata(np.ones(2, np.uint32), "drop").dtype == np.int64


# --- Shuffle


def pairs_within(ids):
    """How many pairs a within-domain mask keeps."""
    same = (ids[:, None] == ids[None]) & (ids >= 0)
    return int(same.sum())


def test_a_shuffle_keeps_how_often_each_value_is_there():
    for rate in (0.3, 1.0):
        for values in (IDS, NUMBERS):
            new = corrupt_metadata(values, "shuffle", rate=rate)
            np.testing.assert_array_equal(np.sort(new), np.sort(values))
            assert differs(new, values).any()
        new = corrupt_metadata(IDS, "shuffle", rate=rate)
        assert pairs_within(new) == pairs_within(IDS)


def test_a_shuffle_forgets_what_the_value_went_with():
    known = IDS >= 0
    label = (IDS + 3) % 7
    placebo = corrupt_metadata(IDS, "shuffle", seed=2)
    table = np.zeros((5, 7))
    np.add.at(table, (placebo[known], label[known]), 1)
    expected = np.outer(table.sum(1), table.sum(0)) / known.sum()
    there = expected > 0
    statistic = ((table - expected)[there] ** 2 / expected[there]).sum()
    # Chi-square with 4 · 4 degrees of freedom: 39 is its quantile of 0.999.
    assert statistic < 39


def test_as_many_keep_their_value_as_the_page_says():
    values = np.repeat(np.arange(3), [5, 3, 2])
    share = 0.5**2 + 0.3**2 + 0.2**2
    stays = [
        (corrupt_metadata(values, "shuffle", seed=seed) == values).mean()
        for seed in range(400)
    ]
    assert abs(np.mean(stays) - share) < 4 * np.std(stays) / 20


def test_a_share_of_a_shuffle_leaves_the_others_where_they_are():
    values = np.arange(1000)
    new = corrupt_metadata(values, "shuffle", rate=0.25)
    # Of 250 in a random order about one has its own place.
    assert 240 <= (new != values).sum() <= 250


def test_a_shuffle_moves_what_a_sample_has_as_a_whole():
    new = corrupt_metadata(TABLE, "shuffle")
    for missing in np.unique(np.isnan(TABLE), axis=0):
        rows = (np.isnan(TABLE) == missing).all(axis=1)
        before, after = TABLE[rows], new[rows]
        np.testing.assert_array_equal(np.sort(after[:, 2]), np.sort(before[:, 2]))
        # The last field says which row it was.
        np.testing.assert_array_equal(after, TABLE[after[:, 2].astype(int)])
        assert (after[:, 2] != before[:, 2]).any()


# --- Noise


def test_noise_gives_each_of_the_other_ids_equally_often():
    values = np.repeat(np.arange(3), 4000)
    new = corrupt_metadata(values, "noise", num_values=5)
    assert (new != values).all()
    for one in range(3):
        counts = np.bincount(new[values == one], minlength=5)
        assert len(counts) == 5
        assert chisquare(np.delete(counts, one)).pvalue > 1e-3


def test_without_a_number_of_ids_the_largest_says_it():
    new = corrupt_metadata(IDS, "noise")
    assert set(new.tolist()) == {-1, 0, 1, 2, 3, 4}


def test_noise_of_numbers_is_normal_with_the_deviation_of_the_column():
    deviation = np.nanstd(NUMBERS)
    added = (corrupt_metadata(NUMBERS, "noise") - NUMBERS)[~np.isnan(NUMBERS)]
    assert kstest(added / deviation, "norm").pvalue > 1e-3
    # The deviation is that of all known, however few are touched.
    few = corrupt_metadata(NUMBERS, "noise", rate=0.2)
    touched = differs(few, NUMBERS)
    full = corrupt_metadata(NUMBERS, "noise")
    np.testing.assert_array_equal(few[touched], full[touched])


def test_every_field_has_noise_of_its_own():
    added = corrupt_metadata(TABLE, "noise") - TABLE
    there = ~np.isnan(added).any(axis=1)
    correlation = np.corrcoef(added[there].T)
    assert abs(correlation - np.eye(3)).max() < 0.1
    expected = np.nanstd(TABLE, axis=0)
    np.testing.assert_allclose(np.nanstd(added, axis=0), expected, rtol=0.08)


def test_single_precision_stays_single():
    values = np.array([1.0, 2.0, np.nan], np.float32)
    assert corrupt_metadata(values, "noise").dtype == np.float32


# --- Infer


def clusters(count=300):
    draws = np.random.RandomState(1)
    true = draws.randint(0, 4, count)
    centers = np.array([[0, 0], [9, 0], [0, 9], [9, 9]])
    return true, centers[true] + draws.normal(size=(count, 2))


def test_clusters_that_can_be_told_apart_are_found():
    true, features = clusters()
    values = np.where(np.arange(300) % 3 == 0, -1, true)
    found = corrupt_metadata(values, "infer", features=features)
    # One to one, and nothing is missing.
    assert len(set(zip(true.tolist(), found.tolist(), strict=True))) == 4
    assert found.dtype == np.int32
    # Numbered as they occur.
    first = [int(np.flatnonzero(found == one)[0]) for one in range(4)]
    assert first == sorted(first)
    assert first[0] == 0


def test_clusters_do_not_depend_on_values_or_on_the_names_of_others():
    true, features = clusters()
    found = corrupt_metadata(true, "infer", features=features)
    numbers = corrupt_metadata(true * 0.5, "infer", num_values=4, features=features)
    np.testing.assert_array_equal(found, numbers)
    assert set(corrupt_metadata(true, "infer", num_values=1, features=features)) == {0}


def test_clusters_are_computed_by_one_thread(monkeypatch):
    # Sums of several come in another order each time.
    fit, seen = KMeans.fit, []

    def watched(self, *arguments):
        seen.extend(pool["num_threads"] for pool in threadpool_info())
        return fit(self, *arguments)

    monkeypatch.setattr(KMeans, "fit", watched)
    with threadpool_limits(2):
        corrupt_metadata(np.array([0, 1, 1]), "infer", features=np.eye(3))
    assert set(seen) == {1}


def test_clusters_are_the_same_for_any_number_of_threads():
    features = np.random.RandomState(0).normal(size=(3000, 8))
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            values = np.zeros(3000, int)
            options = {"num_values": 7, "features": features}
            found.append(corrupt_metadata(values, "infer", **options))
    np.testing.assert_array_equal(*found)


# --- Refusals


@pytest.mark.parametrize(
    ("values", "mode", "options", "message"),
    [
        ([0, 1], "shuffel", {}, "`mode` must be one of 'none', 'shuffle'"),
        ([0, 1], "drop", {"rate": 1.5}, "`rate` must be between 0 and 1, got 1.5"),
        ([0, 1], "drop", {"rate": float("nan")}, "`rate` must be between 0 and 1"),
        ([0, 1], "drop", {"seed": -1}, "`seed` must be at least 0, got -1"),
        ([0, -2], "noise", {}, "or -1 for a missing one, for 'noise', got -2"),
        ([0.0, np.inf], "drop", {}, "must be finite, or NaN for missing"),
        (["a"], "drop", {}, "`values` must be ids or numbers"),
        (3, "drop", {}, "`values` must be ids or numbers"),
        ([[[1]]], "drop", {}, r"got int64 of shape \(1, 1, 1\)"),
        ([0, 0], "noise", {}, "`num_values` must be at least 2 for 'noise'"),
        ([0, 4], "noise", {"num_values": 4}, "more than the largest id, 4"),
        ([0, 1], "infer", {}, "`features` must be finite numbers"),
        ([0, 1], "infer", {"features": np.ones(2)}, r"got shape \(2,\) for 2 samples"),
        ([0, 1], "infer", {"features": np.ones((3, 1))}, r"shape \(3, 1\)"),
        ([0, 1], "infer", {"features": np.full((2, 1), np.nan)}, "must be finite"),
        ([0, 1], "infer", {"features": np.ones((2, 1))}, "1 distinct rows"),
        ([0.0, 1.0], "infer", {"features": np.eye(2)}, "got 0"),
        ([[0], [1]], "infer", {"features": np.eye(2)}, "one a sample for 'infer'"),
        ([0, 1], "infer", {"features": np.eye(2), "rate": 0.5}, "`rate` must be 1"),
    ],
)
def test_what_cannot_be_corrupted_is_refused(values, mode, options, message):
    with pytest.raises(ConfigError, match=message):
        corrupt_metadata(np.array(values), mode, **options)
