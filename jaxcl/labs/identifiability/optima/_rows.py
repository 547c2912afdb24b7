"""L-BFGS over free unit rows in float64."""

from collections.abc import Callable
from typing import Any

import jax
import jax.experimental
import jax.numpy as jnp
import numpy as np
from scipy import optimize

# JAX moved it out of `jax.experimental`.
_MODULE = jax if hasattr(jax, "enable_x64") else jax.experimental
enable_x64: Any = vars(_MODULE)["enable_x64"]


def minimize_rows(
    loss_fn: Callable, start: np.ndarray, steps: int
) -> tuple[float, np.ndarray]:
    """The smallest loss of unit rows on the last axis, and these rows.

    `loss_fn` must normalize its rows. It is traced with 64 bits enabled.
    """

    def flat_loss(values):
        loss, gradient = value_and_gradient(jnp.asarray(values.reshape(start.shape)))
        return float(loss), np.asarray(gradient, np.float64).ravel()

    with enable_x64(True):
        value_and_gradient = jax.jit(jax.value_and_grad(lambda rows: loss_fn(rows)))
        found = optimize.minimize(
            flat_loss,
            np.asarray(start, np.float64).ravel(),
            jac=True,
            method="L-BFGS-B",
            options={
                "maxiter": steps,
                "maxfun": 2 * steps,
                "ftol": 1e-16,
                "gtol": 1e-10,
            },
        )
    rows = found.x.reshape(start.shape)
    return float(found.fun), rows / np.linalg.norm(rows, axis=-1, keepdims=True)
