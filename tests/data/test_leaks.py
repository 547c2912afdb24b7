"""Nothing that is for testing is ever trained on, however hard a config tries."""

import itertools
import random

import numpy as np

from jaxcl.config import ConfigError, SelectionConfig
from jaxcl.data._selection import find_overlap, select
from jaxcl.data._selection_file import name_samples

NAMES = ("art", "cartoon", "photo", "sketch")
DRAWS = np.random.RandomState(0)
LABEL = DRAWS.choice(5, 1000, p=[0.4, 0.3, 0.2, 0.09, 0.01]).astype(np.int32)
DOMAIN = DRAWS.randint(0, 4, 1000).astype(np.int32)
INSTANCES = DRAWS.permutation(50_000)[:1000]


def cut(label=LABEL, domain=DOMAIN, names=NAMES, size=1000, **fields):
    config = SelectionConfig(**fields)
    return select(config, size=size, label=label, domain=domain, domain_names=names)


def as_set(rows):
    assert (np.diff(rows) > 0).all(), "sorted, each once"
    return set(rows.tolist())


def random_config(randoms, domains):
    names = randoms.sample(domains, randoms.randint(0, 3))
    held = randoms.randint(0, len(names))
    return SelectionConfig(
        held_out_domains=tuple(names[:held]),
        validation_domains=tuple(names[held:]),
        validation_fraction=randoms.choice([0.0, 0.001, 0.3, 0.9]),
        fraction=randoms.choice([0.01, 0.5, 0.999, 1.0]),
        per_class=randoms.choice([0, 1, 7, 10_000]),
        labeled_fraction=randoms.choice([0.0, 0.01, 0.7, 1.0]),
        labeled_per_class=randoms.choice([0, 1, 20]),
        seed=randoms.choice([0, 1, 2**63]),
    )


def random_split(randoms):
    """A slice of data with rare, unknown and unused values."""
    start, stop = sorted(randoms.sample(range(0, 1001), 2))
    label, domain = LABEL[start:stop].copy(), DOMAIN[start:stop].copy()
    for column in (label, domain):
        column[np.array([randoms.random() for _ in column]) < 0.2] = -1
    return slice(start, stop), label, domain


def test_no_config_lets_a_sample_into_training_that_is_for_testing():
    randoms = random.Random(0)
    tried = 0
    while tried < 400:
        part, label, domain = random_split(randoms)
        names = NAMES if randoms.random() < 0.5 else ()
        config = random_config(randoms, list(names or "0123"))
        try:
            chosen = select(
                config, size=len(label), label=label, domain=domain, domain_names=names
            )
        except ConfigError:
            continue  # nothing is left, or a domain has no sample in the slice
        tried += 1
        sets = {name: as_set(rows) for name, rows in chosen._asdict().items()}
        assert sets["train"]
        assert sets["labeled"] <= sets["train"]
        del sets["labeled"]
        for one, two in itertools.combinations(sets.values(), 2):
            assert not one & two
        ids = [(names or "0123").index(name) for name in config.held_out_domains]
        assert sets["held_out"] == set(np.flatnonzero(np.isin(domain, ids)).tolist())
        away = [*config.held_out_domains, *config.validation_domains]
        for kept in (chosen.train, chosen.validation):
            seen = {(names or "0123")[i] for i in domain[kept] if i >= 0}
            assert not seen & set(away)
            assert not away or (domain[kept] >= 0).all()
        # By name, too, and against what lies outside of the slice.
        named = name_samples(chosen, INSTANCES[part])
        outside = np.delete(INSTANCES, part)
        assert len(find_overlap(named.train, outside)) == 0
        for rows in named[2:]:
            assert len(find_overlap(named.train, rows)) == 0


def test_slices_that_overlap_are_found_out():
    train = name_samples(cut(label=None, domain=None, size=600), INSTANCES[:600])
    test = INSTANCES[590:]
    found = find_overlap(train.train, test)
    assert found.tolist() == sorted(INSTANCES[590:600].tolist())


def test_the_same_picture_in_two_domains_is_found_out():
    instances = np.tile(np.arange(250), 4)
    domain = np.repeat(np.arange(4), 250)
    chosen = name_samples(cut(domain=domain, held_out_domains=("art",)), instances)
    assert len(find_overlap(chosen.train, chosen.held_out)) == 250
