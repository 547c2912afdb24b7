"""The losses give the papers' numbers: golden values, double loops, closed forms."""

import math

import jax
import jax.experimental
import jax.numpy as jnp
import numpy as np
import pytest
import references

from jaxcl import losses
from jaxcl.pairs import flatten_views

enable_x64 = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64

INFO_NCE = {}
SIMCLR = {"within_view": True}
DCL = {"within_view": True, "decoupled": True}
DHEL = {"cross_view": False, "within_view": True, "decoupled": True}

# (loss, options, value): similarities.md 7.1
GOLDEN = [
    ("info_nce_loss", {"temperature": 0.5, **INFO_NCE}, 0.702330452940),
    ("info_nce_loss", {"temperature": 0.2, **INFO_NCE}, 0.661734281686),
    ("info_nce_loss", {"temperature": 0.5, **SIMCLR}, 1.076849957523),
    ("info_nce_loss", {"temperature": 0.2, **SIMCLR}, 1.001209976466),
    ("info_nce_loss", {"temperature": 0.5, **DCL}, 0.652894414799),
    ("info_nce_loss", {"temperature": 0.2, **DCL}, 0.491620881549),
    ("info_nce_loss", {"temperature": 0.5, **DHEL}, -0.118371081085),
    ("info_nce_loss", {"temperature": 0.2, **DHEL}, -0.484771967409),
    ("nt_xent_loss", {"temperature": 0.5}, 1.076849957523),
    ("nt_xent_loss", {"temperature": 0.2}, 1.001209976466),
    ("negative_variance_penalty", {"num_instances": 4}, 0.697569033322),
    ("negative_variance_penalty", {"num_instances": 50000}, 0.783048216007),
    ("negative_variance_penalty", {"num_instances": 130000}, 0.783055475021),
]

# (loss, options that stay fixed, takes a temperature)
TWO_VIEWS = {
    "info_nce": ("info_nce_loss", {}, True),
    "info_nce-one-sided": ("info_nce_loss", {"symmetric": False}, True),
    "within-only": ("info_nce_loss", {"cross_view": False, "within_view": True}, True),
    "simclr": ("info_nce_loss", SIMCLR, True),
    "dcl": ("info_nce_loss", DCL, True),
    "dcl-one-sided": ("info_nce_loss", {**DCL, "symmetric": False}, True),
    "dhel": ("info_nce_loss", DHEL, True),
    "decoupled-cross": ("info_nce_loss", {"decoupled": True}, True),
    "nt_xent": ("nt_xent_loss", {}, True),
    "penalty": ("negative_variance_penalty", {"num_instances": 9}, False),
    "penalty-1": ("negative_variance_penalty", {"num_instances": 9, "power": 1}, False),
    "penalty-3": ("negative_variance_penalty", {"num_instances": 9, "power": 3}, False),
    "penalty-4": (
        "negative_variance_penalty",
        {"num_instances": 9, "power": 4, "target": 0.25},
        False,
    ),
}
SIZES = [(2, 3), (5, 4), (9, 6)]
TEMPERATURES = [0.05, 0.2, 1.0]


def golden_views():
    i, j = np.meshgrid(np.arange(4), np.arange(3), indexing="ij")
    u = np.sin(3 * i + j + 1)
    return u, u + 0.5 * np.cos(5 * i + 2 * j)


def random_views(batch, dim, seed=0, views=2):
    """Views that share part of their content, of uneven length."""
    generator = np.random.default_rng([seed, batch, dim])
    content = generator.normal(size=(1, batch, dim))
    noise = generator.normal(size=(views, batch, dim))
    return (content + noise) * generator.uniform(0.1, 10.0, size=(views, batch, 1))


def some_rows(rows, seed=0):
    """Keeps about two thirds of the rows, always the first two."""
    keep = np.random.default_rng([seed, rows]).uniform(size=rows) < 0.67
    keep[:2] = True
    return keep


def simplex(points, dim):
    """Unit rows with all similarities -1/(points - 1), in a rotated frame."""
    centered = np.eye(points) - 1.0 / points
    basis = np.linalg.svd(centered)[0][:, : points - 1]
    rows = np.zeros((points, dim))
    rows[:, : points - 1] = basis / np.linalg.norm(basis, axis=1, keepdims=True)
    return rows @ np.linalg.qr(np.random.default_rng(0).normal(size=(dim, dim)))[0]


def evaluated(name, *arrays, **options):
    """The loss in float64 as a numpy array."""
    with enable_x64(True):
        arrays = [jnp.asarray(array) for array in arrays]
        return np.asarray(getattr(losses, name)(*arrays, **options))


