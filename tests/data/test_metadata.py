import numpy as np
import pytest

from jaxcl.config import ConfigError
from jaxcl.data import corrupt_metadata, cross

GENERATOR = np.random.default_rng(2)
IDS = np.where(np.arange(500) % 10 == 3, -1, GENERATOR.integers(0, 6, 500))
AGES = np.where(np.arange(500) % 7 == 0, np.nan, GENERATOR.normal(40, 12, 500))


def known(values):
    return ~np.isnan(values) if values.dtype.kind == "f" else values != -1


@pytest.mark.parametrize("values", [IDS, AGES], ids=["ids", "numbers"])
@pytest.mark.parametrize("mode", ["shuffle", "noise", "drop"])
def test_what_is_missing_stays_missing_and_the_input_is_left_alone(values, mode):
    before = values.copy()
    found = corrupt_metadata(values, mode, rate=0.7, seed=1)
    np.testing.assert_array_equal(values, before)
    assert not known(found)[~known(values)].any()
    assert found.shape == values.shape
    again = corrupt_metadata(values, mode, rate=0.7, seed=1)
    np.testing.assert_array_equal(found, again)
    assert not np.array_equal(
        found, corrupt_metadata(values, mode, rate=0.7, seed=2), equal_nan=True
    )


def test_shuffling_keeps_how_many_have_each_value_and_so_the_pairs():
    found = corrupt_metadata(IDS, "shuffle", seed=0)
    np.testing.assert_array_equal(np.bincount(found + 1), np.bincount(IDS + 1))

    def pairs(ids):
        ids = ids[ids >= 0]
        return (ids[:, None] == ids[None, :]).sum()

    assert pairs(found) == pairs(IDS)
    # What says something becomes chance: one in six stays by luck.
    there = IDS >= 0
    stays = [
        (corrupt_metadata(IDS, "shuffle", seed=seed) == IDS)[there].mean()
        for seed in range(50)
    ]
    assert abs(np.mean(stays) - 1 / 6) < 0.01


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5])
def test_noise_changes_exactly_its_share_to_other_values(rate):
    found = corrupt_metadata(IDS, "noise", rate=rate, num_values=6)
    assert (found != IDS).sum() == round(rate * 450)
    assert set(found[found >= 0].tolist()) <= set(range(6))
    # Each other value is as likely: of a thousand changes of one id, 200 each.
    ones = np.zeros(5000, int)
    changed = corrupt_metadata(ones, "noise", num_values=6)
    counts = np.bincount(changed, minlength=6)[1:]
    assert counts.min() > 850
    assert counts.max() < 1150


@pytest.mark.parametrize("mode", ["noise", "drop"])
def test_a_smaller_dose_is_part_of_a_larger(mode):
    touched = [
        set(np.flatnonzero(corrupt_metadata(IDS, mode, rate=r, seed=4) != IDS).tolist())
        for r in (0.1, 0.3, 0.9)
    ]
    assert touched[0] < touched[1] < touched[2]


def test_noise_on_numbers_has_the_deviation_of_the_column():
    ages = GENERATOR.normal(40, 12, 20_000)
    added = corrupt_metadata(ages, "noise") - ages
    assert abs(added.std() / ages.std() - 1) < 0.03
    assert abs(added.mean()) < 0.4


def test_dropping_makes_values_missing():
    assert (corrupt_metadata(IDS, "drop", rate=1.0) == -1).all()
    assert np.isnan(corrupt_metadata(AGES, "drop", rate=1.0)).all()


def test_clusters_that_are_there_are_inferred():
    groups = np.repeat([0, 1, 2], 50)
    features = np.eye(3)[groups] * 9 + GENERATOR.normal(0, 0.3, (150, 3))
    found = corrupt_metadata(
        np.zeros(150, int), "infer", num_values=3, features=features
    )
    np.testing.assert_array_equal(found, groups)
    with pytest.raises(ConfigError, match="features"):
        corrupt_metadata(groups, "infer")


def test_nothing_is_done_at_rate_zero_and_wrong_input_is_named():
    np.testing.assert_array_equal(corrupt_metadata(IDS, "noise", rate=0.0), IDS)
    for arguments, named in (
        ({"mode": "shufle"}, "mode"),
        ({"mode": "drop", "rate": 1.5}, "rate"),
        ({"mode": "drop", "seed": -1}, "seed"),
    ):
        with pytest.raises(ConfigError, match=f"`{named}` must"):
            corrupt_metadata(IDS, **arguments)


def test_products_of_fields_name_every_pair_and_keep_what_is_missing():
    label, color = np.array([0, 1, 1, -1]), np.array([2, 0, -1, 1])
    ids, names = cross([label, color], [("cat", "dog"), ("red", "green", "blue")])
    assert len(names) == 6
    assert ids.tolist() == [2, 3, -1, -1]
    assert "cat" in names[2]
    assert "blue" in names[2]
    # The same ids whatever occurs: splits can be compared.
    alone, _ = cross([label[:1], color[:1]], [("cat", "dog"), ("red", "green", "blue")])
    assert alone.tolist() == [2]
