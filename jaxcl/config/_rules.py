"""Rules between fields of a training config; bounds are in the fields' types."""

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from jaxcl.config._adaptation import Broken, adaptation_rules, start_rules
from jaxcl.config._bounds import must
from jaxcl.config._fields import as_dict, flatten
from jaxcl.config._objective import OBJECTIVES, PENALTIES

if TYPE_CHECKING:
    from jaxcl.config._training import TrainConfig


def broken_rules(config: "TrainConfig") -> list[str]:
    """A sentence for every rule that a config breaks."""
    values = flatten(as_dict(config))
    return [
        must(field, rule, values[field])
        for check in (
            _inputs,
            _columns,
            _intervals,
            _ignored_fields,
            _views,
            _penalties,
            _networks,
            start_rules,
            adaptation_rules,
        )
        for field, rule in check(config)
    ]


def _inputs(config: "TrainConfig") -> Broken:
    """What reads the data and makes the views."""
    data, augmentation = config.data, config.augmentation
    on_host, tf_data = augmentation.on == "host", data.pipeline == "tf_data"
    if data.table and not data.path:
        yield "data.table", "come with data.path"
    if data.missing != type(data).missing and not data.table:
        yield "data.missing", "come with data.table"
    if data.white and not data.path:
        yield "data.white", "come with data.path"
    if data.keep_on_device and tf_data:
        yield "data.keep_on_device", "be false with data.pipeline = 'tf_data'"
    if on_host and not tf_data:
        yield "augmentation.on", "be 'device' unless data.pipeline = 'tf_data'"
    whole_image = augmentation.rotate or augmentation.small_views
    if augmentation.crop_from == "stored" and (not on_host or whole_image):
        rule = "be 'fitted' unless on = 'host', without rotate and small_views"
        yield "augmentation.crop_from", rule
    if augmentation.plain_views > data.views:
        yield "augmentation.plain_views", "be at most `data.views`"


def _columns(config: "TrainConfig") -> Broken:
    """Columns of the data set that something needs."""
    for column, reason in needed_columns(config):
        if not getattr(config.data, column):
            yield f"data.{column}", f"name a column for {reason}"
    objective = config.objective
    if "metadata" in OBJECTIVES[objective.name].knobs and not objective.metadata:
        rule = f"name columns of numbers or ids for {objective.name}"
        yield "objective.metadata", rule


def needed_columns(config: "TrainConfig") -> Iterator[tuple[str, str]]:
    """The roles that must have a column, each with what reads it."""
    sampler, selection = config.data.sampler.name, config.data.selection
    for field in ("per_class", "labeled_per_class"):
        if getattr(selection, field):
            yield "label", f"data.selection.{field}"
    if selection.labeled_fraction < 1:
        yield "label", "data.selection.labeled_fraction"
    if selection.held_out_domains or selection.validation_domains:
        yield "domain", "domains to be held out"
    if sampler in ("domain_balanced", "domain_homogeneous", "label_domain"):
        yield "domain", f"data.sampler.name = {sampler!r}"
    if sampler in ("label_domain", "importance"):
        yield "label", f"data.sampler.name = {sampler!r}"
    if sampler == "importance":
        yield "bias", f"data.sampler.name = {sampler!r}"
    yield from columns_of_objective(config)


def columns_of_objective(config: "TrainConfig") -> Iterator[tuple[str, str]]:
    """The roles that loss and penalties read, each with what reads it."""
    objective = config.objective
    for column in OBJECTIVES[objective.name].columns:
        if column != "instance":
            yield column, f"objective.name = {objective.name!r}"
    for penalty in objective.penalties.active():
        for column in PENALTIES[penalty].columns:
            yield column, f"objective.penalties.{penalty}"
    if objective.group_dro > 0:
        yield "domain", "objective.group_dro"
    if objective.cross_entropy > 0:
        yield "label", "objective.cross_entropy"
    if objective.balance:
        yield "bias", "objective.balance"


def _intervals(config: "TrainConfig") -> Broken:
    """The host acts between dispatches only."""
    steps = max(config.steps_per_dispatch, 1)
    for field in ("num_steps", "checkpoint_every", "eval_every", "audit_every"):
        if getattr(config, field) % steps:
            yield field, f"be a multiple of steps_per_dispatch = {steps}"


def _ignored_fields(config: "TrainConfig") -> Broken:
    """Setting a field that has no effect is a mistake."""
    chosen, defaults = config.objective, type(config.objective)()
    for field in dataclasses.fields(chosen):
        users = [name for name, row in OBJECTIVES.items() if field.name in row.knobs]
        is_set = getattr(chosen, field.name) != getattr(defaults, field.name)
        if users and chosen.name not in users and is_set:
            use = f"{', '.join(users)} {'does' if len(users) == 1 else 'do'}"
            rule = f"be left alone: {chosen.name} does not use it; {use}"
            yield f"objective.{field.name}", rule


def _views(config: "TrainConfig") -> Broken:
    """How many views the loss and its penalties compare."""
    name, views = config.objective.name, config.data.views
    pairs = [f"objective.name = {name!r}"] if OBJECTIVES[name].two_views else []
    for penalty in config.objective.penalties.active():
        if PENALTIES[penalty].two_views:
            pairs.append(f"objective.penalties.{penalty}")
    if pairs and views != 2:
        yield "data.views", f"be 2 for {pairs[0]}"
    if pairs and config.augmentation.small_views:
        rule = f"be 0 for {pairs[0]}, which compares two views"
        yield "augmentation.small_views", rule
    if views < 2 and name != "cross_entropy":
        yield "data.views", "be at least 2 for a loss that compares views"


def _penalties(config: "TrainConfig") -> Broken:
    """What an objective must offer for the penalties and GroupDRO."""
    name, added = config.objective.name, []
    for penalty in config.objective.penalties.active():
        field, row = f"objective.penalties.{penalty}", PENALTIES[penalty]
        if row.per_anchor:
            added.append(field)
        if row.two_views and name == "moco_v2":
            yield field, "be 0 with moco_v2, whose trained networks see one view"
    if config.objective.group_dro > 0:
        added.append("objective.group_dro")
    if not OBJECTIVES[name].per_anchor:
        for field in added:
            yield field, f"be 0 with {name}, which has no loss for each anchor"


def _networks(config: "TrainConfig") -> Broken:
    """The classifier and the predictor."""
    objective, networks = config.objective, OBJECTIVES[config.objective.name].networks
    if objective.cross_entropy and "classifier" in networks:
        yield (
            "objective.cross_entropy",
            ("be 0 with cross_entropy, which is the loss itself"),
        )
    trained = objective.cross_entropy > 0 or "classifier" in networks
    if objective.balance and not trained:
        yield "objective.balance", "be false without a cross-entropy"
    if config.optimizer.constant_predictor_rate and "predictor" not in networks:
        rule = f"be false with {objective.name}, which has no predictor"
        yield "optimizer.constant_predictor_rate", rule
