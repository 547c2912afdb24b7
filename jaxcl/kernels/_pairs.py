"""Statistics of pairs of rows, in tiles or in dense form."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcl.kernels._banks import Bank
from jaxcl.kernels._dense import dense_statistics
from jaxcl.kernels._rows import AxisName, Ring, axis_size
from jaxcl.kernels._statistics import Params, Statistic
from jaxcl.kernels._streaming import stream_statistics
from jaxcl.kernels._tiles import Similarity

# Up to this many pairs the dense form is as fast as tiles, and its memory (1 MiB in
# float32) does not matter.
_DENSE_PAIRS = 2**18


def pair_statistics(
    banks: Sequence[Bank],
    statistics: Sequence[Statistic],
    params: Sequence[Params] | None = None,
    *,
    similarity: Similarity = "dot",
    scale: float | Float[Array, ""] = 1.0,
    visits: Sequence[tuple[int, int]] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
) -> list[tuple[Array, ...]]:
    r"""Computes statistics of each anchor's logits with all candidates.

    The logit of anchor i and candidate j is scale · x_i·y_j, or −scale · ‖x_i − y_j‖. A
    row never meets itself. Memory is O(rows·dim + rows·block), forward and backward,
    for all statistics and weights.

    Args:
        banks: Rows of one or several kinds, of the same width and side data. The rows
            of all anchored banks are the anchors.
        statistics: What to compute, such as `LogSumExp` and `PairSum`.
        params: Differentiable inputs of each statistic.
        similarity: "dot" or "negative_euclidean".
        scale: Multiplies all logits; a constant, without a gradient.
        visits: Pairs of banks to compare. Name (a, b) or (b, a), not both; (a, a)
            compares a bank with itself. None = all of these.
        axis_name: Devices of this axis share the rows of all banks that are not
            `shared`. A `Ring` passes them around instead of gathering them.
        block_size: Tile size; None = one piece for small inputs, else by platform.

    Returns:
        For each statistic a tuple of answers, each `[anchors]`: one value per row of
        the anchored banks of this device, one bank after another.
        Gradients flow into the rows of all banks that are not shared and into
        `params`. The gradient is written by hand: ``jax.jvp`` of the answers raises a
        `TypeError`, but the gradient can be differentiated in either mode.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcl.kernels import Bank, PairSum
        >>> from jaxcl.pairs import same
        >>> bank = Bank(jnp.ones((3, 2)), {"label": jnp.array([4, 4, 7])})
        >>> ((sums,),) = pair_statistics([bank], [PairSum(same("label"))])
        >>> sums.tolist()
        [2.0, 2.0, 0.0]
    """
    if axis_size(axis_name) == 1:
        # One device alone visits each pair of blocks once for both.
        axis_name = None
    statistics = tuple(statistics)
    params = tuple(Params() for _ in statistics) if params is None else tuple(params)
    if visits is None:
        visits = [(a, b) for a in range(len(banks)) for b in range(a, len(banks))]
    visits = tuple(
        pair for pair in visits if banks[pair[0]].anchored or banks[pair[1]].anchored
    )
    scale = jnp.asarray(scale)
    frame: Any = {"visits": visits, "axis_name": axis_name, "scale": scale}
    frame["similarity"] = similarity
    if block_size is None and not isinstance(axis_name, Ring):
        counts = [bank.rows.shape[0] for bank in banks]
        pairs = sum(counts[a] * counts[b] for a, b in visits) * axis_size(axis_name)
        if pairs <= _DENSE_PAIRS:
            return dense_statistics(banks, statistics, params, **frame)
    return stream_statistics(banks, statistics, params, block_size=block_size, **frame)
