"""Columns of numbers keep their differences on the way from a batch to a loss."""

import dataclasses

import jax
import numpy as np
import pytest
from objectives.made_up import (
    made_batch,
    made_carry,
    made_outputs,
    objective_of,
    seen_by,
)

DAYS = np.int32([3, -1, 0, 9, 4, 2, -1, 7])
METHODS = ("y_aware", "kernel_nce", "rank_n_contrast")


def values(name, day, devices=0):
    """The loss of a method with a column of days beside one of ages."""
    objective = objective_of(name, metadata=("day", "age"))
    outputs, carry = seen_by(objective, made_outputs()), made_carry(objective)
    batch = made_batch()
    batch = dataclasses.replace(batch, metadata={**batch.metadata, "day": day})
    if not devices:
        return objective.loss(outputs, batch, carry, None)[0]

    scalars = outputs.scalars

    def loss(outputs, batch):
        outputs = outputs._replace(scalars=scalars)
        return objective.loss(outputs, batch, carry, "devices")[0]

    def cut(x):
        return x.reshape(devices, -1, *x.shape[1:])

    parts = jax.tree.map(cut, (outputs._replace(scalars={}), batch))
    return jax.pmap(loss, "devices")(*parts)


@pytest.mark.parametrize("name", METHODS)
def test_dates_beside_ages_are_not_rounded(name):
    right = values(name, DAYS.astype(np.float32))
    np.testing.assert_allclose(values(name, 20240101 + DAYS), right, rtol=1e-6)


@pytest.mark.parametrize("name", METHODS)
def test_all_devices_subtract_the_same_date(name):
    found = values(name, 20240101 + DAYS, devices=4)
    np.testing.assert_allclose(found, values(name, 20240101 + DAYS), rtol=1e-5)
