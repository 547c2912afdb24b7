"""Similarity statistics: population moments of positive, negative, within pairs."""

import functools
import math

import jax
import jax.experimental
import jax.numpy as jnp
import numpy as np
import pytest
import references
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

from jaxcl.kernels import cosine_similarity
from jaxcl.metrics import negative_variance_bounds, similarity_statistics
from jaxcl.metrics._parts import _multiplied

enable_x64 = (
    jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64
)

AXIS = "devices"
KINDS = ["positive", "negative", "within"]
MOMENTS = ["mean", "variance", "min", "max", "count"]
FIELDS = [f"{kind}_{moment}" for kind in KINDS for moment in [*MOMENTS, "histogram"]]
KEEP = np.array([1, 0, 1, 1, 1, 0, 1, 1, 0, 0, 1, 1, 1, 1, 1, 0], bool)

each_block = pytest.mark.parametrize("block_size", [None, 5])


def fields_of(statistics):
    """The statistics by name, whether they came as a mapping or a named tuple."""
    fields = statistics._asdict() if hasattr(statistics, "_asdict") else statistics
    return {name: np.asarray(value) for name, value in dict(fields).items()}


@functools.cache
def compiled(block_size=None):
    return jax.jit(functools.partial(similarity_statistics, block_size=block_size))


def measured(u, v, where=None, block_size=None):
    where = np.ones(len(u), bool) if where is None else where
    statistics = compiled(block_size)(jnp.asarray(u), jnp.asarray(v), where=where)
    return fields_of(statistics)


def random_views(batch=16, dim=4, seed=0):
    """Two views of uneven length that share half of their content."""
    generator = np.random.default_rng(seed)
    views = generator.normal(size=(1, batch, dim))
    views = views + generator.normal(size=(2, batch, dim))
    return views * generator.uniform(0.1, 10.0, size=(2, batch, 1))


def golden_views():
    i, j = np.meshgrid(np.arange(4), np.arange(3), indexing="ij")
    u = np.sin(3 * i + j + 1)
    return u, u + 0.5 * np.cos(5 * i + 2 * j)


def simplex(points):
    """Unit rows with all similarities -1/(points - 1), [points, points - 1]."""
    basis = np.linalg.svd(np.eye(points) - 1.0 / points)[0][:, : points - 1]
    return basis / np.linalg.norm(basis, axis=1, keepdims=True)


def same_numbers(found, expected, rtol):
    for name, value in expected.items():
        np.testing.assert_allclose(
            found[name], value, rtol=rtol, atol=rtol, err_msg=name
        )


def counts_agree(found, pairs, slack):
    """Each histogram counts its pairs; a pair within `slack` of an edge may move."""
    edges = found["edges"]
    for kind, similarities in pairs.items():
        histogram = found[f"{kind}_histogram"]
        assert histogram.shape == (len(edges) - 1,)
        assert histogram.sum() == len(similarities)
        below = np.cumsum(histogram)
        for edge, count in zip(edges[1:-1], below[:-1], strict=True):
            assert np.sum(np.array(similarities) < edge - slack) <= count
            assert count <= np.sum(np.array(similarities) < edge + slack)


def test_every_field_has_its_name():
    assert set(measured(*np.float32(random_views()))) == {*FIELDS, "edges"}


def test_golden_moments():
    with enable_x64(True):
        found = measured(*golden_views())
    np.testing.assert_allclose(found["positive_mean"], 0.903315758930, atol=1e-9)
    np.testing.assert_allclose(found["negative_mean"], -0.294903134635, atol=1e-9)
    np.testing.assert_allclose(found["negative_variance"], 0.696092153150, atol=1e-9)


@pytest.mark.parametrize("block_size", [None, 1, 5, 6, 100])
@pytest.mark.parametrize("where", [None, KEEP], ids=["all", "some"])
def test_statistics_equal_their_double_loop(block_size, where):
    u, v = random_views()
    expected = references.similarity_statistics(u, v, where)
    pairs = references.pair_similarities(u, v, where)
    with enable_x64(True):
        found = measured(u, v, where, block_size)
    same_numbers(found, expected, 1e-10)
    counts_agree(found, pairs, 1e-12)
    single = np.float32(u), np.float32(v)
    found = measured(*single, where, block_size)
    same_numbers(found, expected, 2e-6)
    counts_agree(found, pairs, 1e-5)


def test_accelerators_count_without_a_scatter():
    """A TPU adds the pairs of a scatter one after another."""
    rows = jnp.zeros((16, 4))
    traced = jax.jit(similarity_statistics).trace(rows, rows)
    program = traced.lower(lowering_platforms=("tpu",)).as_text()
    assert "dot_general" in program
    assert "scatter" not in program


