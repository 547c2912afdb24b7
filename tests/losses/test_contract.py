"""One contract for every public loss: the promises of the conventions, loss by loss."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.experimental
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxcl import losses

enable_x64 = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64

INSTANCES = np.array([0, 1, 0, 2, 1, 3, 2, 3, 0, 4, 5, 4, 5, 6, 6, 1])
DOMAINS = np.array([0, 1, 0, 0, 1, -1, 2, 0, 1, 1, 0, 0, -1, 2, 2, 1])
ROWS, DIM = 8, 4


@dataclasses.dataclass(frozen=True, eq=False)
class Recipe:
    """How a test calls one loss: what it takes, and what it may be asked for."""

    name: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    arguments: tuple[str, ...] = ("u", "v")
    side: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    tempered: bool = True
    anchors: Callable[[int], tuple[int, ...]] | None = lambda rows: (2, rows)

    def __call__(self, data, *side, **options):
        """The loss of `data`, a tuple with one array for each of `arguments`."""
        return getattr(losses, self.name)(*data, *side, **self.options, **options)

    def inputs(self, rows=ROWS, seed=0):
        """Rows in float64 and the side data that goes with them."""
        generator = np.random.default_rng(seed)
        shape = (len(self.arguments), rows, DIM)
        views = generator.normal(size=(1, rows, DIM)) + generator.normal(size=shape)
        return tuple(views), tuple(ids[:rows] for ids in self.side.values())


RECIPES = {
    "info_nce": Recipe("info_nce_loss"),
    "info_nce-one-sided": Recipe(
        "info_nce_loss", {"symmetric": False}, anchors=lambda rows: (rows,)
    ),
    "info_nce-dcl": Recipe("info_nce_loss", {"within_view": True, "decoupled": True}),
    "info_nce-dhel": Recipe(
        "info_nce_loss",
        {"cross_view": False, "within_view": True, "decoupled": True},
    ),
    "nt_xent": Recipe("nt_xent_loss"),
    "negative_variance": Recipe(
        "negative_variance_penalty", {"num_instances": 40}, tempered=False, anchors=None
    ),
    "negative_variance-cubed": Recipe(
        "negative_variance_penalty",
        {"num_instances": 40, "power": 3},
        tempered=False,
        anchors=None,
    ),
    "within_domain": Recipe(
        "within_domain_nce_loss",
        arguments=("embeddings",),
        side={"instances": INSTANCES, "domains": DOMAINS},
        anchors=lambda rows: (rows,),
    ),
}
TEMPERED = [case for case, recipe in RECIPES.items() if recipe.tempered]
PER_ANCHOR = [case for case, recipe in RECIPES.items() if recipe.anchors]
BLOCKS = [None, 3]
KEEP = np.array([1, 1, 1, 0, 1, 0, 0, 1], bool)

each_loss = pytest.mark.parametrize("case", RECIPES)
each_block = pytest.mark.parametrize("block_size", BLOCKS)


@functools.cache
def compiled(case, block_size=None):
    """Value and gradient by the rows: one program a loss and block size."""
    recipe = RECIPES[case]

    def loss(data, side, where, temperature):
        options = {"temperature": temperature} if recipe.tempered else {}
        return recipe(data, *side, where=where, block_size=block_size, **options)

    return jax.jit(jax.value_and_grad(loss))


def evaluate(case, data, side, where=None, temperature=0.2, block_size=None):
    """Value and gradients in the precision of `data`, as numpy."""
    data = tuple(jnp.asarray(rows) for rows in data)
    where = np.ones(len(data[0]), bool) if where is None else where
    value, gradients = compiled(case, block_size)(data, side, where, temperature)
    return np.asarray(value), np.asarray(gradients)


def single(data):
    return tuple(np.asarray(rows, np.float32) for rows in data)


def agree(found, expected, rtol=1e-5):
    """Values agree, and gradients do relative to the largest entry."""
    np.testing.assert_allclose(found[0], expected[0], rtol=rtol, atol=rtol)
    scale = max(1e-3, np.abs(expected[1]).max(initial=0.0))
    np.testing.assert_allclose(found[1] / scale, expected[1] / scale, atol=rtol)


def test_every_public_loss_has_a_recipe():
    public = {name for name in losses.__all__ if callable(getattr(losses, name))}
    assert public == {recipe.name for recipe in RECIPES.values()}


@each_loss
@each_block
def test_a_loss_is_a_single_precision_scalar(case, block_size):
    data, side = RECIPES[case].inputs()
    value, _ = evaluate(case, single(data), side, block_size=block_size)
    assert value.shape == ()
    assert value.dtype == np.float32


@each_loss
def test_double_precision_stays_double_only_where_asked(case):
    data, side = RECIPES[case].inputs()
    with enable_x64(True):
        assert evaluate(case, data, side)[0].dtype == np.float64
        assert evaluate(case, single(data), side)[0].dtype == np.float32


@each_loss
@each_block
@pytest.mark.parametrize(("dtype", "rtol"), [("bfloat16", 3e-2), ("float16", 4e-3)])
def test_low_precision_agrees_to_the_rounding_of_its_input(
    case, block_size, dtype, rtol
):
    """The rows are so long that their squares overflow float16."""
    data, side = RECIPES[case].inputs()
    data = tuple(jnp.asarray(1024 * rows, dtype) for rows in data)
    value, gradients = evaluate(case, data, side, block_size=block_size)
    assert value.dtype == np.float32
    assert gradients.dtype == dtype
    expected, slopes = evaluate(case, single(data), side)
    np.testing.assert_allclose(value, expected, rtol=rtol, atol=rtol)
    unit = np.abs(slopes).max()
    error = (gradients.astype(np.float32) - slopes) / unit
    np.testing.assert_allclose(error, 0.0 * error, atol=rtol)


@each_loss
@each_block
def test_dropped_rows_leave_no_trace(case, block_size):
    data, side = RECIPES[case].inputs()
    dirty = np.array(single(data))
    for garbage in [0.0, 1.0, -1e30, 1e-30]:
        dirty[:, ~KEEP] = garbage
        value, gradients = evaluate(
            case, tuple(dirty), side, KEEP, block_size=block_size
        )
        expected = evaluate(
            case,
            tuple(rows[KEEP] for rows in single(data)),
            tuple(ids[KEEP] for ids in side),
        )
        agree((value, gradients[:, KEEP]), expected)
        assert not gradients[:, ~KEEP].any()


@each_loss
@each_block
@pytest.mark.parametrize("garbage", [np.nan, np.inf])
def test_dropped_rows_may_hold_anything(case, block_size, garbage):
    data, side = RECIPES[case].inputs()
    clean = evaluate(case, single(data), side, KEEP, block_size=block_size)
    dirty = np.array(single(data))
    dirty[:, ~KEEP] = garbage
    agree(evaluate(case, tuple(dirty), side, KEEP, block_size=block_size), clean, 1e-6)


@each_loss
def test_leaving_where_out_keeps_every_row(case):
    data, side = RECIPES[case].inputs()
    loss = jax.jit(functools.partial(RECIPES[case]))
    data = tuple(map(jnp.asarray, single(data)))
    everything = loss(data, *side, where=np.ones(ROWS, bool))
    np.testing.assert_allclose(loss(data, *side), everything, rtol=1e-6)


@pytest.mark.parametrize("case", PER_ANCHOR)
@each_block
def test_anchors_have_one_value_each_and_the_loss_is_their_mean(case, block_size):
    recipe = RECIPES[case]
    data, side = recipe.inputs()
    data = tuple(map(jnp.asarray, single(data)))
    loss = jax.jit(
        functools.partial(recipe, block_size=block_size, reduction="none"),
    )
    anchors = np.asarray(loss(data, *side, where=np.ones(ROWS, bool)))
    assert anchors.shape == recipe.anchors(ROWS)
    assert anchors.dtype == np.float32
    mean = recipe(data, *side, block_size=block_size)
    np.testing.assert_allclose(anchors.mean(), mean, rtol=1e-5)
    anchors = np.asarray(loss(data, *side, where=KEEP))
    assert not anchors[..., ~KEEP].any()


@pytest.mark.parametrize("case", [c for c in RECIPES if c not in PER_ANCHOR])
def test_losses_of_pairs_have_no_value_for_an_anchor(case):
    data, side = RECIPES[case].inputs()
    with pytest.raises(ValueError, match=r"`reduction`.*must.*got"):
        RECIPES[case](tuple(map(jnp.asarray, data)), *side, reduction="none")


@each_loss
@pytest.mark.parametrize("block_size", [1, 3, 7, 50])
def test_streaming_agrees_with_dense(case, block_size):
    data, side = RECIPES[case].inputs()
    for where in [None, KEEP]:
        dense = evaluate(case, single(data), side, where)
        agree(evaluate(case, single(data), side, where, block_size=block_size), dense)


@each_loss
def test_streaming_agrees_with_dense_in_double_precision(case):
    data, side = RECIPES[case].inputs()
    with enable_x64(True):
        for where in [None, KEEP]:
            dense = evaluate(case, data, side, where)
            tiles = evaluate(case, data, side, where, block_size=3)
            agree(tiles, dense, rtol=1e-12)


@each_loss
def test_the_order_of_the_rows_does_not_matter(case):
    data, side = RECIPES[case].inputs()
    value, gradients = evaluate(case, single(data), side)
    order = np.random.default_rng(1).permutation(ROWS)
    shuffled = evaluate(
        case,
        tuple(rows[order] for rows in single(data)),
        tuple(ids[order] for ids in side),
    )
    agree(shuffled, (value, gradients[:, order]))


@each_loss
@each_block
@pytest.mark.parametrize("exponents", [[18.0], [-30.0], [18.0, -30.0, 0.0, 5.0]])
def test_the_length_of_a_row_does_not_matter(case, block_size, exponents):
    data, side = RECIPES[case].inputs()
    plain = evaluate(case, single(data), side)
    scales = np.resize(10.0 ** np.array(exponents), (ROWS, 1))
    scaled = single(tuple(rows * scales for rows in data))
    value, gradients = evaluate(case, scaled, side, block_size=block_size)
    agree((value, gradients * scales), plain)


def one_row_zero(rows):
    return rows * (np.arange(len(rows)) != 5)[:, None]


def four_alike(rows):
    return rows[[0, 1, 2, 3, 1, 5, 1, 1]]


def all_alike(rows):
    return np.repeat(rows[3:4], len(rows), axis=0)


def opposite(rows):
    """Every second row points away from its neighbor."""
    return np.repeat(rows[::2], 2, axis=0) * np.resize([1.0, -1.0], (len(rows), 1))


EVERYONE, NOBODY, ALONE = np.ones(ROWS, bool), np.zeros(ROWS, bool), np.arange(ROWS) == 3

# (edit of the rows, where, temperature)
EXTREMES = {
    "one row": (np.array, ALONE, 0.2),
    "two rows": (np.array, np.arange(ROWS) < 2, 0.2),
    "no row": (np.array, NOBODY, 0.2),
    "a zero row": (one_row_zero, EVERYONE, 0.2),
    "only zero rows": (np.zeros_like, EVERYONE, 0.2),
    "duplicates": (four_alike, EVERYONE, 0.2),
    "all rows equal": (all_alike, EVERYONE, 0.2),
    "opposite rows": (opposite, EVERYONE, 0.2),
    "a cold temperature": (np.array, EVERYONE, 0.005),
    "cold duplicates": (four_alike, EVERYONE, 0.005),
    "cold zero rows": (np.zeros_like, EVERYONE, 0.005),
    "cold opposite rows": (opposite, EVERYONE, 0.005),
    "a huge row": (lambda rows: rows * 1e18, EVERYONE, 0.2),
    "tiny rows": (lambda rows: rows * 1e-30, EVERYONE, 0.005),
    "huge beside tiny": (
        lambda rows: rows * np.resize([1e18, 1e-30], (len(rows), 1)),
        EVERYONE,
        0.005,
    ),
}


@each_loss
@each_block
@pytest.mark.parametrize("extreme", EXTREMES)
def test_every_finite_input_has_a_finite_value_and_gradient(case, block_size, extreme):
    edit, where, temperature = EXTREMES[extreme]
    data, side = RECIPES[case].inputs()
    rows = single(tuple(edit(rows) for rows in data))
    found = evaluate(case, rows, side, where, temperature, block_size)
    assert np.isfinite(found[0])
    assert np.all(np.isfinite(found[1]))
    zero = ~np.any(np.array(rows), axis=-1)
    assert not found[1][zero].any()
    assert not found[1][:, ~where].any()


@each_loss
@each_block
def test_a_single_row_or_none_costs_nothing(case, block_size):
    data, side = RECIPES[case].inputs()
    for where in [ALONE, NOBODY]:
        value, gradients = evaluate(
            case, single(data), side, where, block_size=block_size
        )
        assert value == 0.0
        assert not gradients.any()
    value, gradients = evaluate(
        case,
        tuple(rows[:1] for rows in single(data)),
        tuple(ids[:1] for ids in side),
        block_size=block_size,
    )
    assert value == 0.0
    assert not gradients.any()


@each_loss
@each_block
def test_a_zero_row_takes_part_as_similarity_zero(case, block_size):
    """A row of zeros acts on the others as a row at right angles to all of them."""
    data, side = RECIPES[case].inputs()
    wide = [np.pad(rows, ((0, 0), (0, 2))) for rows in single(data)]
    for axis, rows in enumerate(wide):
        rows[5] = np.eye(DIM + 2)[DIM + axis]
    value, gradients = evaluate(case, tuple(wide), side)
    zeroed = single(tuple(map(one_row_zero, data)))
    found = evaluate(case, zeroed, side, block_size=block_size)
    others = np.arange(ROWS) != 5
    agree((found[0], found[1][:, others]), (value, gradients[:, others, :DIM]))


@each_loss
@each_block
def test_a_kept_nan_is_not_hidden(case, block_size):
    data, side = RECIPES[case].inputs()
    for argument in range(len(data)):
        rows = np.array(single(data))
        rows[argument, 1, 2] = np.nan
        value, _ = evaluate(case, tuple(rows), side, block_size=block_size)
        assert np.isnan(value)


@each_loss
@each_block
def test_gradients_equal_finite_differences(case, block_size):
    recipe = RECIPES[case]
    data, side = recipe.inputs(seed=2)

    def loss(*data):
        options = {"temperature": 0.3} if recipe.tempered else {}
        return recipe(data, *side, where=where, block_size=block_size, **options)

    with enable_x64(True):
        data, where = tuple(map(jnp.asarray, data)), jnp.asarray(KEEP)
        check_grads(jax.jit(loss), data, order=1, modes=["rev"])


@pytest.mark.parametrize("case", TEMPERED)
@each_block
def test_temperature_may_be_learned(case, block_size):
    recipe = RECIPES[case]
    data, side = recipe.inputs()

    def loss(temperature, data):
        return recipe(
            data, *side, temperature=temperature, where=where, block_size=block_size
        )

    with enable_x64(True):
        data, where = tuple(map(jnp.asarray, data)), jnp.asarray(KEEP)
        value_and_slope = jax.jit(jax.value_and_grad(loss))
        for temperature, step in [(0.3, 1e-5), (0.05, 1e-6)]:
            value, slope = value_and_slope(temperature, data)
            ends = [value_and_slope(temperature + h, data)[0] for h in (step, -step)]
            np.testing.assert_allclose(
                slope, (ends[0] - ends[1]) / (2 * step), rtol=1e-6, atol=1e-8
            )
        np.testing.assert_allclose(value, loss(0.05, data), rtol=1e-12)


@each_loss
@each_block
def test_a_loss_maps_over_a_stack_of_batches(case, block_size):
    recipe = RECIPES[case]
    batches = [recipe.inputs(seed=seed)[0] for seed in range(3)]
    side = recipe.inputs()[1]
    masks = np.array([KEEP, EVERYONE, ~KEEP])
    temperatures = np.array([0.1, 0.2, 0.5], np.float32)
    stack = tuple(jnp.asarray(rows, jnp.float32) for rows in zip(*batches, strict=True))
    stacked = jax.vmap(compiled(case, block_size), in_axes=(0, None, 0, 0))
    values, gradients = stacked(stack, side, masks, temperatures)
    for i, batch in enumerate(batches):
        expected = evaluate(case, single(batch), side, masks[i], temperatures[i])
        agree((values[i], np.array([rows[i] for rows in gradients])), expected)


def shapes(recipe):
    """The shapes of a call, by argument name: errors must need no values."""
    data = dict.fromkeys(recipe.arguments, jax.ShapeDtypeStruct((ROWS, DIM), "float32"))
    side = dict.fromkeys(recipe.side, jax.ShapeDtypeStruct((ROWS,), "int32"))
    return {**data, **side, "where": jax.ShapeDtypeStruct((ROWS,), "bool")}


def mistakes(recipe):
    """Wrong shapes and wrong values, each with the names the error may blame."""
    for name, right in shapes(recipe).items():
        peers = recipe.arguments if name in recipe.arguments else (name,)
        anyone = tuple(shapes(recipe)) if name in recipe.arguments else (name,)
        yield f"{name} too long", {name: (ROWS + 1, *right.shape[1:])}, anyone
        yield f"{name} without an axis", {name: right.shape[:-1]}, peers
        yield f"{name} with an axis more", {name: (1, *right.shape)}, peers
    if len(recipe.arguments) == 2:
        name = recipe.arguments[1]
        yield f"{name} too wide", {name: (ROWS, DIM + 1)}, recipe.arguments
    for value in [0.0, -0.1] if recipe.tempered else []:
        yield f"temperature {value}", {"temperature": value}, ("temperature",)
    yield "an unknown reduction", {"reduction": "sum"}, ("reduction",)
    yield "an empty block", {"block_size": 0}, ("block_size",)


MISTAKES = [
    pytest.param(recipe, changes, blamed, id=f"{recipe.name}-{what}")
    for recipe in {recipe.name: recipe for recipe in RECIPES.values()}.values()
    for what, changes, blamed in mistakes(recipe)
]


@pytest.mark.parametrize(("recipe", "changes", "blamed"), MISTAKES)
def test_mistakes_are_named_while_tracing(recipe, changes, blamed):
    traced = shapes(recipe)
    static = {name: value for name, value in changes.items() if name not in traced}
    for name in set(changes) & set(traced):
        traced[name] = jax.ShapeDtypeStruct(changes[name], traced[name].dtype)

    def loss(arrays):
        data = tuple(arrays[name] for name in recipe.arguments)
        side = [arrays[name] for name in recipe.side]
        return recipe(data, *side, where=arrays["where"], **static)

    with pytest.raises(ValueError, match=rf"(?s)`({'|'.join(blamed)})`.*must.*got"):
        jax.eval_shape(loss, traced)


VALUES = {
    "too few instances": ({"num_instances": 1}, "num_instances"),
    "no power": ({"num_instances": 9, "power": 0}, "power"),
    "a negative power": ({"num_instances": 9, "power": -2}, "power"),
    "half a power": ({"num_instances": 9, "power": 1.5}, "power"),
}


@pytest.mark.parametrize("value", VALUES)
def test_wrong_values_of_the_variance_penalty_are_named(value):
    options, blamed = VALUES[value]
    u, v = RECIPES["negative_variance"].inputs()[0]
    with pytest.raises(ValueError, match=rf"`{blamed}`.*must.*got"):
        losses.negative_variance_penalty(jnp.asarray(u), jnp.asarray(v), **options)
