"""What a run is told about its data before its first step."""

from types import SimpleNamespace

import numpy as np
import pytest

from jaxcl.config import ConfigError, from_dict
from jaxcl.experiment._inspect import inspect_data


class Columns:
    """A split that is nothing but its columns; roles are columns of that name."""

    def __init__(self, names=None, **columns):
        self.columns = {name: np.asarray(values) for name, values in columns.items()}
        self.roles = {n: n for n in ("label", "domain", "bias") if n in columns}
        self.metadata = tuple(name for name in columns if name not in self.roles)
        self.names = names or {}

    def __len__(self):
        return len(next(iter(self.columns.values())))

    def values(self, name):
        return self.columns[name]

    def instances(self):
        return np.arange(len(self))


GOOD = {"label": [0, 0, 1, 1] * 10, "domain": [0, 1, 0, 1] * 10}


def look(train, *, tests=None, batch=None, **tree):
    """The notes on some columns with a config in nested fields."""
    train = Columns(**train)
    tests = {"test": Columns(**GOOD)} if tests is None else tests
    rows = np.arange(len(train)) if batch is None else np.asarray(batch)
    sampler = SimpleNamespace(draw=lambda step: SimpleNamespace(rows=rows))
    data = SimpleNamespace(train=train, tests=tests, sampler=sampler)
    return inspect_data(from_dict(tree), data)


def refused(train, *words, **options):
    with pytest.raises(ConfigError) as raised:
        look(train, **options)
    for word in words:
        assert word in str(raised.value)


def noted(notes, *words):
    """The one note, which has all words."""
    (note,) = notes
    for word in words:
        assert word in note


def objective(name, **fields):
    return {"name": name, **fields}


NAMED = {"domain": "domain", "bias": "bias"}


@pytest.mark.parametrize(
    "name", ["nt_xent", "supcon", "cross_domain_supcon", "within_domain"]
)
def test_good_data_is_passed_in_silence(name):
    assert look(GOOD, objective=objective(name), data=NAMED) == ()


# Refusals.


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (objective("supcon"), "objective.name = 'supcon'"),
        (objective("contex"), "objective.name = 'contex'"),
        (objective("cross_entropy"), "objective.name = 'cross_entropy'"),
        (objective("nt_xent", cross_entropy=0.1), "objective.cross_entropy"),
        (
            objective("nt_xent", penalties={"fair_kl": 1.0}),
            "objective.penalties.fair_kl",
        ),
    ],
)
def test_what_reads_labels_is_refused_by_name_without_them(fields, reason):
    rest = {"domain": GOOD["domain"], "bias": GOOD["domain"], "age": np.ones(40)}
    refused(
        rest,
        f"`data.label` must name a column for {reason}, got 'label'",
        "the columns are domain, bias, age",
        objective=fields,
        data=NAMED,
    )


def test_labels_of_the_test_split_alone_teach_nothing():
    train = {**GOOD, "label": np.full(40, -1)}
    refused(
        train,
        "objective.name = 'supcon' reads `label`",
        "got none of 40",
        objective=objective("supcon"),
    )


def test_a_number_that_is_never_known_is_refused():
    fields = objective("rank_n_contrast", metadata=["age"])
    nowhere = {**GOOD, "age": np.full(40, np.nan)}
    refused(nowhere, "`objective.metadata` reads `age`", objective=fields)
    somewhere = {**GOOD, "age": np.array([np.nan] * 38 + [-1.0, 3.0])}
    (note,) = look(somewhere, objective=fields)
    assert note.startswith("`age` is known for 2 of 40 training samples")


def test_a_number_that_is_the_same_for_all_is_noted():
    fields = objective("rank_n_contrast", metadata=["age"])
    (note,) = look({**GOOD, "age": np.full(40, 7.0)}, objective=fields)
    assert note == "`age` has one value in all training samples"


@pytest.mark.parametrize(
    "fields",
    [
        objective("nt_xent", group_dro=0.1),
        *(
            objective("nt_xent", penalties={name: 1.0})
            for name in ("coral", "mmd", "domain_confusion", "v_rex", "irm")
        ),
    ],
)
def test_what_compares_domains_needs_two(fields):
    train = {**GOOD, "domain": [-1, 3] * 20}
    words = "compares values of `data.domain`: there must be two"
    refused(train, words, "got '3' alone", objective=fields, data=NAMED)


def test_a_classifier_needs_two_classes():
    train = {**GOOD, "label": [0] * 40, "names": {"label": ("cat",)}}
    words = "objective.name = 'cross_entropy' compares values of `data.label`"
    refused(train, words, "got 'cat' alone", objective=objective("cross_entropy"))


