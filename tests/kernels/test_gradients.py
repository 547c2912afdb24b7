import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from jaxcl import value_and_grad
from jaxcl.training import make_devices


def share(weights, rows, axis_name):
    """This device's share of a loss that looks at the rows of all devices."""
    rows = rows @ weights
    everywhere = rows
    if axis_name is not None:
        everywhere = jax.lax.all_gather(rows, axis_name, tiled=True)
    return jnp.mean(jnp.tanh(rows @ everywhere.T))


def on_devices(rows, weights, kind, has_aux=False):
    devices = make_devices("pmap")

    def fn(weights, rows):
        loss = share(weights, rows, "batch")
        return (loss, {"mean": jnp.mean(rows), "count": 3}) if has_aux else loss

    differentiate = value_and_grad(fn, axis_name="batch", has_aux=has_aux)
    if kind == "pmap":
        mapped = jax.pmap(
            differentiate, axis_name="batch", in_axes=(None, 0), out_axes=None
        )
        return mapped(weights, rows.reshape(8, -1, rows.shape[1]))
    mapped = jax.shard_map(
        differentiate,
        mesh=devices.mesh,
        in_specs=(PartitionSpec(), PartitionSpec("batch")),
        out_specs=PartitionSpec(),
        check_vma=kind == "checked",
    )
    return jax.jit(mapped)(weights, rows)


@pytest.fixture
def problem():
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(16, 4)).astype(np.float32)
    weights = generator.normal(size=(4, 3)).astype(np.float32)
    expected = value_and_grad(functools.partial(share, axis_name=None))(weights, rows)
    return rows, weights, expected


@pytest.mark.parametrize("kind", ["pmap", "checked", "unchecked"])
def test_value_and_gradient_are_those_of_one_device(problem, kind):
    rows, weights, (value, grad) = problem
    found_value, found_grad = on_devices(rows, weights, kind)
    np.testing.assert_allclose(found_value, value, rtol=1e-5)
    np.testing.assert_allclose(found_grad, grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["pmap", "checked", "unchecked"])
def test_metrics_are_averaged_and_counts_left_alone(problem, kind):
    rows, weights, (value, _) = problem
    (found, metrics), _ = on_devices(rows, weights, kind, has_aux=True)
    np.testing.assert_allclose(found, value, rtol=1e-5)
    np.testing.assert_allclose(metrics["mean"], rows.mean(), rtol=1e-5)
    assert jnp.issubdtype(metrics["count"].dtype, jnp.integer)
    assert int(metrics["count"]) == 3


def test_on_one_device_it_is_the_value_and_gradient_of_jax(problem):
    rows, weights, (value, grad) = problem
    fn = functools.partial(share, axis_name=None)
    expected_value, expected_grad = jax.value_and_grad(fn)(weights, rows)
    np.testing.assert_allclose(value, expected_value)
    np.testing.assert_allclose(grad, expected_grad)


def test_gradients_in_bfloat16_are_added_in_float32():
    # The sum that the checked shard_map makes by itself is in the type computed in.
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(256, 4)).astype(np.float32)
    weights = generator.normal(size=(4, 3)).astype(np.float32)

    def fn(weights, rows):
        low = rows.astype(jnp.bfloat16) @ weights.astype(jnp.bfloat16)
        return jnp.mean(jnp.tanh(low).astype(jnp.float32))

    parts = [jax.grad(fn)(weights, part) for part in rows.reshape(8, -1, 4)]
    expected = np.mean(parts, axis=0)
    differentiate = value_and_grad(fn, axis_name="batch")
    for check in (True, False):
        mapped = jax.shard_map(
            differentiate,
            mesh=make_devices("pmap").mesh,
            in_specs=(PartitionSpec(), PartitionSpec("batch")),
            out_specs=PartitionSpec(),
            check_vma=check,
        )
        _, found = jax.jit(mapped)(weights, rows)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
