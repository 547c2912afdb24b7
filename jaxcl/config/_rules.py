"""What must hold between the values of a config, in words a user can act on."""

from collections.abc import Mapping
from typing import Any

from jaxcl.config._method_rules import method_rules
from jaxcl.config._methods import PENALTIES


def find_broken_rules(
    values: Mapping[str, Any], defaults: Mapping[str, Any]
) -> list[str]:
    """A sentence for every rule that a config breaks.

    Args:
        values: The fields of a config by their dotted names.
        defaults: Those of a config of which nothing is set.
    """
    rules = [*_rules(values), *method_rules(values, defaults)]
    broken = [
        f"`{name}` must {rule}, got {value!r}"
        for name, value, holds, rule in rules
        if not holds
    ]
    return list(dict.fromkeys(broken))


def _rules(values: Mapping[str, Any]) -> list[tuple[str, Any, bool, str]]:
    """Field, value, whether it holds, and the rule in words."""
    return [
        *_sizes(values),
        *_shares(values),
        *_ranges(values),
        *_columns(values),
        *_views(values),
        *_inputs(values),
        *_intervals(values),
    ]


def _sizes(values: Mapping[str, Any]) -> list[tuple[str, Any, bool, str]]:
    at_least = {
        "seed": 0,
        "num_steps": 1,
        "checkpoint_every": 1,
        "eval_every": 0,
        "log_every": 1,
        "data.batch_size": 2,
        "data.views": 1,
        "data.image_size": 0,
        "data.colors": 0,
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
        "model.head_layers": 0,
        "model.patch_size": 1,
        "model.predictor_hidden": 1,
        "steps_per_dispatch": 1,
        "max_non_finite": 0,
        **{f"objective.penalties.{name}": 0 for name in PENALTIES},
        "objective.cross_entropy": 0,
        "objective.group_dro": 0,
        "objective.queue_size": 1,
        "objective.invariance_weight": 0,
        "objective.variance_weight": 0,
        "objective.covariance_weight": 0,
        "objective.redundancy_weight": 0,
        "optimizer.accumulate": 1,
        "optimizer.clip": 0,
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
    positive = (
        "objective.temperature",
        "objective.bandwidth",
        "objective.ridge",
        "optimizer.learning_rate",
        "optimizer.trust",
        "distributed.timeout",
    )
    for name in positive:
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
    for name in (
        "data.corruption.rate",
        "objective.label_weight",
        "objective.same_domain_weight",
        "objective.momentum",
        "optimizer.final_rate",
        "optimizer.drop_to",
    ):
        value = values[name]
        rules.append((name, value, 0 <= value <= 1, "be within [0, 1]"))
    value = values["model.average"]
    rules.append(("model.average", value, 0 <= value < 1, "be within [0, 1)"))
    drops = values["optimizer.drop_at"]
    good = all(0 < drop < 1 for drop in drops)
    rules.append(("optimizer.drop_at", drops, good, "be shares within (0, 1)"))
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
    sampler = values["data.sampler.name"]
    selection = "data.selection."
    held_out = [
        *values[selection + "held_out_domains"],
        *values[selection + "validation_domains"],
    ]
    wanted = [
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
    plain = values["augmentation.plain_views"]
    good = plain <= values["data.views"]
    return [("augmentation.plain_views", plain, good, "be at most `data.views`")]


def _intervals(values: Mapping[str, Any]) -> list[tuple[str, Any, bool, str]]:
    steps = values["steps_per_dispatch"]
    return [
        (
            name,
            values[name],
            values[name] % steps == 0,
            f"be a multiple of steps_per_dispatch = {steps}",
        )
        for name in ("num_steps", "checkpoint_every", "eval_every")
        if steps > 0
    ]


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
