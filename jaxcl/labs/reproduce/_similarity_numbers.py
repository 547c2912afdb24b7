"""Claims on similarities that are judged by numbers: bounds, gradients, identities."""

import math
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.labs.reproduce._claim import Check, claims_of, near
from jaxcl.labs.reproduce._similarity_settings import PAPER
from jaxcl.losses import (
    negative_variance_penalty,
)
from jaxcl.metrics import alignment, negative_variance_bounds, uniformity


def simplex(rows: int) -> np.ndarray:
    """Unit rows whose similarities are all −1/(n−1), `[rows, rows]`."""
    centered = np.eye(rows) - 1 / rows
    return centered / np.linalg.norm(centered, axis=1, keepdims=True)


def _unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _means(u, v):
    similarity = u @ v.T
    apart = ~np.eye(len(u), dtype=bool)
    return float(np.diag(similarity).mean()), float(similarity[apart].mean())


def _variance(rows):
    similarity = rows @ rows.T
    return float(similarity[~np.eye(len(rows), dtype=bool)].var())


def _bound(seeds):
    generator = np.random.default_rng(0)
    worst = -math.inf
    for _ in range(2000):
        rows, dim = generator.integers(3, 12), generator.integers(2, 9)
        u = _unit(generator.normal(size=(rows, dim)))
        v = _unit(u + generator.exponential() * generator.normal(size=u.shape))
        positive, negative = _means(u, v)
        worst = max(worst, positive - 1 - negative - 1 / (rows - 1))
    return [Check("largest violation, 2,000 draws", (worst,), 1e-12, 0, "below")]


def _bound_is_tight(seeds):
    w, gap = simplex(5), 0.3
    flat = math.sqrt(1 - gap**2) * w
    u = np.concatenate([flat, np.full((5, 1), gap)], axis=1)
    v = np.concatenate([flat, np.full((5, 1), -gap)], axis=1)
    positive, negative = _means(u, v)
    excess = negative + 1 / 4
    return [
        near(
            "bound of the theorem less positive similarity",
            1 + excess - positive,
            0,
            1e-9,
        ),
        near("sharper bound less it", 1 + 2 * 4 / 3 * excess - positive, 0, 1e-9),
    ]


