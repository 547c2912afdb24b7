"""Claims on similarities, judged by bounds, gradients and identities."""

import math
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.labs.reproduce._claim import as_exact, claims_of, single
from jaxcl.labs.reproduce._similarity_settings import PAPER
from jaxcl.losses import negative_variance_penalty
from jaxcl.metrics import alignment, negative_variance_bounds, uniformity

claim, CLAIMS = claims_of("similarities", PAPER)


def _simplex(rows: int) -> np.ndarray:
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


@claim(
    "similarity-bound",
    "Thm 5.2",
    "The mean positive similarity is at most 1 + (mean negative + 1/(n−1)).",
    "random rows",
    3,
)
def _bound(seeds):
    generator = np.random.default_rng(0)
    worst = -math.inf
    for _ in range(2000):
        rows, dim = generator.integers(3, 12), generator.integers(2, 9)
        u = _unit(generator.normal(size=(rows, dim)))
        v = _unit(u + generator.exponential() * generator.normal(size=u.shape))
        positive, negative = _means(u, v)
        worst = max(worst, positive - 1 - negative - 1 / (rows - 1))
    name = "largest violation, 2,000 draws"
    return [single(name, worst, 1e-12, relation="below")]


@claim(
    "similarity-bound-equality",
    "Thm 5.2, condition of equality",
    "Equality holds when u − v is the same for all instances and Σ(u + v) = 0.",
    "n = 5, a simplex moved by ±0.3",
    1,
    remark="Equality holds for a sharper bound, with 2(n−1)/(n−2) before the bracket. "
    "For the theorem's own bound, u and v must also be centered.",
)
def _bound_is_tight(seeds):
    w, gap = _simplex(5), 0.3
    flat = math.sqrt(1 - gap**2) * w
    u = np.concatenate([flat, np.full((5, 1), gap)], axis=1)
    v = np.concatenate([flat, np.full((5, 1), -gap)], axis=1)
    positive, negative = _means(u, v)
    excess = negative + 1 / 4
    bound, sharper = 1 + excess - positive, 1 + 2 * 4 / 3 * excess - positive
    return [
        single("bound of the theorem minus positive similarity", bound, 0, 1e-9),
        single("sharper bound minus positive similarity", sharper, 0, 1e-9),
    ]


@claim(
    "variance-bounds",
    "Thm 5.5, Fig. 2",
    "With fixed batches the variance of negatives lies within two bounds.",
    "one simplex for all batches, and simplices in separate subspaces",
    1,
)
def _variance_bounds(seeds):
    found = []
    for rows, batch in ((4, 2), (16, 4), (64, 8)):
        low, high = negative_variance_bounds(rows, batch)
        same = _variance(np.tile(_simplex(batch), (rows // batch, 1)))
        apart = _variance(np.kron(np.eye(rows // batch), _simplex(batch)))
        name = f"n = {rows}, m = {batch}"
        found += [
            single(f"variance of one simplex for all, {name}", same, high, 1e-7),
            single(f"variance of separate simplices, {name}", apart, low, 1e-7),
        ]
    return found


def _gradient_of_loss(s, t):
    """Gradient of the symmetric InfoNCE loss with respect to the similarities."""

    def loss(s):
        rows, columns = (jax.nn.logsumexp(s / t, axis=axis) for axis in (1, 0))
        return jnp.mean(0.5 * (rows + columns) - jnp.diag(s) / t)

    return np.asarray(jax.grad(loss)(jnp.asarray(s, jnp.float32)))


@claim(
    "gradient-by-batch",
    "Thm 5.6",
    "The gradient with respect to a negative's similarity falls with the batch size.",
    "t = 0.2, d = 16, m = 4 to 64",
    3,
)
def _gradient(seeds):
    generator = np.random.default_rng(0)
    u, v = (_unit(generator.normal(size=(64, 16))) for _ in range(2))
    t, slopes, gaps = 0.2, [], []
    for m in (4, 8, 16, 32, 64):
        s = u[:m] @ v[:m].T
        found = _gradient_of_loss(s, t)
        odds = np.exp(s / t)
        both = odds / odds.sum(1, keepdims=True) + odds / odds.sum(0, keepdims=True)
        gaps.append(np.abs(found - both / (2 * m * t))[~np.eye(m, dtype=bool)].max())
        slopes.append(found[:4, :4][~np.eye(4, dtype=bool)])
    rise = max(float((b - a).max()) for a, b in pairwise(slopes))
    return [
        single("largest rise with m", rise, 0, relation="below"),
        single("difference to (row + column softmax) / 2mt", max(gaps), 0, 1e-5),
    ]


@claim(
    "gradient-as-printed",
    "App. C.4",
    "That gradient is (row + column softmax) / mt.",
    "t = 0.2, m = 8",
    1,
    remark="It is half of that: the symmetric loss is a mean of two losses.",
)
def _gradient_as_printed(seeds):
    generator = np.random.default_rng(0)
    u, v = (_unit(generator.normal(size=(8, 16))) for _ in range(2))
    t, s = 0.2, jnp.asarray(u @ v.T, jnp.float32)
    both = jax.nn.softmax(s / t, axis=1) + jax.nn.softmax(s / t, axis=0)
    apart = ~jnp.eye(8, dtype=bool)
    gap = jnp.abs(_gradient_of_loss(s, t) - both / (8 * t))
    largest = jnp.max(gap, where=apart, initial=0)
    return [single("largest difference of an entry", largest, 0, 1e-4)]


@claim(
    "penalty-values",
    "Def. 5.7",
    "The variance penalty is the variance plus the squared distance of the mean from "
    "−1/(n−1).",
    "a simplex, orthonormal rows, one row",
    2,
)
def _penalty_values(seeds):
    many, batch = 50_000, _simplex(128).astype(np.float32)
    wide, one = np.eye(16, dtype=np.float32), np.ones((16, 3), np.float32)

    def penalty(rows, count):
        rows = jnp.asarray(rows)
        return float(negative_variance_penalty(rows, rows, num_instances=count))

    exact = ((many - 128) / (127 * (many - 1))) ** 2
    return [
        as_exact("simplex of 128, n = 50,000", penalty(batch, many), exact, 1e-8),
        single("orthonormal rows, n = 16", penalty(wide, 16), 1 / 225, 1e-7),
        single("one row for all, n = 16", penalty(one, 16), (16 / 15) ** 2, 1e-6),
    ]


@claim(
    "uniformity",
    "Eq. 4 and 6",
    "Alignment and uniformity are functions of the mean and variance of similarities.",
    "2,000 random rows",
    3,
)
def _uniformity(seeds):
    found = []
    for dim in (16, 128):
        rows = _unit(np.random.default_rng(dim).normal(size=(2000, dim)))
        u = jnp.asarray(rows, jnp.float32)
        s = (rows @ rows.T)[~np.eye(2000, dtype=bool)]
        approximate = 2 * (s.mean() + s.var() - 1)
        exact = float(uniformity(u, scale=1.0))
        found.append(as_exact(f"2(E + Var − 1), d = {dim}", approximate, exact, 5e-3))
    u, v = (_unit(np.random.default_rng(i).normal(size=(50, 8))) for i in range(2))
    exact = 2 - 2 * (u * v).sum(axis=1).mean()
    ours = float(alignment(jnp.asarray(u, jnp.float32), jnp.asarray(v, jnp.float32)))
    return [*found, single("alignment minus 2 − 2 E s", ours - exact, 0, 1e-5)]
