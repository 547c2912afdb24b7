"""Losses whose negatives wait in a queue."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxcl.kernels import (
    AxisName,
    LogSumExp,
    automatic_axes,
    check_where,
    pair_statistics,
)
from jaxcl.losses._anchors import Logits, make_bank, reduce_anchors
from jaxcl.losses._arguments import (
    Reduction,
    check_embeddings,
    check_frame,
    check_ids,
    check_two_views,
)
from jaxcl.losses._two_views import aligned_similarity, contrast
from jaxcl.pairs import different


@automatic_axes
def queue_nce_loss(
    queries: Float[Array, "batch dim"],
    keys: Float[Array, "batch dim"],
    queue: Float[Array, "size dim"],
    *,
    temperature: float | Float[Array, ""] = 0.2,
    queue_where: Bool[Array, " size"] | None = None,
    instances: Int[Array, " batch"] | None = None,
    queue_instances: Int[Array, " size"] | None = None,
    where: Bool[Array, " batch"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, "..."]:
    r"""InfoNCE of MoCo: the negatives of a query are the keys of earlier batches.

        ℓ_i = −log( e^{q_i·k_i/t} / ( e^{q_i·k_i/t} + Σ_{m in queue} e^{q_i·k_m/t} ) )

    for unit rows. Gradients flow into the queries alone.

    Pairs: positives the key; negatives different(instance) of the queue, or all of it.
    Cost: one pass over queries × queue.

    Args:
        queries: Rows of the trained encoder, of any length.
        keys: Rows of the momentum encoder for the same instances.
        queue: Earlier keys, the same on every device.
        temperature: Divides the similarities; a traced scalar can be learned.
        queue_where: True = the entry is filled.
        instances: Instance of each query. With `queue_instances` an entry of the
            query's own instance is no negative (a small data set comes round again
            while its older keys are still in the queue).
        queue_instances: Instance of each entry.
        where: True = keep the instance; a dropped one leaves no trace.
        axis_name: The result is this device's share of the global mean. Nothing but the
            count of kept queries is exchanged.
        block_size: Rows a tile; None chooses.
        reduction: "mean", or "none" for one value a query.

    Returns:
        A scalar, or one value a query.

    References:
        He et al., arXiv 1911.05722, eq. 1.

    Example:
        One entry at a right angle to an aligned pair: log(1 + e^{−1/t}).

        >>> q = jnp.array([[1.0, 0.0]])
        >>> queue = jnp.array([[0.0, 1.0]])
        >>> round(float(queue_nce_loss(q, q, queue, temperature=1.0)), 4)
        0.3133
    """
    check_two_views(queries, keys, ("queries", "keys"))
    check_embeddings("queue", queue)
    batch, size = queries.shape[0], queue.shape[0]
    if queue.shape[1] != queries.shape[1]:
        raise ValueError(
            f"`queue` must be as wide as `queries`, {queries.shape[1]}, "
            f"got {queue.shape[1]}"
        )
    check_where(where, batch)
    check_where(queue_where, size, "queue_where")
    check_frame(
        temperature=temperature,
        axis_name=axis_name,
        block_size=block_size,
        reduction=reduction,
    )
    if (instances is None) != (queue_instances is None):
        raise ValueError(
            "`instances` and `queue_instances` must be given together, got one"
        )
    # Without instances no entry is a query's own: ids that never meet.
    own, others = jnp.zeros(batch, jnp.int32), jnp.ones(size, jnp.int32)
    if instances is not None and queue_instances is not None:
        check_ids("instances", instances, batch)
        check_ids("queue_instances", queue_instances, size)
        own, others = instances, queue_instances
    keys, queue = jax.lax.stop_gradient((keys, queue))
    logits = Logits(temperature)
    ((negative,),) = pair_statistics(
        [
            # Shared rows have no gradient: the temperature scales the queries alone.
            make_bank(logits, queries, {"instance": own}, where, share=1.0),
            make_bank(
                logits,
                queue,
                {"instance": others},
                queue_where,
                anchored=False,
                shared=True,
                share=0.0,
            ),
        ],
        # An instance that is not known is taken for another one.
        [LogSumExp(different("instance", missing=1.0), bound=logits.bound)],
        scale=logits.scale,
        visits=[(0, 1)],
        axis_name=axis_name,
        block_size=block_size,
    )
    positive = aligned_similarity(queries, keys, where) / temperature
    return reduce_anchors(contrast(negative, positive, where), reduction, axis_name)
