"""Moments of all cross-view similarities in closed form: O(rows·dim²), no pairs."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxcl.kernels._rows import AxisName, sum_devices
from jaxcl.kernels._similarity import full_product


def mean_squared_deviation(
    u: Float[Array, "batch dim"],
    v: Float[Array, "batch dim"],
    target: Float[Array, ""],
    where: Bool[Array, " batch"],
    axis_name: AxisName,
) -> Float[Array, ""]:
    r"""Mean of (u_i·v_j − target)² over i ≠ j, from Gram matrices of centered rows.

    With ū, v̄ the mean rows, U, V the rows less them, a = U v̄, b = V ū and
    δ_ij = u_i·v_j − ū·v̄ = U_i·V_j + a_i + b_j, the sum of all δ_ij is 0 and that of
    their squares is ⟨UᵀU, VᵀV⟩ + m Σa² + m Σb². Taking out the diagonal leaves
    variance and mean of the off-diagonal without the cancellation of E[s²] − E[s]².

    Args:
        u: Rows of this device; dropped ones are zero.
        v: As many.
        target: What the similarities are compared with.
        where: True = keep.
        axis_name: Means and Gram matrices are summed over its devices.

    Returns:
        The same scalar on every device; 0 with fewer than two kept rows.
    """
    kept = where.astype(u.dtype)
    count = sum_devices(jnp.sum(kept), axis_name)
    several = count > 1
    safe = jnp.where(several, count, 2.0)
    mean_u, mean_v = (
        sum_devices(jnp.sum(rows, axis=0), axis_name) / safe for rows in (u, v)
    )
    centered_u = jnp.where(where[:, None], u - mean_u[None, :], 0.0)
    centered_v = jnp.where(where[:, None], v - mean_v[None, :], 0.0)
    a, b = full_product(centered_u, mean_v), full_product(centered_v, mean_u)
    diagonal = jnp.sum(centered_u * centered_v, axis=1) + a + b

    def gram(rows):
        return sum_devices(full_product(rows.T, rows), axis_name)

    def total(values):
        return sum_devices(jnp.sum(values), axis_name)

    squares = jnp.sum(gram(centered_u) * gram(centered_v))
    squares = squares + safe * total(a * a) + safe * total(b * b)
    pairs = safe * (safe - 1.0)
    offset = -total(diagonal) / pairs
    variance = (squares - total(diagonal * diagonal)) / pairs - offset * offset
    mean = jnp.sum(mean_u * mean_v) + offset
    value = variance + (mean - target) ** 2
    return jnp.where(several, value, 0.0)