def test_accelerators_count_the_same_pairs():
    """The product of digits that they use, beside the scatter of a CPU."""
    bins = jnp.asarray(np.random.default_rng(0).integers(0, 101, size=(30, 40)))
    expected = np.bincount(np.ravel(bins), minlength=101)[:100]
    np.testing.assert_array_equal(_multiplied(bins), expected)


def test_counts_of_many_rows_do_not_wrap_around():
    """Twice 40,000 squared is above the largest integer of 32 bits."""
    rows = jax.ShapeDtypeStruct((40_000, 2), jnp.float32)
    counts = jax.eval_shape(similarity_statistics, rows, rows)
    assert counts.within_count.dtype == counts.within_histogram.dtype == jnp.float32


def test_edges_span_all_cosines():
    edges = measured(*np.float32(random_views()))["edges"]
    assert np.all(np.diff(edges) > 0)
    np.testing.assert_allclose([edges[0], edges[-1]], [-1.0, 1.0], atol=1e-6)


@each_block
def test_extreme_similarities_are_counted(block_size):
    """Rounding may carry a cosine past 1 or -1: it still belongs to the last bin."""
    u = np.repeat(np.random.default_rng(0).normal(size=(2, 4)), 8, axis=0)
    found = measured(np.float32(u), np.float32(-u), block_size=block_size)
    assert [found[f"{kind}_histogram"].sum() for kind in KINDS] == [16, 240, 480]
    assert found["positive_histogram"][0] == 16
    np.testing.assert_allclose(found["positive_min"], -1.0, atol=1e-6)
    np.testing.assert_allclose(found["within_max"], 1.0, atol=1e-6)


@each_block
def test_dropped_rows_change_nothing(block_size):
    u, v = np.float32(random_views())
    clean = references.similarity_statistics(u, v, KEEP)
    for garbage in [0.0, 1e30, np.nan]:
        u[~KEEP], v[~KEEP] = garbage, -garbage
        found = measured(u, v, KEEP, block_size)
        same_numbers(found, clean, 2e-6)


@each_block
def test_small_variances_keep_their_digits(block_size):
    """E[s^2] - E[s]^2 would be wrong here by far more than the variance itself."""
    generator = np.random.default_rng(0)
    center = generator.normal(size=(1, 1, 4))
    u, v = np.float32(center + 0.01 * generator.normal(size=(2, 16, 4)))
    expected = references.similarity_statistics(u, v)
    found = measured(u, v, block_size=block_size)
    for kind in KINDS:
        name = f"{kind}_variance"
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-2)


@each_block
@pytest.mark.parametrize("kept", [0, 1])
def test_without_pairs_there_is_nothing_to_count(block_size, kept):
    u, v = np.float32(random_views())
    found = measured(u, v, np.arange(16) < kept, block_size)
    assert found["positive_count"] == kept
    for kind in ["negative", "within"]:
        assert found[f"{kind}_count"] == 0
        assert not found[f"{kind}_histogram"].any()
        assert np.isfinite(found[f"{kind}_mean"])
        assert np.isfinite(found[f"{kind}_variance"])


def test_zero_rows_have_similarity_zero():
    zeros = np.zeros((16, 4), np.float32)
    found = measured(zeros, zeros)
    for moment in ["mean", "variance", "min", "max"]:
        assert [found[f"{kind}_{moment}"] for kind in KINDS] == [0.0, 0.0, 0.0]


def test_the_length_of_a_row_does_not_matter():
    u, v = np.float32(random_views())
    scales = np.resize(np.float32([1e18, 1e-30, 1.0]), (16, 1))
    plain, scaled = measured(u, v), measured(u * scales, v * scales[::-1])
    for name in plain:
        if not name.endswith("histogram"):
            np.testing.assert_allclose(scaled[name], plain[name], rtol=1e-5, atol=1e-6)


# devices -> the mapped statistics, every field with an axis of devices
def by_pmap(count, statistics):
    mapped = jax.pmap(statistics, axis_name=AXIS, devices=jax.devices()[:count])
    return lambda *rows: mapped(*(x.reshape(count, -1, *x.shape[1:]) for x in rows))


def by_shard_map(count, statistics, check_vma):
    mesh = jax.make_mesh(
        (count,), (AXIS,), axis_types=(AxisType.Auto,), devices=jax.devices()[:count]
    )

    def stacked(*rows):
        return jax.tree.map(lambda x: jnp.asarray(x)[None], statistics(*rows))

    mapped = jax.shard_map(
        stacked,
        mesh=mesh,
        in_specs=P(AXIS),
        out_specs=P(AXIS),
        check_vma=check_vma,
    )
    return jax.jit(mapped)


