"""Objectives without negatives that decorrelate dimensions: VICReg, Barlow Twins."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxcl.kernels import AxisName, full_product, sum_devices
from jaxcl.objectives._objective import Objective, Reduction, views_of, wrap_contrast


def make_vicreg_objective(
    *,
    invariance_weight: float = 25.0,
    variance_weight: float = 25.0,
    covariance_weight: float = 1.0,
) -> Objective:
    r"""VICReg of two views, over the samples of all devices.

        λ · mean (u − v)² + μ/2 Σ_view mean_d max(0, 1 − √(Var_d + 10⁻⁴))
                          + ν Σ_view Σ_{d≠e} Cov_de² / dim

    with moments divided by batch − 1.

    References:
        Bardes et al., arXiv 2105.04906, eqs. 1-6. (Its eq. 6 adds the variance terms;
        the released code halves them, and so does this.)
    """

    def contrast(outputs, batch, carry, axis_name, *, temperature, reduction):
        _check_mean(reduction)
        views = [view.astype(jnp.float32) for view in views_of(outputs.projections)]
        dim = views[0].shape[1]
        count = _count(batch.where, axis_name)
        gap = jnp.where(batch.where[:, None], views[0] - views[1], 0.0)
        apart = sum_devices(jnp.sum(gap**2), axis_name)
        loss = invariance_weight * apart / (jnp.maximum(count, 1.0) * dim)
        for rows in views:
            centered = _centered(rows, batch.where, count, axis_name)
            products = sum_devices(full_product(centered.T, centered), axis_name)
            covariance = products / jnp.maximum(count - 1.0, 1.0)
            variance = jnp.diagonal(covariance)
            hinge = jnp.maximum(0.0, 1.0 - jnp.sqrt(variance + 1e-4))
            others = jnp.sum(covariance**2) - jnp.sum(variance**2)
            loss = loss + variance_weight / 2 * jnp.mean(hinge)
            loss = loss + covariance_weight * others / dim
        return loss

    return wrap_contrast(contrast)


def make_barlow_twins_objective(*, redundancy_weight: float = 0.0051) -> Objective:
    r"""Barlow Twins of two views, over the samples of all devices.

        Σ_d (1 − C_dd)² + λ Σ_{d≠e} C_de²

    where C_de is the correlation of dimension d of one view with dimension e of the
    other. A constant dimension has correlation 0.

    References:
        Zbontar et al., arXiv 2103.03230, eqs. 1-2.
    """

    def contrast(outputs, batch, carry, axis_name, *, temperature, reduction):
        _check_mean(reduction)
        count = _count(batch.where, axis_name)
        u, v = (
            _standardized(rows, batch.where, count, axis_name)
            for rows in views_of(outputs.projections)
        )
        products = sum_devices(full_product(u.T, v), axis_name)
        correlations = products / jnp.maximum(count, 1.0)
        own = jnp.diagonal(correlations)
        others = jnp.sum(correlations**2) - jnp.sum(own**2)
        return jnp.sum((1.0 - own) ** 2) + redundancy_weight * others

    return wrap_contrast(contrast)


def _check_mean(reduction: Reduction) -> None:
    if reduction != "mean":
        raise ValueError(f"`reduction` must be 'mean' without anchors, got {reduction}")


def _count(where: Bool[Array, " batch"], axis_name: AxisName) -> Float[Array, ""]:
    return sum_devices(jnp.sum(where.astype(jnp.float32)), axis_name)


def _centered(rows, where, count, axis_name):
    """The kept rows minus their mean over all devices; dropped rows are 0."""
    rows = jnp.where(where[:, None], rows.astype(jnp.float32), 0.0)
    mean = sum_devices(jnp.sum(rows, 0), axis_name) / jnp.maximum(count, 1.0)
    return jnp.where(where[:, None], rows - mean[None], 0.0)


def _standardized(rows, where, count, axis_name):
    centered = _centered(rows, where, count, axis_name)
    total = sum_devices(jnp.sum(centered**2, 0), axis_name)
    variance = total / jnp.maximum(count, 1.0)
    # The ε of a BatchNorm keeps the gradient of a constant dimension finite.
    return centered / jnp.sqrt(variance + 1e-5)[None]
