"""A small training as one compiled program, and many seeds of it at once."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array


def minimize(
    loss_fn: Callable[[Any, Any], Array],
    params: Any,
    optimizer: optax.GradientTransformation,
    inputs: Any,
) -> tuple[Any, Array]:
    """Minimizes ``loss_fn(params, input)`` with one step for each of the inputs.

    Returns:
        The last parameters, and the loss before every step.
    """

    def step(carry, one):
        params, opt_state = carry
        loss, gradient = jax.value_and_grad(loss_fn)(params, one)
        updates, opt_state = optimizer.update(gradient, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), loss

    (params, _), losses = lax.scan(step, (params, optimizer.init(params)), inputs)
    return params, losses


def over_seeds(
    run: Callable[[Array], Any], seeds: tuple[int, ...], out_axes: Any = 0
) -> Any:
    """Compiles ``run(key)`` once for all seeds; returns NumPy arrays, seed by seed."""
    keys = jax.vmap(jax.random.key)(jnp.array(seeds, jnp.uint32))
    found = jax.jit(jax.vmap(run, out_axes=out_axes))(keys)
    return jax.tree.map(np.asarray, found)
