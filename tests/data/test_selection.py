import itertools
import logging

import numpy as np
import pytest

from jaxcl.config import ConfigError, SelectionConfig
from jaxcl.data._selection import select

NAMES = ("art", "cartoon", "photo", "sketch")
DRAWS = np.random.RandomState(0)
LABEL = DRAWS.choice(5, 1000, p=[0.4, 0.3, 0.2, 0.09, 0.01]).astype(np.int32)
DOMAIN = DRAWS.randint(0, 4, 1000).astype(np.int32)


def cut(label=LABEL, domain=DOMAIN, names=NAMES, size=1000, **fields):
    config = SelectionConfig(**fields)
    return select(config, size=size, label=label, domain=domain, domain_names=names)


def as_set(rows):
    assert (np.diff(rows) > 0).all(), "sorted, each once"
    return set(rows.tolist())


# --- What is cut


def test_without_a_wish_everything_is_trained_on_with_its_label():
    selection = cut()
    assert selection.train.tolist() == selection.labeled.tolist() == list(range(1000))
    assert [len(rows) for rows in selection[2:]] == [0, 0, 0]
    assert all(rows.dtype == np.int64 for rows in selection)


def test_domains_go_where_the_config_sends_them():
    selection = cut(held_out_domains=("sketch",), validation_domains=("art", "photo"))
    assert (DOMAIN[selection.train] == 1).all()
    assert (DOMAIN[selection.held_out] == 3).all()
    assert np.isin(DOMAIN[selection.validation_domains], [0, 2]).all()
    parts = (selection.train, selection.held_out, selection.validation_domains)
    assert sum(map(len, parts)) == 1000


def test_cuts_are_made_in_the_order_that_is_documented():
    selection = cut(
        held_out_domains=("sketch",), validation_fraction=0.2, fraction=0.5, per_class=9
    )
    rest = int((DOMAIN != 3).sum())
    assert len(selection.validation) == round(0.2 * rest)
    # Of half the rest each class has nine, but for the rare one.
    counts = np.bincount(LABEL[selection.train], minlength=5)
    assert counts[:4].tolist() == [9] * 4
    assert counts[4] < 9


@pytest.mark.parametrize(
    ("fraction", "size", "expected"),
    [(0.29, 50, 15), (0.5, 5, 3), (0.1, 10, 1), (0.001, 10, 1), (1.0, 7, 7)],
)
def test_shares_are_rounded_half_up_and_never_to_none(fraction, size, expected):
    columns = {"label": None, "domain": None, "size": size}
    assert len(cut(fraction=fraction, **columns).train) == expected
    assert len(cut(labeled_fraction=fraction, **columns).labeled) == expected
    if fraction < 1:
        chosen = cut(validation_fraction=fraction, **columns)
        assert len(chosen.validation) == expected
        assert len(chosen.train) == size - expected


def test_no_label_is_shown_when_none_is_asked_for():
    assert len(cut(labeled_fraction=0.0).labeled) == 0


def test_domains_without_names_are_named_by_number():
    named = cut(held_out_domains=("photo",))
    numbered = cut(held_out_domains=("2",), names=())
    assert named.held_out.tolist() == numbered.held_out.tolist()


def test_every_sample_is_equally_likely_to_be_chosen():
    counts = {
        "validation": np.zeros(40),
        "train": np.zeros(40),
        "labeled": np.zeros(40),
    }
    fields = {"validation_fraction": 0.25, "fraction": 0.5, "labeled_fraction": 0.2}
    for seed in range(1000):
        chosen = cut(label=None, domain=None, size=40, seed=seed, **fields)
        for name, count in counts.items():
            count[getattr(chosen, name)] += 1
    for name, size in (("validation", 10), ("train", 15), ("labeled", 3)):
        share = size / 40
        deviation = np.sqrt(1000 * share * (1 - share))
        assert counts[name].sum() == 1000 * size
        assert abs(counts[name] - 1000 * share).max() < 4 * deviation


