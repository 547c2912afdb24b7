"""Builds optimizers and learning rate schedules with Optax."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxcl.config import ConfigError, OptimizerConfig
from jaxcl.models import count_blocks, parameter_layers


def make_optimizer(
    config: OptimizerConfig,
    num_steps: int,
    *,
    batch_size: int = 256,
    head_steps: int = 0,
) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """The optimizer of a run, and its learning rate schedule.

    Biases and scales, which have fewer than two axes, get no weight decay, and no trust
    ratio in LARS.

    Args:
        config: Optimizer, learning rates and weight decay.
        num_steps: Number of steps of the run.
        batch_size: Samples per step, for learning rates that scale with it.
        head_steps: First steps in which the encoder and its moments do not move; then
            its learning rate has a warm-up of its own. If there are any, `update` takes
            the number of the step as `step`.
    """
    peak = peak_rate(config, batch_size)
    schedule = make_schedule(config, num_steps, peak)
    optimizer = _rule(config, schedule)
    # Copies of the optimizer, for networks that have another learning rate.
    rules: dict[str, Any] = {}
    if config.constant_predictor_rate:
        rules["predictor"] = _rule(config, peak)
    if head_steps:
        late = _rule(config, _late_schedule(config, schedule, head_steps))
        rules["encoder"] = _rest_until(head_steps, late)
    if rules:
        label = functools.partial(_label_networks, known=frozenset(rules))
        optimizer = optax.partition({"rest": optimizer, **rules}, label)
    if config.layer_decay < 1:
        optimizer = optax.chain(optimizer, _scale_by_layer(config.layer_decay))
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


def _label_networks(params: Any, known: frozenset[str]) -> Any:
    """For every parameter the name of its network if it is known, or else "rest"."""

    def fill(part: Any, label: str) -> Any:
        return jax.tree.map(lambda _: label, part)

    return {
        name: fill(part, name if name in known else "rest")
        for name, part in params.items()
    }


def _late_schedule(
    config: OptimizerConfig, schedule: optax.Schedule, start: int
) -> optax.Schedule:
    """The schedule from a step on, times a warm-up of its own."""

    def rate(count):
        rise = jnp.minimum(count / max(config.warmup_steps, 1), 1.0)
        return schedule(count + start) * (rise if config.warmup_steps else 1.0)

    return rate


def _rest_until(
    start: int, inner: optax.GradientTransformation
) -> optax.GradientTransformationExtraArgs:
    """Changes neither parameters nor its own state before a step."""

    def update(updates, state, params=None, **arguments):
        moved, new = inner.update(updates, state, params)
        begun = arguments["step"] >= start
        moved = jax.tree.map(lambda leaf: jnp.where(begun, leaf, 0.0), moved)
        kept = jax.tree.map(lambda a, b: jnp.where(begun, a, b), new, state)
        return moved, kept

    return optax.GradientTransformationExtraArgs(inner.init, update)


def _scale_by_layer(decay: float) -> optax.GradientTransformation:
    """Multiplies the updates of layer l of L of the encoder by decay^(L + 1 − l).

    As in BEiT (arXiv 2106.08254) and MAE (arXiv 2111.06377, table 9): the patches are
    layer 0, the blocks are layers 1 to L, and all that follows is not scaled.
    """

    def factors(encoder: Any) -> Any:
        try:
            layers = parameter_layers(encoder)
        except ValueError as error:
            rule = "be 1 for an encoder whose layers have no numbers"
            text = f"`optimizer.layer_decay` must {rule}, got {decay}: {error}"
            raise ConfigError(text) from error
        top = count_blocks(encoder) + 1
        return jax.tree.map(lambda layer: decay ** (top - layer), layers)

    def init(params):
        factors(params["encoder"])  # fails before the run, not in its first step
        return optax.EmptyState()

    def update(updates, state, params=None):
        assert params is not None
        by_layer = factors(params["encoder"])
        encoder = jax.tree.map(jnp.multiply, updates["encoder"], by_layer)
        return {**updates, "encoder": encoder}, state

    return optax.GradientTransformation(init, update)
