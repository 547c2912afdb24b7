"""One contract for every public loss: the promises of the conventions, loss by loss."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.experimental
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl import losses

enable_x64 = (
    jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64
)

ROWS, DIM = 8, 4
INSTANCES = np.array([0, 1, 0, 2, 1, 3, 2, 3, 0, 4, 5, 4, 5, 6, 6, 1])
DOMAINS = np.array([0, 1, 0, 0, 1, -1, 2, 0, 1, 1, 0, 0, -1, 2, 2, 1])


@dataclasses.dataclass(frozen=True, eq=False)
class Recipe:
    """How a test calls one loss: what it takes, and what it may be asked for.

    The first eight rows of the side data must leave every anchor defined.
    """

    name: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    arguments: tuple[str, ...] = ("u", "v")
    side: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    tempered: bool = True
    anchors: Callable[[int], tuple[int, ...]] | None = lambda rows: (2, rows)

    def __call__(self, data, side, *, temperature=None, **options):
        """The loss of `data`, a tuple with one array for each of `arguments`."""
        if self.tempered and temperature is not None:
            options["temperature"] = temperature
        return getattr(losses, self.name)(*data, *side, **self.options, **options)

    def inputs(self, rows=ROWS, seed=0):
        """Rows in float64 and the side data that goes with them."""
        generator = np.random.default_rng(seed)
        shape = (len(self.arguments), rows, DIM)
        views = generator.normal(size=(1, rows, DIM)) + generator.normal(size=shape)
        return views, tuple(ids[:rows] for ids in self.side.values())


PENALTY = {"num_instances": 40}
OF_PAIRS = {"tempered": False, "anchors": None}
RECIPES = {
    "info_nce": Recipe("info_nce_loss"),
    "info_nce-one-sided": Recipe(
        "info_nce_loss", {"symmetric": False}, anchors=lambda rows: (rows,)
    ),
    "info_nce-dcl": Recipe("info_nce_loss", {"within_view": True, "decoupled": True}),
    "nt_xent": Recipe("nt_xent_loss"),
    "negative_variance": Recipe("negative_variance_penalty", PENALTY, **OF_PAIRS),
    "negative_variance-cubed": Recipe(
        "negative_variance_penalty", {**PENALTY, "power": 3}, **OF_PAIRS
    ),
    "within_domain": Recipe(
        "within_domain_nce_loss",
        arguments=("embeddings",),
        side={"instances": INSTANCES, "domains": DOMAINS},
        anchors=lambda rows: (rows,),
    ),
}
PER_ANCHOR = [case for case, recipe in RECIPES.items() if recipe.anchors]
KEEP = np.array([1, 1, 1, 0, 1, 0, 0, 1], bool)
EVERYONE, NOBODY = np.ones(ROWS, bool), np.zeros(ROWS, bool)
ALONE = np.arange(ROWS) == 3

each_loss = pytest.mark.parametrize("case", RECIPES)
each_block = pytest.mark.parametrize("block_size", [None, 3])


class Outcome(NamedTuple):
    """What a loss returned, as numpy; gradients are `[arguments, rows, dim]`."""

    value: np.ndarray
    gradients: np.ndarray
    slope: np.ndarray


@functools.cache
def compiled(case, block_size=None):
    """Value, and gradient by rows and temperature: one program for many tests."""

    def loss(data, temperature, side, where):
        options = {"temperature": temperature, "where": where, "block_size": block_size}
        return RECIPES[case](data, side, **options)

    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))


def evaluate(case, data, side, where=None, temperature=0.2, block_size=None):
    """The loss of `data`, in the precision it has; `where=None` keeps all."""
    data = tuple(jnp.asarray(rows) for rows in data)
    where = np.ones(len(data[0]), bool) if where is None else where
    value, (gradients, slope) = compiled(case, block_size)(
        data, temperature, side, where
    )
    return Outcome(np.asarray(value), np.asarray(gradients), np.asarray(slope))


def agree(found, expected, rtol=1e-5):
    """Values agree, and gradients do relative to their largest entry."""
    np.testing.assert_allclose(found.value, expected.value, rtol=rtol, atol=rtol)
    for name in ["gradients", "slope"]:
        slopes, right = getattr(found, name), getattr(expected, name)
        scale = max(1e-3, np.abs(right).max(initial=0.0))
        np.testing.assert_allclose(
            slopes / scale, right / scale, rtol=0, atol=rtol, err_msg=name
        )


def picked(outcome, rows):
    """The outcome with the gradients of some rows only."""
    return outcome._replace(gradients=outcome.gradients[:, rows])


def test_every_public_loss_has_a_recipe():
    public = {name for name in losses.__all__ if callable(getattr(losses, name))}
    assert public == {recipe.name for recipe in RECIPES.values()}


@each_loss
@each_block
def test_a_loss_is_a_single_precision_scalar(case, block_size):
    data, side = RECIPES[case].inputs()
    data = tuple(jnp.float32(data))
    assert evaluate(case, data, side, block_size=block_size).value.dtype == np.float32
    with enable_x64(True):
        value, (gradients, _) = jax.eval_shape(
            compiled(case, block_size), data, 0.2, side, EVERYONE
        )
    assert value.shape == ()
    assert {leaf.dtype for leaf in (value, *gradients)} == {np.dtype("float32")}


@each_loss
@pytest.mark.parametrize(
    ("rows", "rtol", "block_size"),
    [("bfloat16", 3e-2, None), ("float16", 4e-3, 3)],
)
def test_low_precision_agrees_to_the_rounding_of_its_input(
    case, rows, rtol, block_size
):
    """The rows are so long that their squares overflow float16."""
    data, side = RECIPES[case].inputs()
    low = jnp.asarray(1024 * data, rows)
    found = evaluate(case, low, side, block_size=block_size)
    assert (found.value.dtype, found.gradients.dtype) == ("float32", rows)
    found = found._replace(gradients=1024 * np.float32(found.gradients))
    agree(found, evaluate(case, np.float32(low) / 1024, side), rtol)


@each_loss
@each_block
def test_dropped_rows_leave_no_trace(case, block_size):
    data, side = RECIPES[case].inputs()
    data = np.float32(data)
    expected = evaluate(case, data[:, KEEP], tuple(ids[KEEP] for ids in side))
    for garbage in [0.0, 1.0, -1e30, 1e-30, np.nan, np.inf]:
        data[:, ~KEEP] = garbage
        found = evaluate(case, data, side, KEEP, block_size=block_size)
        agree(picked(found, KEEP), expected)
        if np.isfinite(garbage):
            assert not found.gradients[:, ~KEEP].any()


@each_loss
def test_leaving_where_out_keeps_every_row(case):
    data, side = RECIPES[case].inputs()
    data, side = tuple(jnp.float32(data)), tuple(map(jnp.asarray, side))
    value = jax.jit(functools.partial(RECIPES[case], temperature=0.2))(data, side)
    np.testing.assert_allclose(value, evaluate(case, data, side).value, rtol=1e-6)


@pytest.mark.parametrize("case", PER_ANCHOR)
@each_block
def test_anchors_have_one_value_each_and_the_loss_is_their_mean(case, block_size):
    data, side = RECIPES[case].inputs()
    data = tuple(jnp.float32(data))
    loss = jax.jit(
        functools.partial(
            RECIPES[case], temperature=0.2, block_size=block_size, reduction="none"
        )
    )
    anchors = np.asarray(loss(data, side, where=EVERYONE))
    assert anchors.shape == RECIPES[case].anchors(ROWS)
    assert anchors.dtype == np.float32
    mean = evaluate(case, data, side, block_size=block_size).value
    np.testing.assert_allclose(anchors.mean(), mean, rtol=1e-5)
    assert not np.asarray(loss(data, side, where=KEEP))[..., ~KEEP].any()


@each_loss
@pytest.mark.parametrize("block_size", [1, 3, 7, 50])
def test_streaming_agrees_with_dense(case, block_size):
    data, side = RECIPES[case].inputs()
    for where in [EVERYONE, KEEP]:
        dense = evaluate(case, np.float32(data), side, where)
        tiles = evaluate(case, np.float32(data), side, where, block_size=block_size)
        agree(tiles, dense)


@each_loss
def test_streaming_agrees_with_dense_in_double_precision(case):
    data, side = RECIPES[case].inputs()
    with enable_x64(True):
        for where in [EVERYONE, KEEP]:
            dense = evaluate(case, data, side, where)
            tiles = evaluate(case, data, side, where, block_size=3)
            agree(tiles, dense, 1e-12)
            assert dense.value.dtype == tiles.gradients.dtype == np.float64


@each_loss
@each_block
def test_the_order_of_the_rows_does_not_matter(case, block_size):
    data, side = RECIPES[case].inputs()
    data, order = np.float32(data), np.random.default_rng(1).permutation(ROWS)
    sorted_side = tuple(ids[order] for ids in side)
    shuffled = evaluate(case, data[:, order], sorted_side, block_size=block_size)
    agree(shuffled, picked(evaluate(case, data, side), order))


@each_loss
@each_block
@pytest.mark.parametrize("exponents", [[30.0], [-30.0], [18.0, -30.0, 0.0, 5.0]])
def test_the_length_of_a_row_does_not_matter(case, block_size, exponents):
    data, side = RECIPES[case].inputs()
    scales = np.resize(10.0 ** np.array(exponents), (ROWS, 1))
    found = evaluate(case, np.float32(data * scales), side, block_size=block_size)
    found = found._replace(gradients=found.gradients * scales)
    agree(found, evaluate(case, np.float32(data), side))


def opposite(data):
    """Every second row points away from its neighbor."""
    return np.repeat(data[:, ::2], 2, axis=1) * np.resize([1.0, -1.0], (ROWS, 1))


def one_row_zero(data):
    return data * (np.arange(ROWS) != 5)[:, None]


# (edit of the rows, where)
EXTREMES = {
    "one row": (np.array, ALONE),
    "two rows": (np.array, np.arange(ROWS) < 2),
    "no row": (np.array, NOBODY),
    "all rows": (np.array, EVERYONE),
    "a zero row": (one_row_zero, EVERYONE),
    "a zero row in one view": (lambda x: [one_row_zero(x)[0], *x[1:]], EVERYONE),
    "only zero rows": (np.zeros_like, EVERYONE),
    "duplicates": (lambda x: x[:, [0, 1, 2, 3, 1, 5, 1, 1]], EVERYONE),
    "all rows equal": (lambda x: np.broadcast_to(x[:1, :1], x.shape), EVERYONE),
    "opposite rows": (opposite, EVERYONE),
    "huge rows": (lambda x: x * 1e37, EVERYONE),
    "tiny rows": (lambda x: x * 1e-30, EVERYONE),
}


@each_loss
@each_block
@pytest.mark.parametrize("extreme", EXTREMES)
def test_every_finite_input_has_a_finite_value_and_gradient(case, block_size, extreme):
    edit, where = EXTREMES[extreme]
    data, side = RECIPES[case].inputs()
    data = np.float32(edit(data))
    for temperature in [0.2, 0.005]:
        found = evaluate(case, data, side, where, temperature, block_size)
        assert all(np.all(np.isfinite(part)) for part in found)
        assert not found.gradients[~data.any(axis=-1)].any()
        assert not found.gradients[:, ~where].any()


@each_loss
@each_block
def test_a_single_row_or_none_costs_nothing(case, block_size):
    data, side = RECIPES[case].inputs()
    data, first = np.float32(data), tuple(ids[:1] for ids in side)
    for found in [
        evaluate(case, data, side, ALONE, block_size=block_size),
        evaluate(case, data, side, NOBODY, block_size=block_size),
        evaluate(case, data[:, :1], first),
    ]:
        assert found.value == 0.0
        assert not found.gradients.any()


@each_loss
@each_block
def test_a_zero_row_acts_as_one_at_right_angles_to_all_others(case, block_size):
    data, side = RECIPES[case].inputs()
    data[:, :, 2:] = 0.0
    zeroed = evaluate(case, np.float32(one_row_zero(data)), side, block_size=block_size)
    data[:, 5] = np.eye(DIM)[2 : 2 + len(data)]
    others = np.arange(ROWS) != 5
    upright = evaluate(case, np.float32(data), side)
    flat = [outcome.gradients[:, others, :2] for outcome in (zeroed, upright)]
    agree(zeroed._replace(gradients=flat[0]), upright._replace(gradients=flat[1]))


@each_loss
@each_block
def test_a_kept_nan_is_not_hidden(case, block_size):
    for argument in range(len(RECIPES[case].arguments)):
        data, side = RECIPES[case].inputs()
        data[argument, 1, 2] = np.nan
        found = evaluate(case, np.float32(data), side, block_size=block_size)
        assert np.isnan(found.value)


@each_loss
@each_block
@pytest.mark.parametrize("temperature", [0.3, 0.05])
def test_gradients_equal_finite_differences(case, block_size, temperature):
    """Of every entry of every row, and of a traced temperature."""
    data, side = RECIPES[case].inputs(seed=2)
    data[:, ::2] *= 3.0

    def outcome(change=0.0, heat=0.0):
        warmth = temperature + heat
        return evaluate(case, data + change, side, KEEP, warmth, block_size)

    def difference(*step):
        return outcome(*step).value - outcome(*(-x for x in step)).value

    with enable_x64(True):
        spots = np.eye(data.size).reshape(-1, *data.shape)
        gradients = [difference(1e-5 * spot) / 2e-5 for spot in spots]
        slope = difference(0.0, 1e-6) / 2e-6
        found = outcome()
    expected = Outcome(found.value, np.reshape(gradients, data.shape), slope)
    agree(found, expected, 1e-7)


@each_loss
@each_block
def test_a_loss_maps_over_a_stack_of_batches(case, block_size):
    recipe = RECIPES[case]
    stack = np.float32([recipe.inputs(seed=seed)[0] for seed in range(3)])
    side = recipe.inputs()[1]
    masks = np.array([KEEP, EVERYONE, ~KEEP])
    heats = np.float32([0.1, 0.2, 0.5])
    mapped = jax.vmap(compiled(case, block_size), in_axes=(0, 0, None, 0))
    data = tuple(jnp.asarray(rows) for rows in stack.swapaxes(0, 1))
    values, (gradients, slopes) = mapped(data, heats, side, masks)
    for i, batch in enumerate(stack):
        found = Outcome(values[i], np.array([x[i] for x in gradients]), slopes[i])
        agree(found, evaluate(case, batch, side, masks[i], float(heats[i])))


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
    for value in ["sum"] if recipe.anchors else ["sum", "none"]:
        yield f"reduction {value}", {"reduction": value}, ("reduction",)
    yield "an empty block", {"block_size": 0}, ("block_size",)


def every_mistake():
    """The mistakes of each loss, and those that only the penalty can make."""
    for recipe in {recipe.name: recipe for recipe in RECIPES.values()}.values():
        for what, changes, blamed in mistakes(recipe):
            yield pytest.param(recipe, changes, blamed, id=f"{recipe.name}-{what}")
    penalty = RECIPES["negative_variance"]
    for name, value in [("num_instances", 1), ("power", 0), ("power", 1.5)]:
        yield pytest.param(penalty, {name: value}, (name,), id=f"{name} {value}")


@pytest.mark.parametrize(("recipe", "changes", "blamed"), [*every_mistake()])
def test_mistakes_are_named_while_tracing(recipe, changes, blamed):
    traced = shapes(recipe)
    static = {name: value for name, value in changes.items() if name not in traced}
    for name in set(changes) & set(traced):
        traced[name] = jax.ShapeDtypeStruct(changes[name], traced[name].dtype)

    def loss(arrays):
        arguments = [arrays[name] for name in (*recipe.arguments, *recipe.side)]
        options = {**recipe.options, **static, "where": arrays["where"]}
        return getattr(losses, recipe.name)(*arguments, **options)

    with pytest.raises(ValueError, match=rf"(?s)`({'|'.join(blamed)})`.*must.*got"):
        jax.eval_shape(loss, traced)
