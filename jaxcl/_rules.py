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
        "augmentation.brightness": 0,
        "augmentation.contrast": 0,
        "augmentation.saturation": 0,
        "augmentation.hue": 0,
    }
    rules = [
        (name, values[name], values[name] >= least, f"be at least {least}")
        for name, least in at_least.items()
    ]
    for name in ("objective.temperature", "optimizer.learning_rate"):
        rules.append((name, values[name], values[name] > 0, "be positive"))
    for name in ("flip", "jitter", "grayscale"):
        value = values[f"augmentation.{name}"]
        rule = "be a probability between 0 and 1"
        rules.append((f"augmentation.{name}", value, 0 <= value <= 1, rule))
    low, high = values["augmentation.crop_scale"]
    rule = "be an increasing pair within (0, 1]"
    rules.append(("augmentation.crop_scale", [low, high], 0 < low <= high <= 1, rule))
    low, high = values["augmentation.crop_ratio"]
    rule = "be an increasing pair of positive numbers"
    rules.append(("augmentation.crop_ratio", [low, high], 0 < low <= high, rule))
    rule = "name the column of the class, which evaluation needs"
    rules.append(("data.label", values["data.label"], bool(values["data.label"]), rule))
    views = values["data.views"]
    if values["objective.name"] != "within_domain":
        rule = f"be 2 for objective.name = {values['objective.name']!r}"
        rules.append(("data.views", views, views <= 2, rule))
    elif values["objective.penalties.negative_variance"] > 0:
        rule = "be 2 with objective.penalties.negative_variance"
        rules.append(("data.views", views, views <= 2, rule))
    if values["objective.name"] == "within_domain":
        rule = "name a column for objective.name = 'within_domain'"
        rules.append(
            ("data.domain", values["data.domain"], bool(values["data.domain"]), rule)
        )
    rules.append(
        (
            "data.test_splits",
            values["data.test_splits"],
            len(set(values["data.test_splits"])) == len(values["data.test_splits"]),
            "not repeat a split",
        )
    )
    return rules
