"""The losses give the papers' numbers: golden values, double loops, closed forms."""

import functools
import math

import jax
import jax.experimental
import jax.numpy as jnp
import numpy as np
import pytest
import references

from jaxcl import losses
from jaxcl.pairs import flatten_views

pytestmark = pytest.mark.slow

enable_x64 = (
    jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64
)

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

TEMPERED = {
    "info_nce": ("info_nce_loss", INFO_NCE),
    "info_nce-one-sided": ("info_nce_loss", {"symmetric": False}),
    "within-only": ("info_nce_loss", {"cross_view": False, "within_view": True}),
    "simclr": ("info_nce_loss", SIMCLR),
    "dcl": ("info_nce_loss", DCL),
    "dcl-one-sided": ("info_nce_loss", {**DCL, "symmetric": False}),
    "dhel": ("info_nce_loss", DHEL),
    "decoupled-cross": ("info_nce_loss", {"decoupled": True}),
    "nt_xent": ("nt_xent_loss", {}),
}
PENALTIES = {
    "penalty": {"num_instances": 9},
    "penalty-1": {"num_instances": 9, "power": 1},
    "penalty-3": {"num_instances": 9, "power": 3},
    "penalty-4": {"num_instances": 9, "power": 4, "target": 0.25},
}
TEMPERATURES = [0.05, 0.2, 1.0]

# (batch, dim, block_size): dense for several sizes, streaming with a ragged last tile
each_size = pytest.mark.parametrize(
    ("batch", "dim", "block_size"), [(2, 3, None), (9, 6, None), (9, 6, 4)]
)


def golden_views():
    i, j = np.meshgrid(np.arange(4), np.arange(3), indexing="ij")
    u = np.sin(3 * i + j + 1)
    return u, u + 0.5 * np.cos(5 * i + 2 * j)


def random_views(batch, dim, views=2):
    """Views that share part of their content, of uneven length."""
    generator = np.random.default_rng([batch, dim])
    content = generator.normal(size=(1, batch, dim))
    noise = generator.normal(size=(views, batch, dim))
    return (content + noise) * generator.uniform(0.1, 10.0, size=(views, batch, 1))


def masks(rows):
    """Keep all rows, and keep about two thirds of them."""
    some = np.random.default_rng(rows).uniform(size=rows) < 0.67
    some[:2] = True
    return [np.ones(rows, bool), some]


def simplex(points, dim):
    """Unit rows with all similarities -1/(points - 1), in a rotated frame."""
    basis = np.linalg.svd(np.eye(points) - 1.0 / points)[0][:, : points - 1]
    rows = np.zeros((points, dim))
    rows[:, : points - 1] = basis / np.linalg.norm(basis, axis=1, keepdims=True)
    return rows @ np.linalg.qr(np.random.default_rng(0).normal(size=(dim, dim)))[0]


def evaluated(name, *arrays, precision="float64", **options):
    """The loss as numpy; embeddings in the precision, ids as they are."""
    loss = jax.jit(functools.partial(getattr(losses, name), **options))
    with enable_x64(precision == "float64"):
        arrays = [
            jnp.asarray(x, precision if np.asarray(x).dtype.kind == "f" else None)
            for x in arrays
        ]
        return np.asarray(loss(*arrays))


def differentiated(loss, *arrays):
    """Value and gradients by the arrays, in float64."""
    step = jax.jit(jax.value_and_grad(loss, argnums=tuple(range(len(arrays)))))
    with enable_x64(True):
        return step(*(jnp.asarray(x) for x in arrays))


@functools.cache
def golden(precision):
    """Every golden value in one program."""

    def everything(u, v):
        return [getattr(losses, name)(u, v, **options) for name, options, _ in GOLDEN]

    with enable_x64(precision == "float64"):
        views = [jnp.asarray(x, precision) for x in golden_views()]
        return jax.jit(everything)(*views)


@pytest.mark.parametrize("row", range(len(GOLDEN)))
@pytest.mark.parametrize(
    ("precision", "tolerance"), [("float64", 1e-9), ("float32", 1e-5)]
)
def test_golden_values_hold_in_both_precisions(row, precision, tolerance):
    value, expected = golden(precision)[row], GOLDEN[row][-1]
    np.testing.assert_allclose(value, expected, rtol=0, atol=tolerance)


