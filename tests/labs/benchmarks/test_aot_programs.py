"""What is read from the text of a program, written by hand or made by XLA."""

import math
from functools import partial
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from jaxcl.config import from_dict
from jaxcl.kernels import Ring
from jaxcl.labs.benchmarks._aot import _steps
from jaxcl.labs.benchmarks._aot._census import (
    Tiles,
    describe_collectives,
    take_census,
    tiles_of,
)
from jaxcl.labs.benchmarks._aot._jobs import share_of_pairs
from jaxcl.labs.benchmarks._aot._losses import LOSSES, make_loss
from jaxcl.labs.benchmarks._aot._options import StepName
from jaxcl.losses import nt_xent_loss
from jaxcl.testing import read_program

# As libtpu writes it: layouts with parentheses, a limit that comes in by the carry, and
# cycles in the configuration of an instruction.
LOOP = """HloModule jit_fn, is_scheduled=true

%sum (a: f32[], b: f32[]) -> f32[] {
  %a = f32[]{:T(128)} parameter(0)
  %b = f32[]{:T(128)} parameter(1)
  ROOT %add = f32[]{:T(128)} add(%a, %b)
}

%fused (p0: f32[64,8], p1: f32[64,8]) -> f32[64,64] {
  %p0 = f32[64,8]{1,0:T(8,128)S(1)} parameter(0)
  %p1 = f32[64,8]{1,0:T(8,128)} parameter(1)
  %wide = f32[512,512]{1,0} broadcast(%p0), dimensions={}
  ROOT %product = f32[64,64]{1,0} convolution(%p0, %p1), dim_labels=bf_oi->bf, \
operand_precision={highest,highest}
}

%body (carry: (s32[], s32[], f32[64,8], /*index=3*/f32[64,64])) -> (s32[], s32[], \
f32[64,8], /*index=3*/f32[64,64]) {
  %carry = (s32[]{:T(128)}, s32[], f32[64,8]{1,0:T(8,128)S(1)}, \
/*index=3*/f32[64,64]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%carry), index=0
  %n = s32[] get-tuple-element(%carry), index=1
  %x = f32[64,8]{1,0:T(8,128)S(1)} get-tuple-element(%carry), index=2
  %moved = f32[64,8]{1,0:T(8,128)S(1)} collective-permute(%x), channel_id=1, \
source_target_pairs={{0,1},{1,0}}
  %tile = f32[64,64]{1,0} fusion(%x, %moved), kind=kOutput, calls=%fused, \
backend_config={"window_config":{"estimated_cycles":"70"}}
  %one = s32[] constant(1)
  %next = s32[] add(%i, %one), backend_config={"x":{"estimated_cycles":"3"}}
  ROOT %out = (s32[], s32[], f32[64,8], f32[64,64]) tuple(%next, %n, %moved, %tile)
}

%condition (carry.1: (s32[], s32[], f32[64,8], f32[64,64])) -> pred[] {
  %carry.1 = (s32[], s32[], f32[64,8]{1,0:T(8,128)}, f32[64,64]) parameter(0)
  %i.1 = s32[] get-tuple-element(%carry.1), index=0
  %n.1 = s32[] get-tuple-element(%carry.1), index=1
  ROOT %lt = pred[]{:T(512)} compare(%i.1, %n.1), direction=LT
}

ENTRY %main (x: f32[64,8]) -> f32[64,8] {
  %x = f32[64,8]{1,0:T(8,128)} parameter(0), metadata={op_name="x"}
  %zero = s32[]{:T(128)} constant(START)
  %limit = s32[]{:T(128)} constant(12)
  %empty = f32[64,64]{1,0} broadcast(%zero), dimensions={}
  %start = (s32[], s32[], f32[64,8], f32[64,64]) tuple(%zero, %limit, %x, %empty)
  %while = (s32[], s32[], f32[64,8], f32[64,64]) while(%start), \
condition=%condition, body=%body
  %last = f32[64,8]{1,0} get-tuple-element(%while), index=2
  %gathered = (f32[64,8], f32[128,8]{1,0:T(8,128)}) all-gather-start(%last), \
dimensions={0}
  %done = f32[128,8]{1,0} all-gather-done(%gathered)
  ROOT %total = f32[64,8]{1,0} all-reduce(%last), to_apply=%sum, \
backend_config={"estimated_cycles":"1000"}
}
"""


