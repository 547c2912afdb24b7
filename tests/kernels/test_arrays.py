"""Arguments become arrays of JAX without losing a number."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.kernels import as_array, by_difference, distance

enable_x64 = (
    jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64
)
TYPES = [np.int8, np.uint8, np.int16, np.int32, np.uint32]


@pytest.mark.parametrize("kind", TYPES)
def test_distances_of_integers_are_exact_from_end_to_end(kind):
    ends = np.iinfo(kind)
    values = np.array([ends.min, ends.min + 1, 0, 1, ends.max - 1, ends.max], kind)
    wide = values.astype(object)
    right = np.abs(wide[:, None] - wide[None, :])
    found = distance(jnp.asarray(values)[:, None], jnp.asarray(values)[None, :])
    assert found.tolist() == right.tolist()


def test_distances_of_64_bits_are_exact_with_x64():
    with enable_x64():
        ends = jnp.array([-(2**63), 2**63 - 1], jnp.int64)
        assert int(distance(ends[0], ends[1])) == 2**64 - 1
        base = jnp.array([2**60, 2**60 + 1], jnp.int64)
        assert int(distance(base[0], base[1])) == 1


def test_distances_of_floats_are_wide_and_know_infinity():
    halves = jnp.array([-60000.0, 60000.0, jnp.nan], jnp.float16)
    assert distance(halves[:1], halves).dtype == jnp.float32
    np.testing.assert_array_equal(distance(halves[:1], halves), [0, 120000, np.nan])
    ends = jnp.array([jnp.inf, -jnp.inf])
    assert distance(ends[:, None], ends[None, :]).tolist() == [
        [0, np.inf],
        [np.inf, 0],
    ]


@pytest.mark.parametrize(
    "value",
    [
        [2**31, 0],
        [-(2**31) - 1],
        [2**70],
        np.array([2**40]),
        np.array([2**32], np.uint64),
    ],
)
def test_what_would_be_wrapped_around_is_refused(value):
    with pytest.raises(ValueError, match=r"`x` must fit u?int32, got -?\d{10,}; sub"):
        as_array("x", value)
    with pytest.raises(ValueError, match=r"got .*; `np.unique\(x, return_inverse"):
        as_array("x", value, ids=True)
    if np.asarray(value).dtype != object:
        with enable_x64():
            assert as_array("x", value).tolist() == np.asarray(value).tolist()


@pytest.mark.parametrize("value", [[2**31 - 1, -(2**31)], np.array([2**32 - 1], "u4")])
def test_what_fits_is_taken(value):
    assert as_array("x", value).tolist() == np.asarray(value).tolist()


def test_arrays_of_jax_and_lists_of_tracers_are_taken():
    values = jnp.arange(2)
    assert as_array("x", values) is values
    found = jax.jit(lambda x: (as_array("x", [x[1], x[0]]), by_difference([x[1]])[0]))
    assert found(values)[0].tolist() == [1, 0]


def test_floats_of_64_bits_are_subtracted_before_they_are_rounded():
    values = 1.7e12 + np.array([[0.0, 5.0], [0.25, np.nan], [np.inf, 7.0]])
    (found,) = by_difference(values)
    assert found[1, 0] - found[0, 0] == np.float32(0.25)
    assert found[2, 1] - found[0, 1] == 2
    np.testing.assert_array_equal(np.isfinite(found), np.isfinite(values))
    assert (found[np.isfinite(found)] % 0.25 == 0).all()


def test_columns_to_be_compared_have_one_base():
    first, second = by_difference(1e12 + np.arange(3.0), np.array([10**12 + 7]))
    assert (second[0] - first).tolist() == [7, 6, 5]


def test_what_is_not_rounded_stays_as_it_is():
    whole, narrow = np.arange(3), np.float32([1e8, 3])
    held = jnp.array([1.0])
    assert by_difference(whole)[0] is whole
    assert by_difference(narrow)[0] is narrow
    assert by_difference(held, np.array([1e12]))[0] is held
    with enable_x64():
        wide = np.array([1e12])
        assert by_difference(wide)[0] is wide


def test_a_column_that_is_all_unknown_stays_unknown():
    assert np.isnan(by_difference(np.full(3, np.nan))[0]).all()


def test_a_mask_is_not_lost_without_a_word():
    ids = np.ma.masked_array([1, 2, 3], [0, 1, 0])
    for value in (ids, ids.astype(float)):
        with pytest.raises(ValueError, match=r"`ages` must not be a masked array"):
            as_array("ages", *by_difference(value))