@each_size
@pytest.mark.parametrize("case", TEMPERED)
def test_two_view_losses_equal_their_double_loops(case, batch, dim, block_size):
    name, options = TEMPERED[case]
    oracle = functools.partial(getattr(references, name), **options)

    @jax.jit
    def losses_of(u, v, where, temperature):
        loss = functools.partial(getattr(losses, name), u, v, where=where, **options)
        loss = functools.partial(loss, temperature=temperature, block_size=block_size)
        return loss(), loss(reduction="none")

    u, v = random_views(batch, dim)
    for where in masks(batch):
        for temperature in TEMPERATURES:
            choices = {"where": where, "temperature": temperature}
            mean, anchors = (
                oracle(u, v, **choices),
                oracle(u, v, reduction="none", **choices),
            )
            with enable_x64(True):
                found = losses_of(jnp.asarray(u), jnp.asarray(v), where, temperature)
            np.testing.assert_allclose(found[0], mean, rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(found[1], anchors, rtol=1e-9, atol=1e-9)
            if batch > 2 and block_size is None:
                found = losses_of(jnp.float32(u), jnp.float32(v), where, temperature)
                np.testing.assert_allclose(found[0], mean, rtol=2e-5, atol=1e-5)
                np.testing.assert_allclose(found[1], anchors, rtol=2e-5, atol=1e-5)


@each_size
def test_variance_penalties_equal_their_double_loops(batch, dim, block_size):
    @jax.jit
    def penalties_of(u, v, where):
        choices = {"where": where, "block_size": block_size}
        penalty = functools.partial(losses.negative_variance_penalty, u, v, **choices)
        return {case: penalty(**options) for case, options in PENALTIES.items()}

    u, v = random_views(batch, dim)
    for where in masks(batch):
        with enable_x64(True):
            double = penalties_of(jnp.asarray(u), jnp.asarray(v), where)
        single = penalties_of(jnp.float32(u), jnp.float32(v), where)
        for case, options in PENALTIES.items():
            expected = references.negative_variance_penalty(
                u, v, where=where, **options
            )
            for found, tolerance in [(double, 1e-10), (single, 1e-5)]:
                np.testing.assert_allclose(
                    found[case], expected, rtol=tolerance, err_msg=case
                )


def domain_cases(views, batch):
    """Instances and domains [views * batch], the rows view by view."""
    generator = np.random.default_rng([views, batch])
    rows = views * batch
    instances, each = np.tile(np.arange(batch), views), np.arange(rows)
    domains = generator.integers(0, 3, size=rows)
    unknown = np.where(generator.uniform(size=rows) < 0.3, -1, domains)
    nameless = np.where(instances == 1, -1, instances * 7 + 100)
    return {
        "domain of the row": (instances, domains),
        "domain of the instance": (instances, np.tile(domains[:batch], views)),
        "some domains unknown": (instances, unknown),
        "an instance unknown": (nameless, unknown),
        "no positives": (each, domains),
    }


@pytest.mark.parametrize(
    ("views", "batch", "block_size"), [(2, 2, None), (3, 5, None), (3, 5, 4)]
)
def test_within_domain_loss_equals_its_double_loop(views, batch, block_size):
    @jax.jit
    def losses_of(rows, instances, domains, where, temperature):
        loss = functools.partial(
            losses.within_domain_nce_loss,
            rows,
            instances,
            domains,
            temperature=temperature,
            where=where,
            block_size=block_size,
        )
        return loss(), loss(reduction="none")

    rows = random_views(batch, 4, views).reshape(views * batch, 4)
    for name, side in domain_cases(views, batch).items():
        for where in masks(len(rows)):
            for temperature in TEMPERATURES:
                oracle = functools.partial(
                    references.within_domain_nce_loss,
                    *(rows, *side),
                    temperature=temperature,
                    where=where,
                )
                mean, anchors = oracle(), oracle(reduction="none")
                for precision, tolerance in [("float64", 1e-9), ("float32", 2e-5)]:
                    with enable_x64(precision == "float64"):
                        embeddings = jnp.asarray(rows, precision)
                        found = losses_of(embeddings, *side, where, temperature)
                    tolerances = {"rtol": tolerance, "atol": tolerance, "err_msg": name}
                    np.testing.assert_allclose(found[0], mean, **tolerances)
                    np.testing.assert_allclose(found[1], anchors, **tolerances)


# (loss, options, value at the simplex of n points): similarities.md section 2
OPTIMA = {
    "info_nce": ("info_nce_loss", {}, lambda n, g: math.log1p((n - 1) * math.exp(-g))),
    "simclr": ("nt_xent_loss", {}, lambda n, g: math.log1p(2 * (n - 1) * math.exp(-g))),
    "dcl": ("info_nce_loss", DCL, lambda n, g: math.log(2 * (n - 1)) - g),
    "dhel": ("info_nce_loss", DHEL, lambda n, g: math.log(n - 1) - g),
}
# the same for n = 8, temperature 0.5, as printed: similarities.md 7.2
PRINTED = {
    "info_nce": 0.53760956,
    "simclr": 0.88534460,
    "dcl": 0.35334304,
    "dhel": -0.33980414,
}


@pytest.mark.parametrize("case", OPTIMA)
@pytest.mark.parametrize(("n", "dim", "t"), [(8, 16, 0.5), (4, 3, 0.2)])
def test_simplex_has_the_optimal_value_and_no_gradient(case, n, dim, t):
    name, options, optimum = OPTIMA[case]
    loss = functools.partial(getattr(losses, name), temperature=t, **options)
    value, gradients = differentiated(loss, *[simplex(n, dim)] * 2)
    np.testing.assert_allclose(value, optimum(n, n / ((n - 1) * t)), atol=1e-9)
    np.testing.assert_allclose(gradients, np.zeros((2, n, dim)), atol=1e-9)
    if (n, t) == (8, 0.5):
        np.testing.assert_allclose(value, PRINTED[case], atol=1e-8)


# (rows, num_instances, value): similarities.md section 3, fact 7
CLOSED_FORMS = {
    "simplex": (simplex(128, 127), 50000, 6.168555709e-5),
    "simplex of all instances": (simplex(8, 16), 8, 0.0),
    "orthonormal": (np.eye(16), 16, 1 / 15**2),
    "collapsed": (np.ones((16, 3)), 16, (16 / 15) ** 2),
}


@pytest.mark.parametrize("case", CLOSED_FORMS)
@pytest.mark.parametrize("block_size", [None, 5])
def test_variance_penalty_has_its_closed_forms(case, block_size):
    rows, n, expected = CLOSED_FORMS[case]
    value = evaluated(
        "negative_variance_penalty", rows, rows, num_instances=n, block_size=block_size
    )
    np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("target", [-1.0 / 9, 0.3])
def test_variance_penalty_is_variance_plus_squared_offset(target):
    u, v = random_views(7, 5)
    statistics = references.similarity_statistics(u, v)
    value = evaluated(
        "negative_variance_penalty", u, v, num_instances=10, target=target
    )
    offset = statistics["negative_mean"] - target
    expected = statistics["negative_variance"] + offset**2
    np.testing.assert_allclose(value, expected, rtol=1e-9)


def test_variance_penalty_moves_every_row_of_both_views():
    penalty = functools.partial(losses.negative_variance_penalty, num_instances=100)
    _, gradients = differentiated(penalty, *random_views(6, 4))
    assert np.all(np.abs(gradients).max(axis=2) > 1e-6)


@pytest.mark.parametrize("options", [DCL, DHEL], ids=["dcl", "dhel"])
def test_penalized_optimum_lies_where_the_theory_puts_it(options):
    """Fact 6: aligned rows, similarity -1/(n-1) - 1/(2 lambda t), no gradient."""
    n, m, dim, t, weight = 16, 4, 8, 0.5, 7.5
    similarity = -1 / (n - 1) - 1 / (2 * weight * t)
    assert similarity == pytest.approx(-0.2)
    rows = np.zeros((m, dim))
    rows[:, :m] = np.linalg.cholesky((1 - similarity) * np.eye(m) + similarity)

    def total(u, v):
        penalty = losses.negative_variance_penalty(u, v, num_instances=n)
        return losses.info_nce_loss(u, v, temperature=t, **options) + weight * penalty

    _, gradients = differentiated(total, rows, rows)
    np.testing.assert_allclose(gradients, np.zeros((2, m, dim)), atol=1e-9)


def test_gradient_is_row_softmax_plus_column_softmax():
    """Theorem 5.6: dL/ds_ij = (row softmax + column softmax - 2 [i = j]) / (2 m t)."""
    t, m = 0.2, 6
    u, v = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in random_views(m, 16)]
    powers = np.exp(references.cosine_similarity(u, v) / t)
    by_row = powers / powers.sum(axis=1, keepdims=True)
    by_column = powers / powers.sum(axis=0, keepdims=True)
    pulls = (by_row + by_column - 2 * np.eye(m)) / (2 * m * t) @ v
    tangent = pulls - np.sum(pulls * u, axis=1, keepdims=True) * u
    loss = functools.partial(losses.info_nce_loss, temperature=t)
    _, gradients = differentiated(loss, u, v)
    np.testing.assert_allclose(gradients[0], tangent, atol=1e-10)


