import numpy as np
import pytest

from jaxcl.config import ConfigError, SamplerConfig
from jaxcl.data._group_samplers import (
    GroupBalancedSampler,
    HomogeneousSampler,
    make_sampler,
)
from jaxcl.data._importance import ImportanceSampler, importance_weights
from jaxcl.data._sampler import EpochSampler

GENERATOR = np.random.default_rng(0)
GROUPS = np.repeat([3, 5, 9], [70, 40, 10])
SAMPLERS = {
    "uniform": EpochSampler(120, 12, 4),
    "balanced": GroupBalancedSampler(GROUPS, 12, 4),
    "homogeneous": HomogeneousSampler(GROUPS, 10, 4),
    "importance": ImportanceSampler(1.0 + GROUPS, 12, 4),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_step_is_a_function_of_the_step_alone(name):
    sampler = SAMPLERS[name]
    forwards = [sampler.draw(step) for step in range(30)]
    for step in reversed(range(30)):
        draw = sampler.draw(step)
        np.testing.assert_array_equal(draw.rows, forwards[step].rows)
        np.testing.assert_array_equal(draw.epochs, forwards[step].epochs)
        assert draw.rows.shape == draw.epochs.shape == (sampler.batch_size,)


@pytest.mark.parametrize("name", SAMPLERS)
def test_no_sample_is_seen_twice_with_the_same_views(name):
    sampler = SAMPLERS[name]
    seen = [
        (int(row), int(epoch))
        for step in range(60)
        for row, epoch in zip(*sampler.draw(step), strict=True)
    ]
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("name", SAMPLERS)
def test_another_seed_is_another_order(name):
    sampler = SAMPLERS[name]
    fields = {
        f: getattr(sampler, f) for f in sampler.__dataclass_fields__ if f[0] != "_"
    }
    other = type(sampler)(**{**fields, "seed": 5})
    draws = [
        np.concatenate([s.draw(i).rows for i in range(5)]) for s in (sampler, other)
    ]
    assert (draws[0] != draws[1]).any()


def test_a_balanced_batch_has_every_group_equally_often():
    sampler = SAMPLERS["balanced"]
    for step in range(40):
        groups = GROUPS[sampler.draw(step).rows]
        assert [(groups == g).sum() for g in (3, 5, 9)] == [4, 4, 4]


def test_shares_that_do_not_divide_even_out():
    sampler = GroupBalancedSampler(GROUPS, 10, 0)
    counts = np.array(
        [
            [(GROUPS[sampler.draw(i).rows] == g).sum() for g in (3, 5, 9)]
            for i in range(30)
        ]
    )
    assert set(counts.ravel().tolist()) == {3, 4}
    assert counts.sum(0).tolist() == [100, 100, 100]
    assert (counts.reshape(10, 3, 3).sum(1) == 10).all()


def test_every_sample_of_every_group_has_its_turn():
    sampler = SAMPLERS["balanced"]
    times = np.zeros(120, int)
    for step in range(170):
        np.add.at(times, sampler.draw(step).rows, 1)
    # What is left over of a permutation is left out of it, others each time: 2 of 70
    # ten times, none of 40, 2 of 10 eighty-five times.
    for group, most in ((3, 3), (5, 0), (9, 16)):
        of_group = times[group == GROUPS]
        mean = 170 * 4 / len(of_group)
        assert np.abs(of_group - mean).max() <= most
        assert of_group.sum() == 170 * 4


def test_groups_smaller_than_their_share_are_repeated_with_other_epochs():
    groups = np.array([0] * 30 + [1] * 2)
    sampler = GroupBalancedSampler(groups, 12, 0)
    draw = sampler.draw(3)
    small = draw.rows >= 30
    assert small.sum() == 6
    assert (
        len(
            set(
                zip(draw.rows[small].tolist(), draw.epochs[small].tolist(), strict=True)
            )
        )
        == 6
    )


def test_samples_of_unknown_group_are_never_drawn():
    groups = np.where(np.arange(120) % 4 == 0, -1, GROUPS)
    for sampler in (
        GroupBalancedSampler(groups, 12, 0),
        HomogeneousSampler(groups, 5, 0),
    ):
        for step in range(40):
            assert (groups[sampler.draw(step).rows] >= 0).all()
    with pytest.raises(ConfigError):
        GroupBalancedSampler(np.full(120, -1), 12, 0)


def test_a_homogeneous_batch_has_one_group_and_an_epoch_every_batch_once():
    sampler = SAMPLERS["homogeneous"]
    assert sampler.steps_per_epoch == 7 + 4 + 1
    epoch = [sampler.draw(step).rows for step in range(12)]
    assert all(len(set(GROUPS[rows].tolist())) == 1 for rows in epoch)
    assert len(set(np.concatenate(epoch).tolist())) == 120
    order = [GROUPS[sampler.draw(step).rows[0]] for step in range(36)]
    assert order[:12] != order[12:24]


def test_a_group_smaller_than_a_batch_is_named():
    with pytest.raises(ConfigError, match="9"):
        HomogeneousSampler(GROUPS, 20, 0)


def test_importance_counts_are_the_nearest_whole_numbers():
    weights = GENERATOR.uniform(0.5, 6.0, 120)
    sampler = ImportanceSampler(weights, 12, 1)
    expected = 120 * weights / weights.sum()
    total = np.zeros(120)
    for epoch in range(40):
        rows = [sampler.draw(epoch * 10 + i).rows for i in range(10)]
        counts = np.bincount(np.concatenate(rows), minlength=120)
        assert (np.abs(counts - expected) < 1).all()
        total += counts
    # Over epochs the roundings are as often up as they should be.
    np.testing.assert_allclose(total / 40, expected, atol=0.35)


def test_weights_are_inverse_frequencies_with_a_cap():
    labels = np.repeat([0, 1], [100, 10])
    biases = np.array([0] * 98 + [1] * 2 + [0] * 5 + [1] * 5)
    weights = importance_weights(labels, biases, cap=1000.0)
    ratio = weights / weights.min()
    np.testing.assert_allclose(ratio[:98], 1.0)
    np.testing.assert_allclose(ratio[98:100], 49.0)
    np.testing.assert_allclose(ratio[100:], 2 * 0.98)
    capped = importance_weights(labels, biases, cap=10.0)
    np.testing.assert_allclose(capped[98:100] / capped.min(), 10.0)


def test_the_order_within_an_epoch_is_uniform():
    first = np.concatenate(
        [EpochSampler(10, 10, seed).draw(0).rows[:1] for seed in range(2000)]
    )
    counts = np.bincount(first, minlength=10)
    # Chi-square with nine degrees of freedom: one in a thousand is beyond 27.9.
    assert ((counts - 200) ** 2 / 200).sum() < 27.9


@pytest.mark.parametrize(
    ("name", "given", "missing"),
    [
        ("domain_balanced", ("label", "bias"), "domain"),
        ("domain_homogeneous", ("label", "bias"), "domain"),
        ("label_domain", ("label",), "domain"),
        ("importance", ("label", "domain"), "bias"),
    ],
)
def test_a_missing_column_is_named(name, given, missing):
    columns = {role: np.arange(40) % 2 for role in given}
    with pytest.raises(ConfigError, match=missing):
        make_sampler(SamplerConfig(name), size=40, batch_size=8, seed=0, **columns)


def test_label_and_domain_meet_equally_often():
    label, domain = GENERATOR.integers(0, 2, (2, 400))
    sampler = make_sampler(
        SamplerConfig("label_domain"),
        size=400,
        batch_size=16,
        seed=0,
        label=label,
        domain=domain,
    )
    for step in range(30):
        rows = sampler.draw(step).rows
        pairs = np.bincount(2 * label[rows] + domain[rows], minlength=4)
        assert pairs.tolist() == [4] * 4
