"""What a norm looks at, and in which precision."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import Mesh, PartitionSpec

from jaxcl.models import from_nnx
from jaxcl.models._norms import make_norm

GENERATOR = np.random.default_rng(0)
# Means far from 0 beside small deviations: what a narrow type cannot tell apart.
MAPS = jnp.float32(GENERATOR.normal(100.0, 3.0, (8, 3, 2, 64)))
KEY = jax.random.key(0)


def norm(kind, features=64, axis_name=None, dtype=None, **options):
    return from_nnx(
        lambda rngs: make_norm(
            kind, features, axis_name=axis_name, dtype=dtype, rngs=rngs, **options
        )
    )


def moved(encoder, images):
    """Parameters and state that differ from where they start."""
    params, state = encoder.init(KEY, images)
    draw = np.random.default_rng(1)

    def move(leaf):
        return leaf + np.float32(draw.uniform(0.1, 0.9, leaf.shape))

    return jax.tree.map(move, params), jax.tree.map(move, state)


def affine(rows, params):
    return rows * np.float64(params["scale"]) + np.float64(params["bias"])


def test_batchnorm_is_that_of_the_paper_and_keeps_a_tenth_of_what_it_sees():
    encoder = norm("batch")
    params, state = moved(encoder, MAPS)
    found, changed = encoder.apply(params, state, MAPS, True, KEY)
    maps = np.float64(MAPS)
    mean, variance = maps.mean((0, 1, 2)), maps.var((0, 1, 2))
    expected = affine((maps - mean) / np.sqrt(variance + 1e-5), params)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(changed["mean"], 0.9 * state["mean"] + 0.1 * mean, 1e-6)
    np.testing.assert_allclose(
        changed["var"], 0.9 * state["var"] + 0.1 * variance, 1e-4
    )


def test_groupnorm_is_that_of_the_paper():
    encoder = norm("group", groups=4)
    params, state = moved(encoder, MAPS)
    found, _ = encoder.apply(params, state, MAPS, True, KEY)
    expected = np.empty(MAPS.shape)
    for i, sample in enumerate(np.float64(MAPS)):
        for group in range(4):
            part = slice(16 * group, 16 * (group + 1))
            values = sample[..., part]
            expected[i, ..., part] = (values - values.mean()) / np.sqrt(
                values.var() + 1e-5
            )
    np.testing.assert_allclose(found, affine(expected, params), atol=1e-4)


@pytest.mark.parametrize(
    ("features", "groups"), [(64, 32), (16, 16), (48, 16), (6, 2), (7, 1)]
)
def test_there_are_32_groups_or_as_many_as_divide_the_features(features, groups):
    maps = jnp.float32(GENERATOR.normal(size=(1, 5, 5, features)))
    encoder = norm("group", features)
    found, _ = encoder.apply(*encoder.init(KEY, maps), maps, True, KEY)
    squares = np.asarray(found).reshape(25, groups, -1)
    np.testing.assert_allclose((squares**2).mean((0, 2)), 1.0, rtol=1e-3)
    np.testing.assert_allclose(squares.mean((0, 2)), 0.0, atol=1e-5)


@pytest.mark.parametrize("kind", ["batch", "group", "none"])
def test_a_narrow_result_leaves_everything_inside_float32(kind):
    encoder = norm(kind, dtype=jnp.bfloat16)
    params, state = moved(encoder, MAPS)
    maps = jnp.asarray(MAPS, jnp.bfloat16)
    for train in (True, False):
        found, changed = encoder.apply(params, state, maps, train, KEY)
        assert found.dtype == jnp.bfloat16
        for leaf in jax.tree.leaves((params, changed)):
            assert leaf.dtype == jnp.float32
        # The same arithmetic on the same numbers, but for the last rounding.
        wide, expected = norm(kind).apply(
            params, state, maps.astype(jnp.float32), train, KEY
        )
        np.testing.assert_array_equal(found, wide.astype(jnp.bfloat16))
        jax.tree.map(np.testing.assert_array_equal, changed, expected)


def test_statistics_of_narrow_maps_are_those_of_their_values():
    encoder = norm("batch", dtype=jnp.bfloat16)
    params, state = encoder.init(KEY, MAPS)
    maps = jnp.asarray(MAPS, jnp.bfloat16)
    _, changed = encoder.apply(params, state, maps, True, KEY)
    values = np.float64(maps)
    np.testing.assert_allclose(changed["mean"], 0.1 * values.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(
        changed["var"], 0.9 + 0.1 * values.var((0, 1, 2)), rtol=1e-5
    )


def on_devices(encoder, how):
    """Outputs and running statistics of eight devices with an eighth of the maps."""
    params, state = encoder.init(KEY, MAPS)

    def apply(maps):
        rows, changed = encoder.apply(params, state, maps, True, KEY)
        return rows, jax.tree.map(lambda leaf: leaf[None], changed)

    if how == "pmap":
        rows, changed = jax.pmap(apply, axis_name="batch")(MAPS[:, None])
        return rows.reshape(MAPS.shape), jax.tree.map(lambda leaf: leaf[:, 0], changed)
    spec = PartitionSpec("batch")
    mapped = jax.shard_map(
        apply,
        mesh=Mesh(np.array(jax.devices()), ("batch",)),
        in_specs=spec,
        out_specs=spec,
    )
    return jax.jit(mapped)(MAPS)


@pytest.mark.parametrize("how", ["pmap", "shard_map"])
def test_a_synchronized_norm_sees_the_batch_of_all_devices(how):
    whole = norm("batch")
    expected, state = whole.apply(*whole.init(KEY, MAPS), MAPS, True, KEY)
    found, changed = on_devices(norm("batch", axis_name="batch"), how)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    for name in ("mean", "var"):
        for device in range(8):
            np.testing.assert_allclose(changed[name][device], state[name], rtol=1e-5)
    alone, changed = on_devices(norm("batch"), how)
    assert np.abs(alone - expected).max() > 0.1
    assert np.abs(changed["mean"] - state["mean"][None]).max() > 0.01


@pytest.mark.parametrize("shape", [(4, 3, 3, 8), (4, 8)])
def test_groupnorm_does_not_look_at_the_rest_of_the_batch(shape):
    maps = jnp.float32(GENERATOR.normal(size=shape))
    encoder = norm("group", 8, groups=1)
    params, state = moved(encoder, maps)
    apply = functools.partial(encoder.apply, params, state)
    whole, _ = apply(maps, True, KEY)
    for i in range(4):
        alone, _ = apply(maps[i : i + 1], True, KEY)
        np.testing.assert_allclose(alone[0], whole[i], atol=1e-6)
    assert state == {}


def test_none_changes_nothing():
    encoder = norm("none")
    params, state = encoder.init(KEY, MAPS)
    assert params == state == {}
    np.testing.assert_array_equal(
        encoder.apply(params, state, MAPS, True, KEY)[0], MAPS
    )


def test_without_scale_and_bias_there_are_no_parameters():
    params, state = norm("batch", affine=False).init(KEY, MAPS)
    assert params == {}
    assert sorted(state) == ["mean", "var"]


@pytest.mark.parametrize("kind", ["batch", "group"])
def test_a_scale_of_zero_gives_zeros(kind):
    encoder = norm(kind, zero_scale=True)
    found, _ = encoder.apply(*encoder.init(KEY, MAPS), MAPS, True, KEY)
    np.testing.assert_array_equal(found, 0.0)


def test_the_norms_are_modules_of_flax():
    made = make_norm("batch", 4, axis_name=None, dtype=None, rngs=nnx.Rngs(0))
    assert isinstance(made, nnx.BatchNorm)
    assert (made.momentum, made.epsilon, made.use_fast_variance) == (0.9, 1e-5, False)
