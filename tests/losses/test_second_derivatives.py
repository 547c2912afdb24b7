"""Second derivatives: an inner constant that was cut off is wrong in these alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from losses.test_values import enable_x64

from jaxcl.losses import fair_kl_penalty

LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1])
BIASES = np.array([0, 0, 1, 1, 0, 0, 1, 1])


def dense_fair_kl(rows):
    """Eq. 9 of arXiv 2211.05568 from the whole matrix of similarities."""
    rows = rows / jnp.linalg.norm(rows, axis=1, keepdims=True)
    similarities = rows @ rows.T
    label, bias = (ids[:, None] == ids[None, :] for ids in (LABELS, BIASES))
    total = 0.0
    for sign in (label, ~label):
        moments = []
        for pairs in (sign & bias & ~np.eye(8, dtype=bool), sign & ~bias):
            mean = jnp.sum(pairs * similarities) / pairs.sum()
            spread = pairs * (similarities - mean) ** 2
            moments.append((mean, jnp.sum(spread) / pairs.sum()))
        (mean, variance), (other_mean, other) = moments
        ratio = (variance + (mean - other_mean) ** 2) / other
        total = total + 0.5 * (ratio - jnp.log(variance / other) - 1.0)
    return total


@pytest.mark.parametrize("block_size", [None, 3])
def test_fair_kl_has_the_hessian_of_its_dense_form(block_size):
    """Forward over reverse, and reverse over reverse."""
    rows, along = np.random.default_rng(0).normal(size=(2, 8, 4))

    def products(rows, along):
        def penalty(rows):
            return fair_kl_penalty(rows, LABELS, BIASES, block_size=block_size)

        def slope(rows):
            return jnp.vdot(jax.grad(penalty)(rows), along)

        expected = jnp.tensordot(jax.hessian(dense_fair_kl)(rows), along, 2)
        forward = jax.jvp(jax.grad(penalty), (rows,), (along,))[1]
        return expected, forward, jax.grad(slope)(rows)

    with enable_x64(True):
        expected, *found = jax.jit(products)(jnp.asarray(rows), jnp.asarray(along))
    for product in found:
        np.testing.assert_allclose(product, expected, rtol=1e-9, atol=1e-9)
