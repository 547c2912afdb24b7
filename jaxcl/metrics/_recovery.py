"""How well embeddings recover the latents they were made from."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcl.kernels import check_arguments, full_product, unit_rows


@check_arguments
def affine_r2(
    embeddings: Float[Array, "rows dim"], latents: Float[Array, "rows latent_dim"]
) -> Float[Array, " latent_dim"]:
    r"""How much of each latent coordinate an affine map of the embeddings explains.

        R²_c = 1 − Σ_i (z_ic − ẑ_ic)² / Σ_i (z_ic − z̄_c)²

    with ẑ the least-squares fit on the same rows. Papers give the mean over c.

    Args:
        embeddings: The embeddings.
        latents: The latents that they encode.

    Returns:
        One value per latent coordinate, at most 1; 0 for one that does not vary.

    References:
        Alg. 15 of arXiv 2606.04280.

    Example:
        >>> z = jax.random.normal(jax.random.key(0), (50, 2))
        >>> r2 = affine_r2(z @ jnp.array([[1.0, 2.0], [0.0, 1.0]]) + 3.0, z)
        >>> bool(jnp.allclose(r2, 1.0, atol=1e-5))
        True
    """
    found = embeddings - jnp.mean(embeddings, axis=0, keepdims=True)
    wanted = latents - jnp.mean(latents, axis=0, keepdims=True)
    # Directions in which the embeddings do not vary explain nothing.
    left, sizes, _ = jnp.linalg.svd(found, full_matrices=False)
    least = jnp.finfo(found.dtype).eps * max(found.shape) * sizes[0]
    alive = jnp.where(sizes > least, 1.0, 0.0)
    explained = alive[:, None] * full_product(left.T, wanted)
    total = jnp.sum(wanted**2, axis=0)
    varies = total > 0
    residual = jnp.sum((wanted - full_product(left, explained)) ** 2, axis=0)
    r2 = 1.0 - residual / jnp.where(varies, total, 1.0)
    return jnp.where(varies, r2, 0.0)


@check_arguments
def mean_correlation(
    embeddings: Float[Array, "rows dim"], latents: Float[Array, "rows latent_dim"]
) -> float:
    r"""Mean absolute correlation of latents and embeddings, best paired (MCC).

        max over assignments a of (1/k) Σ_c |corr(z_c, f_a(c))|

    It asks for the coordinates themselves: a solution that is perfect up to a rotation
    of three dimensions has 0.83 ± 0.08, of ten 0.59 ± 0.03. Computed on the host.

    Args:
        embeddings: The embeddings, at least as wide as the latents.
        latents: The latents that they encode.

    Returns:
        A number in [0, 1].

    References:
        Hyvärinen and Morioka, arXiv 1605.06336; App. C of arXiv 2606.04280.

    Example:
        >>> z = jax.random.normal(jax.random.key(0), (50, 2))
        >>> round(mean_correlation(-z[:, ::-1], z), 4)
        1.0
    """
    from scipy.optimize import linear_sum_assignment

    count = latents.shape[1]
    if embeddings.shape[1] < count:
        raise ValueError(
            f"`embeddings` must have at least the {count} dimensions of the latents, "
            f"got {embeddings.shape[1]}"
        )
    found, wanted = _standardized(embeddings), _standardized(latents)
    correlations = np.abs(wanted.T @ found) / len(found)
    rows, columns = linear_sum_assignment(correlations, maximize=True)
    return float(correlations[rows, columns].mean())


@check_arguments
def angle_error(
    embeddings: Float[Array, "rows dim"],
    latents: Float[Array, "rows latent_dim"],
    *,
    half: bool = False,
) -> Float[Array, ""]:
    r"""Mean absolute difference of the inner products of embeddings and of latents.

        (1 / n(n−1)) Σ_{i≠j} | z_iᵀz_j − f_iᵀf_j |

    of unit rows: 0 for an orthogonal map, at most 2.

    Args:
        embeddings: The embeddings, L2-normalized inside.
        latents: The latents that they encode, L2-normalized inside.
        half: The convention of the paper's tables: the mean over all n² pairs divided
            by two.

    Returns:
        A scalar. Needs rows · rows memory.

    References:
        "Angle-preservation error", App. C of arXiv 2606.04280, whose definition and
        whose tables differ by the factor.

    Example:
        >>> z = jnp.array([[1.0, 0.0], [0.0, 1.0]])
        >>> float(angle_error(jnp.array([[1.0, 0.0], [1.0, 0.0]]), z))
        1.0
    """
    rows = latents.shape[0]
    total = jnp.sum(jnp.abs(_gram(unit_rows(latents)) - _gram(unit_rows(embeddings))))
    return total / (2 * rows**2) if half else total / max(rows * (rows - 1), 1)


@check_arguments
def fiber_gram_error(
    embeddings: Float[Array, "fibers rows dim"],
    latents: Float[Array, "fibers rows latent_dim"],
) -> Float[Array, ""]:
    r"""`angle_error` within fibers: E over z, z' of one fiber of | zᵀz' − fᵀf' |.

    The support-corrected loss is minimal exactly where it is 0: every fiber is mapped
    without a change of its inner products, though each by a map of its own. It tells a
    right solution from a wrong one where R² cannot.

    Args:
        embeddings: The embeddings of each fiber, L2-normalized inside.
        latents: The latents of each fiber.

    Returns:
        A scalar: the mean over all ordered pairs of a fiber, and over fibers.

    References:
        Follows from Thm 4.6 of arXiv 2606.04280.

    Example:
        >>> z = jnp.array([[[0.6, 0.8], [0.6, -0.8]]])
        >>> round(float(fiber_gram_error(-z, z)), 6)
        0.0
    """
    grams = jax.vmap(_gram)
    difference = grams(unit_rows(latents)) - grams(unit_rows(embeddings))
    return jnp.mean(jnp.abs(difference))


@check_arguments
def orthogonality_error(
    embeddings: Float[Array, "rows dim"], latents: Float[Array, "rows dim"]
) -> Float[Array, ""]:
    r"""Distance to the nearest orthogonal map: min over A of √(mean_i ‖f_i − A z_i‖²).

    Args:
        embeddings: The embeddings, L2-normalized inside.
        latents: The latents that they encode, L2-normalized inside.

    Returns:
        A scalar, 0 for an orthogonal map, at most √2 for centered data.

    References:
        The orthogonal Procrustes problem: A = U Vᵀ of the singular vectors of fᵀz.

    Example:
        >>> z = jnp.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
        >>> error = orthogonality_error(z @ jnp.array([[0.0, 1.0], [-1.0, 0.0]]), z)
        >>> bool(error < 1e-5)
        True
    """
    found, wanted = unit_rows(embeddings), unit_rows(latents)
    left, _, right = jnp.linalg.svd(full_product(found.T, wanted), full_matrices=False)
    moved = full_product(wanted, full_product(left, right).T)
    return jnp.sqrt(jnp.mean(jnp.sum((found - moved) ** 2, axis=1)))


def _standardized(rows) -> np.ndarray:
    rows = np.asarray(rows, np.float64)
    rows = rows - rows.mean(axis=0)
    spread = rows.std(axis=0)
    return rows / np.where(spread > 0, spread, 1.0)


def _gram(rows):
    return full_product(rows, rows.T)
