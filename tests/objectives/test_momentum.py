"""MoCo's queue against a list of keys, and objectives with target networks or none.

MoCo v3, BYOL and SimSiam are compared with loops in `test_objectives`; here with values
that can be told by hand.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import references
from jax.sharding import AxisType, PartitionSpec as P
from objectives.made_up import by_view

from jaxcl.batch import Batch
from jaxcl.objectives import (
    Outputs,
    make_byol_objective,
    make_moco_v2_objective,
    make_moco_v3_objective,
    make_simsiam_objective,
)

SIZE, DIM, TEMPERATURE, SAMPLES = 5, 3, 0.5, 6
AXIS, DEVICES = "devices", 4
MOCO = make_moco_v2_objective(temperature=TEMPERATURE, queue_size=SIZE)


def drawn(step, rows, dropped=()):
    """Queries, keys and samples of a step; few samples, so that they come again."""
    generator = np.random.default_rng(step)
    queries, keys = generator.normal(size=(2, rows, DIM)).astype(np.float32)
    where = ~np.isin(np.arange(rows), dropped)
    # What a dropped row holds is of no concern.
    keys[~where], queries[~where] = np.nan, np.nan
    instance = np.int32((3 * step + np.arange(rows)) % SAMPLES)
    return queries, keys, Batch(image=None, instance=instance, where=where)


@jax.jit
def learned(queries, keys, batch, carry):
    """Loss, gradient by queries, keys and queue, new carry."""

    def loss(queries, keys, queue):
        outputs = Outputs(queries[:, None], queries[:, None], targets=keys[:, None])
        given = {**carry, "queue": queue}
        value, _, new = MOCO.loss(outputs, batch, given, None)
        return value, new

    derivative = jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)
    (value, new), gradient = derivative(queries, keys, carry["queue"])
    return value, gradient, new


class Remembered:
    """A queue as the paper tells it: every key ever seen, the last ones are asked."""

    def __init__(self):
        self.keys = []

    def loss(self, queries, keys, batch):
        known = [key for key in self.keys[-SIZE:] if key is not None]
        losses = []
        for query, key, instance, keep in zip(
            queries, keys, batch.instance, batch.where, strict=True
        ):
            if keep:
                own = references.cosine(query, key) / TEMPERATURE
                others = [
                    references.cosine(query, older) / TEMPERATURE
                    for older, sample in known
                    if sample != instance
                ]
                total = sum(math.exp(logit - own) for logit in others)
                losses.append(math.log1p(total))
        return sum(losses) / len(losses)

    def add(self, keys, batch):
        for key, instance, keep in zip(keys, batch.instance, batch.where, strict=True):
            self.keys.append((key, int(instance)) if keep else None)

    def entries(self):
        known = [key for key in self.keys[-SIZE:] if key is not None]
        return sorted(
            (sample, *np.float64(key) / np.linalg.norm(key)) for key, sample in known
        )


def entries_of(carry):
    filled = np.flatnonzero(carry["queue_filled"])
    return sorted(
        (int(carry["queue_instance"][i]), *np.float64(carry["queue"][i]))
        for i in filled
    )


@pytest.mark.parametrize(
    ("sizes", "dropped"),
    [([3, 3, 3, 3, 3], ()), ([3, 3, 3, 3], (1,)), ([7, 7, 7], ()), ([7, 7], (4, 6))],
    ids=["no-divisor", "with-dropped", "larger-than-queue", "larger-with-dropped"],
)
def test_the_queue_is_the_list_of_the_last_keys(sizes, dropped):
    carry, remembered = MOCO.init_carry(DIM), Remembered()
    for step, rows in enumerate(sizes):
        queries, keys, batch = drawn(step, rows, dropped)
        value, _, carry = learned(queries, keys, batch, carry)
        expected = remembered.loss(queries, keys, batch)
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-7)
        remembered.add(keys, batch)
        np.testing.assert_allclose(
            entries_of(carry), remembered.entries(), rtol=1e-5, atol=1e-7
        )


def test_the_first_step_has_no_negatives_and_teaches_nothing():
    queries, keys, batch = drawn(0, 3)
    value, gradient, carry = learned(queries, keys, batch, MOCO.init_carry(DIM))
    assert value == 0.0
    assert not any(part.any() for part in gradient)
    assert np.asarray(carry["queue_filled"]).sum() == 3


def test_a_key_of_the_same_sample_is_not_a_negative():
    queries, keys, batch = drawn(0, 3)
    _, _, carry = learned(queries, keys, batch, MOCO.init_carry(DIM))
    alone = dataclasses.replace(batch, instance=np.int32([1, 1, 1]))
    carry = {**carry, "queue_instance": jnp.full(SIZE, 1, jnp.int32)}
    value, gradient, _ = learned(queries, keys, alone, carry)
    assert value == 0.0 and not gradient[0].any()
    strangers = dataclasses.replace(batch, instance=np.int32([2, 2, 2]))
    assert learned(queries, keys, strangers, carry)[0] > 0.1


def test_only_queries_have_a_gradient():
    carry = MOCO.init_carry(DIM)
    for step in range(2):
        queries, keys, batch = drawn(step, 3)
        _, gradient, carry = learned(queries, keys, batch, carry)
    by_queries, by_keys, by_queue = gradient
    assert np.abs(by_queries).max() > 1e-3
    assert not by_keys.any() and not by_queue.any()


def test_the_new_queue_has_no_gradient():
    queries, keys, batch = drawn(0, 3)

    def queue(queries, keys):
        outputs = Outputs(queries[:, None], queries[:, None], targets=keys[:, None])
        _, _, new = MOCO.loss(outputs, batch, MOCO.init_carry(DIM), None)
        return jnp.sum(new["queue"])

    slopes = jax.jit(jax.grad(queue, argnums=(0, 1)))(queries, keys)
    assert not any(slope.any() for slope in slopes)


def test_four_devices_keep_the_queue_of_one():
    def steps(drawings, axis_name):
        carry, values = MOCO.init_carry(DIM), []
        for queries, keys, batch in drawings:
            outputs = Outputs(queries[:, None], queries[:, None], targets=keys[:, None])
            value, _, carry = MOCO.loss(outputs, batch, carry, axis_name)
            values.append(value if axis_name is None else jax.lax.pmean(value, AXIS))
        return values, carry

    drawings = [drawn(step, 4, (step,)) for step in range(3)]
    axis = {"axis_types": (AxisType.Auto,), "devices": jax.devices()[:DEVICES]}
    mesh = jax.make_mesh((DEVICES,), (AXIS,), **axis)
    together = jax.shard_map(
        functools.partial(steps, axis_name=AXIS),
        mesh=mesh,
        in_specs=P(AXIS),
        out_specs=P(),
    )
    found = jax.jit(together)(drawings)
    expected = jax.jit(functools.partial(steps, axis_name=None))(drawings)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-5), found, expected
    )


def said(objective, **outputs):
    """The loss of rows that are written by hand, view by view."""
    rows = {name: jnp.float32(by_view(value)) for name, value in outputs.items()}
    blank = jnp.zeros_like(rows["predictions"])
    size = blank.shape[0]
    batch = Batch(image=None, instance=np.arange(size), where=np.ones(size, bool))
    outputs = Outputs(**{"embeddings": blank, "projections": blank, **rows})
    return float(
        jax.jit(lambda *given: objective.loss(*given, None)[0])(outputs, batch, {})
    )


EAST, NORTH, WEST = [2.0, 0.0], [0.0, 0.5], [-3.0, 0.0]


def test_byol_is_the_squared_distance_of_unit_rows_both_ways():
    # |(1, 0) − (0, 1)|² = 2 one way, |(0, 1) − (0, 1)|² = 0 the other.
    byol = make_byol_objective()
    found = said(byol, predictions=[[EAST], [NORTH]], targets=[[NORTH], [NORTH]])
    assert found == pytest.approx(2.0)
    # Each is where the target sees the other view.
    crossed = said(byol, predictions=[[EAST], [NORTH]], targets=[[NORTH], [EAST]])
    assert crossed == pytest.approx(0.0)
    # |(1, 0) − (−1, 0)|² = 4 both ways.
    apart = said(byol, predictions=[[EAST], [EAST]], targets=[[WEST], [WEST]])
    assert apart == pytest.approx(8.0)


def test_simsiam_is_the_cosine_with_the_other_view():
    # Cosine 1 with the other view one way, −1 the other; then 1 both ways.
    simsiam = make_simsiam_objective()
    views = {"predictions": [[EAST], [EAST]], "projections": [[WEST], [EAST]]}
    assert said(simsiam, **views) == pytest.approx(0.0)
    crossed = {"predictions": [[EAST], [NORTH]], "projections": [[NORTH], [EAST]]}
    assert said(simsiam, **crossed) == pytest.approx(-1.0)


def test_moco_v3_is_twice_the_temperature_times_both_directions():
    # Two samples at right angles: −log(e^{1/t} / (e^{1/t} + 1)) each way, times 2 t.
    made = make_moco_v3_objective(temperature=0.5)
    rows = [[EAST, NORTH], [EAST, NORTH]]
    expected = 2 * 2 * 0.5 * math.log1p(math.exp(-2.0))
    assert said(made, predictions=rows, targets=rows) == pytest.approx(expected)


def test_moco_v3_compares_predictions_with_the_other_view():
    made = make_moco_v3_objective(temperature=0.5)
    rows = [[EAST, NORTH], [NORTH, EAST]]
    near = said(made, predictions=rows, targets=rows[::-1])
    assert near < 0.3 < said(made, predictions=rows, targets=rows)
