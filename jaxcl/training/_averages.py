"""Exponential moving averages: target networks (MoCo, BYOL) and averaged encoder."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree


def momentum_at(
    step: Int[Array, ""],
    momentum: float,
    num_steps: int,
    schedule: Literal["constant", "cosine"],
) -> Float[Array, ""]:
    """The momentum of the target networks at a step.

    With "cosine" it rises from `momentum` to 1 over the run (arXiv 2006.07733, 3.2).

    Example:
        >>> [round(float(momentum_at(jnp.array(s), 0.9, 10, "cosine")), 4)
        ...  for s in (0, 5, 10)]
        [0.9, 0.95, 1.0]
    """
    start = jnp.asarray(momentum, jnp.float32)
    if schedule == "constant":
        return start
    done = step.astype(jnp.float32) / num_steps
    return 1.0 - (1.0 - start) * (jnp.cos(jnp.pi * done) + 1.0) / 2.0


def average_keep(step: Int[Array, ""], keep: float) -> Float[Array, ""]:
    """The decay of the averaged encoder at a step, which is lower at first.

    min(keep, (1 + step) / (10 + step)), so that the random initialization is soon
    forgotten.
    """
    young = (1.0 + step) / (10.0 + step)
    return jnp.minimum(jnp.asarray(keep, jnp.float32), young.astype(jnp.float32))


def move_towards(
    slow: PyTree, fast: PyTree, keep: Float[Array, ""], *, some_rest: bool = False
) -> PyTree:
    """Moves `slow` towards `fast`: keep · slow + (1 − keep) · fast.

    Leaves that are not floating are taken from `fast`. With `some_rest`, equal numbers
    stay as they are: the average of a frozen parameter is the parameter, not rounded.

    Example:
        >>> move_towards({"w": jnp.ones(1)}, {"w": jnp.zeros(1)}, jnp.array(0.75))
        {'w': Array([0.75], dtype=float32)}
    """

    def move(old: Any, new: Any) -> Any:
        if not jnp.issubdtype(jnp.result_type(new), jnp.floating):
            return new
        moved = (keep * old + (1.0 - keep) * new).astype(jnp.result_type(old))
        return jnp.where(old == new, old, moved) if some_rest else moved

    return jax.tree.map(move, slow, fast)
