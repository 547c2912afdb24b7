"""The precision of products in a step: one word for networks and losses."""

import re

import jax
import pytest
from small_steps import make_batches, make_rig, some_devices

from jaxcl.config import ObjectiveConfig
from jaxcl.training import StepOptions, parallelize


def precisions(chosen, operation):
    """How many operations of the step have which precision."""
    options = StepOptions(matmul_precision=chosen)
    rig = make_rig(ObjectiveConfig("nt_xent"), options=options)
    mapped = parallelize(rig.step, some_devices("shard_map", 2))
    batch = mapped.place_batch(make_batches(1)[0])
    lowered = jax.jit(mapped.step).lower(mapped.place_state(rig.initial), batch)
    found = {}
    for line in lowered.as_text().splitlines():
        if f"stablehlo.{operation}" in line:
            match = re.search(
                r"(?:precision|precision_config) = \[[^A-Z]*([A-Z]+)", line
            )
            word = match[1] if match else "DEFAULT"
            found[word] = found.get(word, 0) + 1
    return found


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [(None, "DEFAULT"), ("default", "DEFAULT"), ("high", "HIGH")],
)
def test_networks_follow_the_word_and_without_one_jax(chosen, expected):
    assert set(precisions(chosen, "convolution")) == {expected}


def test_losses_are_at_the_highest_unless_a_word_is_given():
    unset, default = (precisions(word, "dot_general") for word in (None, "default"))
    # Of views, colors and blurs some stay, whose precision is part of what they are.
    assert unset["HIGHEST"] > default.get("HIGHEST", 0)
    assert unset["DEFAULT"] < default["DEFAULT"]
