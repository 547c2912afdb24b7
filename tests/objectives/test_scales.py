"""What is compared is divided by the temperature and multiplied by a scale."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from objectives.formulas import FORMULAS
from objectives.made_up import (
    WHERE,
    made_batch,
    made_carry,
    made_outputs,
    objective_of,
    seen_by,
)


def scaled_formula(name, outputs, carry, scale):
    """The loops when everything that is compared is multiplied by a scale."""
    batch, scalars = made_batch(), dict(outputs.scalars)
    if name in ("byol", "simsiam"):
        # Their loss is an offset less the cosines.
        offset = 4.0 if name == "byol" else 0.0
        return offset - scale * (offset - FORMULAS[name](outputs, batch, carry))
    if name == "cross_entropy":
        outputs = outputs._replace(logits=outputs.logits * scale)
    elif name == "sigmoid":
        scalars["log_scale"] += math.log(scale)
        scalars["logit_bias"] *= scale
    else:
        scalars["log_temperature"] -= math.log(scale)
    return FORMULAS[name](outputs._replace(scalars=scalars), batch, carry)


@pytest.mark.parametrize(
    "name",
    [
        "nt_xent",
        "sigmoid",
        "moco_v2",
        "moco_v3",
        "supcon",
        "cross_entropy",
        "byol",
        "simsiam",
    ],
)
def test_the_scale_multiplies_what_is_compared(name):
    objective = objective_of(name)
    outputs, carry = seen_by(objective, made_outputs()), made_carry(objective)

    def mean_of_anchors(scale):
        run = jax.jit(functools.partial(objective.anchor_losses, axis_name=None))
        anchors = run(outputs, made_batch(), carry, scale=jnp.float32(scale))
        anchors = np.asarray(anchors).reshape(-1, 8)
        assert not anchors[:, ~WHERE].any()
        return anchors.sum() / np.count_nonzero(anchors)

    expected = scaled_formula(name, outputs, carry, 1.7)
    np.testing.assert_allclose(mean_of_anchors(1.7), expected, rtol=1e-4)
    loss, _, _ = jax.jit(functools.partial(objective.loss, axis_name=None))(
        outputs, made_batch(), carry
    )
    np.testing.assert_allclose(mean_of_anchors(1.0), loss, rtol=1e-4)


def test_a_learned_temperature_stays_at_or_above_a_hundredth():
    objective = objective_of("nt_xent")

    def loss(log_temperature):
        scalars = {"log_temperature": log_temperature}
        outputs = made_outputs()._replace(scalars=scalars)
        return objective.loss(outputs, made_batch(), {}, None)[0]

    run = jax.jit(jax.value_and_grad(loss))
    value, slope = run(jnp.log(0.005))
    scalars = {"log_temperature": math.log(0.01)}
    outputs = made_outputs()._replace(scalars=scalars)
    expected = FORMULAS["nt_xent"](outputs, made_batch(), {})
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert slope == 0.0
    assert run(jnp.log(0.011))[1] != 0.0
