"""Every loss in one piece has derivatives of second order, in either mode."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from losses.test_contract import RECIPES, SWEPT, enable_x64

ROWS = 8


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in RECIPES if case in SWEPT])
def test_second_derivatives_are_those_of_finite_differences(case):
    recipe = RECIPES[case]
    with enable_x64(True):
        data, side = recipe.inputs(ROWS)
        data = tuple(np.float64(rows) for rows in data)
        where = jnp.ones(ROWS, bool)
        loss = jax.jit(lambda *data: jnp.mean(recipe(data, side, where=where)))
        check_grads(loss, data, order=2, modes=("fwd", "rev"), atol=1e-4, rtol=1e-4)