MAPPINGS = {
    "pmap": by_pmap,
    "shard_map-checked": functools.partial(by_shard_map, check_vma=True),
    "shard_map-unchecked": functools.partial(by_shard_map, check_vma=False),
}


@pytest.mark.slow
@pytest.mark.parametrize("mapping", MAPPINGS)
@pytest.mark.parametrize(("count", "block_size"), [(1, None), (4, None), (8, 3)])
def test_every_device_knows_the_statistics_of_all(mapping, count, block_size):
    u, v = np.float32(random_views())
    expected = references.similarity_statistics(u, v, KEEP)

    def statistics(u, v, where):
        return similarity_statistics(
            u, v, where=where, axis_name=AXIS, block_size=block_size
        )

    stacked = fields_of(MAPPINGS[mapping](count, statistics)(u, v, KEEP))
    for device in range(count):
        found = {name: values[device] for name, values in stacked.items()}
        same_numbers(found, expected, 5e-6)
        counts_agree(found, references.pair_similarities(u, v, KEEP), 1e-5)


@pytest.mark.parametrize("axis_type", ["Auto", "Explicit"])
def test_global_view_jit_gives_the_same_statistics(axis_type):
    u, v = np.float32(random_views())
    mesh = jax.make_mesh((8,), (AXIS,), axis_types=(getattr(AxisType, axis_type),))
    rows = jax.device_put((u, v, KEEP), NamedSharding(mesh, P(AXIS)))
    found = fields_of(compiled()(rows[0], rows[1], where=rows[2]))
    same_numbers(found, references.similarity_statistics(u, v, KEEP), 5e-6)


# (n, m) -> bounds: similarities.md 7.4
BOUNDS = {
    (4, 2): (2 / 9, 8 / 9),
    (8, 2): (0.12244898, 0.97959184),
    (8, 4): (0.02721088, 0.21768707),
    (12, 3): (0.03719008, 0.44628099),
    (16, 4): (0.01777778, 0.28444444),
    (64, 8): (0.00201562, 0.12899975),
    (16, 16): (0.0, 0.0),
}


@pytest.mark.parametrize(("n", "m"), BOUNDS)
def test_variance_bounds_are_the_printed_ones(n, m):
    bounds = negative_variance_bounds(n, m)
    np.testing.assert_allclose(bounds, BOUNDS[n, m], atol=1e-8)
    np.testing.assert_allclose(bounds, references.negative_variance_bounds(n, m))


@pytest.mark.slow
@pytest.mark.parametrize(("n", "m"), [(4, 2), (12, 3)])
def test_constructed_batches_reach_both_bounds(n, m):
    """One simplex for all batches is the upper bound, orthogonal ones the lower."""
    batches = n // m
    alike = np.tile(simplex(m), (batches, 1))
    apart = np.kron(np.eye(batches), simplex(m))
    for rows, bound in zip([apart, alike], negative_variance_bounds(n, m), strict=True):
        with enable_x64(True):
            found = measured(rows, rows)
        np.testing.assert_allclose(found["negative_mean"], -1 / (n - 1), atol=1e-10)
        np.testing.assert_allclose(found["negative_variance"], bound, atol=1e-10)
        np.testing.assert_allclose(found["positive_mean"], 1.0, atol=1e-10)


def test_gap_example_beats_the_printed_equality_condition():
    """Errata 3: n = 5 points, gap 0.3: positives 0.82 under the bound 0.9325."""
    gap, n = 0.3, 5
    rows = math.sqrt(1 - gap**2) * simplex(n)
    u, v = (np.c_[rows, np.full(n, sign * gap)] for sign in (1, -1))
    with enable_x64(True):
        found = measured(u, v)
    np.testing.assert_allclose(found["positive_mean"], 0.82, atol=1e-10)
    offset = found["negative_mean"] + 1 / (n - 1)
    np.testing.assert_allclose(1 + offset, 0.9325, atol=1e-10)
    np.testing.assert_allclose(1 + 2 * (n - 1) / (n - 2) * offset, 0.82, atol=1e-10)


def test_cosine_similarity_equals_its_double_loop():
    x, y = random_views(5, 3)[0], random_views(7, 3, seed=1)[1]
    x[2] = 0.0
    with enable_x64(True):
        square = cosine_similarity(jnp.asarray(x))
        oblong = cosine_similarity(jnp.asarray(x), jnp.asarray(y))
    np.testing.assert_allclose(square, references.cosine_similarity(x), atol=1e-12)
    np.testing.assert_allclose(oblong, references.cosine_similarity(x, y), atol=1e-12)
    single = jnp.asarray(x * 1e-30, jnp.float32), jnp.asarray(y * 1e18, jnp.float32)
    np.testing.assert_allclose(cosine_similarity(*single), oblong, atol=1e-6)
    assert cosine_similarity(*single).shape == (5, 7)
