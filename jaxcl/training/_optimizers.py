"""Builds optimizers and learning rate schedules with Optax."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxcl.config import OptimizerConfig


def make_optimizer(
    config: OptimizerConfig, num_steps: int, *, batch_size: int = 256
) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """The optimizer of a run, and its learning rate schedule.

    Biases and scales, which have fewer than two axes, get no weight decay, and no trust
    ratio in LARS.

    Args:
        config: Optimizer, learning rates and weight decay.
        num_steps: Number of steps of the run.
        batch_size: Samples per step, for learning rates that scale with it.
    """
    peak = peak_rate(config, batch_size)
    schedule = make_schedule(config, num_steps, peak)
    optimizer = _rule(config, schedule)
    if config.constant_predictor_rate:
        # Two copies of the optimizer, which differ only in their learning rate.
        rules: Any = {"rest": optimizer, "predictor": _rule(config, peak)}
        optimizer = optax.partition(rules, _part_of)
    if config.clip > 0:
        optimizer = optax.chain(optax.clip_by_global_norm(config.clip), optimizer)
    return optimizer, schedule


def peak_rate(config: OptimizerConfig, batch_size: int) -> float:
    """The highest learning rate of the schedule.

    Example:
        >>> peak_rate(OptimizerConfig(learning_rate=0.3, rate_rule="linear"), 512)
        0.6
    """
    factor = {
        "absolute": 1.0,
        "linear": batch_size / 256,
        "sqrt": batch_size**0.5,
    }[config.rate_rule]
    return config.learning_rate * factor


def make_schedule(
    config: OptimizerConfig, num_steps: int, peak: float
) -> optax.Schedule:
    """Linear warm-up from 0 to the peak, then the schedule of the config."""
    warmup = min(config.warmup_steps, num_steps - 1)
    rest = num_steps - warmup
    if config.schedule == "cosine":
        after = optax.cosine_decay_schedule(peak, rest, alpha=config.final_rate)
    elif config.schedule == "constant":
        after = optax.constant_schedule(peak)
    else:
        # `drop_at` are fractions of the run; this schedule starts after the warm-up.
        drops = {
            max(0, round(share * num_steps) - warmup): config.drop_to
            for share in config.drop_at
        }
        after = optax.piecewise_constant_schedule(peak, drops)
    if warmup == 0:
        return after
    rise = optax.linear_schedule(0.0, peak, warmup)
    return optax.join_schedules([rise, after], [warmup])


def _rule(config: OptimizerConfig, rate: Any) -> optax.GradientTransformation:
    if config.name == "adamw":
        return optax.adamw(rate, weight_decay=config.weight_decay, mask=_is_matrix)
    if config.name == "lars":
        return optax.chain(
            optax.add_decayed_weights(config.weight_decay, mask=_is_matrix),
            optax.masked(_scale_by_trust(config.trust), _is_matrix),
            optax.scale_by_learning_rate(rate),
            optax.trace(config.momentum),
        )
    return optax.chain(
        optax.add_decayed_weights(config.weight_decay, mask=_is_matrix),
        optax.sgd(rate, momentum=config.momentum),
    )


def _scale_by_trust(trust: float) -> optax.GradientTransformation:
    """Scales the update of a parameter w to the length trust · ‖w‖ (LARS)."""

    # Optax takes each norm twice, so that it has a gradient at 0.
    def scale(update, param):
        lengths = [jnp.sqrt(jnp.sum(values * values)) for values in (param, update)]
        zero = (lengths[0] == 0.0) | (lengths[1] == 0.0)
        return update * jnp.where(zero, 1.0, trust * lengths[0] / lengths[1])

    return optax.stateless(functools.partial(jax.tree.map, scale))


def _is_matrix(params: Any) -> Any:
    """True for parameters with weight decay and trust ratio: not biases and scales."""
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def _part_of(params: Any) -> Any:
    return {
        name: jax.tree.map(lambda _, name=name: _rate_of(name), part)
        for name, part in params.items()
    }


def _rate_of(network: str) -> str:
    return "predictor" if network == "predictor" else "rest"
