"""Free unit vectors that minimize the losses end where the theorems say they do.

Expected numbers and tolerances: similarities.md 7.2 to 7.7, V3 to V17 of section 8.
Everything is in float64; the starts are random.
"""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from long_tests import long
from losses.test_values import PRINTED, enable_x64

from jaxcl import losses
from jaxcl.kernels import unit_rows
from jaxcl.metrics import (
    excessive_separation,
    negative_variance_bounds,
    similarity_statistics,
)

pytestmark = pytest.mark.slow

T = 0.5
FAMILY = {
    "info_nce": losses.info_nce_loss,
    "simclr": losses.nt_xent_loss,
    "dcl": losses.dcl_loss,
    "dhel": losses.dhel_loss,
}


def random_starts(*shape):
    """Unit rows; the last three axes are views, rows, dim."""
    rows = np.random.default_rng(shape).normal(size=shape)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def descend(loss, rows, steps=1000, rate=0.05):
    """The unit rows [2, rows, dim] where Adam with a cosine schedule ends."""
    adam = optax.adam(optax.cosine_decay_schedule(rate, steps))

    def step(carry, _):
        rows, state = carry
        gradients = jax.grad(lambda rows: loss(rows[0], rows[1]))(rows)
        updates, state = adam.update(gradients, state)
        rows = jax.vmap(unit_rows)(optax.apply_updates(rows, updates))
        return (rows, state), None

    return jax.lax.scan(step, (rows, adam.init(rows)), length=steps)[0][0]


def solved(loss, *shape, options=None):
    """Loss and statistics at the optimum of loss(u, v, *option), from each start.

    The first axis of `shape` counts starts, one for each of the `options` if there are
    any: tuples of numbers, so that one program serves them all.
    """
    options = np.zeros((shape[0], 0)) if options is None else np.array(options, float)

    @jax.jit
    @jax.vmap
    def solve(start, option):
        one = functools.partial(_with, loss, option)
        rows = descend(one, start)
        return one(*rows), similarity_statistics(*rows)._asdict(), rows

    with enable_x64(True):
        found = solve(jnp.asarray(random_starts(*shape)), jnp.asarray(options))
        return jax.tree.map(np.asarray, found)


def _with(loss, option, u, v):
    return loss(u, v, *option)


def fixed_batches(loss, size):
    """The sum of the losses of rows 0 to size - 1, size to 2 size - 1, and so on."""

    def total(u, v):
        u, v = (x.reshape(-1, size, x.shape[-1]) for x in (u, v))
        return jnp.sum(jax.vmap(loss)(u, v))

    return total


