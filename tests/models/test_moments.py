"""The moments of BatchNorm: how exact they are, and how often devices talk."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from jaxcl import value_and_grad
from jaxcl.models import from_nnx
from jaxcl.models._moments import batch_moments
from jaxcl.models._norms import make_norm

GENERATOR = np.random.default_rng(0)
KEY = jax.random.key(0)
WAYS = ["pmap", "checked", "unchecked", "several axes"]


def on_eight(fn, how, *rows):
    """What eight devices return, each with an eighth of the rows; the first's part."""
    if how == "pmap":
        split = [part.reshape(8, -1, *part.shape[1:]) for part in rows]
        return jax.pmap(functools.partial(fn, "batch"), "batch", out_axes=None)(*split)
    axis = ("pod", "chip") if how == "several axes" else "batch"
    shape = (2, 4) if how == "several axes" else (8,)
    mesh = Mesh(
        np.array(jax.devices()).reshape(shape), axis if len(shape) > 1 else (axis,)
    )
    mapped = jax.shard_map(
        functools.partial(fn, axis),
        mesh=mesh,
        in_specs=PartitionSpec(axis),
        out_specs=PartitionSpec(),
        check_vma=how != "unchecked",
    )
    return jax.jit(mapped)(*rows)


def batchnorm(rows, scale, bias):
    """BatchNorm of rows in float64, as in the paper, and its pullback."""
    mean, variance = rows.mean(0), rows.var(0)
    length = np.sqrt(variance + 1e-5)
    unit = (rows - mean) / length

    def pull(by_result):
        by_unit = by_result * scale
        straight = by_unit - by_unit.mean(0) - unit * (by_unit * unit).mean(0)
        return straight / length, (by_result * unit).sum(0), by_result.sum(0)

    return unit * scale + bias, pull


@pytest.mark.parametrize("how", WAYS)
def test_output_and_gradient_are_those_of_the_paper_in_float64(how):
    rows = GENERATOR.normal(3.0, 2.0, (32, 6)).astype(np.float32)
    weights = GENERATOR.normal(size=(32, 6)).astype(np.float32)
    scale, bias = GENERATOR.normal(size=(2, 6)).astype(np.float32)
    params = {"scale": jnp.array(scale), "bias": jnp.array(bias)}
    state = {"mean": jnp.zeros(6), "var": jnp.ones(6)}

    def gradient(axis, rows, weights):
        norm = from_nnx(
            lambda rngs: make_norm("batch", 6, axis_name=axis, dtype=None, rngs=rngs)
        )

        def loss(both):
            result, _ = norm.apply(both[0], state, both[1] + rows, True, KEY)
            return jnp.sum(weights * result)

        # The same shift for all rows of a device: its gradient is 0.
        both = params, jnp.zeros((4, 6))
        return value_and_grad(loss, axis_name=axis)(both)

    (value, (by_params, by_shift)) = on_eight(gradient, how, rows, weights)
    expected, pull = batchnorm(*map(np.float64, (rows, scale, bias)))
    by_rows, by_scale, by_bias = pull(np.float64(weights))
    np.testing.assert_allclose(value, (weights * expected).sum() / 8, rtol=1e-5)
    np.testing.assert_allclose(by_params["scale"], by_scale / 8, rtol=1e-5)
    np.testing.assert_allclose(by_params["bias"], by_bias / 8, rtol=1e-5)
    by_place = by_rows.reshape(8, 4, 6).sum(0) / 8
    np.testing.assert_allclose(by_shift, by_place, atol=1e-6)


@pytest.mark.parametrize("how", [None, *WAYS])
@pytest.mark.parametrize(("mean", "dtype"), [(0.5, "bfloat16"), (30.0, "float32")])
def test_moments_lose_no_digits_to_a_mean_far_from_zero(how, mean, dtype):
    rows = jnp.asarray(GENERATOR.normal(mean, 1.0, (64, 5, 16)), dtype)
    if how is None:
        found = batch_moments(rows, None)
    else:
        found = on_eight(lambda axis, rows: batch_moments(rows, axis), how, rows)
    values = np.float64(rows)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found[0], values.mean((0, 1)), rtol=1e-6)
    np.testing.assert_allclose(found[1], values.var((0, 1)), rtol=4e-6)


@pytest.mark.parametrize("value", [0.0, 1.0, 1000.1])
def test_equal_rows_have_no_variance_on_any_number_of_devices(value):
    rows = np.full((16, 3), value, np.float32)
    found = on_eight(lambda axis, rows: batch_moments(rows, axis), "checked", rows)
    np.testing.assert_allclose(found[0], rows[0], rtol=1e-7)
    assert (found[1] >= 0.0).all()
    assert (found[1] <= 1e-10 * value**2).all()


def test_the_gradient_of_a_gradient_is_that_of_the_plain_formula():
    rows = jnp.float32(GENERATOR.normal(size=(12, 3)))

    def plain(rows):
        return jnp.stack([jnp.mean(rows, 0), jnp.var(rows, 0)])

    def curvature(moments):
        value = lambda rows: jnp.sum(jnp.sin(moments(rows)))  # noqa: E731
        return jax.hessian(value)(rows)

    found = curvature(lambda rows: batch_moments(rows, None))
    np.testing.assert_allclose(found, curvature(plain), atol=1e-6)