# --- What lies in what


def test_a_smaller_budget_lies_in_a_larger_one():
    fractions, per_class = (0.05, 0.3, 0.31, 1.0), (1, 5, 40, 1000)
    chosen = {
        (f, k): as_set(cut(validation_fraction=0.1, fraction=f, per_class=k).train)
        for f, k in itertools.product(fractions, per_class)
    }
    for (f, k), (g, m) in itertools.product(chosen, chosen):
        if f <= g and k <= m:
            assert chosen[f, k] <= chosen[g, m]
    assert len(chosen[0.05, 1]) < len(chosen[1.0, 1000]) == 900


def test_fewer_labels_lie_in_more_of_them():
    by_share = [
        as_set(cut(fraction=0.5, labeled_fraction=share).labeled)
        for share in (0.01, 0.05, 0.1, 1.0)
    ]
    by_class = [
        as_set(cut(fraction=0.5, labeled_per_class=count).labeled)
        for count in (1, 5, 10, 50)
    ]
    for labels in (by_share, by_class):
        for smaller, larger in itertools.pairwise(labels):
            assert smaller < larger
    assert [len(labels) for labels in by_share] == [5, 25, 50, 500]


def test_labels_shown_do_not_depend_on_how_much_is_trained_on():
    shown = [
        as_set(cut(fraction=fraction, labeled_per_class=3, seed=2).labeled)
        for fraction in (0.5, 0.7, 1.0)
    ]
    common = [{row for row in rows if LABEL[row] < 4} for rows in shown]
    assert common[0] == common[1] == common[2]
    assert len(common[0]) == 12


def test_the_validation_set_depends_on_no_budget():
    fixed = cut(validation_fraction=0.1).validation.tolist()
    for change in (
        {"fraction": 0.1},
        {"per_class": 2},
        {"labeled_fraction": 0.1},
        {"labeled_per_class": 1},
    ):
        assert cut(validation_fraction=0.1, **change).validation.tolist() == fixed
    assert cut(validation_fraction=0.1, seed=1).validation.tolist() != fixed


def test_labels_of_every_class_are_shown_after_a_cut_by_class():
    label = np.arange(1000) % 5
    chosen = cut(label=label, per_class=100, labeled_fraction=0.2)
    counts = np.bincount(label[chosen.labeled], minlength=5)
    assert counts.sum() == 100
    assert counts.min() > 5


def test_what_validates_has_nothing_to_do_with_what_is_trained_on():
    one = as_set(cut(validation_fraction=0.3).validation)
    two = as_set(cut(fraction=0.3).train)
    # Of 300 in a thousand 90 are among 300 others, give or take 8.
    assert 58 < len(one & two) < 122


def test_the_choices_are_those_that_were_always_made():
    # A change here would let old test samples into training.
    chosen = cut(
        validation_fraction=0.005, fraction=0.005, labeled_fraction=0.5, seed=7
    )
    assert chosen.validation.tolist() == [29, 355, 375, 798, 846]
    assert chosen.train.tolist() == [54, 164, 301, 555, 565]
    assert chosen.labeled.tolist() == [54, 555, 565]


def test_labels_shown_are_of_training_samples():
    chosen = cut(fraction=0.3, labeled_fraction=0.4, held_out_domains=("art",))
    assert as_set(chosen.labeled) < as_set(chosen.train)


# --- What is not known


def test_a_sample_of_unknown_domain_is_nowhere_when_a_domain_is_held_out(caplog):
    domain = DOMAIN.copy()
    domain[::10] = -1
    for fields in ({"held_out_domains": ("art",)}, {"validation_domains": ("art",)}):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            chosen = cut(domain=domain, validation_fraction=0.1, **fields)
        assert all((domain[rows] >= 0).all() for rows in chosen)
        assert "100 of 1000 samples are of unknown domain" in caplog.text
    assert len(cut(domain=domain).train) == 1000