@pytest.mark.parametrize(
    ("fields", "train", "pair"),
    [
        # Each image its own domain: no negative.
        (
            objective("within_domain"),
            {**GOOD, "domain": np.arange(40)},
            "negative pairs, (same(domain) | unknown_anchor(domain))",
        ),
        # Each domain has labels of its own: no positive.
        (
            objective("cross_domain_supcon"),
            {**GOOD, "domain": GOOD["label"]},
            "positive pairs, same(label) & different(domain)",
        ),
        (
            objective("cross_domain_supcon"),
            {"label": np.arange(40), "domain": GOOD["domain"]},
            "positive pairs",
        ),
        (
            objective("bias_contrastive"),
            {**GOOD, "bias": GOOD["label"]},
            "positive pairs, same(label) & different(bias)",
        ),
        (
            objective("pairwise", positives="same(label) & different(label)"),
            GOOD,
            "positive pairs, same(label) & different(label)",
        ),
        (
            objective("pairwise", negatives="different(domain)"),
            {**GOOD, "domain": [2] * 40},
            "negative pairs, different(domain)",
        ),
    ],
)
def test_a_loss_that_finds_no_pair_is_refused(fields, train, pair):
    refused(train, pair, "none among the 40", objective=fields, data=NAMED)


def test_two_views_of_an_image_are_a_pair():
    train = {"label": np.arange(40)}
    fields = objective("pairwise", positives="same(label)")
    noted(look(train, tests={"test": Columns(**train)}, objective=fields), "of its own")


def test_an_image_of_unknown_domain_has_everyone_as_negatives():
    train = {**GOOD, "domain": [*range(39), -1]}
    notes = look(train, objective=objective("within_domain"), data=NAMED)
    noted(notes, "a domain of its own")


# Notes.


def test_a_set_without_labels_says_that_accuracy_is_left_out():
    rest = {"domain": GOOD["domain"]}
    tests = {"test": Columns(**rest)}
    noted(look(rest, tests=tests), "accuracy is left out", "no column 'label'")
    notes = look(rest, tests=tests, data={"label": ""})
    noted(notes, "accuracy is left out", "`data.label` is ''")


def test_labels_in_the_test_split_alone_are_noted():
    noted(look({**GOOD, "label": [-1] * 40}), "no training image has a label")


def test_labels_that_evaluation_does_not_reach_are_noted():
    train = {**GOOD, "label": [-1] * 30 + [0, 1] * 5}
    notes = look(train, evaluation={"max_train": 30})
    noted(notes, "none of the first 30 training images has a label")


def test_labels_in_training_alone_are_noted():
    tests = {"test": Columns(**{**GOOD, "label": [-1] * 40})}
    noted(look(GOOD, tests=tests), "accuracy on 'test' is left out")


def test_one_class_is_noted():
    train = {**GOOD, "label": [1] * 40, "names": {"label": ("cat", "dog")}}
    notes = look(train, tests={"test": Columns(**{**GOOD, "label": [1] * 40})})
    noted(notes, "accuracy is left out", "one class, 'dog'")


def test_fewer_labels_than_neighbors_are_noted():
    train = {**GOOD, "label": [0, 1] * 6 + [-1] * 28}
    notes = look(train, evaluation={"neighbors": 13})
    noted(notes, "only 12 training images have a label", "`evaluation.neighbors` = 13")
    assert look(train, evaluation={"neighbors": 12}) == ()


def test_classes_that_only_the_test_has_are_noted_by_name():
    names = {"label": ("cat", "dog", "owl")}
    tests = {"test": Columns(names, label=[0, 1, 2, 2, -1])}
    notes = look({**GOOD, "names": names}, tests=tests)
    noted(notes, "2 images of 'test'", "count as errors: owl")


def test_no_test_split_is_noted():
    noted(look(GOOD, tests={}), "nothing is evaluated", "`data.test_splits`")


def test_groups_of_one_image_are_noted():
    notes = look({**GOOD, "domain": np.arange(40)})
    noted(notes, "each training image has a domain of its own", "'domain'")


def test_numbers_taken_as_classes_are_noted():
    years = tuple(str(1900 + i) for i in range(30))
    train = {"label": np.arange(40) % 30, "names": {"label": years}}
    tests = {"test": Columns(**train)}
    notes = look(train, tests=tests)
    noted(notes, "the 30 numbers of the label", "`objective.metadata`")
    words = tuple(f"street {year}" for year in years)
    assert look({**train, "names": {"label": words}}, tests=tests) == ()


def test_a_batch_without_a_pair_is_noted():
    train = {**GOOD, "domain": np.arange(40) // 2}
    fields = objective("within_domain")
    notes = look(train, batch=[0, 2, 4, 6], objective=fields, data=NAMED)
    noted(notes, "the first batch of 4 has no negative pair", "`data.batch_size`")
    assert look(train, batch=[0, 1, 4, 6], objective=fields, data=NAMED) == ()
