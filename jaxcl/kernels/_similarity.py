"""Pairwise cosine similarity, dense."""

from typing import Any

import jax
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
    a: Float[Array, "rows inner"],
    b: Float[Array, "inner ..."],
    precision: Any = None,
) -> Float[Array, "rows ..."]:
    """A product in full precision, unless ``jax.default_matmul_precision`` is set.

    An accelerator's own default is lower. Operands in bfloat16 are summed in float32.

    Args:
        a: The left operand.
        b: The right operand.
        precision: What `product_precision` returned when the computation began.
    """
    wide = jnp.promote_types(a.dtype, jnp.float32)
    precision = product_precision() if precision is None else precision
    return jnp.matmul(a, b, precision=precision, preferred_element_type=wide)


def product_precision() -> Any:
    """The precision of products here: JAX's switch, or full if it is not set."""
    config: Any = jax.config
    chosen = config.jax_default_matmul_precision
    return lax.Precision.HIGHEST if chosen is None else chosen