def _variance_bounds(seeds):
    found = []
    for rows, batch in ((4, 2), (16, 4), (64, 8)):
        low, high = negative_variance_bounds(rows, batch)
        same = np.tile(simplex(batch), (rows // batch, 1))
        apart = np.kron(np.eye(rows // batch), simplex(batch))
        name = f"n = {rows}, m = {batch}"
        found += [
            near(
                f"variance of one simplex for all, {name}", _variance(same), high, 1e-7
            ),
            near(f"variance of simplices apart, {name}", _variance(apart), low, 1e-7),
        ]
    return found


def _gradient(seeds):
    generator = np.random.default_rng(0)
    u, v = (_unit(generator.normal(size=(64, 16))) for _ in range(2))
    t, sizes = 0.2, (4, 8, 16, 32, 64)
    slopes, ours, printed = [], [], []
    for m in sizes:
        s = u[:m] @ v[:m].T

        def loss(s, m=m):
            aligned = jnp.diag(s)
            rows = jax.nn.logsumexp(s / t, axis=1)
            columns = jax.nn.logsumexp(s / t, axis=0)
            return jnp.mean(0.5 * (rows + columns) - aligned / t)

        found = np.asarray(jax.grad(loss)(jnp.asarray(s, jnp.float32)))
        row, column = (
            np.exp(s / t) / np.exp(s / t).sum(a, keepdims=True) for a in (1, 0)
        )
        apart = ~np.eye(m, dtype=bool)
        ours.append(np.abs(found - (row + column) / (2 * m * t))[apart].max())
        printed.append(np.abs(found - (row + column) / (m * t))[apart].max())
        slopes.append(found[:4, :4][~np.eye(4, dtype=bool)])
    rises = max(float((b - a).max()) for a, b in pairwise(slopes))
    return [
        Check("largest rise with m", (rises,), 0, relation="below"),
        near("difference to (row + column softmax) / 2mt", max(ours), 0, 1e-5),
    ]


def _gradient_as_printed(seeds):
    generator = np.random.default_rng(0)
    u, v = (_unit(generator.normal(size=(8, 16))) for _ in range(2))
    t, s = 0.2, jnp.asarray(u @ v.T, jnp.float32)

    def loss(s):
        rows, columns = (jax.nn.logsumexp(s / t, axis=axis) for axis in (1, 0))
        return jnp.mean(0.5 * (rows + columns) - jnp.diag(s) / t)

    both = jax.nn.softmax(s / t, axis=1) + jax.nn.softmax(s / t, axis=0)
    apart = ~jnp.eye(8, dtype=bool)
    found = jnp.max(jnp.abs(jax.grad(loss)(s) - both / (8 * t)), where=apart, initial=0)
    return [near("largest difference of an entry", found, 0, 1e-4)]


def _penalty_values(seeds):
    many, batch = 50_000, simplex(128).astype(np.float32)
    wide, one = np.eye(16, dtype=np.float32), np.ones((16, 3), np.float32)

    def penalty(rows, count):
        return float(
            negative_variance_penalty(
                jnp.asarray(rows), jnp.asarray(rows), num_instances=count
            )
        )

    exact = ((many - 128) / (127 * (many - 1))) ** 2
    return [
        near(
            "simplex of 128, n = 50,000", penalty(batch, many), exact, 1e-8, exact=exact
        ),
        near("orthonormal rows, n = 16", penalty(wide, 16), 1 / 225, 1e-7),
        near("one row for all, n = 16", penalty(one, 16), (16 / 15) ** 2, 1e-6),
    ]


def _uniformity(seeds):
    found = []
    for dim in (16, 128):
        rows = _unit(np.random.default_rng(dim).normal(size=(2000, dim)))
        u = jnp.asarray(rows, jnp.float32)
        s = (rows @ rows.T)[~np.eye(2000, dtype=bool)]
        approximate = 2 * (s.mean() + s.var() - 1)
        exact = float(uniformity(u, scale=1.0))
        found.append(
            near(f"2(E + Var − 1), d = {dim}", approximate, exact, 5e-3, exact=exact)
        )
    u, v = (_unit(np.random.default_rng(i).normal(size=(50, 8))) for i in range(2))
    exact = 2 - 2 * (u * v).sum(axis=1).mean()
    ours = float(alignment(jnp.asarray(u, jnp.float32), jnp.asarray(v, jnp.float32)))
    return [*found, near("alignment less 2 − 2 E s", ours - exact, 0, 1e-5)]


_claim = claims_of("similarities", PAPER)

CLAIMS = (
    _claim(
        "similarity-bound",
        "Thm 5.2",
        "The mean positive similarity is at most 1 + (mean negative + 1/(n−1)).",
        "random rows",
        3,
        _bound,
    ),
    _claim(
        "similarity-bound-equality",
        "Thm 5.2, its condition of equality",
        "There is equality when u − v is the same for all instances and Σ(u + v) = 0.",
        "n = 5, a simplex moved by ±0.3",
        1,
        _bound_is_tight,
        remark="It is not: a sharper bound is, with 2(n−1)/(n−2) before the bracket. "
        "For the theorem's own, u and v must be centered too.",
    ),
    _claim(
        "variance-bounds",
        "Thm 5.5, Fig. 2",
        "Of fixed batches the variance of negatives is within two bounds.",
        "one simplex for all batches, and simplices in subspaces of their own",
        1,
        _variance_bounds,
    ),
    _claim(
        "gradient-by-batch",
        "Thm 5.6",
        "The gradient of a negative's similarity falls with the batch size.",
        "t = 0.2, d = 16, m = 4 to 64",
        3,
        _gradient,
    ),
    _claim(
        "gradient-as-printed",
        "App. C.4",
        "That gradient is (row + column softmax) / mt.",
        "t = 0.2, m = 8",
        1,
        _gradient_as_printed,
        remark="Half of it: the symmetric loss is a mean of two.",
    ),
    _claim(
        "penalty-values",
        "Def. 5.7",
        "The variance penalty is the variance plus the squared distance of the mean.",
        "a simplex, orthonormal rows, one row",
        2,
        _penalty_values,
    ),
    _claim(
        "uniformity",
        "Eq. 4 and 6",
        "Alignment and uniformity are functions of the mean and variance of "
        "similarities.",
        "2,000 random rows",
        3,
        _uniformity,
    ),
)
