import math
import random
from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare

from jaxcl.config import ConfigError
from jaxcl.data._samplers._group_samplers import (
    GroupBalancedSampler,
    HomogeneousSampler,
)
from jaxcl.data._samplers._groups import pair_ids

# Three groups of 40, 25 and 11 samples in mixed order, and four of no group.
GROUPS = np.random.RandomState(0).permutation(
    np.repeat([0, 3, 8, -1], [40, 25, 11, 4]).astype(np.int32)
)


def draw_all(sampler, steps):
    draws = [sampler.draw(step) for step in steps]
    return np.stack([d.rows for d in draws]), np.stack([d.epochs for d in draws])


# --- Equal parts of all groups


@pytest.mark.parametrize("batch_size", [2, 6, 7, 8, 30, 50])
def test_shares_of_groups_are_equal_to_within_one_and_over_time_exactly(batch_size):
    rows, _ = draw_all(GroupBalancedSampler(GROUPS, batch_size, 0), range(30))
    counts = np.stack([(GROUPS[rows] == group).sum(1) for group in (0, 3, 8)], axis=1)
    assert (counts.sum(1) == batch_size).all()
    assert set(counts.ravel()) <= {batch_size // 3, -(-batch_size // 3)}
    for start in range(28):
        assert counts[start : start + 3].sum(0).tolist() == [batch_size] * 3


def test_the_part_of_a_device_is_balanced_too():
    rows, _ = draw_all(GroupBalancedSampler(GROUPS, 48, 0), range(10))
    parts = GROUPS[rows].reshape(10, 8, 6)
    for group in (0, 3, 8):
        assert ((parts == group).sum(-1) == 2).all()


def test_no_batch_has_a_sample_twice_unless_its_group_is_too_small():
    randoms = random.Random(1)
    for trial in range(60):
        sizes = [randoms.randint(1, 30) for _ in range(randoms.randint(1, 6))]
        groups = np.repeat(np.arange(len(sizes)), sizes)
        batch_size = randoms.randint(1, len(groups))
        rows, _ = draw_all(GroupBalancedSampler(groups, batch_size, trial), range(40))
        for batch in rows:
            copies = np.bincount(batch, minlength=len(groups))
            for group, size in enumerate(sizes):
                share = copies[groups == group]
                # As equal as can be: 0 or 1, or in small groups k or k + 1.
                assert share.max() == -(-share.sum() // size)
                assert share.min() == share.sum() // size


def test_a_permutation_of_a_group_is_used_up_but_for_less_than_a_batch_of_it():
    rows, epochs = draw_all(GroupBalancedSampler(GROUPS, 7, 0), range(600))
    sizes = {0: 40, 3: 25, 8: 11}
    for group in (0, 3, 8):
        ours = GROUPS[rows] == group
        members = np.unique(rows[ours])
        last = epochs[ours].max()
        whole = ours & (epochs < last)
        per_epoch = np.bincount(epochs[whole])
        assert per_epoch.max() <= len(members) == sizes[group]
        assert per_epoch.min() > len(members) - 7 / 3 - 1
        # What is left out is drawn by lot, so everyone is about equally often.
        drawn = np.array([(rows[whole] == member).sum() for member in members])
        left = 1 - drawn.mean() / last
        deviation = math.sqrt(last * left * (1 - left))
        assert abs(drawn - drawn.mean()).max() <= 4 * deviation


def test_permutations_that_fit_are_used_up_whole():
    groups = np.repeat([0, 1], [12, 30])
    sampler = GroupBalancedSampler(groups, batch_size=6, seed=0)
    rows, epochs = draw_all(sampler, range(40))
    for group, size in ((0, 12), (1, 30)):
        ours = groups[rows] == group
        for epoch in range(120 // size):
            drawn = rows[ours & (epochs == epoch)]
            assert sorted(drawn.tolist()) == np.flatnonzero(groups == group).tolist()


def test_a_group_that_is_too_small_is_seen_with_other_epochs():
    groups = np.repeat([0, 1], [3, 40])
    draw = GroupBalancedSampler(groups, batch_size=20, seed=0).draw(1)
    small = draw.rows < 3
    assert sorted(Counter(draw.rows[small].tolist()).values()) == [3, 3, 4]
    # Ten rows of three samples: permutations 0 to 3 in step 0, and now 4 to 7.
    assert draw.epochs[small].tolist() == [4, 4, 4, 5, 5, 5, 6, 6, 6, 7]


def test_the_order_of_a_group_does_not_depend_on_the_others():
    other = GROUPS.copy()
    members = np.flatnonzero(GROUPS == 3)
    other[members[:10]] = -1
    for step in range(40):
        one = GroupBalancedSampler(GROUPS, 7, 0).draw(step)
        two = GroupBalancedSampler(other, 7, 0).draw(step)
        kept = GROUPS[one.rows] != 3
        assert one.rows[kept].tolist() == two.rows[kept].tolist()
        assert one.epochs[kept].tolist() == two.epochs[kept].tolist()


def test_groups_are_shuffled_independently_of_each_other():
    groups = np.tile([0, 1], 5)
    sampler = GroupBalancedSampler(groups, batch_size=10, seed=0)
    table = np.zeros((5, 5))
    for step in range(1500):
        first, second = sampler.draw(step).rows[:2] // 2
        table[first, second] += 1
    assert chisquare(table.ravel()).pvalue > 1e-3


def test_consecutive_permutations_are_independent():
    sampler = GroupBalancedSampler(np.zeros(5, int), batch_size=5, seed=0)
    first = [int(sampler.draw(step).rows[0]) for step in range(2000)]
    table = np.zeros((5, 5))
    np.add.at(table, (first[::2], first[1::2]), 1)
    assert chisquare(table.ravel()).pvalue > 1e-3


def test_samples_of_unknown_group_are_never_drawn():
    for kind in (GroupBalancedSampler, HomogeneousSampler):
        sampler = kind(GROUPS, 7, 0)
        rows, _ = draw_all(sampler, range(100))
        assert (GROUPS[rows] >= 0).all()
    assert GroupBalancedSampler(GROUPS, 7, 0).steps_per_epoch == 76 // 7


# --- One group a batch


def test_every_batch_is_of_one_group_and_an_epoch_has_every_full_batch():
    sampler = HomogeneousSampler(GROUPS, 7, 0)
    assert sampler.steps_per_epoch == 5 + 3 + 1
    for epoch in range(20):
        rows, epochs = draw_all(sampler, range(9 * epoch, 9 * epoch + 9))
        groups = GROUPS[rows]
        assert (groups == groups[:, :1]).all()
        assert Counter(groups[:, 0].tolist()) == {0: 5, 3: 3, 8: 1}
        assert len(set(rows.ravel().tolist())) == 63
        assert (epochs == epoch).all()


def test_the_batches_of_groups_come_in_random_order():
    sampler = HomogeneousSampler(GROUPS, 7, 0)
    places = Counter()
    for epoch in range(900):
        rows, _ = draw_all(sampler, range(9 * epoch, 9 * epoch + 9))
        places[int(np.flatnonzero(GROUPS[rows[:, 0]] == 8)[0])] += 1
    assert chisquare([places[i] for i in range(9)]).pvalue > 1e-3


def test_what_is_left_out_of_an_epoch_is_another_part_of_the_group_each_time():
    sampler = HomogeneousSampler(GROUPS, 7, 0)
    rows, _ = draw_all(sampler, range(9 * 400))
    members = np.flatnonzero(GROUPS == 8)
    drawn = np.array([(rows == member).sum() for member in members])
    assert drawn.sum() == 400 * 7
    # Each of the eleven is drawn with probability 7/11 in each of the 400 epochs.
    deviation = math.sqrt(400 * 7 / 11 * 4 / 11)
    assert abs(drawn - 400 * 7 / 11).max() < 4 * deviation


# --- Refusals


@pytest.mark.parametrize("kind", [GroupBalancedSampler, HomogeneousSampler])
@pytest.mark.parametrize(
    ("groups", "batch_size", "message"),
    [
        ([-1, -1], 1, "known of some sample, got -1 of all"),
        ([], 1, "known of some sample"),
        ([0.0, 1.0], 1, "must be whole numbers, one a sample, got float64"),
        ([0, 0, -1], 3, "at most the 2 samples .* whose group is known, got 3"),
        ([0, 0], 0, "`data.batch_size` must be at least 1, got 0"),
    ],
)
def test_groups_that_cannot_be_drawn_from_are_refused(
    kind, groups, batch_size, message
):
    with pytest.raises(ConfigError, match=message):
        kind(np.array(groups, int if groups == [] else None), batch_size, 0)


def test_groups_smaller_than_a_batch_are_named_with_their_sizes():
    message = r"got 20; too small are the groups 8 \(11 samples\)$"
    with pytest.raises(ConfigError, match=message):
        HomogeneousSampler(GROUPS, 20, 0)
    with pytest.raises(ConfigError, match=r"3 \(25 samples\), 8 \(11 samples\)$"):
        HomogeneousSampler(GROUPS, 30, 0)


def test_hashes_are_groups_and_minus_one_alone_is_unknown():
    hashed = np.where(GROUPS == -1, -1, -GROUPS.astype(np.int64) * 2**33 - 2)
    order = np.unique(GROUPS[GROUPS != -1])[::-1]
    renumbered = np.where(GROUPS == -1, -1, np.searchsorted(-order, -GROUPS))
    for kind in (GroupBalancedSampler, HomogeneousSampler):
        found, right = (kind(groups, 6, 0) for groups in (hashed, renumbered))
        for step in (0, 3, 11):
            np.testing.assert_array_equal(found.draw(step).rows, right.draw(step).rows)


def test_pairs_of_negative_ids_are_told_apart():
    first = np.array([-2, -2, 3, -(2**62), 3, -1, 3])
    second = np.array([5, -9, -9, -9, -9, 5, -1])
    assert pair_ids(first, second).tolist() == [2, 1, 3, 0, 3, -1, -1]