def loop(start=0):
    return LOOP.replace("START", str(start))


def test_bodies_of_loops_count_as_often_as_they_run():
    census = take_census(loop())
    assert census.cycles == 12 * (70 + 3) + 1000
    assert census.endless == 0
    assert census.flops == 12 * 2 * 64 * 64 * 8
    # A float32 product at full precision takes six of bfloat16.
    assert census.passes == 6 * census.flops
    assert tiles_of(census, 8) == [Tiles(12, 64, 64)]
    assert tiles_of(census, 9) == []


def test_a_loop_that_starts_later_runs_less_often():
    assert tiles_of(take_census(loop(start=5)), 8) == [Tiles(7, 64, 64)]


def test_a_length_that_the_compiler_names_is_taken():
    named = 'body=%body, backend_config={"known_trip_count":{"n":"9"}}'
    census = take_census(loop().replace("body=%body", named))
    assert tiles_of(census, 8) == [Tiles(9, 64, 64)]


def test_a_length_that_is_computed_counts_once_and_is_said():
    computed = loop().replace(
        "%limit = s32[]{:T(128)} constant(12)", "%limit = s32[] x()"
    )
    census = take_census(computed)
    assert (census.endless, tiles_of(census, 8)) == (1, [Tiles(1, 64, 64)])


def test_collectives_have_a_kind_a_count_and_what_is_received():
    census = take_census(loop())
    assert describe_collectives(census) == (
        "collective-permute ×12, all-gather ×1, all-reduce ×1"
    )
    received = {one.kind: one.times * one.bytes for one in census.collectives}
    assert received == {
        "collective-permute": 12 * 64 * 8 * 4,
        "all-gather": 128 * 8 * 4,
        "all-reduce": 64 * 8 * 4,
    }


def test_only_what_is_stored_is_a_buffer():
    # What is fused is not, and neither are arguments.
    buffers = list(map(str, take_census(loop()).buffers))
    assert buffers == ["f32[64,64]", "f32[128,8]", "f32[64,8]", "s32[]"]


def test_a_matrix_of_all_pairs_is_found():
    census = take_census(loop())
    assert share_of_pairs(census, 8, rows=64, pairs=64 * 64) == 1.0
    smaller = take_census(loop().replace("[64,64]", "[16,64]"))
    assert share_of_pairs(smaller, 8, rows=64, pairs=64 * 64) == 0.25
    # Stacked tiles are a matrix of all pairs, even if they are as wide as a row.
    stacked = take_census(loop().replace("[64,64]", "[64,8,8]"))
    assert share_of_pairs(stacked, 8, rows=64, pairs=64 * 64) == 1.0


@pytest.mark.parametrize("text", ["", "HloModule a\n", "%f (a: f32[]) -> f32[] {\n}\n"])
def test_a_text_that_is_no_program_is_refused(text):
    with pytest.raises(ValueError, match="no ENTRY"):
        read_program(text)


def compiled(fn, *shapes, **options):
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return jax.jit(fn).lower(*arguments).compile(**options).as_text()


