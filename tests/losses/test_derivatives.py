"""Every loss in one piece has derivatives of second order, in either mode."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from losses.test_contract import MOVING, RECIPES, SOME, enable_x64

ROWS = 8


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in MOVING if case in SOME])
def test_second_derivatives_are_those_of_finite_differences(case):
    recipe = RECIPES[case]
    with enable_x64(True):
        given, side = recipe.inputs(ROWS)
        given = [jnp.float64(rows) for rows in given]
        learned = [k for k in range(len(given)) if recipe.moves[k]]
        heat = (jnp.float64(0.7),) * recipe.tempered

        @jax.jit
        def loss(rows, *heat):
            data = dict(enumerate(given)) | dict(zip(learned, rows, strict=True))
            options = {"temperature": heat[0]} if heat else {}
            where = jnp.ones(ROWS, bool)
            return jnp.mean(recipe(tuple(data.values()), side, where=where, **options))

        arguments = [given[k] for k in learned], *heat
        # Ranks come from sorts, whose gradient is written by hand.
        modes = ("rev",) if case == "rank" else ("fwd", "rev")
        check_grads(loss, arguments, 2, modes, atol=1e-4, rtol=1e-4)
        slope = jax.grad(loss)(*arguments)
        assert max(np.abs(rows).max() for rows in slope) > 1e-6