@pytest.mark.parametrize("name", ["info_nce_loss", "nt_xent_loss"])
@pytest.mark.parametrize("block_size", [None, 5])
def test_tiny_losses_keep_their_digits_in_single_precision(name, block_size):
    """Aligned views: a cross-entropy in float32 would have no right digit left."""
    generator = np.random.default_rng(0)
    u = np.float32(generator.normal(size=(12, 32)))
    v = u + np.float32(0.02 * generator.normal(size=u.shape))
    loss = jax.jit(functools.partial(getattr(losses, name), block_size=block_size))
    for t in [0.1, 0.05, 0.02]:
        expected = references.info_nce_loss(
            u, v, temperature=t, within_view=name == "nt_xent_loss"
        )
        value = loss(jnp.asarray(u), jnp.asarray(v), temperature=t)
        np.testing.assert_allclose(value, expected, rtol=1e-4)


@pytest.mark.parametrize("domain", [3, -1], ids=["one domain", "domains unknown"])
def test_within_domain_loss_of_domains_that_say_nothing_is_nt_xent(domain):
    views = random_views(6, 4)
    with enable_x64(True):
        rows, instances = map(np.asarray, flatten_views(jnp.asarray(views)))
    domains = np.full(len(rows), domain)
    for where in masks(6):
        each = {"temperature": 0.2, "where": jnp.asarray(where[instances])}
        pair = {"temperature": 0.2, "where": jnp.asarray(where)}
        value = evaluated("within_domain_nce_loss", rows, instances, domains, **each)
        expected = evaluated("nt_xent_loss", *views, **pair)
        np.testing.assert_allclose(value, expected, rtol=1e-10)
        np.testing.assert_allclose(value, references.nt_xent_loss(*views, **pair))