def in_batch(rows, size):
    """Similarities of negatives of one batch, of rows [starts, 2, rows, dim]."""
    starts, _, count, dim = rows.shape
    batches = rows.reshape(starts, 2, count // size, size, dim)
    similarities = np.einsum("sbid,sbjd->sbij", batches[:, 0], batches[:, 1])
    return similarities[..., ~np.eye(size, dtype=bool)]


def penalized(base, weight, num_instances):
    """The loss plus its penalty."""

    def total(u, v):
        penalty = losses.negative_variance_penalty(u, v, num_instances=num_instances)
        return base(u, v, temperature=T) + weight * penalty

    return total


def close(found, expected, tolerance):
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


# --- All instances in one batch


@pytest.mark.parametrize("case", FAMILY)
def test_a_full_batch_ends_in_the_simplex(case):
    """V3, theorem 5.1: aligned views, all negatives -1/(n - 1), and its value."""
    loss = functools.partial(FAMILY[case], temperature=T)
    value, found, _ = solved(loss, 2, 2, 8, 16)
    close(value, PRINTED[case], 1e-6)
    close(found["positive_min"], 1.0, 1e-4)
    close(found["negative_min"], -1 / 7, 1e-4)
    close(found["negative_max"], -1 / 7, 1e-4)


@pytest.mark.parametrize("case", ["info_nce", "dcl"])
def test_the_penalty_leaves_the_simplex_of_a_full_batch_alone(case):
    """V16: with weight 30 its value there is 0, and the loss that of the base."""
    value, found, _ = solved(penalized(FAMILY[case], 30.0, 8), 2, 2, 8, 16)
    close(value, PRINTED[case], 1e-6)
    close(found["positive_min"], 1.0, 1e-4)
    close(found["negative_min"], -1 / 7, 1e-4)
    close(found["negative_max"], -1 / 7, 1e-4)
    penalty = found["negative_variance"] + (found["negative_mean"] + 1 / 7) ** 2
    close(penalty, 0.0, 1e-8)


# (scale, bias in the sign of the paper) -> positive, negative, loss: 7.3, n = 8
SEPARATED = {
    (2.0, 0.0): (-0.240632, -0.674557, 2.577294),
    (5.0, 0.0): (0.217863, -0.478059, 0.903544),
    (5.0, 2.0): (0.793732, -0.231258, 0.422628),
    (5.0, -2.0): (-0.379848, -0.734221, 1.850167),
    (1.0, 2.0): (1.0, -1 / 7, 2.089787),
}


@functools.cache
def sigmoid_optima(within_view):
    def loss(u, v, scale, bias):
        return losses.sigmoid_loss(
            u, v, logit_scale=scale, logit_bias=-bias, within_view=within_view
        )

    value, found, _ = solved(loss, len(SEPARATED), 2, 8, 8, options=[*SEPARATED])
    return value, found


def test_a_sigmoid_loss_separates_as_far_as_the_theory_says():
    """V5, theorem 5.3: positives below 1 and negatives below -1/(n - 1)."""
    value, found = sigmoid_optima(within_view=False)
    positive, negative, expected = np.array([*SEPARATED.values()]).T
    close(value, expected, 1e-3)
    for moment in ["mean", "min", "max"]:
        close(found[f"positive_{moment}"], positive, 1e-3)
        close(found[f"negative_{moment}"], negative, 1e-3)


def test_the_threshold_foretells_which_sigmoid_losses_separate_too_far():
    _, found = sigmoid_optima(within_view=False)
    foretold = [
        excessive_separation(
            lambda s, t=t, b=b: -jax.nn.softplus(-t * s + b),
            lambda s, t=t, b=b: 7 * jax.nn.softplus(t * s - b),
            8,
        )
        for t, b in SEPARATED
    ]
    assert foretold == [True, True, True, True, False]
    assert list(found["positive_mean"] < 0.999) == foretold
    assert list(found["negative_mean"] < -1 / 7 - 1e-3) == foretold


def test_negatives_within_views_keep_a_sigmoid_loss_from_separating_too_far():
    """V5, theorem 5.1 (ii): the simplex, whatever the scale and the bias."""
    value, found = sigmoid_optima(within_view=True)
    scale, bias = np.array([*SEPARATED]).T
    at_simplex = np.log1p(np.exp(bias - scale))
    at_simplex += 2 * 7 * np.log1p(np.exp(-scale / 7 - bias))
    close(value, at_simplex, 1e-6)
    close(found["positive_min"], 1.0, 1e-3)
    close(found["negative_min"], -1 / 7, 1e-3)
    close(found["negative_max"], -1 / 7, 1e-3)


@pytest.mark.parametrize("within_view", [False, True])
def test_a_spectral_loss_ends_in_right_angles_and_not_in_the_simplex(within_view):
    """V6."""
    loss = functools.partial(losses.spectral_loss, within_view=within_view)
    value, found, _ = solved(loss, 2, 2, 8, 16)
    close(value, -1.0, 1e-4)
    close(found["positive_min"], 1.0, 1e-4)
    close(found["negative_min"], 0.0, 1e-4)
    close(found["negative_max"], 0.0, 1e-4)


# --- Batches that never change


@pytest.mark.parametrize("case", ["info_nce", "simclr"])
def test_fixed_batches_without_room_reach_the_upper_bound_of_the_variance(case):
    """V10, theorem 5.5: with d = m - 1 there is one simplex for all batches."""
    loss = fixed_batches(functools.partial(FAMILY[case], temperature=T), 4)
    _, found, rows = solved(loss, 2, 2, 16, 3)
    close(found["positive_min"], 1.0, 1e-4)
    close(found["negative_mean"], -1 / 15, 1e-4)
    close(found["negative_variance"], 0.2844444, 1e-4)
    close(found["negative_variance"], negative_variance_bounds(16, 4)[1], 1e-4)
    close(in_batch(rows, 4), -1 / 3, 1e-4)


def test_fixed_batches_with_room_lie_between_the_bounds_of_the_variance():
    """V11: on average where independent orientations put them, fact 3."""
    loss = fixed_batches(functools.partial(losses.info_nce_loss, temperature=T), 4)
    _, found, rows = solved(loss, 5, 2, 16, 32)
    close(found["positive_min"], 1.0, 1e-4)
    close(found["negative_mean"], -1 / 15, 1e-5)
    close(in_batch(rows, 4), -1 / 3, 1e-4)
    lower, upper = negative_variance_bounds(16, 4)
    assert np.all(found["negative_variance"] >= lower)
    assert np.all(found["negative_variance"] <= upper)
    close(np.mean(found["negative_variance"]), 0.0428, 0.006)


# Weights by multiples of lambda* of fact 6: below it the penalty changes nothing
PENALIZED = {
    ("info_nce", 0.5): -1 / 3,
    ("info_nce", 2): -0.22550,
    ("dcl", 0.5): -1 / 3,
    ("dcl", 2): -0.20000,
}


@pytest.mark.parametrize(("case", "multiple"), PENALIZED)
def test_the_penalty_moves_negatives_of_fixed_batches_beyond_its_threshold(
    case, multiple
):
    """V15, n = 16, m = 4, d = 8."""
    n, m = 16, 4
    q = (m - 1) * math.exp((-1 / (m - 1) - 1) / T)
    slope = {"info_nce": q / (1 + q), "dcl": 1.0}[case]
    threshold = slope * (m - 1) * (n - 1) / (2 * T * (n - m))
    close(threshold, {"info_nce": 0.6469, "dcl": 3.75}[case], 5e-5)
    loss = penalized(FAMILY[case], multiple * threshold, n)
    _, found, rows = solved(fixed_batches(loss, m), 2, 2, n, 8)
    close(found["positive_min"], 1.0, 1e-3)
    close(in_batch(rows, m), PENALIZED[case, multiple], 1e-3)


# --- Batches drawn anew


@functools.cache
def reshuffled_variances(size, seeds=3, epochs=400, n=64, dim=16):
    """Of SGD on the rows of random batches, by weight 0 and 3 and by seed."""
    steps = epochs * n // size

    @functools.partial(jax.vmap, in_axes=(0, None, None))
    @functools.partial(jax.vmap, in_axes=(None, 0, 0))
    def train(weight, start, order):
        def step(rows, inputs):
            number, batch = inputs
            loss = penalized(losses.info_nce_loss, weight, n)
            gradient = jax.grad(lambda views: loss(*views))(rows[:, batch])
            rate = 0.05 * size * (1 + jnp.cos(jnp.pi * number / steps))
            moved = jax.vmap(unit_rows)(rows[:, batch] - rate * gradient)
            return rows.at[:, batch].set(moved), None

        rows = jax.lax.scan(step, start, (jnp.arange(steps), order))[0]
        statistics = similarity_statistics(*rows)
        return statistics.negative_variance, statistics.positive_mean

    generator = np.random.default_rng(size)
    order = [
        [generator.permutation(n).reshape(-1, size) for _ in range(epochs)]
        for _ in range(seeds)
    ]
    with enable_x64(True):
        variance, positive = jax.jit(train)(
            jnp.array([0.0, 3.0]),
            jnp.asarray(random_starts(seeds, 2, n, dim)),
            jnp.asarray(np.reshape(order, (seeds, steps, size))),
        )
    close(positive, 1.0, 1e-3)
    return np.asarray(variance).mean(axis=1)


@long
def test_small_batches_raise_the_variance_and_the_penalty_lowers_it():
    """V17."""
    plain, with_penalty = np.array([reshuffled_variances(m) for m in (4, 16, 64)]).T
    close(plain, [0.04900, 0.04772, 0.04742], 5e-4)
    close(with_penalty, [0.04774, 0.04747, 0.04737], 5e-4)
    assert plain[0] > plain[1] > plain[2]
    assert with_penalty[0] > with_penalty[1] > with_penalty[2]
    assert np.all(with_penalty < plain)


# --- The gradient of one similarity


def test_larger_batches_push_every_negative_less():
    """V12, theorem 5.6, of the first m of 64 rows, m = 4 to 64.

    The gradient by u_i is the sum over j of dL/ds_ij times v_j, without its part along
    u_i. With more dimensions than rows it gives every dL/ds_ij back.
    """
    t, dim = 0.2, 80
    u, v = random_starts(2, 64, dim)
    sizes = [4, 8, 16, 32, 64]

    @jax.jit
    def gradient(u, v, where):
        loss = functools.partial(losses.info_nce_loss, temperature=t, where=where)
        return jax.grad(loss)(u, v)

    slopes = []
    for m in sizes:
        with enable_x64(True):
            by_rows = np.asarray(gradient(u, v, np.arange(64) < m))
        assert not np.any(by_rows[m:])
        found = np.empty((m, m))
        for i in range(m):
            tangents = v[:m] - np.outer(v[:m] @ u[i], u[i])
            found[i] = np.linalg.lstsq(tangents.T, by_rows[i], rcond=None)[0]
        powers = np.exp(u[:m] @ v[:m].T / t)
        by_row = powers / powers.sum(axis=1, keepdims=True)
        by_column = powers / powers.sum(axis=0, keepdims=True)
        expected = (by_row + by_column - 2 * np.eye(m)) / (2 * m * t)
        close(found, expected, 1e-6)
        slopes.append(found)
    for small, large in itertools.pairwise(slopes):
        negative = ~np.eye(len(small), dtype=bool)
        kept = large[: len(small), : len(small)]
        assert np.all(kept[negative] > 0)
        assert np.all(kept[negative] < small[negative])
