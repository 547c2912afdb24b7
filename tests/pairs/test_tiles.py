"""Tiles of weights: precision, missing values, size, and relations as values."""

import inspect
import math

import jax
import jax.experimental
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.pairs import (
    Relation,
    different,
    everyone,
    flatten_views,
    parse,
    prefix,
    rbf,
    same,
    table,
    unknown_anchor,
    within,
)

enable_x64 = (
    jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64
)
NAN = math.nan
MATRIX = [[1.0, 0.5, 0.25], [0.0, 1.0, 0.75], [0.125, 0.5, 1.0]]


def test_what_is_logical():
    logical = [
        same("a"),
        different("a", missing=1),
        everyone(),
        within("a", 1.0),
        prefix("a", depth=1),
        unknown_anchor("a"),
        same("a") & ~different("b") | within("c", 2),
    ]
    others = [
        same("a", missing=0.5),
        rbf("a", bandwidth=1),
        table("a", [[1.0]]),
        1 * same("a"),
        same("a") + same("b"),
        same("a") & rbf("b", bandwidth=1),
        ~rbf("b", bandwidth=1),
    ]
    assert all(relation.logical for relation in logical)
    assert not any(relation.logical for relation in others)


def test_a_missing_domain_takes_the_missing_weight():
    domains = {"domain": np.array([0, 0, -1])}
    expected = [[1.0, 1.0, 0.25], [1.0, 1.0, 0.25], [0.25, 0.25, 0.25]]
    assert same("domain", missing=0.25).weights(domains).tolist() == expected


def test_two_missing_values_are_neither_the_same_nor_different():
    for values in (np.array([-1, -1]), np.array([NAN, NAN], np.float32)):
        for relation in (same("x"), different("x")):
            assert not np.any(relation.weights({"x": values}))


def test_flags_and_unsigned_ids_are_never_missing():
    for values in (np.array([True, False]), np.array([200, 3], np.uint8)):
        assert (
            same("x", missing=5).weights({"x": values}).tolist() == np.eye(2).tolist()
        )
        assert not np.any(unknown_anchor("x").weights({"x": values}))
    flags = {"x": np.array([True, False])}
    assert table("x", [[1, 2], [3, 4]]).weights(flags).tolist() == [[4, 3], [2, 1]]


def test_a_table_larger_than_the_ids_dtype_is_read():
    matrix = np.arange(300.0)[:, None] + np.zeros(300)
    ids = {"x": np.array([0, 255, 7], np.uint8)}
    got = table("x", matrix).weights(ids)
    assert got.tolist() == [[0.0] * 3, [255.0] * 3, [7.0] * 3]


def test_integers_are_compared_exactly():
    seconds = {
        "time": np.array([1_700_000_000, 1_700_000_003, 1_700_000_004], np.int32)
    }
    near = [[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0]]
    assert within("time", 3).weights(seconds).tolist() == near
    assert within("time", 1e30).weights(seconds).tolist() == np.ones((3, 3)).tolist()
    small = {"time": np.array([0, 120, -20], np.int8)}
    near = [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 1.0]]
    assert within("time", 119.5).weights(small).tolist() == near
    unsigned = {"time": np.array([1, 3], np.uint32)}
    assert within("time", 2).weights(unsigned).tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_extreme_metadata_give_finite_weights():
    values = np.array([0, 1e30, -1e30, np.inf, -np.inf, 1e-30], np.float32)
    for bandwidth in (1e-37, 1.0, 1e37):
        weights = np.asarray(rbf("x", bandwidth=bandwidth).weights({"x": values}))
        assert np.all((weights >= 0) & (weights <= 1))
        assert np.all(np.diag(weights) == 1)


