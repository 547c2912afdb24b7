"""Optimizers and their schedule."""

import jax
import optax

from jaxcl.config import OptimizerConfig


def make_optimizer(
    config: OptimizerConfig, num_steps: int
) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """The optimizer of a run and its learning rate by step.

    The rate rises linearly from 0 to its peak over the warm-up and falls to 0 by half
    a cosine. Weight decay leaves out biases and scales, which have fewer than two axes.
    """
    warmup = min(config.warmup_steps, num_steps - 1)
    schedule = optax.warmup_cosine_decay_schedule(
        init_value=0.0 if warmup else config.learning_rate,
        peak_value=config.learning_rate,
        warmup_steps=warmup,
        decay_steps=num_steps,
    )

    def decayed(params):
        return jax.tree.map(lambda leaf: leaf.ndim > 1, params)

    if config.name == "adamw":
        optimizer = optax.adamw(
            schedule, weight_decay=config.weight_decay, mask=decayed
        )
    else:
        optimizer = optax.chain(
            optax.add_decayed_weights(config.weight_decay, mask=decayed),
            optax.sgd(schedule, momentum=config.momentum),
        )
    return optimizer, schedule
