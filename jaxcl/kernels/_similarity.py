"""Pairwise cosine similarity, dense."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxcl.kernels._rows import unit_rows


def cosine_similarity(
    x: Float[Array, "n dim"], y: Float[Array, "m dim"] | None = None
) -> Float[Array, "n m"]:
    r"""Cosine of the angle between every row of `x` and every row of `y`.

    s_ij = x_i·y_j / (‖x_i‖ ‖y_j‖), and 0 where a row is zero.

    Args:
        x: Rows, L2-normalized inside.
        y: Other rows; None = `x` itself.

    Returns:
        The similarities, in float32 (float64 for float64 rows).

    Example:
        >>> x, y = jnp.array([[2.0, 0.0]]), jnp.array([[0.5, 0.0], [0.0, 3.0]])
        >>> cosine_similarity(x, y).tolist()
        [[1.0, 0.0]]
    """
    x = unit_rows(x)
    return full_product(x, (x if y is None else unit_rows(y)).T)


def full_product(
    a: Float[Array, "rows inner"], b: Float[Array, "inner ..."]
) -> Float[Array, "rows ..."]:
    """A product in full precision, also where the accelerator's default is lower.

    Operands in bfloat16 are summed in float32.
    """
    wide = jnp.promote_types(a.dtype, jnp.float32)
    return jnp.matmul(
        a, b, precision=lax.Precision.HIGHEST, preferred_element_type=wide
    )