@pytest.mark.parametrize("by_instance", [True, False])
def test_within_domain_loss_of_two_views_without_rivals_is_zero(by_instance):
    rows, instances = random_views(6, 4).reshape(12, 4), np.tile(np.arange(6), 2)
    domains = instances if by_instance else np.arange(12)
    value = evaluated("within_domain_nce_loss", rows, instances, domains)
    np.testing.assert_allclose(value, 0.0, atol=1e-12)


def test_flattened_views_keep_their_instance():
    views = np.float32(random_views(5, 3, views=4))
    rows, instances = map(np.asarray, flatten_views(jnp.asarray(views)))
    assert (rows.shape, instances.shape, len(set(instances))) == ((20, 3), (20,), 5)
    for i in range(5):
        name = instances[np.all(rows == views[0, i], axis=1)]
        members = rows[instances == name]
        assert sorted(map(tuple, members)) == sorted(map(tuple, views[:, i]))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("info_nce_loss", INFO_NCE),
        ("info_nce_loss", DCL),
        ("nt_xent_loss", {}),
        ("negative_variance_penalty", {"num_instances": 9, "power": 3}),
    ],
)
def test_views_may_change_places(name, options):
    u, v = random_views(6, 4)
    forth, back = evaluated(name, u, v, **options), evaluated(name, v, u, **options)
    np.testing.assert_allclose(forth, back, rtol=1e-12)


@pytest.mark.parametrize("options", [INFO_NCE, DCL], ids=["info_nce", "dcl"])
def test_symmetric_loss_is_the_mean_of_its_two_sides(options):
    u, v = random_views(6, 4)
    one_sided = functools.partial(evaluated, "info_nce_loss", symmetric=False)
    sides = one_sided(u, v, **options) + one_sided(v, u, **options)
    both = evaluated("info_nce_loss", u, v, **options)
    np.testing.assert_allclose(both, sides / 2, rtol=1e-12)
