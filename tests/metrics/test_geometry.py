"""Alignment, uniformity, effective rank, and the threshold of excessive separation."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import references
from jax.nn import softplus
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from long_tests import long_only
from metrics.test_similarity_statistics import (
    AXIS,
    KEEP,
    enable_x64,
    random_views,
    simplex,
)

from jaxcl.metrics import (
    alignment,
    effective_rank,
    excessive_separation,
    separation_threshold,
    similarity_statistics,
    uniformity,
)

METRICS = {
    "alignment": alignment,
    "uniformity": uniformity,
    "effective_rank": effective_rank,
}
each_metric = pytest.mark.parametrize("name", METRICS)


def views_of(name, u, v):
    """The rows that the metric takes."""
    return (u, v) if name == "alignment" else (u,)


def alignment_loop(u, v, power=2.0, where=None):
    """Mean of |u_i - v_i|^power over unit rows, a row of zeros as it is."""
    kept = references.kept_rows(len(u), where)
    total = 0.0
    for i in kept:
        a, b = np.float64(u[i]), np.float64(v[i])
        a, b = (x / (math.sqrt(sum(x * x)) or 1.0) for x in (a, b))
        total += math.sqrt(sum((a - b) ** 2)) ** power
    return total / max(1, len(kept))


def uniformity_loop(rows, scale=2.0, where=None):
    """Log of the mean of e^{-scale (2 - 2 s_ij)} over ordered pairs i != j."""
    kept = references.kept_rows(len(rows), where)
    logits = [
        -scale * (2 - 2 * references.cosine(rows[i], rows[j]))
        for i in kept
        for j in kept
        if i != j
    ]
    if not logits:
        return 0.0
    return references.basics.log_sum_exp(logits) - math.log(len(logits))


def effective_rank_loop(rows, where=None):
    """From the eigenvalues of the Gram matrix, written as a double loop."""
    kept = np.float64(rows[references.kept_rows(len(rows), where)])
    dim = rows.shape[1]
    gram = [[sum(kept[:, a] * kept[:, b]) for b in range(dim)] for a in range(dim)]
    squares = np.linalg.eigvalsh(gram)
    # What should be 0 is rounding here, whose square root would count.
    values = [math.sqrt(x) for x in squares if x > 1e-13 * squares[-1]]
    if sum(values) == 0.0:
        return 0.0
    shares = [x / sum(values) for x in values]
    return math.exp(-sum(p * math.log(p) for p in shares))


LOOPS = {
    "alignment": alignment_loop,
    "uniformity": uniformity_loop,
    "effective_rank": effective_rank_loop,
}


@functools.cache
def compiled(name, options):
    return jax.jit(functools.partial(METRICS[name], **dict(options)))


def measured(name, *rows, where=None, precision="float32", **options):
    with enable_x64(precision == "float64"):
        rows = [jnp.asarray(x, precision) for x in rows]
        metric = compiled(name, tuple(options.items()))
        return np.asarray(metric(*rows, where=where))


def both_precisions(expected, name, *rows, rtol=5e-6, **options):
    double = measured(name, *rows, precision="float64", **options)
    assert (double.shape, double.dtype) == ((), "float64")
    np.testing.assert_allclose(double, expected, rtol=1e-10, atol=1e-12)
    single = measured(name, *rows, **options)
    assert (single.shape, single.dtype) == ((), "float32")
    np.testing.assert_allclose(single, expected, rtol=rtol, atol=rtol)


# --- Numbers


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("where", [None, KEEP], ids=["all", "some"])
def test_alignment_equals_its_loop(power, where):
    u, v = random_views()
    expected = alignment_loop(u, v, power, where)
    both_precisions(expected, "alignment", u, v, power=power, where=where)


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0, 10.0])
@pytest.mark.parametrize("where", [None, KEEP], ids=["all", "some"])
@pytest.mark.parametrize("block_size", [None, 5, *long_only(1, 100)])
def test_uniformity_equals_its_double_loop(scale, where, block_size):
    rows, _ = random_views()
    expected = uniformity_loop(rows, scale, where)
    options = {"scale": scale, "where": where, "block_size": block_size}
    both_precisions(expected, "uniformity", rows, **options)


@pytest.mark.parametrize("where", [None, KEEP], ids=["all", "some"])
@pytest.mark.parametrize("shape", [(16, 4), (16, 1), (16, 24)])
def test_effective_rank_equals_its_loop(where, shape):
    rows, _ = random_views(*shape)
    expected = effective_rank_loop(rows, where)
    both_precisions(expected, "effective_rank", rows, where=where)


@pytest.mark.parametrize("where", [None, KEEP], ids=["all", "some"])
def test_alignment_is_two_minus_twice_the_mean_positive(where):
    """V19, eq. 4: exact."""
    u, v = random_views()
    with enable_x64(True):
        statistics = similarity_statistics(u, v, where=where)
        expected = 2 - 2 * np.asarray(statistics.positive_mean)
    found = measured("alignment", u, v, where=where, precision="float64")
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


# dim -> uniformity and its approximation, of 2000 random rows: similarities.md 7.9
APPROXIMATED = {16: (-1.87355, -1.87483), 128: (-1.98196, -1.98440)}


@pytest.mark.slow
@pytest.mark.parametrize("dim", APPROXIMATED)
def test_uniformity_of_random_rows_follows_from_mean_and_variance(dim):
    """V19, eq. 6: 2 (mean + variance - 1), with Gaussian parameter 1."""
    rows = np.random.default_rng(dim).normal(size=(2000, dim))
    found = measured("uniformity", rows, scale=1.0)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    similarities = (unit @ unit.T)[~np.eye(2000, dtype=bool)]
    mean, variance = similarities.mean(), similarities.var()
    np.testing.assert_allclose(variance, 1 / dim, rtol=5e-3)
    approximation = 2 * (mean + variance - 1)
    np.testing.assert_allclose(found, approximation, rtol=0, atol=5e-3)
    printed = APPROXIMATED[dim]
    np.testing.assert_allclose([found, approximation], printed, rtol=0, atol=5e-3)
    exact = np.log(np.mean(np.exp(2 * similarities - 2)))
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1.0, 2.0, 100.0])
@pytest.mark.parametrize("block_size", [None, 3])
def test_uniformity_has_its_closed_forms(scale, block_size):
    """Also where e^{-scale d^2} is far below the smallest number."""
    options = {"scale": scale, "block_size": block_size}
    tolerance = {"rtol": 1e-5, "atol": 1e-5 * scale}
    for rows, squared in [
        (simplex(8), 2 + 2 / 7),
        (np.eye(6), 2.0),
        (np.array([[1.0, 0.0], [-3.0, 0.0]]), 4.0),
        (np.ones((7, 3)), 0.0),
    ]:
        found = measured("uniformity", rows, **options)
        np.testing.assert_allclose(found, -scale * squared, **tolerance)


def test_alignment_has_its_closed_forms():
    u, _ = random_views()
    for power in [1.0, 2.0, 3.0]:
        assert measured("alignment", u, u, power=power) == 0.0
        opposite = measured("alignment", u, -3 * u, power=power)
        np.testing.assert_allclose(opposite, 2**power, rtol=1e-5)
        upright = measured("alignment", np.eye(4), np.eye(4)[::-1], power=power)
        np.testing.assert_allclose(upright, 2 ** (power / 2), rtol=1e-6)


def test_effective_rank_has_its_closed_forms():
    generator = np.random.default_rng(0)
    left = np.linalg.qr(generator.normal(size=(12, 4)))[0]
    right = np.linalg.qr(generator.normal(size=(4, 4)))[0]
    for values, expected in [
        ([1.0, 1.0, 1.0, 1.0], 4.0),
        ([5.0, 5.0, 0.0, 0.0], 2.0),
        ([3.0, 0.0, 0.0, 0.0], 1.0),
        ([0.5, 0.25, 0.125, 0.125], 2**1.75),
    ]:
        rows = 7.0 * (left * values) @ right
        for precision, tolerance in [("float64", 1e-10), ("float32", 1e-4)]:
            found = measured("effective_rank", rows, precision=precision)
            np.testing.assert_allclose(found, expected, rtol=tolerance)


def test_effective_rank_does_not_center_rows_and_ignores_their_common_scale():
    rows, _ = random_views()
    plain = measured("effective_rank", rows)
    for scale in [1e-12, 1e12]:
        scaled = measured("effective_rank", scale * rows)
        np.testing.assert_allclose(scaled, plain, rtol=1e-5)
    assert measured("effective_rank", rows + 1000.0) < 1.1


@pytest.mark.parametrize("name", ["alignment", "uniformity"])
def test_the_length_of_a_row_does_not_matter(name):
    rows = views_of(name, *np.float32(random_views()))
    scales = np.resize(np.float32([1e18, 1e-30, 1.0]), (16, 1))
    scaled = measured(name, *(x * scales for x in rows))
    np.testing.assert_allclose(scaled, measured(name, *rows), rtol=1e-5)


# --- Rows of zeros, without pairs, dropped, NaN


@pytest.mark.parametrize("block_size", [None, 5])
def test_rows_of_zeros_lie_at_right_angles(block_size):
    u, v = random_views()
    u[3], u[7], v[7], v[9] = 0.0, 0.0, 0.0, 0.0
    both_precisions(uniformity_loop(u), "uniformity", u, block_size=block_size)
    zeros = np.zeros((16, 4))
    both_precisions(-4.0, "uniformity", zeros, block_size=block_size)


def test_alignment_takes_rows_of_zeros_as_the_origin():
    u, v = random_views()
    u[3], u[7], v[7], v[9] = 0.0, 0.0, 0.0, 0.0
    both_precisions(alignment_loop(u, v), "alignment", u, v)
    zeros = np.zeros((16, 4))
    both_precisions(1.0, "alignment", u[:3], zeros[:3])
    both_precisions(0.0, "alignment", zeros, zeros)


def test_effective_rank_of_zeros_is_zero():
    u, _ = random_views()
    both_precisions(0.0, "effective_rank", np.zeros((16, 4)))
    u[3], u[7] = 0.0, 0.0
    both_precisions(effective_rank_loop(u), "effective_rank", u)


@each_metric
@pytest.mark.parametrize("kept", [0, 1])
def test_without_rows_or_pairs_the_metrics_are_finite(name, kept):
    rows = views_of(name, *random_views())
    where = np.arange(16) < kept
    expected = LOOPS[name](*rows, where=where)
    found = measured(name, *rows, where=where)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    assert name == "alignment" or found == pytest.approx(
        kept if name == "effective_rank" else 0.0
    )


@each_metric
def test_dropped_rows_change_nothing(name):
    rows = views_of(name, *np.float32(random_views()))
    clean = LOOPS[name](*rows, where=KEEP)
    for garbage in [0.0, 1e30, np.nan, np.inf]:
        for x in rows:
            x[~KEEP] = garbage
        found = measured(name, *rows, where=KEEP)
        np.testing.assert_allclose(found, clean, rtol=5e-6)


@each_metric
def test_a_kept_nan_is_not_hidden(name):
    for argument in range(len(views_of(name, 0, 0))):
        rows = views_of(name, *np.float32(random_views()))
        rows[argument][2, 1] = np.nan
        assert np.isnan(measured(name, *rows))
        assert np.isnan(measured(name, *rows, where=KEEP))


def test_a_kept_nan_is_not_hidden_by_streaming():
    rows, _ = np.float32(random_views())
    rows[2, 1] = np.nan
    assert np.isnan(measured("uniformity", rows, block_size=5))


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_alignment_of_equal_views_has_no_gradient(power):
    u, _ = random_views()
    for rows in [u, np.zeros_like(u)]:
        slope = jax.grad(functools.partial(alignment, power=power), argnums=(0, 1))
        gradients = slope(jnp.float32(rows), jnp.float32(rows))
        assert not np.any(gradients)


# --- Devices


def by_pmap(count, metric):
    return jax.pmap(metric, axis_name=AXIS, devices=jax.devices()[:count])


def by_shard_map(count, metric, check_vma):
    mesh = jax.make_mesh(
        (count,), (AXIS,), axis_types=(AxisType.Auto,), devices=jax.devices()[:count]
    )

    def one(*rows):
        return jnp.asarray(metric(*(x[0] for x in rows)))[None]

    mapped = jax.shard_map(
        one, mesh=mesh, in_specs=P(AXIS), out_specs=P(AXIS), check_vma=check_vma
    )
    return jax.jit(mapped)


MAPPINGS = {
    "pmap": by_pmap,
    "shard_map-checked": functools.partial(by_shard_map, check_vma=True),
    "shard_map-unchecked": functools.partial(by_shard_map, check_vma=False),
}
# Metric and options, streamed and not
MAPPED = {
    "alignment": ("alignment", {"power": 1.0}),
    "uniformity": ("uniformity", {}),
    "uniformity-streamed": ("uniformity", {"block_size": 3}),
    "effective_rank": ("effective_rank", {}),
}


@pytest.mark.parametrize("mapping", MAPPINGS)
@pytest.mark.parametrize("case", MAPPED)
@pytest.mark.parametrize("where", [KEEP, np.arange(16) < 3], ids=["some", "three"])
def test_every_device_knows_the_metric_of_all(mapping, case, where):
    """Of 4 devices with 4 rows each; with three rows kept three devices have none."""
    name, options = MAPPED[case]
    rows = views_of(name, *np.float32(random_views()))
    choices = {k: x for k, x in options.items() if k != "block_size"}
    expected = LOOPS[name](*rows, where=where, **choices)

    def metric(where, *rows):
        return METRICS[name](*rows, where=where, axis_name=AXIS, **options)

    split = (x.reshape(4, 4, *x.shape[1:]) for x in (where, *rows))
    found = MAPPINGS[mapping](4, metric)(*split)
    assert found.shape == (4,)
    np.testing.assert_allclose(found, np.full(4, expected), rtol=5e-6)


@each_metric
def test_shard_map_sees_that_the_metric_is_the_same_on_every_device(name):
    """As for `similarity_statistics`: the result may leave with `out_specs=P()`."""
    rows = views_of(name, *np.float32(random_views()))
    mesh = jax.make_mesh(
        (4,), (AXIS,), axis_types=(AxisType.Auto,), devices=jax.devices()[:4]
    )
    metric = functools.partial(METRICS[name], axis_name=AXIS)
    mapped = jax.shard_map(metric, mesh=mesh, in_specs=P(AXIS), out_specs=P())
    found = jax.jit(mapped)(*rows)
    np.testing.assert_allclose(found, LOOPS[name](*rows), rtol=5e-6)


@each_metric
@pytest.mark.parametrize("axis_type", ["Auto", "Explicit"])
def test_global_view_jit_gives_the_same_metric(name, axis_type):
    rows = views_of(name, *np.float32(random_views()))
    mesh = jax.make_mesh((8,), (AXIS,), axis_types=(getattr(AxisType, axis_type),))
    placed = jax.device_put((*rows, KEEP), NamedSharding(mesh, P(AXIS)))
    found = jax.jit(METRICS[name])(*placed[:-1], where=placed[-1])
    np.testing.assert_allclose(found, LOOPS[name](*rows, where=KEEP), rtol=5e-6)


# --- Excessive separation


def sigmoid(scale, bias, n):
    """φ and ψ of the sigmoid loss in the paper's sign: logits t s - b."""
    return (
        lambda s: -softplus(-scale * s + bias),
        lambda s: (n - 1) * softplus(scale * s - bias),
    )