def test_double_precision_metadata_keep_their_precision():
    ages = np.array([1e8, 1e8 + 1])
    with enable_x64():
        rows = {"age": jnp.asarray(ages)}
        tile = rbf("age", bandwidth=1.0)(rows, rows)
        assert tile.dtype == jnp.float64
        assert (0.5 * rbf("age", bandwidth=1.0))(rows, rows).dtype == jnp.float64
        np.testing.assert_allclose(tile[0, 1], math.exp(-0.5), rtol=1e-14)
        assert rbf("age", bandwidth=1.0).weights(rows).dtype == jnp.float32
        assert within("age", 0.5).weights(rows).tolist() == [[1.0, 0.0], [0.0, 1.0]]
        ids = {"age": jnp.arange(2)}
        assert rbf("age", bandwidth=1.0)(ids, ids).dtype == jnp.float32
        far = {"age": jnp.asarray([0, 2**32], jnp.int64)}
        assert table("age", [[3.0]]).weights(far).tolist() == [[3.0, 0.0], [0.0, 0.0]]


def test_half_precision_metadata_are_computed_in_single_precision():
    ages = jnp.array([0.0, 300.0], jnp.float16)  # 300² overflows in float16
    got = rbf("age", bandwidth=300.0).weights({"age": ages})
    np.testing.assert_allclose(got[0, 1], math.exp(-0.5), rtol=1e-6)


def test_nothing_larger_than_a_tile_is_built():
    rows = {"place": np.zeros((50, 30), np.float32), "domain": np.zeros(50, np.int32)}
    columns = jax.tree.map(lambda x: x[:40], rows)
    relation = rbf("place", bandwidth=1.0) & table("domain", MATRIX)
    program = jax.make_jaxpr(relation)(rows, columns)
    sizes = [var.aval.size for eqn in equations(program.jaxpr) for var in eqn.outvars]
    assert max(sizes) == 50 * 40


def equations(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            if hasattr(value, "jaxpr"):
                yield from equations(value.jaxpr)


def test_no_gradient_flows_into_side_data():
    def total(ages):
        rows = {"age": ages}
        relation = rbf("age", bandwidth=5.0) + within("age", 2.0) + same("age")
        return jnp.sum(relation(rows, rows))

    assert jax.grad(total)(jnp.array([1.0, 2.0, NAN])).tolist() == [0.0, 0.0, 0.0]


def test_equal_relations_are_one_key():
    made = {
        same("x") & different("y"),
        parse("same(x) & different(y)"),
        parse("(same('x')) & different(y, missing=0)"),
    }
    assert len(made) == 1
    ways = [MATRIX, np.array(MATRIX), jnp.array(MATRIX), tuple(map(tuple, MATRIX))]
    assert len({table("x", matrix) for matrix in ways}) == 1
    assert rbf("x", bandwidth=5) == rbf("x", bandwidth=np.float64(5.0))
    assert same("x") != different("x") != same("x", missing=1)
    assert same("x") & (same("y") & same("z")) == (same("x") & same("y")) & same("z")
    assert same("x") & same("y") != same("y") & same("x")


def test_relations_cannot_be_changed():
    with pytest.raises(AttributeError):
        same("x").name = "y"  # pyright: ignore[reportAttributeAccessIssue]


def test_numbers_of_every_library_can_stand_before_a_relation():
    for number in (2, 2.0, np.float32(2), np.int64(2), jnp.float32(2), np.array(2.0)):
        assert number * same("x") == same("x") * number == 2 * same("x")


def test_names_tell_what_is_read():
    relation = 0.5 * (same("a") & ~rbf("b", bandwidth=1)) + unknown_anchor("c")
    assert relation.names == {"a", "b", "c"}
    assert everyone().names == frozenset()


def test_every_public_relation_is_documented_with_an_example():
    for entry in (
        same,
        different,
        everyone,
        rbf,
        within,
        table,
        prefix,
        parse,
        Relation,
    ):
        document = inspect.getdoc(entry)
        assert document and "Example:" in document, entry


def test_views_become_rows_with_their_instance():
    views = jnp.arange(12.0).reshape(2, 3, 2)
    rows, instances = flatten_views(views)
    assert instances.tolist() == [0, 1, 2, 0, 1, 2]
    assert rows[4].tolist() == views[1, 1].tolist()
    with pytest.raises(ValueError, match="`views` must have shape"):
        inspect.unwrap(flatten_views)(views[0])
