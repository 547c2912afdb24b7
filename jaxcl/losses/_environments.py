"""Penalties and weights from the per-anchor losses of each domain."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxcl.kernels import (
    AxisName,
    bound_axis,
    check_arguments,
    checked,
    sum_devices,
)
from jaxcl.losses._arguments import check_ids, number_domains


@checked
def v_rex_penalty(
    anchor_losses: Float[Array, "... rows"],
    domains: Int[Array, " rows"],
    *,
    num_domains: int | None = None,
    where: Bool[Array, " rows"] | None = None,
    axis_name: AxisName = None,
) -> Float[Array, ""]:
    r"""V-REx: the variance over domains of the mean loss of each.

        1/E Σ_e ( ℓ̄_e − 1/E Σ_e′ ℓ̄_e′ )²

    over the E domains that are present.

    Pairs: none; compares the mean losses of the domains.
    Cost: O(rows·domains), beside the losses themselves.
    Shared arguments are explained in `jaxcl.losses`.

    Args:
        anchor_losses: One loss per anchor, as ``reduction="none"`` gives them; two
            views may be `[2, batch]`.
        domains: Domain ids, below `num_domains` where it is given; −1 = unknown, left
            out.
        num_domains: The number of domains, a constant; needed under ``jit``.
        axis_name: Means are over the anchors of all devices of this axis.

    Returns:
        A scalar ≥ 0.

    References:
        Krueger et al., arXiv 2003.00688, eq. 8.

    Example:
        Mean losses 1 and 3: variance 1.

        >>> losses = jnp.array([1.0, 1.0, 3.0])
        >>> float(v_rex_penalty(losses, jnp.array([0, 0, 1])))
        1.0
    """
    domains, num_domains = number_domains(num_domains, domains)
    means, present = _domain_means(
        anchor_losses, domains, num_domains, where, axis_name
    )
    many = jnp.maximum(jnp.sum(present), 1).astype(means.dtype)
    center = jnp.sum(means) / many
    return jnp.sum(jnp.where(present, (means - center) ** 2, 0.0)) / many


@checked
def group_dro_weights(
    anchor_losses: Float[Array, "... rows"],
    domains: Int[Array, " rows"],
    weights: Float[Array, " domains"],
    *,
    step_size: float | Float[Array, ""],
    num_domains: int | None = None,
    where: Bool[Array, " rows"] | None = None,
    axis_name: AxisName = None,
) -> Float[Array, " domains"]:
    r"""GroupDRO: the weights of the domains after one step of exponentiated gradient.

        q_e ← q_e e^{step_size · ℓ̄_e} / Σ_e′ q_e′ e^{step_size · ℓ̄_e′}

    The loss is then Σ_e q_e ℓ̄_e: give anchor i of domain e the weight q_e / n_e. An
    absent domain keeps its weight up to the normalization.

    Pairs: none; compares the mean losses of the domains.
    Cost: O(rows·domains), beside the losses themselves.
    Shared arguments are explained in `jaxcl.losses`.

    Args:
        anchor_losses: One loss per anchor; two views may be `[2, batch]`.
        domains: Domain ids below the number of weights; −1 = unknown, left out.
        weights: q of the step before, one per domain.
        step_size: η, above 0.
        num_domains: The number of weights, which it must equal if given.
        axis_name: Means are over the anchors of all devices of this axis.

    Returns:
        New weights, which sum to 1. No gradient flows through them.

    References:
        Sagawa et al., arXiv 1911.08731, algorithm 1.

    Example:
        Losses log 3 and 0 from equal weights, η = 1: ¾ and ¼.

        >>> losses = jnp.array([jnp.log(3.0), 0.0])
        >>> half = jnp.array([0.5, 0.5])
        >>> new = group_dro_weights(losses, jnp.array([0, 1]), half, step_size=1.0)
        >>> [round(float(q), 4) for q in new]
        [0.75, 0.25]
    """
    if num_domains is not None and num_domains != weights.shape[0]:
        raise ValueError(
            f"`num_domains` must be the number of weights, {weights.shape[0]}, "
            f"got {num_domains}"
        )
    check_ids("domains", domains, weights.shape[0])
    means, _ = _domain_means(anchor_losses, domains, weights.shape[0], where, axis_name)
    means, weights = jax.lax.stop_gradient((means, weights.astype(means.dtype)))
    # In logarithms: a large loss must not overflow.
    logits = jnp.log(jnp.where(weights > 0, weights, 1.0))
    logits = jnp.where(weights > 0, logits, -jnp.inf)
    return jax.nn.softmax(logits + step_size * means)


@check_arguments
def irm_penalty(
    loss_fn: Callable[[Float[Array, ""]], Float[Array, "... rows"]],
    domains: Int[Array, " rows"],
    *,
    num_domains: int | None = None,
    where: Bool[Array, " rows"] | None = None,
    axis_name: AxisName = None,
) -> Float[Array, ""]:
    r"""IRM: each domain's loss must be at its optimum in a common scale.

        1/E Σ_e ( d/dw ℓ̄_e(w) |_{w=1} )²

    over the E domains that are present, where `loss_fn` gives the per-anchor losses of
    embeddings or logits scaled by w.

    Pairs: none; whatever `loss_fn` compares.
    Cost: one forward derivative of `loss_fn`; if that streams, a backward one a domain.
    Shared arguments are explained in `jaxcl.losses`.

    Args:
        loss_fn: Takes the scale w, returns one loss per anchor (two views may be
            `[2, batch]`). For a contrastive loss the scale of the similarities divides
            the temperature: ``lambda w: loss(…, temperature=t / w, reduction="none")``.
        domains: Domain ids, below `num_domains` where it is given; −1 = unknown, left
            out.
        num_domains: The number of domains, a constant; needed under ``jit``.
        axis_name: Means are over the anchors of all devices of this axis.

    Returns:
        A scalar ≥ 0. Its gradient needs second derivatives of `loss_fn`, which all
        losses here have.

    References:
        Arjovsky et al., arXiv 1907.02893, IRMv1 (squared gradient of the whole batch;
        DomainBed multiplies those of two halves).

    Example:
        Losses w·(1, 2): derivatives 1 and 2, (1 + 4) / 2.

        >>> losses = jnp.array([1.0, 2.0])
        >>> float(irm_penalty(lambda w: w * losses, jnp.array([0, 1])))
        2.5
    """
    axis_name = bound_axis(axis_name)
    domains, num_domains = number_domains(num_domains, domains)
    shape = jax.eval_shape(
        lambda scale: _checked_losses(loss_fn(scale), domains),
        jnp.ones((), jnp.float32),
    )
    scale = jnp.ones((), jnp.promote_types(shape.dtype, jnp.float32))
    # The slope of every anchor is the derivative of the pulled-back scale by what is
    # pulled back: by two backward passes, since losses that stream have no forward one.
    losses, pull = jax.vjp(loss_fn, scale)
    anchor_slopes = jax.grad(lambda weights: pull(weights)[0])(jnp.zeros_like(losses))
    slopes, present = _local_means(
        anchor_slopes, domains, num_domains, where, axis_name
    )
    # Devices hold different anchors of a domain: their derivatives add up.
    slopes = sum_devices(slopes, axis_name)
    many = jnp.maximum(jnp.sum(present), 1).astype(slopes.dtype)
    return jnp.sum(jnp.where(present, slopes**2, 0.0)) / many


@check_arguments
def _checked_losses(
    anchor_losses: Float[Array, "... rows"], domains: Int[Array, " rows"]
) -> Float[Array, "... rows"]:
    """The losses, of which there must be one for each row of `domains`."""
    return anchor_losses


def _domain_means(losses, domains, num_domains, where, axis_name):
    """Mean loss of each domain over all devices, and which domains are present."""
    means, present = _local_means(losses, domains, num_domains, where, axis_name)
    return sum_devices(means, axis_name), present


def _local_means(losses, domains, num_domains, where, axis_name):
    """What this device adds to the mean loss of each domain."""
    member = domains[:, None] == jnp.arange(num_domains)[None, :]
    if where is not None:
        member = member & where[:, None]
    losses = losses.astype(jnp.promote_types(losses.dtype, jnp.float32))
    losses = losses.reshape(-1, domains.shape[0])
    counts = sum_devices(jnp.sum(member, axis=0), axis_name) * losses.shape[0]
    # A dropped anchor must not spoil the sum, whatever its loss is.
    terms = jnp.where(member[None], losses[:, :, None], 0.0)
    return jnp.sum(terms, axis=(0, 1)) / jnp.maximum(counts, 1), counts > 0