def as_rows(views):
    """Rows and instance ids of [views, batch, dim], by the library's own layout."""
    with enable_x64(True):
        rows, instances = flatten_views(jnp.asarray(views))
        return np.asarray(rows), np.asarray(instances)


@pytest.mark.parametrize(("name", "options", "expected"), GOLDEN)
def test_golden_values_hold_in_both_precisions(name, options, expected):
    u, v = golden_views()
    np.testing.assert_allclose(evaluated(name, u, v, **options), expected, atol=1e-9)
    u, v = jnp.asarray(u, jnp.float32), jnp.asarray(v, jnp.float32)
    single = getattr(losses, name)(u, v, **options)
    np.testing.assert_allclose(single, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("block_size", [None, 4])
@pytest.mark.parametrize("case", TWO_VIEWS)
def test_two_view_losses_equal_their_double_loops(case, block_size):
    name, options, tempered = TWO_VIEWS[case]
    loss = jax.jit(
        lambda u, v, where, extra: getattr(losses, name)(
            u, v, where=where, block_size=block_size, **options, **extra
        )
    )
    oracle = getattr(references, name)
    for batch, dim in SIZES if block_size is None else SIZES[-1:]:
        u, v = random_views(batch, dim)
        for where in [np.ones(batch, bool), some_rows(batch)]:
            for temperature in TEMPERATURES if tempered else [None]:
                extra = {"temperature": temperature} if tempered else {}
                expected = oracle(u, v, where=where, **options, **extra)
                with enable_x64(True):
                    value = loss(jnp.asarray(u), jnp.asarray(v), where, extra)
                np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-9)
                single = [jnp.asarray(x, jnp.float32) for x in (u, v)]
                value = loss(*single, where, extra)
                np.testing.assert_allclose(value, expected, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("block_size", [None, 4])
@pytest.mark.parametrize("case", [c for c, (_, _, t) in TWO_VIEWS.items() if t])
def test_anchors_of_two_views_equal_their_double_loops(case, block_size):
    name, options, _ = TWO_VIEWS[case]
    u, v = random_views(5, 4)
    options = {**options, "temperature": 0.2, "reduction": "none"}
    for where in [None, some_rows(5)]:
        expected = getattr(references, name)(u, v, where=where, **options)
        mask = None if where is None else jnp.asarray(where)
        values = evaluated(name, u, v, where=mask, block_size=block_size, **options)
        np.testing.assert_allclose(values, expected, rtol=1e-9, atol=1e-9)


def domain_cases(views, batch):
    """Instances and domains [views * batch], the rows view by view."""
    generator = np.random.default_rng([views, batch])
    instances = np.tile(np.arange(batch), views)
    domains = generator.integers(0, 3, size=views * batch)
    partly_unknown = np.where(generator.uniform(size=views * batch) < 0.3, -1, domains)
    lonely = np.where(instances == 1, -1, instances * 7 + 100)
    return {
        "domain of the row": (instances, domains),
        "domain of the instance": (instances, np.tile(domains[:batch], views)),
        "some domains unknown": (instances, partly_unknown),
        "an unknown instance": (lonely, partly_unknown),
        "no positives": (np.arange(views * batch), domains),
    }


@pytest.mark.parametrize("block_size", [None, 4])
@pytest.mark.parametrize(("views", "batch", "dim"), [(2, 2, 3), (2, 6, 4), (3, 5, 4)])
def test_within_domain_loss_equals_its_double_loop(views, batch, dim, block_size):
    def loss(rows, instances, domains, where, temperature, reduction):
        return losses.within_domain_nce_loss(
            rows,
            instances,
            domains,
            temperature=temperature,
            where=where,
            block_size=block_size,
            reduction=reduction,
        )

    loss = jax.jit(loss, static_argnames="reduction")
    rows = random_views(batch, dim, views=views).reshape(views * batch, dim)
    for instances, domains in domain_cases(views, batch).values():
        for where in [np.ones(len(rows), bool), some_rows(len(rows))]:
            for temperature in TEMPERATURES:
                for reduction in ["mean", "none"]:
                    expected = references.within_domain_nce_loss(
                        rows,
                        instances,
                        domains,
                        temperature=temperature,
                        where=where,
                        reduction=reduction,
                    )
                    side = (instances, domains, where, temperature)
                    with enable_x64(True):
                        value = loss(jnp.asarray(rows), *side, reduction=reduction)
                    np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-9)
                value = loss(jnp.asarray(rows, jnp.float32), *side, reduction="none")
                np.testing.assert_allclose(value, expected, rtol=2e-5, atol=1e-5)


