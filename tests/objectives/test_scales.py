"""What is compared is divided by a temperature and multiplied by a scale."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from objectives.formulas import FORMULAS
from objectives.made_up import (
    WHERE,
    made_batch,
    made_memory,
    made_outputs,
    objective_of,
    seen_by,
)


def scaled_formula(name, outputs, memory, scale):
    """The loops when everything that is compared is multiplied by a number."""
    batch, scalars = made_batch(), dict(outputs.scalars)
    if name in ("byol", "simsiam"):
        # Their loss is an offset less the cosines.
        offset = 4.0 if name == "byol" else 0.0
        return offset - scale * (offset - FORMULAS[name](outputs, batch, memory))
    if name == "cross_entropy":
        outputs = outputs._replace(logits=outputs.logits * scale)
    elif name == "sigmoid":
        scalars["log_scale"] += math.log(scale)
        scalars["logit_bias"] *= scale
    else:
        scalars["log_temperature"] -= math.log(scale)
    return FORMULAS[name](outputs._replace(scalars=scalars), batch, memory)


@pytest.mark.parametrize(
    "method",
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
def test_the_scale_multiplies_what_is_compared(method):
    objective = objective_of(method)
    outputs, memory = seen_by(objective, made_outputs()), made_memory(objective)

    @jax.jit
    def run(scale, outputs, batch, memory):
        given = outputs, batch, memory, None
        mean = objective.contrast(*given, scale=scale)
        return mean, objective.contrast(*given, scale=scale, reduction="none")

    mean, anchors = run(jnp.float32(1.7), outputs, made_batch(), memory)
    expected = scaled_formula(method, outputs, memory, 1.7)
    np.testing.assert_allclose(mean, expected, rtol=1e-4)
    # The anchors are those whose mean is the loss.
    anchors = np.asarray(anchors).reshape(-1, 8)
    assert not anchors[:, ~WHERE].any()
    defined = np.count_nonzero(anchors)
    np.testing.assert_allclose(anchors.sum() / defined, expected, rtol=1e-4)


def test_a_learned_temperature_does_not_fall_below_a_hundredth():
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
