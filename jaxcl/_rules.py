"""What must hold between the values of a config, in words a user can act on."""

from collections.abc import Mapping
from typing import Any


def find_broken_rules(values: Mapping[str, Any]) -> list[str]:
    """A sentence for every rule that a config breaks.

    Args:
        values: The fields of a config by their dotted names.
    """
    return [
        f"`{name}` must {rule}, got {value!r}"
        for name, value, holds, rule in _rules(values)
        if not holds
    ]


def _rules(values: Mapping[str, Any]) -> list[tuple[str, Any, bool, str]]:
    """Field, value, whether it holds, and the rule in words."""
    return [
        *_sizes(values),
        *_shares(values),
        *_ranges(values),
        *_columns(values),
        *_views(values),
        *_inputs(values),
    ]


def _sizes(values: Mapping[str, Any]) -> list[tuple[str, Any, bool, str]]:
    at_least = {
        "seed": 0,
        "num_steps": 1,
        "checkpoint_every": 1,
        "eval_every": 0,
        "log_every": 1,
        "data.batch_size": 2,
        "data.views": 2,
        "data.image_size": 0,
        "data.workers": 1,
        "data.max_bad_records": 0,
        "data.selection.per_class": 0,
        "data.selection.labeled_per_class": 0,
        "data.selection.seed": 0,
        "data.sampler.cap": 1,
        "data.corruption.seed": 0,
        "model.width": 1,
        "model.stages": 1,
        "model.head_hidden": 1,
        "model.head_dim": 1,
        "objective.penalties.negative_variance": 0,
        "optimizer.warmup_steps": 0,
        "optimizer.weight_decay": 0,
        "optimizer.momentum": 0,
        "evaluation.batch_size": 1,
        "evaluation.neighbors": 1,
        "evaluation.max_train": 1,
        "evaluation.max_test": 1,
        "evaluation.max_pairs": 2,
        "augmentation.plain_views": 0,
        "augmentation.rotate": 0,
        "augmentation.brightness": 0,
        "augmentation.contrast": 0,
        "augmentation.saturation": 0,
        "augmentation.hue": 0,
        "augmentation.blur_size": 0,
        "augmentation.small_views": 0,
        "augmentation.small_size": 4,
    }
    rules = [
        (name, values[name], values[name] >= least, f"be at least {least}")
        for name, least in at_least.items()
    ]
    for name in ("objective.temperature", "optimizer.learning_rate"):
        rules.append((name, values[name], values[name] > 0, "be positive"))
    return rules


def _shares(values: Mapping[str, Any]) -> list[tuple[str, Any, bool, str]]:
    rules = []
    for name in ("flip", "jitter", "grayscale", "blur", "erase"):
        value = values[f"augmentation.{name}"]
        rule = "be a probability between 0 and 1"
        rules.append((f"augmentation.{name}", value, 0 <= value <= 1, rule))
    for name in ("selection.fraction", "selection.labeled_fraction"):
        value = values[f"data.{name}"]
        rules.append((f"data.{name}", value, 0 < value <= 1, "be within (0, 1]"))
    value = values["data.selection.validation_fraction"]
    rule = "be within [0, 1)"
    rules.append(("data.selection.validation_fraction", value, 0 <= value < 1, rule))
    value = values["data.corruption.rate"]
    rules.append(("data.corruption.rate", value, 0 <= value <= 1, "be within [0, 1]"))
    return rules


def _ranges(values: Mapping[str, Any]) -> list[tuple[str, Any, bool, str]]:
    rules = []
    for name in ("crop_scale", "small_scale", "erase_scale"):
        low, high = values[f"augmentation.{name}"]
        rule = "be an increasing pair within (0, 1]"
        good = 0 < low <= high <= 1
        rules.append((f"augmentation.{name}", [low, high], good, rule))
    for name in ("crop_ratio", "blur_sigma"):
        low, high = values[f"augmentation.{name}"]
        rule = "be an increasing pair of positive numbers"
        rules.append((f"augmentation.{name}", [low, high], 0 < low <= high, rule))
    size = values["augmentation.blur_size"]
    rules.append(("augmentation.blur_size", size, size == 0 or size % 2 == 1, "be odd"))
    return rules


def _columns(values: Mapping[str, Any]) -> list[tuple[str, Any, bool, str]]:
    rule = "name the column of the class, which evaluation needs"
    rules = [("data.label", values["data.label"], bool(values["data.label"]), rule)]
    needs = {
        "domain_balanced": "domain",
        "domain_homogeneous": "domain",
        "label_domain": "domain",
        "importance": "bias",
    }
    sampler, objective = values["data.sampler.name"], values["objective.name"]
    selection = "data.selection."
    held_out = [
        *values[selection + "held_out_domains"],
        *values[selection + "validation_domains"],
    ]
    wanted = [
        ("domain", objective == "within_domain", f"objective.name = {objective!r}"),
        ("domain", bool(held_out), "domains to be held out"),
        (needs.get(sampler), sampler in needs, f"data.sampler.name = {sampler!r}"),
    ]
    for role, is_needed, reason in wanted:
        if is_needed:
            column = values[f"data.{role}"]
            rule = f"name a column for {reason}"
            rules.append((f"data.{role}", column, bool(column), rule))
    splits = values["data.test_splits"]
    good = len(set(splits)) == len(splits)
    rules.append(("data.test_splits", splits, good, "not repeat a split"))
    return rules


def _views(values: Mapping[str, Any]) -> list[tuple[str, Any, bool, str]]:
    views, small = values["data.views"], values["augmentation.small_views"]
    objective = values["objective.name"]
    rules = []
    if objective != "within_domain":
        reason = f"objective.name = {objective!r}"
    elif values["objective.penalties.negative_variance"] > 0:
        reason = "objective.penalties.negative_variance"
    else:
        reason = ""
    if reason:
        rules.append(("data.views", views, views <= 2, f"be 2 for {reason}"))
        rule = f"be 0 for {reason}, which compares two views"
        rules.append(("augmentation.small_views", small, small == 0, rule))
    plain = values["augmentation.plain_views"]
    rule = "be at most `data.views`"
    rules.append(("augmentation.plain_views", plain, plain <= views, rule))
    return rules


def _inputs(values: Mapping[str, Any]) -> list[tuple[str, Any, bool, str]]:
    tf_data = values["data.pipeline"] == "tf_data"
    on, kept = values["augmentation.on"], values["data.keep_on_device"]
    table, path = values["data.table"], values["data.path"]
    crop_from = values["augmentation.crop_from"]
    whole = values["augmentation.rotate"] or values["augmentation.small_views"]
    rule = "be 'device' unless data.pipeline = 'tf_data'"
    return [
        ("augmentation.on", on, on == "device" or tf_data, rule),
        (
            "data.keep_on_device",
            kept,
            not kept or not tf_data,
            "be false with data.pipeline = 'tf_data'",
        ),
        (
            "augmentation.crop_from",
            crop_from,
            crop_from == "fitted" or (on == "host" and not whole),
            "be 'fitted' unless on = 'host', without rotate and small_views",
        ),
        ("data.table", table, not table or bool(path), "come with data.path"),
    ]
