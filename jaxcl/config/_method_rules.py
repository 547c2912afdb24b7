"""What an objective and its penalties ask of the rest of a config."""

from collections.abc import Mapping
from typing import Any

from jaxcl.config._methods import METHODS, OF_ANCHORS, PENALTIES, Method

Rules = list[tuple[str, Any, bool, str]]

# Fields of `objective` that every objective understands.
_COMMON = ("name", "cross_entropy", "balance", "group_dro", "penalties")


def method_rules(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> Rules:
    """Field, value, whether it holds, and the rule in words."""
    name = values["objective.name"]
    method = METHODS[name]
    chosen = [
        penalty for penalty in PENALTIES if values[f"objective.penalties.{penalty}"] > 0
    ]
    return [
        *_knobs(values, defaults, name, method),
        *_columns(values, name, method, chosen),
        *_views(values, name, method, chosen),
        *_anchors(values, name, method, chosen),
        *_networks(values, name, method),
    ]


def _knobs(
    values: Mapping[str, Any], defaults: Mapping[str, Any], name: str, method: Method
) -> Rules:
    """A field that changes nothing is a mistake of whoever set it."""
    rules = []
    for field, value in values.items():
        short = field.removeprefix("objective.")
        if short == field or short.split(".")[0] in _COMMON:
            continue
        users = [known for known, needs in METHODS.items() if short in needs.knobs]
        good = value == defaults[field] or short in method.knobs
        rule = f"be left alone: {name} does not use it; {', '.join(users)} do"
        rules.append((field, value, good, rule))
    if method.side:
        field = f"objective.{method.side}"
        rule = f"name columns of numbers or ids for {name}"
        rules.append((field, values[field], bool(values[field]), rule))
    return rules


def _columns(
    values: Mapping[str, Any], name: str, method: Method, penalties: list[str]
) -> Rules:
    wanted = [(column, f"objective.name = {name!r}") for column in method.columns]
    for penalty in penalties:
        reason = f"objective.penalties.{penalty}"
        wanted += [(column, reason) for column in PENALTIES[penalty].columns]
    if values["objective.group_dro"] > 0:
        wanted.append(("domain", "objective.group_dro"))
    if values["objective.balance"]:
        wanted.append(("bias", "objective.balance"))
    rules = []
    for column, reason in wanted:
        field = f"data.{column}"
        rule = f"name a column for {reason}"
        rules.append((field, values[field], bool(values[field]), rule))
    return rules


def _views(
    values: Mapping[str, Any], name: str, method: Method, penalties: list[str]
) -> Rules:
    reasons = [f"objective.name = {name!r}"] if method.two_views else []
    reasons += [
        f"objective.penalties.{penalty}"
        for penalty in penalties
        if PENALTIES[penalty].two_views
    ]
    views, small = values["data.views"], values["augmentation.small_views"]
    rules = []
    for reason in reasons[:1]:
        rules.append(("data.views", views, views == 2, f"be 2 for {reason}"))
        rule = f"be 0 for {reason}, which compares two views"
        rules.append(("augmentation.small_views", small, small == 0, rule))
    if name == "moco_v2":
        for penalty in penalties:
            field = f"objective.penalties.{penalty}"
            good = not PENALTIES[penalty].two_views
            rule = "be 0 with moco_v2, whose trained networks see one view"
            rules.append((field, values[field], good, rule))
    alone = name == "cross_entropy"
    rule = "be at least 2 for a loss that compares views"
    rules.append(("data.views", views, views >= 2 or alone, rule))
    return rules


def _anchors(
    values: Mapping[str, Any], name: str, method: Method, penalties: list[str]
) -> Rules:
    rules = []
    for penalty in penalties:
        if penalty in OF_ANCHORS:
            field = f"objective.penalties.{penalty}"
            rule = f"be 0 with {name}, which has no loss for each anchor"
            rules.append((field, values[field], method.anchors, rule))
    step_size = values["objective.group_dro"]
    rule = f"be 0 with {name}, which has no loss for each anchor"
    good = method.anchors or step_size == 0
    rules.append(("objective.group_dro", step_size, good, rule))
    return rules


def _networks(values: Mapping[str, Any], name: str, method: Method) -> Rules:
    classified = name == "cross_entropy" or values["objective.cross_entropy"] > 0
    balance = values["objective.balance"]
    rule = "be false without a cross-entropy"
    rules = [("objective.balance", balance, classified or not balance, rule)]
    weight = values["objective.cross_entropy"]
    rule = "be 0 with cross_entropy, which is the loss itself"
    good = weight == 0 or name != "cross_entropy"
    rules.append(("objective.cross_entropy", weight, good, rule))
    constant = values["optimizer.constant_predictor_rate"]
    good = "predictor" in method.networks or not constant
    rule = f"be false with {name}, which has no predictor"
    return [*rules, ("optimizer.constant_predictor_rate", constant, good, rule)]