def test_a_label_that_is_not_there_is_not_shown():
    label = LABEL.copy()
    label[:200] = -1
    chosen = cut(label=label)
    assert len(chosen.train) == 1000
    assert chosen.labeled.tolist() == list(range(200, 1000))
    assert len(cut(label=label, labeled_fraction=0.5).labeled) == 400


def test_a_sample_of_no_class_is_left_out_of_classes(caplog):
    label = LABEL.copy()
    label[:200] = -1
    with caplog.at_level(logging.WARNING):
        chosen = cut(label=label, per_class=300)
    assert (label[chosen.train] >= 0).all()
    assert "200 of 1000 samples have no class" in caplog.text


def test_classes_that_have_too_few_give_all_and_are_named(caplog):
    rare = np.flatnonzero(LABEL == 4)
    with caplog.at_level(logging.WARNING):
        chosen = cut(per_class=50)
    assert set(rare) <= as_set(chosen.train)
    assert f"50 samples of data.selection.per_class: 4 ({len(rare)})" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        chosen = cut(label=np.arange(1000) // 2, per_class=3)
    assert len(chosen.train) == 1000
    assert "0 (2), 1 (2)" in caplog.text
    assert "and 490 more" in caplog.text
    caplog.clear()
    cut(label=np.arange(1000) // 2, per_class=2)
    assert not caplog.text


# --- Refusals


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"held_out_domains": ("skecth",)}, "did you mean `sketch`"),
        (
            {"validation_domains": ("2",)},
            "`data.selection.validation_domains` must name",
        ),
        (
            {"held_out_domains": ("art",), "validation_domains": ("art",)},
            "held out too",
        ),
        ({"held_out_domains": NAMES}, "got none of 1000: 1000 are held out"),
        (
            {"fraction": 0.0},
            r"`data.selection.fraction` must be within \(0, 1\], got 0.0",
        ),
        ({"fraction": 1.5}, "`data.selection.fraction` must be within"),
        ({"validation_fraction": 1.0}, r"validation_fraction` must be within \[0, 1\)"),
        ({"labeled_fraction": -0.1}, r"labeled_fraction` must be within \[0, 1\]"),
        ({"fraction": float("nan")}, "`data.selection.fraction` must be within"),
        ({"per_class": -1}, "per_class` must be at least 0, got -1"),
        ({"labeled_per_class": -1}, "labeled_per_class` must be at least 0, got -1"),
        ({"seed": -1}, "`data.selection.seed` must be at least 0, got -1"),
        ({"held_out_domains": ("art",), "domain": None}, "`data.domain` must name"),
        ({"validation_domains": ("art",), "domain": None}, "`data.domain` must name"),
        ({"per_class": 1, "label": None}, "`data.label` must name a column for"),
        ({"labeled_per_class": 1, "label": None}, "`data.label` must name a column"),
        ({"label": LABEL[:5]}, r"`label` must be one a sample, got shape \(5,\)"),
        ({"domain": DOMAIN[:5]}, r"`domain` must be one a sample, got shape \(5,\)"),
        ({"held_out_domains": ("7",), "names": ()}, "known are `0`, `1`, `2`, `3`"),
        ({"label": np.full(1000, -1), "per_class": 1}, "got none of 1000"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        cut(**fields)


def test_a_domain_without_samples_is_refused():
    message = "domains of the training split, got 'art', of which it has no sample"
    with pytest.raises(ConfigError, match=message):
        cut(domain=np.maximum(DOMAIN, 1), held_out_domains=("art",))


def test_a_validation_set_that_takes_the_only_sample_is_refused():
    columns = {"label": None, "domain": None, "size": 1}
    with pytest.raises(ConfigError, match="got none of 1: 0 are held out, 1 are for"):
        cut(validation_fraction=0.1, **columns)
