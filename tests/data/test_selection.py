import itertools

import numpy as np
import pytest

from jaxcl.config import ConfigError, SelectionConfig
from jaxcl.data._selection import find_overlap, select
from jaxcl.data._selection_file import (
    check_selection,
    name_samples,
    read_selection,
    write_selection,
)

SIZE = 300
GENERATOR = np.random.default_rng(1)
LABEL = GENERATOR.integers(0, 5, SIZE)
DOMAIN = GENERATOR.integers(-1, 4, SIZE)
NAMES = ("art", "cartoon", "photo", "sketch")


def chosen(**fields):
    return select(
        SelectionConfig(**fields),
        size=SIZE,
        label=LABEL,
        domain=DOMAIN,
        domain_names=NAMES,
    )


def test_by_default_everything_is_trained_on():
    selection = chosen()
    assert selection.train.tolist() == selection.labeled.tolist() == list(range(SIZE))
    assert len(selection.held_out) == len(selection.validation) == 0


def test_nothing_that_is_held_out_is_ever_trained_on():
    # Whatever the config, no sample stands in two sets.
    for trial in range(200):
        generator = np.random.default_rng(trial)
        domains = generator.permutation(NAMES).tolist()
        cut = int(generator.integers(0, 3))
        selection = chosen(
            held_out_domains=tuple(domains[:cut]),
            validation_domains=tuple(
                domains[cut : cut + int(generator.integers(0, 2))]
            ),
            validation_fraction=float(generator.uniform(0, 0.5)),
            fraction=float(generator.uniform(0.1, 1)),
            labeled_fraction=float(generator.uniform(0.1, 1)),
            per_class=int(generator.integers(0, 30)),
            seed=trial,
        )
        sets = [
            selection.train,
            selection.held_out,
            selection.validation_domains,
            selection.validation,
        ]
        together = np.concatenate(sets)
        assert len(set(together.tolist())) == len(together)
        assert set(selection.labeled.tolist()) <= set(selection.train.tolist())
        trained = {NAMES[i] for i in DOMAIN[selection.train] if i >= 0}
        assert not trained & set(domains[:cut])


def test_a_sample_of_unknown_domain_could_be_a_held_out_one():
    selection = chosen(held_out_domains=("photo",))
    assert (DOMAIN[selection.train] >= 0).all()
    assert set(DOMAIN[selection.held_out].tolist()) == {2}


@pytest.mark.parametrize("field", ["fraction", "labeled_fraction"])
def test_smaller_fractions_lie_within_larger_ones(field):
    key = "train" if field == "fraction" else "labeled"
    sets = [
        set(getattr(chosen(**{field: share}, seed=7), key).tolist())
        for share in (0.01, 0.05, 0.1, 0.5, 1.0)
    ]
    assert [len(s) for s in sets] == [3, 15, 30, 150, 300]
    for small, large in itertools.pairwise(sets):
        assert small < large


@pytest.mark.parametrize("field", ["per_class", "labeled_per_class"])
def test_fewer_of_a_class_lie_within_more(field):
    key = "train" if field == "per_class" else "labeled"
    sets = [getattr(chosen(**{field: count}, seed=7), key) for count in (1, 5, 20)]
    for count, members in zip((1, 5, 20), sets, strict=True):
        assert np.bincount(LABEL[members]).tolist() == [count] * 5
    for small, large in itertools.pairwise(sets):
        assert set(small.tolist()) < set(large.tolist())


def test_validation_is_the_same_for_every_size_of_training():
    sets = [chosen(validation_fraction=0.2, fraction=f).validation for f in (0.1, 0.7)]
    np.testing.assert_array_equal(*sets)
    assert len(sets[0]) == 60


def test_seeds_choose_differently():
    assert (
        chosen(fraction=0.5, seed=0).train.tolist()
        != chosen(fraction=0.5, seed=1).train.tolist()
    )


def test_an_unknown_domain_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match="sketch"):
        chosen(held_out_domains=("sketsh",))


def test_overlap_is_found():
    assert find_overlap(np.array([3, 1, 7]), np.array([7, 8, 3])).tolist() == [3, 7]
    assert len(find_overlap(np.arange(3), np.arange(3, 6))) == 0


def test_what_was_chosen_is_kept_and_a_change_is_named(tmp_path):
    selection = chosen(validation_fraction=0.2, seed=3)
    instances = np.arange(SIZE) * 10
    write_selection(tmp_path / "selection.json", selection, instances)
    stored = read_selection(tmp_path / "selection.json")
    check_selection(stored, name_samples(selection, instances))
    other = chosen(validation_fraction=0.2, seed=4)
    with pytest.raises(ConfigError, match=r"train|validation"):
        check_selection(stored, name_samples(other, instances))
    text = (tmp_path / "selection.json").read_text()
    (tmp_path / "selection.json").write_text(text.replace("2990", "2991"))
    with pytest.raises((ConfigError, ValueError)):
        read_selection(tmp_path / "selection.json")
