"""The objective of a config."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxcl import losses
from jaxcl.config import PENALTIES, ConfigError, ObjectiveConfig, TrainConfig
from jaxcl.objectives import (
    Objective,
    count_log_prior,
    make_barlow_twins_objective,
    make_byol_objective,
    make_cross_entropy_objective,
    make_moco_v2_objective,
    make_moco_v3_objective,
    make_pairwise_objective,
    make_penalties,
    make_row_objective,
    make_sigmoid_objective,
    make_simsiam_objective,
    make_two_view_objective,
    make_vicreg_objective,
    numbers_of,
    roles,
    with_cross_entropy,
    with_group_dro,
    with_penalties,
)
from jaxcl.pairs import parse


class Facts(NamedTuple):
    """What an objective must know of the training samples."""

    num_instances: int
    num_classes: int = 0
    num_domains: int | None = None
    log_prior: np.ndarray | None = None
    """log p(label given bias), `[biases, labels]`."""


def make_objective(config: ObjectiveConfig, facts: Facts) -> Objective:
    """The objective of a config: a contrast, and what is added to it.

    Args:
        config: Loss, its knobs, penalties.
        facts: What is known of the training samples.
    """
    objective = _CONTRASTS[config.name](config, facts)
    if config.group_dro > 0:
        if facts.num_domains is None:
            raise ConfigError("`data.domain` must name a column for group_dro")
        objective = with_group_dro(
            objective, step_size=config.group_dro, num_domains=facts.num_domains
        )
    log_prior = facts.log_prior if config.balance else None
    objective = with_cross_entropy(objective, config.cross_entropy, log_prior)
    known = make_penalties(
        num_instances=facts.num_instances,
        num_domains=facts.num_domains,
        temperature=config.temperature,
    )
    weights = vars(config.penalties)
    chosen = {
        name: (weights[name], known[name]) for name in PENALTIES if weights[name] > 0
    }
    return with_penalties(objective, chosen)


def find_log_prior(labels: Any, biases: Any, num_classes: int) -> np.ndarray:
    """How often a label has a bias among the training samples."""
    labels, biases = np.asarray(labels), np.asarray(biases)
    return count_log_prior(labels, biases, int(biases.max()) + 1, num_classes)


def uninformed_loss(config: TrainConfig) -> float | None:
    """The loss when all pairs are alike; None where it depends on the batch.

    Example:
        >>> round(uninformed_loss(TrainConfig()), 4)  # ln(2 · 128 − 1)
        5.5413
    """
    size, views = config.data.batch_size, config.data.views
    chosen = config.objective
    counts = {
        "nt_xent": 2 * size - 1,
        "info_nce": size,
        "dcl": 2 * size - 2,
        "dhel": size - 1,
        "moco_v2": chosen.queue_size + 1,
        "supcon": views * size - 1,
        "y_aware": views * size - 1,
        "domain_weighted_supcon": views * size - 1,
        "cross_domain_supcon": views * size - 1,
    }
    if chosen.name == "moco_v3":
        return 4 * chosen.temperature * math.log(size)
    if chosen.name not in counts or chosen.form == "in" or chosen.cross_entropy > 0:
        return None
    if chosen.name == "domain_weighted_supcon" and chosen.same_domain_weight != 0.5:
        return None
    return math.log(max(counts[chosen.name], 1))


def _heat(config: ObjectiveConfig) -> dict[str, Any]:
    return {
        "temperature": config.temperature,
        "learn_temperature": config.learn_temperature,
    }


def _two_views(loss_fn) -> Callable[[ObjectiveConfig, Facts], Objective]:
    return lambda config, facts: make_two_view_objective(loss_fn, **_heat(config))


def _of_rows(
    loss_fn, *names: str, **fields: str
) -> Callable[[ObjectiveConfig, Facts], Objective]:
    """A loss of rows with these columns; `fields`: its options, and their knobs."""

    def make(config: ObjectiveConfig, facts: Facts) -> Objective:
        options = {name: getattr(config, knob) for name, knob in fields.items()}
        return make_row_objective(loss_fn, roles(*names), **_heat(config), **options)

    return make


def _of_numbers(
    loss_fn, *names: str, **fields: str
) -> Callable[[ObjectiveConfig, Facts], Objective]:
    """A loss of rows with these columns and the metadata that the config names."""

    def make(config: ObjectiveConfig, facts: Facts) -> Objective:
        options = {name: getattr(config, knob) for name, knob in fields.items()}
        before = roles(*names)

        def columns(batch):
            return [*before(batch), numbers_of(batch, config.metadata)]

        return make_row_objective(loss_fn, columns, **_heat(config), **options)

    return make


def _kernel_nce(config: ObjectiveConfig, facts: Facts) -> Objective:
    def kernel(a, b):
        distance = jnp.sum(((a - b) / config.bandwidth) ** 2, -1)
        # What is not known is near to nothing; NaN would spoil the whole matrix.
        return jnp.where(jnp.isnan(distance), 0.0, jnp.exp(-distance / 2.0))

    def columns(batch):
        return [batch.instance, numbers_of(batch, config.metadata)]

    return make_row_objective(
        losses.kernel_nce_loss,
        columns,
        kernel=kernel,
        ridge=config.ridge,
        **_heat(config),
    )


def _pairwise(config: ObjectiveConfig, facts: Facts) -> Objective:
    relations = {}
    for name in ("positives", "negatives"):
        try:
            relations[name] = parse(getattr(config, name))
        except ValueError as error:
            raise ConfigError(f"`objective.{name}`: {error}") from error
    return make_pairwise_objective(**relations, form=config.form, **_heat(config))


def _vicreg(config: ObjectiveConfig, facts: Facts) -> Objective:
    return make_vicreg_objective(
        invariance_weight=config.invariance_weight,
        variance_weight=config.variance_weight,
        covariance_weight=config.covariance_weight,
    )


_CONTRASTS: dict[str, Callable[[ObjectiveConfig, Facts], Objective]] = {
    "nt_xent": _two_views(losses.nt_xent_loss),
    "info_nce": _two_views(losses.info_nce_loss),
    "dcl": _two_views(losses.dcl_loss),
    "dhel": _two_views(losses.dhel_loss),
    "sigmoid": lambda config, facts: make_sigmoid_objective(
        learn_temperature=config.learn_temperature
    ),
    "spectral": lambda config, facts: make_two_view_objective(
        losses.spectral_loss, temperature=None
    ),
    "moco_v2": lambda config, facts: make_moco_v2_objective(
        queue_size=config.queue_size, **_heat(config)
    ),
    "moco_v3": lambda config, facts: make_moco_v3_objective(**_heat(config)),
    "supcon": _of_rows(losses.supcon_loss, "label", form="form"),
    "contex": _of_rows(
        losses.contex_loss,
        "label",
        "instance",
        label_weight="label_weight",
        hinge="hinge",
    ),
    "epsilon_sup_info_nce": _of_rows(
        losses.epsilon_sup_info_nce_loss, "label", epsilon="epsilon"
    ),
    "bias_contrastive": _of_rows(losses.bias_contrastive_loss, "label", "bias"),
    "soft_bias_contrastive": _of_numbers(losses.soft_bias_contrastive_loss, "label"),
    "fair_supcon": _of_rows(
        losses.fair_supcon_loss, "label", "bias", normalize_groups="normalize_groups"
    ),
    "within_domain": _of_rows(losses.within_domain_nce_loss, "instance", "domain"),
    "domain_weighted_supcon": _of_rows(
        losses.domain_weighted_supcon_loss,
        "label",
        "domain",
        same_domain_weight="same_domain_weight",
    ),
    "cross_domain_supcon": _of_rows(losses.cross_domain_supcon_loss, "label", "domain"),
    "y_aware": _of_numbers(losses.y_aware_nce_loss, "instance", bandwidth="bandwidth"),
    "kernel_nce": _kernel_nce,
    "rank_n_contrast": _of_numbers(losses.rank_n_contrast_loss),
    "hierarchical_supcon": _of_numbers(losses.hierarchical_supcon_loss),
    "pairwise": _pairwise,
    "cross_entropy": lambda config, facts: make_cross_entropy_objective(
        facts.log_prior if config.balance else None
    ),
    "vicreg": _vicreg,
    "barlow_twins": lambda config, facts: make_barlow_twins_objective(
        redundancy_weight=config.redundancy_weight
    ),
    "byol": lambda config, facts: make_byol_objective(),
    "simsiam": lambda config, facts: make_simsiam_objective(),
}
