"""A loss whose negatives are the keys of earlier batches."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxcl.kernels import AxisName, LogSumExp, checked, pair_statistics
from jaxcl.losses._anchors import (
    Logits,
    aligned_similarity,
    contrast,
    make_bank,
    reduce_anchors,
)
from jaxcl.losses._arguments import Reduction
from jaxcl.pairs import different


@checked
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

    for unit rows. Gradients flow into the queries only.

    Pairs: positives the key; negatives different(instance) of the queue, or all of it.
    Cost: one pass over queries × queue.
    Shared arguments are explained in `jaxcl.losses`.

    Args:
        queries: Rows of the trained encoder.
        keys: Rows of the momentum encoder for the same instances.
        queue: Earlier keys, the same on every device.
        queue_where: True = the entry is filled.
        instances: Instance ids of the queries. With `queue_instances`, an entry of the
            query's own instance is not a negative: in a small data set an instance can
            return while its older key is still in the queue.
        queue_instances: Instance ids of the entries.
        axis_name: Devices exchange the number of kept queries and nothing else.

    Returns:
        A scalar, or one value per query.

    References:
        He et al., arXiv 1911.05722, eq. 1.

    Example:
        One entry orthogonal to an aligned pair: log(1 + e^{−1/t}).

        >>> q = jnp.array([[1.0, 0.0]])
        >>> queue = jnp.array([[0.0, 1.0]])
        >>> round(float(queue_nce_loss(q, q, queue, temperature=1.0)), 4)
        0.3133
    """
    own, others = _instances(queries, queue, instances, queue_instances)
    keys, queue = jax.lax.stop_gradient((keys, queue))
    logits = Logits(temperature)
    # The queue has no gradient, so the queries carry that of the temperature alone.
    anchors = make_bank(logits, queries, own, where, share=1.0)
    entries = make_bank(
        logits, queue, others, queue_where, anchored=False, shared=True, share=0.0
    )
    ((negative,),) = pair_statistics(
        [anchors, entries],
        # An unknown instance counts as different.
        [LogSumExp(different("instance", missing=1.0), bound=logits.bound)],
        scale=logits.scale,
        visits=[(0, 1)],
        axis_name=axis_name,
        block_size=block_size,
    )
    positive = aligned_similarity(queries, keys, where) / temperature
    return reduce_anchors(contrast(negative, positive, where), reduction, axis_name)


def _instances(queries, queue, instances, queue_instances):
    """Side data of queries and entries; without ids no entry is a query's own."""
    if (instances is None) != (queue_instances is None):
        raise ValueError(
            "`instances` and `queue_instances` must be given together, got one"
        )
    if instances is None:
        instances = jnp.zeros(queries.shape[0], jnp.int32)
        queue_instances = jnp.ones(queue.shape[0], jnp.int32)
    return {"instance": instances}, {"instance": queue_instances}
