"""One look at the data of a run before its first step.

What cannot work is refused, and what is likely a mistake is noted: each rule is one
function, which reads columns that the data set keeps ready.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from jaxcl.config import (
    PENALTIES,
    ConfigError,
    TrainConfig,
    columns_of_objective,
    raise_broken,
)
from jaxcl.data import RunData, Split
from jaxcl.objectives import find_pairs

Rule = Callable[[TrainConfig, RunData], Iterator[str]]

_MOST_ROWS = 4096  # compared with each other to find a pair
_MOST_CLASSES = 20  # of a label whose names are numbers
_NAMED = 5


def inspect_data(config: TrainConfig, data: RunData) -> tuple[str, ...]:
    """What a run should be told about its data before it starts.

    Returns:
        Notes, a sentence each, about what is likely a mistake or is left out.

    Raises:
        ConfigError: The run cannot learn from this data; a line a reason.
    """
    for refuse in (_missing_columns, _unknown_values, _single_groups, _missing_pairs):
        # Each takes for granted what the ones before have checked.
        raise_broken(refuse(config, data))
    notes = (_labels, _classes, _tests, _own_groups, _number_classes)
    notes = (*notes, _poor_columns, _rare_pairs)
    return tuple(note for find in notes for note in find(config, data))


# Refusals.


def _missing_columns(config: TrainConfig, data: RunData) -> Iterator[str]:
    """Columns that the objective reads and the data set does not have."""
    split = data.train
    known = ", ".join([*split.roles.values(), *split.metadata]) or "none"
    for role, reason in columns_of_objective(config):
        if role not in split.roles:
            yield (
                f"`data.{role}` must name a column for {reason}, got "
                f"{getattr(config.data, role)!r}; the columns are {known}"
            )


def _columns_by_name(config: TrainConfig) -> Iterator[tuple[str, str]]:
    """Columns that the objective names itself, each with the field that names it."""
    yield from (("objective.metadata", name) for name in config.objective.metadata)
    if config.objective.name == "pairwise":
        for field, relation in find_pairs(config.objective)._asdict().items():
            yield from ((f"objective.{field}", name) for name in sorted(relation.names))


def _unknown_values(config: TrainConfig, data: RunData) -> Iterator[str]:
    """Columns that the objective reads and no training sample has a value in."""
    named = [(name, f"`{field}`") for field, name in _columns_by_name(config)]
    for name, reason in [*columns_of_objective(config), *named]:
        if name != "instance" and not _known(_values(data.train, name)).any():
            yield (
                f"{reason} reads `{name}`: it must be known for training samples, got "
                f"none of {len(data.train)}"
            )


def _single_groups(config: TrainConfig, data: RunData) -> Iterator[str]:
    """What compares groups, where there is one only."""
    objective = config.objective
    compared = {
        f"objective.penalties.{name}": "domain"
        for name in objective.penalties.active()
        if "domain" in PENALTIES[name].columns
    }
    if objective.group_dro > 0:
        compared["objective.group_dro"] = "domain"
    if objective.name == "cross_entropy":
        compared["objective.name = 'cross_entropy'"] = "label"
    for reason, role in compared.items():
        values = data.train.values(role)
        if len(np.unique(values[_known(values)])) < 2:
            yield (
                f"{reason} compares values of `data.{role}`: there must be two in the "
                f"training samples, got {_name(data.train, role, values.max())!r} alone"
            )


def _missing_pairs(config: TrainConfig, data: RunData) -> Iterator[str]:
    """Losses that find no pair, so that loss and gradient are 0."""
    rows = np.arange(len(data.train))
    if len(rows) <= _MOST_ROWS:
        for kind, relation in _absent_pairs(config, data, rows):
            yield (
                f"`objective.name` = {config.objective.name!r} must find {kind} pairs, "
                f"{relation}, got none among the {len(rows)} training samples: loss "
                "and gradient would be 0; choose other columns or another objective"
            )


def _absent_pairs(
    config: TrainConfig, data: RunData, rows: np.ndarray
) -> Iterator[tuple[str, Any]]:
    """The kinds of pairs that do not occur among some training samples."""
    for kind, relation in find_pairs(config.objective)._asdict().items():
        if relation is None or not relation.names:
            continue
        side = {name: _values(data.train, name)[rows] for name in relation.names}
        try:
            weights = np.asarray(relation.weights(side))
        except ValueError as error:
            raise ConfigError(f"`objective.{kind}` = {relation}: {error}") from error
        # The pair of a row with itself stands for two views of one sample.
        if not np.any(weights > 0):
            yield kind.removesuffix("s"), relation


# Notes.


def _labels(config: TrainConfig, data: RunData) -> Iterator[str]:
    """Labels that evaluation would read, and which are not there."""
    if "label" not in data.train.roles:
        asked = config.data.label
        why = f"the data set has no column {asked!r}" if asked else "`data.label` is ''"
        yield f"accuracy is left out: {why}, and so no image has a label"


def _classes(config: TrainConfig, data: RunData) -> Iterator[str]:
    """Labels on which classifiers cannot be fitted, or of which there are few."""
    if "label" not in data.train.roles or not data.tests:
        return
    labels = data.train.values("label")[: config.evaluation.max_train]
    labels = labels[_known(labels)]
    if len(labels) == 0:
        yield (
            f"accuracy is left out: none of the first {config.evaluation.max_train:,} "
            "training images has a label"
            if len(data.train) > config.evaluation.max_train
            else "accuracy is left out: no training image has a label"
        )
    elif len(np.unique(labels)) < 2:
        name = _name(data.train, "label", labels[0])
        yield (
            f"accuracy is left out: all labeled training images are of one class, "
            f"{name!r}, and any classifier would be right"
        )
    elif len(labels) < config.evaluation.neighbors:
        yield (
            f"only {len(labels)} training images have a label, fewer than "
            f"`evaluation.neighbors` = {config.evaluation.neighbors}"
        )


def _tests(config: TrainConfig, data: RunData) -> Iterator[str]:
    """Test splits that cannot be judged, or have classes of their own."""
    if not data.tests:
        yield "nothing is evaluated: `data.test_splits` names no split"
    if "label" not in data.train.roles:
        return
    trained = data.train.values("label")
    for name, test in data.tests.items():
        labels = test.values("label")[: config.evaluation.max_test]
        labels = labels[_known(labels)]
        if len(labels) == 0:
            yield f"accuracy on {name!r} is left out: none of its images has a label"
            continue
        new = np.setdiff1d(labels, trained)
        if len(new) and _known(trained).any():
            yield (
                f"{np.isin(labels, new).sum()} images of {name!r} are of classes that "
                f"no training image has, and count as errors: {_listed(test, new)}"
            )


def _own_groups(config: TrainConfig, data: RunData) -> Iterator[str]:
    """Groups of one image each."""
    for role, column in data.train.roles.items():
        values = data.train.values(role)
        values = values[_known(values)]
        if len(values) > 2 and len(np.unique(values)) == len(values):
            yield (
                f"each training image has a {role} of its own (column {column!r}): "
                "what compares images of one group finds none"
            )


def _number_classes(config: TrainConfig, data: RunData) -> Iterator[str]:
    """A label of many numbers, which are taken as classes."""
    names = data.train.names.get("label", ())
    if len(names) > _MOST_CLASSES and all(map(_is_number, names)):
        yield (
            f"the {len(names)} numbers of the label {config.data.label!r} are taken as "
            "classes without an order; losses of numbers, such as rank_n_contrast, "
            "take the column as `objective.metadata`"
        )


def _poor_columns(config: TrainConfig, data: RunData) -> Iterator[str]:
    """Columns of the objective that say nothing of most training samples."""
    named = [name for _, name in _columns_by_name(config)]
    roles = [role for role, _ in columns_of_objective(config)]
    for name in dict.fromkeys([*roles, *named]):
        values = _values(data.train, name)
        known = _known(values)
        if known.mean() < 0.5:
            yield (
                f"`{name}` is known for {known.sum()} of {len(known)} training "
                "samples, and says nothing of the others"
            )
        elif len(np.unique(values[known], axis=0)) < 2:
            yield f"`{name}` has one value in all training samples"


def _rare_pairs(config: TrainConfig, data: RunData) -> Iterator[str]:
    """Pairs that the first batch does not have."""
    rows = np.asarray(data.sampler.draw(0).rows).reshape(-1)
    for kind, relation in _absent_pairs(config, data, rows):
        yield (
            f"the first batch of {len(rows)} has no {kind} pair, {relation}, and "
            "teaches nothing: try a larger `data.batch_size`, or a `data.sampler`"
        )


def _values(split: Split, name: str) -> np.ndarray:
    return split.instances() if name == "instance" else split.values(name)


def _known(values: np.ndarray) -> np.ndarray:
    """True where a value is known: ids but -1, numbers but NaN."""
    known = ~np.isnan(values) if values.dtype.kind == "f" else values != -1
    return np.any(np.reshape(known, (len(values), -1)), axis=1)


def _name(split: Split, role: str, value: Any) -> str:
    names = split.names.get(role)
    return names[int(value)] if names else str(value)


def _listed(split: Split, labels: np.ndarray) -> str:
    told = ", ".join(_name(split, "label", label) for label in labels[:_NAMED])
    return told + (f" and {len(labels) - _NAMED} more" if labels[_NAMED:].size else "")


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True
