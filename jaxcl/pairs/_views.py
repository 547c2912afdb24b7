"""Views of instances as rows."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


def flatten_views(
    views: Float[Array | np.ndarray, "views batch dim"],
) -> tuple[Float[Array, "rows dim"], Int[Array, " rows"]]:
    """Views of instances as rows, with the instance of each row.

    Args:
        views: `views[k, i]` is view k of instance i.

    Returns:
        Rows `[views · batch, dim]`, view after view, and their instance ids.

    Example:
        >>> rows, instances = flatten_views(jnp.zeros((2, 3, 8)))
        >>> rows.shape, instances.tolist()
        ((6, 8), [0, 1, 2, 0, 1, 2])
    """
    if views.ndim != 3:
        raise ValueError(
            f"`views` must have shape (views, batch, dim), got {views.shape}"
        )
    count, batch, dim = views.shape
    rows = jnp.asarray(views).reshape(count * batch, dim)
    return rows, jnp.tile(jnp.arange(batch), count)
