"""InfoNCE with negatives drawn for each anchor, on the anchor's own support."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jaxcl.kernels import (
    AxisName,
    LogSumExp,
    bound_axis,
    check_arguments,
    checked,
    kept_values,
    pair_statistics,
    product_precision,
    scaled_rows,
    unit_rows,
)
from jaxcl.losses._anchors import (
    Logits,
    aligned_similarity,
    contrast,
    make_bank,
    reduce_anchors,
)
from jaxcl.losses._arguments import Reduction
from jaxcl.pairs import everyone

NegativesFn = Callable[[Array, int], Float[Array, "batch count dim"]]


@check_arguments
def support_corrected_info_nce_loss(
    anchors: Float[Array, "batch dim"],
    positives: Float[Array, "batch dim"],
    negatives: Float[Array, "batch M dim"] | Float[Array, "M dim"],
    *,
    temperature: float | Float[Array, ""],
    log_weights: Float[Array, "..."] | None = None,
    where: Bool[Array, " batch"] | None = None,
    axis_name: AxisName = None,
    reduction: Reduction = "mean",
) -> Float[Array, "..."]:
    r"""InfoNCE with negatives of each anchor, drawn where its positives can lie.

        ℓ_i = −s_i⁺ + log( e^{s_i⁺} + M Σ_j w_ij e^{s_ij} / Σ_j w_ij )

    with s the cosine divided by the temperature and M negatives per anchor. Where the
    conditional of positives covers a part of the space only (a fiber), negatives drawn
    uniformly from that part are what makes orthogonal maps of the latents optimal;
    with shared ones they are not. (Which optimum is found is up to the encoder.) The
    value is raw: subtract log M to compare different M.

    Pairs: positives the given ones; negatives those drawn for the anchor, or shared.
    Cost: all batch × M logits; negatives that are shared and not weighed take one pass.
    Shared arguments are explained in `jaxcl.losses`.

    Args:
        anchors: Rows, L2-normalized inside the loss like all others.
        positives: The positive of each anchor.
        negatives: `[batch, M, dim]`, each anchor its own, or `[M, dim]`, shared by all
            anchors of this device: plain InfoNCE.
        log_weights: Logarithms of importance weights that broadcast to `[batch, M]`;
            −∞ = not on the support, None = all equal. An anchor without any negative
            on its support has no loss and leaves the mean.
        axis_name: The mean is over the anchors of all devices. Negatives are not
            exchanged: M is the number that an anchor meets.

    Returns:
        A scalar, or one value per anchor. Gradients flow into anchors, positives and
        negatives.

    References:
        Eq. 8 of arXiv 2606.04280; the weights are self-normalized importance weights,
        which correct negatives drawn from another law on the same support.

    Example:
        Aligned pair, two orthogonal negatives: log(1 + 2 e^{−1/t}).

        >>> anchor, negatives = jnp.array([[1.0, 0.0]]), jnp.array([[0.0, 1.0]] * 2)
        >>> loss = support_corrected_info_nce_loss(
        ...     anchor, anchor, negatives, temperature=1.0
        ... )
        >>> round(float(loss), 4)
        0.5514
    """
    if log_weights is not None:
        shape = anchors.shape[0], negatives.shape[-2]
        _check_weights(log_weights, shape)
        log_weights = jnp.broadcast_to(log_weights, shape)
    return _support_corrected(
        *(anchors, positives, negatives, log_weights),
        temperature=temperature,
        where=where,
        axis_name=axis_name,
        reduction=reduction,
    )


@checked
def _support_corrected(
    anchors: Float[Array, "batch dim"],
    positives: Float[Array, "batch dim"],
    negatives: Float[Array, "batch M dim"] | Float[Array, "M dim"],
    log_weights: Float[Array, "batch M"] | None,
    *,
    temperature: float | Float[Array, ""],
    where: Bool[Array, " batch"] | None,
    axis_name: AxisName,
    reduction: Reduction,
) -> Float[Array, "..."]:
    """The loss with a weight for each anchor and negative."""
    if negatives.ndim == 2 and log_weights is None:
        level = _shared_level(anchors, negatives, temperature, where)
    else:
        level = _own_level(anchors, negatives, temperature, log_weights, where)
    aligned = aligned_similarity(anchors, positives, where) / temperature
    found = contrast(level, aligned, where)
    if log_weights is not None:
        defined = found.defined & ~jnp.isneginf(level)
        losses = jnp.where(defined, found.losses, 0.0)
        found = found._replace(losses=losses, defined=defined)
    return reduce_anchors(found, reduction, axis_name)


@check_arguments
def chunked_support_corrected_info_nce_loss(
    anchors: Float[Array, "batch dim"],
    positives: Float[Array, "batch dim"],
    negatives_fn: NegativesFn,
    key: Array,
    *,
    temperature: float | Float[Array, ""],
    num_negatives: int,
    chunk_size: int,
    where: Bool[Array, " batch"] | None = None,
    axis_name: AxisName = None,
    reduction: Reduction = "mean",
) -> Float[Array, "..."]:
    r"""The support-corrected loss with negatives drawn and encoded a chunk at a time.

        ℓ_i = −s_i⁺ + log( e^{s_i⁺} + Σ_{j≤M} e^{s_ij} )

    where the M negatives of an anchor come in chunks from `negatives_fn`. The backward
    pass draws a chunk again from its own key, so that nothing of the size of all
    negatives is ever kept: memory is O(batch · chunk · dim).

    Pairs: positives the given ones; negatives those drawn for the anchor.
    Cost: draws and encodes every negative twice, forward and backward; memory of a
    chunk.
    Shared arguments are explained in `jaxcl.losses`.

    Args:
        anchors: Rows, L2-normalized inside the loss like all others.
        positives: The positive of each anchor.
        negatives_fn: ``negatives_fn(key, count) -> [batch, count, dim]`` draws and
            encodes `count` negatives for every anchor. Gradients flow into what it
            closes over.
        key: A key; chunk c gets ``jax.random.fold_in(key, c)``.
        num_negatives: M, negatives per anchor.
        chunk_size: Negatives per anchor and chunk. The last chunk is smaller when M is
            not a multiple.
        axis_name: The mean is over the anchors of all devices; give each device a key
            of its own.

    Returns:
        A scalar, or one value per anchor.

    References:
        Eq. 8 of arXiv 2606.04280.

    Example:
        >>> anchor, other = jnp.array([[1.0, 0.0]]), jnp.array([0.0, 1.0])
        >>> def negatives_fn(key, count):
        ...     return jnp.broadcast_to(other, (1, count, 2))
        >>> loss = chunked_support_corrected_info_nce_loss(
        ...     anchor, anchor, negatives_fn, jax.random.key(0),
        ...     num_negatives=2, chunk_size=1, temperature=1.0,
        ... )
        >>> round(float(loss), 4)
        0.5514
    """
    axis_name = bound_axis(axis_name)

    def level_of(number, count):
        negatives = negatives_fn(jax.random.fold_in(key, number), count)
        _check_drawn(negatives, (anchors.shape[0], count, anchors.shape[1]))
        return _own_level(anchors, negatives, temperature, None, where)

    level = _level_in_chunks(level_of, num_negatives, min(chunk_size, num_negatives))
    aligned = aligned_similarity(anchors, positives, where) / temperature
    return reduce_anchors(contrast(level, aligned, where), reduction, axis_name)


def _level_in_chunks(level_of, num_negatives, chunk_size) -> Array:
    """The log-sum-exp over all negatives, `chunk_size` at a time and then the rest."""
    chunks, rest = divmod(num_negatives, chunk_size)
    # `checkpoint` draws and encodes a chunk again in the backward pass.
    chunk_level = jax.checkpoint(level_of, static_argnums=1)

    def add_chunk(level, number):
        return jnp.logaddexp(level, chunk_level(number, chunk_size)), None

    level, _ = lax.scan(add_chunk, chunk_level(0, chunk_size), jnp.arange(1, chunks))
    return jnp.logaddexp(level, chunk_level(chunks, rest)) if rest else level


def _own_level(anchors, negatives, temperature, log_weights, where):
    """Log( M Σ_j w_ij e^{s_ij} / Σ_j w_ij ) over the negatives of each anchor."""
    # What was drawn for a dropped anchor may be anything.
    rows = kept_values(negatives, where if negatives.ndim == 3 else None)
    logits = _cosines(unit_rows(anchors, where), rows) / temperature
    if log_weights is None:
        return jax.nn.logsumexp(logits, axis=1)
    weights = jnp.broadcast_to(log_weights, logits.shape).astype(logits.dtype)
    alive = ~jnp.isneginf(weights)
    empty = ~jnp.any(alive, axis=1)
    usable = alive | empty[:, None]
    weights = jnp.where(alive, weights, 0.0)

    def total(values):
        return jax.nn.logsumexp(jnp.where(usable, values, -jnp.inf), axis=1)

    level = total(logits + weights) - total(weights) + jnp.log(float(logits.shape[1]))
    return jnp.where(empty, -jnp.inf, level)


def _cosines(unit, rows) -> Array:
    """Cosines of unit anchors with the rows of each, or with shared ones.

    A product is divided by the length of the row instead of the row: the rows are
    `dim` times as many numbers.
    """
    scaled, length, alive = scaled_rows(rows)
    pairs = "bd,bmd->bm" if rows.ndim == 3 else "bd,md->bm"
    product = jnp.einsum(pairs, unit, scaled, precision=product_precision())
    length, alive = (
        jnp.broadcast_to(x[..., 0], product.shape) for x in (length, alive)
    )
    return jnp.where(alive, product / length, 0.0)


def _shared_level(anchors, negatives, temperature, where):
    """Log Σ_j e^{s_ij} over negatives that all anchors share, a tile at a time."""
    logits = Logits(temperature)
    ((level,),) = pair_statistics(
        [
            make_bank(logits, anchors, {}, where),
            make_bank(logits, negatives, {}, anchored=False),
        ],
        [LogSumExp(everyone(), bound=logits.bound)],
        scale=logits.scale,
        visits=[(0, 1)],
    )
    return level


def _check_drawn(negatives, expected) -> None:
    if not jnp.issubdtype(negatives.dtype, jnp.floating):
        raise ValueError(f"`negatives` must be floating, got {negatives.dtype}")
    if negatives.shape != expected:
        raise ValueError(
            f"`negatives_fn` must return shape (batch, count, dim) = {expected}, "
            f"got {negatives.shape}"
        )


def _check_weights(log_weights, shape) -> None:
    try:
        fits = jnp.broadcast_shapes(log_weights.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"`log_weights` must broadcast to (batch, M) = {shape}, "
            f"got {log_weights.shape}"
        )