def eq_10(scale, bias, n):
    """The left side of eq. 10; separation is excessive where it is below (n - 2)/2."""
    return (1 + math.exp(scale / (n - 1) + bias)) / (1 + math.exp(scale - bias))


# (n, scale, bias) -> left and right side of eq. 10, as printed: similarities.md 7.3
EQ_10 = {
    (8, 2.0, 0.0): (0.2778, 3),
    (8, 5.0, 0.0): (0.0204, 3),
    (8, 5.0, 2.0): (0.7633, 3),
    (8, 5.0, -2.0): (0.0012, 3),
    (8, 1.0, 2.0): (6.9624, 3),
    (16, 3.0, 1.0): (0.5150, 7),
}


@pytest.mark.parametrize(("n", "scale", "bias"), EQ_10)
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_threshold_of_the_sigmoid_loss_is_equation_10(n, scale, bias, precision):
    """φ′(1) to threshold is the left side to the right one."""
    left, right = EQ_10[n, scale, bias]
    positive_fn, negative_fn = sigmoid(scale, bias, n)
    slope = scale / (1 + math.exp(scale - bias))
    with enable_x64(precision == "float64"):
        threshold = separation_threshold(negative_fn, n)
        excessive = excessive_separation(positive_fn, negative_fn, n)
    assert isinstance(threshold, float)
    np.testing.assert_allclose(slope / threshold * right, left, rtol=0, atol=5e-5)
    np.testing.assert_allclose(slope / threshold * right, eq_10(scale, bias, n), 1e-5)
    assert excessive is (left < right)


