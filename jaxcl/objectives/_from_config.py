"""The objective of a config."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxcl import losses
from jaxcl.config import OBJECTIVES, ConfigError, ObjectiveConfig, TrainConfig
from jaxcl.objectives._classification import (
    make_cross_entropy_objective,
    with_cross_entropy,
)
from jaxcl.objectives._contrastive import (
    make_kernel_nce_objective,
    make_pairwise_objective,
    make_row_objective,
    make_sigmoid_objective,
    make_two_view_objective,
)
from jaxcl.objectives._decorrelation import (
    make_barlow_twins_objective,
    make_vicreg_objective,
)
from jaxcl.objectives._momentum import (
    make_byol_objective,
    make_moco_v2_objective,
    make_moco_v3_objective,
    make_simsiam_objective,
)
from jaxcl.objectives._objective import Objective
from jaxcl.objectives._penalties import with_group_dro, with_penalties
from jaxcl.pairs import Relation, different, parse, same, unknown_anchor

# Makers of the objectives whose rows name no loss, called with the rows' arguments.
_MAKERS: dict[str, Callable[..., Objective]] = {
    "sigmoid": make_sigmoid_objective,
    "moco_v2": make_moco_v2_objective,
    "moco_v3": make_moco_v3_objective,
    "kernel_nce": make_kernel_nce_objective,
    "pairwise": make_pairwise_objective,
    "cross_entropy": make_cross_entropy_objective,
    "vicreg": make_vicreg_objective,
    "barlow_twins": make_barlow_twins_objective,
    "byol": make_byol_objective,
    "simsiam": make_simsiam_objective,
}


class Pairs(NamedTuple):
    """The pairs without which a loss is 0; None = every batch has some."""

    positives: Relation | None = None
    negatives: Relation | None = None


_PAIRS = {
    "bias_contrastive": Pairs(same("label") & different("bias")),
    "cross_domain_supcon": Pairs(same("label") & different("domain")),
    "within_domain": Pairs(
        negatives=(same("domain") | unknown_anchor("domain")) & different("instance")
    ),
}


def find_pairs(config: ObjectiveConfig) -> Pairs:
    """The pairs that an objective must find in the data to learn anything.

    Example:
        >>> find_pairs(ObjectiveConfig("cross_domain_supcon")).positives
        same(label) & different(domain)
    """
    if config.name != "pairwise":
        return _PAIRS.get(config.name, Pairs())
    return Pairs(_parse(config, "positives"), _parse(config, "negatives"))


def _parse(config: ObjectiveConfig, name: str) -> Relation:
    try:
        return parse(getattr(config, name))
    except ValueError as error:
        raise ConfigError(f"`objective.{name}`: {error}") from error


class Facts(NamedTuple):
    """What an objective must know about the training samples."""

    num_instances: int
    num_classes: int = 0
    num_domains: int | None = None
    log_prior: Float[np.ndarray, "biases labels"] | None = None
    """log p(label given bias)."""


def make_objective(config: ObjectiveConfig, facts: Facts) -> Objective:
    """The objective of a config: a loss, and what is added to it.

    Args:
        config: The loss, its settings, and penalties.
        facts: What is known about the training samples.
    """
    log_prior = facts.log_prior if config.balance else None
    objective = _make_loss(config, log_prior)
    if config.group_dro > 0:
        if facts.num_domains is None:
            raise ConfigError("`data.domain` must name a column for group_dro")
        objective = with_group_dro(
            objective, step_size=config.group_dro, num_domains=facts.num_domains
        )
    objective = with_cross_entropy(objective, config.cross_entropy, log_prior)
    return with_penalties(
        objective,
        config.penalties.active(),
        num_instances=facts.num_instances,
        num_domains=facts.num_domains,
        temperature=config.temperature,
    )


def _make_loss(config: ObjectiveConfig, log_prior: np.ndarray | None) -> Objective:
    row = OBJECTIVES[config.name]
    arguments: dict[str, Any] = {k: getattr(config, k) for k in row.arguments}
    if row.loss:
        loss_fn = getattr(losses, row.loss)
        if row.two_views:
            return make_two_view_objective(loss_fn, **arguments)
        return make_row_objective(loss_fn, row.columns, **arguments)
    for name in {"positives", "negatives"} & arguments.keys():
        arguments[name] = _parse(config, name)
    if "classifier" in row.networks:
        arguments["log_prior"] = log_prior
    return _MAKERS[config.name](**arguments)


def uninformed_loss(config: TrainConfig) -> float | None:
    """The loss when all embeddings are equal; None where it depends on the batch.

    Example:
        >>> round(uninformed_loss(TrainConfig()), 4)  # ln(2 · 128 − 1)
        5.5413
    """
    objective, data = config.objective, config.data
    uninformed = OBJECTIVES[objective.name].uninformed
    if uninformed is None or objective.cross_entropy > 0:
        return None
    return uninformed(objective, data.batch_size, data.views)
