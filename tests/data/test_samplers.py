import logging
import pickle
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.stats import chisquare

from jaxcl.config import ConfigError, SamplerConfig
from jaxcl.data._samplers import EpochSampler, make_sampler
from jaxcl.data._samplers._group_samplers import (
    GroupBalancedSampler,
    HomogeneousSampler,
)
from jaxcl.data._samplers._importance import ImportanceSampler

# Three groups of 40, 25 and 11 samples in mixed order, and four of no group.
GROUPS = np.random.RandomState(0).permutation(
    np.repeat([0, 3, 8, -1], [40, 25, 11, 4]).astype(np.int32)
)
WEIGHTS = np.random.RandomState(1).uniform(1, 10, 80)
ALL = {
    "uniform": lambda seed=0: EpochSampler(80, 7, seed),
    "balanced": lambda seed=0: GroupBalancedSampler(GROUPS, 7, seed),
    "tiny groups": lambda seed=0: GroupBalancedSampler(GROUPS, 50, seed),
    "more groups than rows": lambda seed=0: GroupBalancedSampler(GROUPS, 2, seed),
    "homogeneous": lambda seed=0: HomogeneousSampler(GROUPS, 7, seed),
    "importance": lambda seed=0: ImportanceSampler(WEIGHTS, 7, seed),
}
every_sampler = pytest.mark.parametrize("make", ALL.values(), ids=ALL.keys())


def draw_all(sampler, steps):
    draws = [sampler.draw(step) for step in steps]
    return np.stack([d.rows for d in draws]), np.stack([d.epochs for d in draws])


# --- What every sampler promises


@every_sampler
def test_a_draw_has_rows_and_epochs_of_a_whole_batch(make):
    sampler = make()
    draw = sampler.draw(5)
    assert draw.rows.shape == draw.epochs.shape == (sampler.batch_size,)
    assert (draw.rows.dtype, draw.epochs.dtype) == (np.int64, np.int32)
    assert ((draw.rows >= 0) & (draw.rows < 80)).all()
    assert (draw.epochs >= 0).all()


@every_sampler
def test_a_step_draws_the_same_whatever_was_drawn_before(make):
    rows, epochs = draw_all(make(), range(60))
    steps = list(range(60)) * 2
    random.Random(0).shuffle(steps)
    again = make()
    for step in steps:
        draw = again.draw(step)
        assert draw.rows.tolist() == rows[step].tolist()
        assert draw.epochs.tolist() == epochs[step].tolist()


@every_sampler
def test_a_late_step_is_drawn_without_those_before_it(make):
    sampler = make()
    late = sampler.draw(1_000_003)
    straight = draw_all(sampler, range(1_000_001, 1_000_004))
    assert late.rows.tolist() == straight[0][-1].tolist()
    assert late.epochs.tolist() == straight[1][-1].tolist()


@every_sampler
def test_threads_that_draw_at_once_draw_the_same(make):
    expected, _ = draw_all(make(), range(80))
    shared = make()
    with ThreadPoolExecutor(8) as threads:
        drawn = list(threads.map(lambda step: shared.draw(step).rows, range(80)))
    np.testing.assert_array_equal(np.stack(drawn), expected)


@every_sampler
def test_a_copy_in_another_process_would_draw_the_same(make):
    sampler = make()
    sampler.draw(3)
    copy = pickle.loads(pickle.dumps(sampler))
    assert copy.draw(4).rows.tolist() == sampler.draw(4).rows.tolist()


@every_sampler
def test_no_two_draws_of_a_sample_have_the_same_epoch(make):
    rows, epochs = draw_all(make(), range(200))
    pairs = list(zip(rows.ravel().tolist(), epochs.ravel().tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)


@every_sampler
def test_seeds_have_their_own_orders(make):
    assert make(0).draw(0).rows.tolist() != make(1).draw(0).rows.tolist()


@every_sampler
def test_every_sample_comes_first_equally_often(make):
    # Among seeds the first row of a step is any sample of the first row's group.
    first = Counter(int(make(seed).draw(0).rows[0]) for seed in range(1500))
    sampler = make()
    if isinstance(sampler, ImportanceSampler):
        expected = WEIGHTS
    elif isinstance(sampler, GroupBalancedSampler):
        expected = (GROUPS == 0).astype(float)
    elif isinstance(sampler, HomogeneousSampler):
        # 5 of the 9 batches are of the 40 samples of group 0, and so on.
        batches = {0: 5 / 40, 3: 3 / 25, 8: 1 / 11, -1: 0}
        expected = np.array([batches[group] for group in GROUPS.tolist()])
    else:
        expected = np.ones(80)
    counts = np.array([first[row] for row in range(80)])
    assert counts[expected == 0].sum() == 0
    counts, expected = counts[expected > 0], expected[expected > 0]
    assert chisquare(counts, expected / expected.sum() * 1500).pvalue > 1e-3


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("uniform", [39, 56, 48, 64, 51]),
        ("balanced", [45, 33, 13, 37, 29]),
        ("tiny groups", [67, 33, 61, 52, 40]),
        ("homogeneous", [59, 46, 8, 40, 26]),
        ("importance", [41, 32, 51, 23, 78]),
    ],
)
def test_the_orders_are_those_that_were_always_drawn(name, rows):
    # A change here would change every run that is continued from a checkpoint.
    assert ALL[name](7).draw(30).rows[:5].tolist() == rows