# (scale, bias in the paper's sign) -> first n that separates too far: 7.3
FIRST = {(10.0, 10.0): 22040, (10.0, 5.0): 9}


@pytest.mark.parametrize(("scale", "bias"), FIRST)
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_excessive_separation_starts_at_the_printed_number(scale, bias, precision):
    """V4: (10, 10) is what SigLIP starts with, its bias of -10 in the paper's sign."""
    first = FIRST[scale, bias]
    by_formula = (n for n in range(2, 30000) if eq_10(scale, bias, n) < (n - 2) / 2)
    assert next(by_formula) == first
    around = {*range(2, 12), *range(first - 6, first + 6), first // 2, first * 10}
    with enable_x64(precision == "float64"):
        for n in sorted(around - {0, 1}):
            assert excessive_separation(*sigmoid(scale, bias, n), n) == (n >= first)


@pytest.mark.parametrize("n", [2, 3, 8, 1000])
def test_spectral_threshold_has_its_closed_form(n):
    """-(n - 2)/(n - 1)^2, which the slope 1 of φ never is below."""
    threshold = separation_threshold(lambda s: s**2, n)
    np.testing.assert_allclose(threshold, -(n - 2) / (n - 1) ** 2, rtol=1e-6)
    assert excessive_separation(lambda s: s, lambda s: s**2, n) is False


def test_separation_is_excessive_strictly_below_the_threshold():
    """A linear ψ of slope 4 has, for n = 3, the threshold 1."""
    assert separation_threshold(lambda s: 4.0 * s, 3) == 1.0
    assert excessive_separation(lambda s: 1.0 * s, lambda s: 4.0 * s, 3) is False
    assert excessive_separation(lambda s: 0.999 * s, lambda s: 4.0 * s, 3) is True


def test_two_instances_never_separate_too_far():
    assert separation_threshold(jnp.exp, 2) == 0.0
    assert not excessive_separation(lambda s: 1e-6 * s, jnp.exp, 2)


# --- Mistakes

ROWS = np.ones((4, 3), np.float32)


@pytest.mark.parametrize("power", [0.0, -1.0, math.nan])
def test_a_power_that_is_not_positive_is_named(power):
    with pytest.raises(ValueError, match=r"`power` must .*got"):
        alignment(ROWS, ROWS, power=power)


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan])
def test_a_scale_that_is_not_positive_is_named(scale):
    with pytest.raises(ValueError, match=r"`scale` must .*got"):
        uniformity(ROWS, scale=scale)