@pytest.mark.parametrize(
    ("stride", "padding", "groups"), [(1, "SAME", 1), (2, "VALID", 1), (2, "SAME", 4)]
)
def test_a_convolution_multiplies_what_its_window_meets(stride, padding, groups):
    image, kernel = (2, 9, 9, 8), (3, 3, 8 // groups, 12)

    def convolve(x, w):
        return jax.lax.conv_general_dilated(
            x,
            w,
            (stride, stride),
            padding,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups,
        )

    # Every product of ones adds one.
    sums = convolve(np.ones(image, np.float32), np.ones(kernel, np.float32))
    assert take_census(compiled(convolve, image, kernel)).flops == 2 * sums.sum()


def on_eight(fn, **options):
    mesh = Mesh(np.array(jax.devices()[:8]), ("rows",))
    by_rows = PartitionSpec("rows")
    options = {"in_specs": by_rows, "out_specs": by_rows} | options
    return jax.shard_map(fn, mesh=mesh, **options)


def test_a_compiled_loop_over_products_and_sums_is_counted():
    def fn(x, y):
        def add(total, _):
            product = jnp.tanh(x @ (y + total[0, 0]))
            return total + jax.lax.psum(product, "rows"), None

        return jax.lax.scan(add, jnp.zeros((16, 6)), length=7)[0]

    text = compiled(on_eight(fn, check_vma=False), (8 * 16, 24), (8 * 24, 6))
    census = take_census(text)
    assert census.flops == 7 * 2 * 16 * 24 * 6
    sums = [one for one in census.collectives if one.kind == "all-reduce"]
    assert [(one.times, one.bytes) for one in sums] == [(7, 16 * 6 * 4)]
    assert census.endless == 0


@pytest.mark.parametrize("axis", ["rows", Ring("rows")], ids=["gather", "ring"])
def test_a_compiled_loss_forms_its_tiles_and_passes_its_rows(axis):
    batch, dim, block = 64, 24, 16  # of one device

    def fn(u, v):
        loss = partial(nt_xent_loss, axis_name=axis, block_size=block)
        return jax.grad(loss, (0, 1))(u, v)

    text = compiled(on_eight(fn), (8 * batch, dim), (8 * batch, dim))
    census = take_census(text)
    tiles = tiles_of(census, dim)
    assert {(one.rows, one.columns) for one in tiles} == {(block, block)}
    # Tiles of all pairs of a device, forward and backward; a ring may visit each
    # unordered pair of blocks once.
    own, every = 2 * batch // block, 8 * 2 * batch // block
    trips = sum(one.trips for one in tiles)
    pairs = 2 * own * every
    assert pairs // 2 <= trips <= pairs
    if axis == "rows":
        assert trips == pairs
        assert {one.kind for one in census.collectives} <= {"all-gather", "all-reduce"}
    else:
        hops = [one for one in census.collectives if one.kind == "collective-permute"]
        # Rows travel with what is known of them, in one buffer.
        rows = [one for one in hops if one.bytes >= 2 * batch * dim * 4]
        assert sum(one.times for one in rows) >= 2 * math.ceil(7 / 2)
    share = share_of_pairs(census, dim, 16 * batch, 2 * batch * 16 * batch)
    assert share < 0.1


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_a_program_of_one_chip_and_of_several(name):
    for count, ring in ((1, False), (8, False), (8, True)):
        if ring and not LOSSES[name].rings:
            continue
        devices = jax.devices()[:count]
        function, given = make_loss(name, devices, 64, 24, "bfloat16", ring=ring)
        assert {len(one.sharding.device_set) for one in given} == {count}
        assert sum(one.shape[0] for one in given if one.ndim == 2) == 64
        outputs = jax.tree.leaves(function.trace(*given).out_info)
        shapes = [one.shape for one in given if one.ndim == 2]
        found = [one.shape for one in outputs if one.ndim == 2]
        assert found == (shapes if LOSSES[name].differentiated else [])


def test_a_step_takes_state_and_batch_as_training_does(tmp_path, monkeypatch):
    monkeypatch.setitem(_steps._MODELS, "small", {"encoder": "mlp"})
    monkeypatch.setitem(_steps._OPTIMIZERS, "small", "lars")
    chips = jax.devices()[:2]
    step, (state, batch) = _steps.make_step("small", chips, 8, 16, tmp_path)
    assert batch.image.shape == (8, 16, 16, 3)
    assert {leaf.shape[0] for leaf in jax.tree.leaves(batch)} == {8}
    assert batch.image.sharding.spec == PartitionSpec("batch")
    new, metrics = step.trace(state, batch).out_info
    assert "loss" in metrics

    def kinds(tree):
        return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)

    assert kinds(new) == kinds(state)


@pytest.mark.parametrize("name", get_args(StepName))
def test_every_step_is_that_of_a_config(name, tmp_path):
    config = from_dict(_steps._config(name, 4096, 224, tmp_path))
    config.check()
    assert config.model.encoder == name
    assert config.model.dtype == "bfloat16"