# (loss, options, value at the simplex of n points): similarities.md section 2
OPTIMA = {
    "info_nce": ("info_nce_loss", {}, lambda n, g: math.log1p((n - 1) * math.exp(-g))),
    "simclr": ("nt_xent_loss", {}, lambda n, g: math.log1p(2 * (n - 1) * math.exp(-g))),
    "dcl": ("info_nce_loss", DCL, lambda n, g: math.log(2 * (n - 1)) - g),
    "dhel": ("info_nce_loss", DHEL, lambda n, g: math.log(n - 1) - g),
}


@pytest.mark.parametrize("case", OPTIMA)
def test_simplex_has_the_optimal_value_and_no_gradient(case):
    name, options, optimum = OPTIMA[case]
    for n, dim, temperature in [(8, 7, 0.5), (8, 16, 0.5), (8, 7, 0.2), (4, 3, 1.0)]:
        rows = simplex(n, dim)
        with enable_x64(True):
            value, gradients = jax.value_and_grad(getattr(losses, name), (0, 1))(
                jnp.asarray(rows), jnp.asarray(rows), temperature=temperature, **options
            )
        expected = optimum(n, n / ((n - 1) * temperature))
        np.testing.assert_allclose(value, expected, atol=1e-9)
        np.testing.assert_allclose(gradients, np.zeros((2, n, dim)), atol=1e-9)


def test_optimal_values_of_eight_points_are_the_printed_ones():
    rows = simplex(8, 16)
    printed = [0.53760956, 0.88534460, 0.35334304, -0.33980414]
    for (name, options, _), expected in zip(OPTIMA.values(), printed, strict=True):
        value = evaluated(name, rows, rows, temperature=0.5, **options)
        np.testing.assert_allclose(value, expected, atol=1e-8)


# (rows, num_instances, value): simplex, orthonormal rows, collapsed rows
PENALTIES = {
    "simplex": (simplex(128, 127), 50000, 6.168555709e-5),
    "simplex of all instances": (simplex(8, 16), 8, 0.0),
    "orthonormal": (np.eye(16), 16, 1 / 15**2),
    "collapsed": (np.ones((16, 3)), 16, (16 / 15) ** 2),
}


@pytest.mark.parametrize("case", PENALTIES)
def test_variance_penalty_has_its_closed_forms(case):
    rows, num_instances, expected = PENALTIES[case]
    for block_size in [None, 5]:
        value = evaluated(
            "negative_variance_penalty",
            rows,
            rows,
            num_instances=num_instances,
            block_size=block_size,
        )
        np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-14)


def test_variance_penalty_is_variance_plus_squared_offset():
    u, v = random_views(7, 5)
    statistics = references.similarity_statistics(u, v)
    for target in [-1.0 / 9, 0.3]:
        offset = statistics["negative_mean"] - target
        value = evaluated(
            "negative_variance_penalty", u, v, num_instances=10, target=target
        )
        expected = statistics["negative_variance"] + offset**2
        np.testing.assert_allclose(value, expected, rtol=1e-9)


def test_variance_penalty_moves_both_views():
    u, v = random_views(6, 4)
    with enable_x64(True):
        gradients = jax.grad(losses.negative_variance_penalty, (0, 1))(
            jnp.asarray(u), jnp.asarray(v), num_instances=100
        )
    assert all(np.all(np.abs(gradient).max(axis=1) > 1e-6) for gradient in gradients)


@pytest.mark.parametrize("options", [DCL, DHEL])
def test_penalized_optimum_lies_where_the_theory_puts_it(options):
    """Fact 6: aligned rows, similarity -1/(n-1) - 1/(2 lambda t), no gradient."""
    n, m, dim, temperature, weight = 16, 4, 8, 0.5, 7.5
    similarity = -1 / (n - 1) - 1 / (2 * weight * temperature)
    assert similarity == pytest.approx(-0.2)
    rows = np.zeros((m, dim))
    rows[:, :m] = np.linalg.cholesky((1 - similarity) * np.eye(m) + similarity)

    def total(u, v):
        penalty = losses.negative_variance_penalty(u, v, num_instances=n)
        loss = losses.info_nce_loss(u, v, temperature=temperature, **options)
        return loss + weight * penalty

    with enable_x64(True):
        gradients = jax.grad(total, (0, 1))(jnp.asarray(rows), jnp.asarray(rows))
    np.testing.assert_allclose(gradients, np.zeros((2, m, dim)), atol=1e-9)


