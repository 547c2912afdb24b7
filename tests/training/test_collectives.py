"""How often the devices of a step wait for each other."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec
from long_tests import long_only
from small_steps import MODEL, make_batches, make_rig, some_devices

from jaxcl.config import ObjectiveConfig
from jaxcl.kernels import average
from jaxcl.models import _resnet
from jaxcl.training import make_devices, parallelize

# The stem, two blocks of two layers, the shortcut of the second, and the head.
LAYERS = 1 + 4 + 1 + 1


def all_reduces(norm, parallel):
    """All-reduces in the compiled step of a small ResNet on eight devices."""
    head_norm = "batch" if norm == "batch" else "none"
    model = dataclasses.replace(
        MODEL, encoder="resnet18", norm=norm, head_norm=head_norm
    )
    rig = make_rig(ObjectiveConfig("nt_xent"), model)
    mapped = parallelize(rig.step, some_devices(parallel, 8))
    batch = mapped.place_batch(make_batches(1)[0])
    step = jax.jit(mapped.step).lower(mapped.place_state(rig.initial), batch)
    return len(re.findall(r" all-reduce(?:-start)?\(", step.compile().as_text()))


@pytest.mark.slow
# `pmap` keeps no record of what is the same on all devices: it reduces the loss on the
# way back as well, and its compiler joins fewer of the small reductions.
@pytest.mark.parametrize(
    ("parallel", "others"), [("shard_map", 5), *long_only(("pmap", 10))]
)
def test_batchnorm_takes_one_reduction_a_layer_forward_and_one_back(
    parallel, others, monkeypatch
):
    monkeypatch.setitem(_resnet._STAGES, 18, (1, 1))
    without = all_reduces("none", parallel)
    assert 1 <= without <= others
    assert all_reduces("batch", parallel) - without <= 2 * LAYERS


def test_what_is_the_same_everywhere_by_its_type_is_not_averaged():
    def reduced(check):
        mapped = jax.shard_map(
            lambda same, own: average((same, own), "batch"),
            mesh=make_devices().mesh,
            in_specs=(PartitionSpec(), PartitionSpec("batch")),
            out_specs=PartitionSpec(),
            check_vma=check,
        )
        text = jax.jit(mapped).lower(jnp.ones(3), jnp.ones(8)).as_text()
        return len(re.findall("stablehlo.all_reduce", text))

    assert reduced(check=True) == 1
    assert reduced(check=False) == 2