@pytest.mark.parametrize("block_size", [0, -1])
def test_a_block_size_that_is_not_positive_is_named(block_size):
    with pytest.raises(ValueError, match=r"`block_size` must .*got"):
        uniformity(ROWS, block_size=block_size)


@pytest.mark.parametrize("n", [1, 0, -3])
def test_too_few_instances_are_named(n):
    with pytest.raises(ValueError, match=r"`num_instances` must .*got"):
        separation_threshold(jnp.exp, n)
    with pytest.raises(ValueError, match=r"`num_instances` must .*got"):
        excessive_separation(jnp.exp, jnp.exp, n)


@each_metric
@pytest.mark.parametrize("shape", [(1,), (5,), (4, 1)])
def test_a_where_of_another_shape_is_named(name, shape):
    """Left to itself a shape of (1,) gives a wrong number and no error at all."""
    with pytest.raises(ValueError, match=r"`where` must .*got"):
        METRICS[name](*views_of(name, ROWS, -ROWS), where=jnp.ones(shape, bool))


@pytest.mark.parametrize("shape", [(5, 3), (4, 2), (1, 3)])
def test_a_second_view_of_another_shape_is_named(shape):
    with pytest.raises(ValueError, match=r"`v` must .*got"):
        alignment(ROWS, np.ones(shape, np.float32))