def test_gradient_is_row_softmax_plus_column_softmax():
    """Theorem 5.6: dL/ds_ij = (row softmax + column softmax - 2 [i = j]) / (2 m t)."""
    temperature, m = 0.2, 6
    u, v = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in random_views(m, 16)]
    powers = np.exp(references.cosine_similarity(u, v) / temperature)
    by_row = powers / powers.sum(axis=1, keepdims=True)
    by_column = powers / powers.sum(axis=0, keepdims=True)
    slope = (by_row + by_column - 2 * np.eye(m)) / (2 * m * temperature)
    pulls = slope @ v
    tangent = pulls - np.sum(pulls * u, axis=1, keepdims=True) * u
    with enable_x64(True):
        gradient = jax.grad(losses.info_nce_loss)(
            jnp.asarray(u), jnp.asarray(v), temperature=temperature
        )
    np.testing.assert_allclose(gradient, tangent, atol=1e-10)


@pytest.mark.parametrize("name", ["info_nce_loss", "nt_xent_loss"])
@pytest.mark.parametrize("block_size", [None, 5])
def test_tiny_losses_keep_their_digits_in_single_precision(name, block_size):
    generator = np.random.default_rng(0)
    u = generator.normal(size=(12, 32)).astype(np.float32)
    v = u + 0.02 * generator.normal(size=u.shape).astype(np.float32)
    for temperature in [0.1, 0.05, 0.02]:
        expected = references.info_nce_loss(
            u, v, temperature=temperature, within_view=name == "nt_xent_loss"
        )
        value = getattr(losses, name)(
            jnp.asarray(u),
            jnp.asarray(v),
            temperature=temperature,
            block_size=block_size,
        )
        np.testing.assert_allclose(value, expected, rtol=1e-4)


def test_nt_xent_is_info_nce_with_within_view_negatives():
    u, v = random_views(6, 4)
    np.testing.assert_allclose(
        evaluated("nt_xent_loss", u, v, temperature=0.2, reduction="none"),
        evaluated("info_nce_loss", u, v, temperature=0.2, reduction="none", **SIMCLR),
        rtol=1e-10,
    )


# domains [2 * batch] for which the within-domain loss is NT-Xent
ALIKE = {"one domain": 3, "every domain unknown": -1}


@pytest.mark.parametrize("case", ALIKE)
def test_within_domain_loss_of_domains_that_say_nothing_is_nt_xent(case):
    views = random_views(6, 4)
    rows, instances = as_rows(views)
    domains = np.full(len(rows), ALIKE[case])
    keep = some_rows(6)
    for where in [np.ones(6, bool), keep]:
        value = evaluated(
            "within_domain_nce_loss",
            rows,
            instances,
            domains,
            temperature=0.2,
            where=jnp.asarray(where[instances]),
        )
        expected = references.nt_xent_loss(*views, temperature=0.2, where=where)
        np.testing.assert_allclose(value, expected, rtol=1e-9)
        library = evaluated(
            "nt_xent_loss", *views, temperature=0.2, where=jnp.asarray(where)
        )
        np.testing.assert_allclose(value, library, rtol=1e-10)


@pytest.mark.parametrize("by_instance", [True, False])
def test_within_domain_loss_of_two_views_without_rivals_is_zero(by_instance):
    rows, instances = as_rows(random_views(6, 4))
    domains = instances if by_instance else np.arange(len(rows))
    value = evaluated("within_domain_nce_loss", rows, instances, domains)
    np.testing.assert_allclose(value, 0.0, atol=1e-12)


def test_flattened_views_keep_their_instance():
    views = random_views(5, 3, views=4)
    rows, instances = as_rows(views)
    assert rows.shape == (20, 3)
    assert instances.shape == (20,)
    assert len(set(instances)) == 5
    for i in range(5):
        members = rows[instances == instances[np.all(rows == views[0, i], axis=1)][0]]
        assert sorted(map(tuple, members)) == sorted(map(tuple, views[:, i]))


SYMMETRIC = [c for c, (_, o, _) in TWO_VIEWS.items() if o.get("symmetric", True)]


@pytest.mark.parametrize("case", SYMMETRIC)
def test_views_may_change_places(case):
    name, options, _ = TWO_VIEWS[case]
    u, v = random_views(6, 4)
    forth, back = evaluated(name, u, v, **options), evaluated(name, v, u, **options)
    np.testing.assert_allclose(forth, back, rtol=1e-12)


@pytest.mark.parametrize("options", [INFO_NCE, SIMCLR, DCL, DHEL])
def test_symmetric_loss_is_the_mean_of_its_two_sides(options):
    u, v = random_views(6, 4)
    both = evaluated("info_nce_loss", u, v, **options)
    sides = [
        evaluated("info_nce_loss", x, y, symmetric=False, **options)
        for x, y in [(u, v), (v, u)]
    ]
    np.testing.assert_allclose(both, sum(sides) / 2, rtol=1e-12)
