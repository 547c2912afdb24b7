"""Arguments are checked as the annotations say, and lists and NumPy arrays will do."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Bool, Float, Int, Real, Shaped

from jaxcl import losses, metrics
from jaxcl.kernels import AxisName, check_arguments, checked


@check_arguments
def everything(
    embeddings: Float[Array, "rows dim"],
    labels: Int[Array, " rows"],
    ages: Real[Array, " rows"] | Real[Array, "rows k"] | None = None,
    *,
    temperature: float | Float[Array, ""] = 0.1,
    bias: float | Float[Array, ""] = 0.0,
    bandwidth: float | None = None,
    anchor_losses: Float[Array, "... rows"] | None = None,
    columns: Mapping[str, Shaped[Array, "rows ..."]] | None = None,
    fn: Callable[[Array], Array] = jnp.sin,
    where: Bool[Array, " rows"] | None = None,
    axis_name: AxisName = None,
    block_size: int | None = None,
    count: int = 1,
    reduction: Literal["mean", "none"] = "mean",
) -> dict[str, Any]:
    return dict(locals())


ROWS, IDS = np.ones((8, 4), np.float32), np.arange(8)
WORDS = ["cat", "dog"] * 4
REFUSED = [
    ({"embeddings": ROWS[0]}, "`embeddings` must have shape (rows, dim), got (4,)"),
    ({"embeddings": IDS[:, None]}, "`embeddings` must be floating, got int32"),
    ({"embeddings": ROWS[:0]}, "`embeddings` must have rows, got shape (0, 4)"),
    ({"embeddings": None}, "`embeddings` must be an array of numbers, got None"),
    ({"embeddings": [[1], [2, 3]]}, "`embeddings` must be an array of numbers, got [["),
    ({"labels": IDS[:4]}, "`labels` must have shape (rows,) = (8,), got (4,)"),
    ({"labels": IDS / 2}, "`labels` must be integers, got float32"),
    (
        {"ages": ROWS[None]},
        "`ages` must have shape (rows,) or (rows, k) with rows = 8, got (1, 8, 4)",
    ),
    ({"ages": IDS > 3}, "`ages` must be numbers, got bool"),
    (
        {"anchor_losses": ROWS},
        "`anchor_losses` must have shape (..., rows) with rows = 8",
    ),
    (
        {"columns": {"x": IDS[:4]}},
        "`columns['x']` must have shape (rows, ...) with rows = 8",
    ),
    ({"columns": IDS}, "`columns` must be a mapping by name, got"),
    ({"where": IDS}, "`where` must be boolean, got int32"),
    ({"where": IDS[:4] > 1}, "`where` must have shape (rows,) = (8,), got (4,)"),
    ({"temperature": 0}, "`temperature` must be positive, got 0"),
    ({"temperature": float("nan")}, "`temperature` must be positive, got nan"),
    ({"temperature": None}, "`temperature` must be positive, got None"),
    ({"temperature": ROWS}, "`temperature` must be a scalar, got shape (8, 4)"),
    ({"bandwidth": -1.0}, "`bandwidth` must be positive, got -1.0"),
    ({"bias": ROWS}, "`bias` must be a scalar, got shape (8, 4)"),
    ({"fn": 3}, "`fn` must be a function, got 3"),
    ({"block_size": 0}, "`block_size` must be None or an int >= 1, got 0"),
    ({"block_size": True}, "`block_size` must be None or an int >= 1, got True"),
    ({"count": None}, "`count` must be an int >= 1, got None"),
    ({"reduction": "sum"}, "`reduction` must be one of 'mean', 'none', got 'sum'"),
]


@pytest.mark.parametrize(("wrong", "message"), REFUSED)
def test_a_wrong_argument_is_named_with_its_rule_and_value(wrong, message):
    with pytest.raises(ValueError) as caught:
        everything(**{"embeddings": ROWS, "labels": IDS, **wrong})
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("words", [WORDS, np.array(WORDS), np.array(WORDS, object)])
def test_words_are_refused_with_the_way_out(words):
    with pytest.raises(ValueError, match="`labels` must be an array of numbers") as e:
        everything(ROWS, words)
    assert "`np.unique(labels, return_inverse=True)[1]`" in str(e.value)
    everything(ROWS, np.unique(words, return_inverse=True)[1])


def test_lists_and_numpy_arrays_become_jax_arrays():
    found = everything(
        ROWS.tolist(),
        IDS.tolist(),
        where=np.ones(8, bool),
        columns={"x": [1] * 8, "word": WORDS},
    )
    arrays = [found["embeddings"], found["labels"], found["where"]]
    assert all(isinstance(x, jax.Array) for x in arrays)
    assert all(isinstance(x, np.ndarray) for x in found["columns"].values())


def test_right_arguments_pass_as_they_are():
    given = {"ages": jnp.ones((8, 2)), "anchor_losses": jnp.ones((2, 8)), "count": 3}
    found = everything(jnp.asarray(ROWS), jnp.asarray(IDS), **given)
    assert all(found[name] is value for name, value in given.items())
    assert found["where"] is None


def test_wrong_calls_are_the_errors_of_python():
    for wrong in (
        lambda: everything(ROWS),
        lambda: everything(ROWS, IDS, None, 0.1),
        lambda: everything(ROWS, IDS, labels=IDS),
        lambda: everything(ROWS, IDS, nothing=1),
    ):
        with pytest.raises(TypeError, match="everything"):
            wrong()


def test_a_traced_temperature_is_taken_as_it_is_unless_it_is_not_positive():
    def temperature(t):
        return everything(ROWS, IDS, temperature=t)["temperature"]

    assert jax.value_and_grad(temperature)(2.0) == (2.0, 1.0)
    for cold in (0.0, -1.0):
        value, slope = jax.value_and_grad(temperature)(cold)
        assert value == np.float32(1e-6)
        assert slope == 0.0


@pytest.mark.parametrize(
    "fn", [*map(losses.__dict__.get, losses.__all__), metrics.uniformity]
)
def test_signatures_show_every_argument(fn):
    assert inspect.signature(fn) == inspect.signature(inspect.unwrap(fn))
    assert inspect.unwrap(fn) is not fn and fn.__doc__


def test_explicit_meshes_are_handled_inside():
    mesh = jax.make_mesh((4,), ("x",), axis_types=(jax.sharding.AxisType.Explicit,))
    sharding = jax.sharding.NamedSharding(mesh, jax.P("x"))
    rows = jax.device_put(jnp.arange(8.0).reshape(4, 2), sharding)
    with pytest.raises(Exception, match=r"[Ss]hard"):
        rows @ rows.T

    @checked
    def gram(rows: Float[Array, "rows dim"]) -> Float[Array, "rows rows"]:
        return rows @ rows.T

    np.testing.assert_allclose(gram(rows), np.asarray(rows) @ np.asarray(rows).T)


def test_temperature_is_the_first_knob_of_every_loss():
    tail = ["where", "axis_name", "block_size", "reduction"]
    for name in losses.__all__:
        parameters = inspect.signature(getattr(losses, name)).parameters.values()
        knobs = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
        if name == "pairwise_loss":  # its data are knobs, since they have names
            knobs = knobs[knobs.index("temperature") :]
        assert "temperature" not in knobs[1:]
        last = [knob for knob in tail if knob in knobs]
        assert knobs[-len(last) :] == last