def test_rows_that_are_remembered_cannot_be_changed_by_a_caller():
    sampler = EpochSampler(20, 8, 0)
    with pytest.raises(ValueError, match="read-only"):
        sampler.indices(0)[0] = 3


# --- Uniform


def test_an_epoch_is_the_number_of_the_permutation():
    sampler = EpochSampler(num_instances=20, batch_size=8, seed=7)
    for step in range(9):
        draw = sampler.draw(step)
        assert draw.rows.tolist() == sampler.indices(step).tolist()
        assert draw.epochs.tolist() == [step // 2] * 8


# --- From a config


def config_columns():
    draws = np.random.RandomState(3)
    return {
        "label": draws.randint(0, 3, 400),
        "domain": draws.choice(4, 400, p=[0.4, 0.3, 0.2, 0.1]),
        "bias": draws.choice(2, 400, p=[0.9, 0.1]),
    }


def from_config(name, **changes):
    columns = {**config_columns(), **changes}
    config = SamplerConfig(name=name)
    return make_sampler(config, size=400, batch_size=24, seed=0, **columns)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("uniform", EpochSampler),
        ("domain_balanced", GroupBalancedSampler),
        ("domain_homogeneous", HomogeneousSampler),
        ("label_domain", GroupBalancedSampler),
        ("importance", ImportanceSampler),
    ],
)
def test_a_config_names_a_sampler(name, kind):
    sampler = from_config(name)
    assert isinstance(sampler, kind)
    assert sampler.draw(0).rows.shape == (24,)
    assert sampler.steps_per_epoch >= 1


def test_pairs_of_label_and_domain_that_occur_come_equally_often():
    columns = config_columns()
    label, domain = columns["label"].copy(), columns["domain"].copy()
    # One pair does not occur, so eleven do.
    domain[(label == 2) & (domain == 3)] = 0
    sampler = from_config("label_domain", label=label, domain=domain)
    rows, _ = draw_all(sampler, range(22))
    pairs = zip(
        label[rows].ravel().tolist(), domain[rows].ravel().tolist(), strict=True
    )
    counts = Counter(pairs)
    assert (2, 3) not in counts
    assert sorted(counts.values()) == [22 * 24 // 11] * 11


def test_importance_sampling_evens_out_the_biases_of_a_label():
    columns = config_columns()
    sampler = from_config("importance")
    rows, _ = draw_all(sampler, range(16 * 20))
    for label in range(3):
        drawn = columns["bias"][rows][columns["label"][rows] == label]
        assert abs(drawn.mean() - 0.5) < 0.04


def test_samples_left_out_for_a_missing_column_are_counted_in_the_log(caplog):
    label, domain = (config_columns()[name].copy() for name in ("label", "domain"))
    label[:20], domain[10:37] = -1, -1
    with caplog.at_level(logging.WARNING):
        sampler = from_config("label_domain", label=label, domain=domain)
    assert "37 of 400 samples are never drawn" in caplog.text
    assert draw_all(sampler, range(50))[0].min() >= 37


# --- Refusals


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("domain_balanced", "domain"),
        ("domain_homogeneous", "domain"),
        ("label_domain", "label"),
        ("label_domain", "domain"),
        ("importance", "label"),
        ("importance", "bias"),
    ],
)
def test_a_column_that_is_needed_is_named(name, column):
    message = rf"`data.{column}` must name a column for data.sampler.name = '{name}'"
    with pytest.raises(ConfigError, match=message):
        from_config(name, **{column: None})
    with pytest.raises(ConfigError, match=rf"`{column}` must be one a sample"):
        from_config(name, **{column: np.zeros(3, int)})


def test_a_negative_seed_is_refused():
    with pytest.raises(ConfigError, match="`seed` must be at least 0, got -1"):
        EpochSampler(4, 2, -1).draw(0)
