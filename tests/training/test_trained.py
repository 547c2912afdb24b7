"""Part of an encoder is trained, and the rest costs and changes nothing."""

import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from long_tests import long_only, slow
from small_steps import MODEL, make_batches, make_rig, some_devices, take_steps

from jaxcl.config import ObjectiveConfig, OptimizerConfig
from jaxcl.models import _vit
from jaxcl.training import (
    StepOptions,
    host_copy,
    make_optimizer,
    parallelize,
    with_encoder,
)

STEPS = 3
NT_XENT, BYOL = ObjectiveConfig("nt_xent"), ObjectiveConfig("byol", momentum=0.9)
# Two blocks, four layers, and three with BatchNorm.
VIT = dataclasses.replace(MODEL, encoder="vit_ti", head_norm="none")
MLP = dataclasses.replace(
    VIT, encoder="mlp", norm="none", stages=4, width=32, head_hidden=8
)
CONVNET = dataclasses.replace(MODEL, stages=3)
ENCODERS = {"vit": VIT, "mlp": MLP, "convnet": CONVNET}
# A constant rate, and weight decay to be kept off what is frozen.
DECAYING = OptimizerConfig(
    learning_rate=0.01, weight_decay=0.1, warmup_steps=0, schedule="constant"
)
PLAIN = dataclasses.replace(DECAYING, name="sgd", weight_decay=0.0, momentum=0.0)
MODES = {
    "head": {"train": "head"},
    "last": {"train": "last_k", "last_k": 1},
    "lora": {"train": "lora", "lora_rank": 2, "lora_layers": "all"},
}


@pytest.fixture(autouse=True, scope="module")
def small():
    """A ViT of two blocks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(_vit.SIZES, "ti", (16, 2, 2))
        yield


def rig_of(encoder, mode="all", objective=NT_XENT, optimizer=PLAIN, **options):
    """The step of a model that is trained as the mode says."""
    mode = {"head_steps": 2} if mode == "late" else MODES.get(mode, {})
    model = dataclasses.replace(ENCODERS[encoder], **mode)
    made, _ = make_optimizer(optimizer, 10, head_steps=model.head_steps)
    return make_rig(objective, model, StepOptions(**options), made)


def by_path(tree):
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def trains(mode, path):
    """Whether a leaf of parameters or model state moves, as the docs say."""
    if "encoder/" not in path:
        return True
    last = r"encoder/(block1|norm|conv2|norm2|linear3)/"
    rule = {"head": "$.", "last": last, "lora": "lora_[ab]$"}[mode]
    return re.search(rule, path) is not None


@functools.cache
def after_steps(encoder, mode, objective, parallel, count):
    goal = BYOL if objective == "byol" else NT_XENT
    rig = rig_of(encoder, mode, goal, DECAYING, average=0.75, momentum=0.9)
    # Statistics that are rounded in a mean over three devices, as 0 and 1 are not.
    params, statistics = (
        getattr(rig.initial, part)["encoder"] for part in ("params", "model_state")
    )
    statistics = jax.tree.map(lambda leaf: leaf + np.float32(0.1), statistics)
    rig = rig._replace(initial=host_copy(with_encoder(rig.initial, params, statistics)))
    batches = make_batches(STEPS, rows=18)
    state, said = take_steps(rig, some_devices(parallel, count), batches)
    return rig, state, said


@pytest.mark.parametrize(
    ("encoder", "mode", "objective", "parallel"),
    [
        ("convnet", "last", "byol", "pmap"),
        ("vit", "lora", "nt_xent", "pmap"),
        *slow(
            ("convnet", "head", "byol", "pmap"),
            ("vit", "last", "nt_xent", "pmap"),
        ),
        *long_only(
            ("convnet", "last", "byol", "shard_map"),
            ("convnet", "head", "byol", "shard_map"),
            ("vit", "lora", "byol", "shard_map"),
        ),
    ],
)
def test_what_is_frozen_keeps_all_its_bits(encoder, mode, objective, parallel):
    rig, state, _ = after_steps(encoder, mode, objective, parallel, 3)
    for part in ("params", "model_state", "target"):
        old, new = (by_path(getattr(s, part)) for s in (rig.initial, state))
        for path, leaf in new.items():
            same = np.array_equal(leaf, old[path])
            assert same != trains(mode, path), (part, path)
    # The average of what does not move is that, too.
    for part in ("params", "model_state"):
        old = by_path(getattr(rig.initial, part)["encoder"])
        for path, leaf in by_path(state.average[part]).items():
            same = np.array_equal(leaf, old[path])
            assert same != trains(mode, f"encoder/{path}"), (part, path)


@pytest.mark.parametrize(
    ("encoder", "mode"),
    [("mlp", "head"), ("mlp", "last"), *slow(("vit", "last"), ("vit", "lora"))],
)
def test_frozen_parameters_have_no_state_in_the_optimizer(encoder, mode):
    rig = rig_of(encoder, mode, optimizer=DECAYING)
    moving = [
        leaf.shape
        for path, leaf in by_path(rig.initial.params).items()
        if trains(mode, path)
    ]
    found = [leaf.shape for leaf in jax.tree.leaves(rig.initial.opt_state)]
    # Two moments of each; counts have no axes.
    assert sorted(filter(None, found)) == sorted(2 * moving)
    _, said = take_steps(rig, some_devices("pmap", 1), make_batches(1))
    assert said[0]["finite_leaves"].shape == (len(moving),)


def change(rig, devices=1):
    """What one step adds to the parameters, by their paths."""
    state, said = take_steps(rig, some_devices("pmap", devices), make_batches(1))
    old, new = by_path(rig.initial.params), by_path(state.params)
    return {path: new[path] - old[path] for path in new}, said[0]


@pytest.mark.parametrize(("mode", "devices"), [("head", 1), ("last", 2)])
def test_the_gradient_of_what_is_trained_is_that_of_the_whole_network(mode, devices):
    fast = dataclasses.replace(PLAIN, learning_rate=1.0)
    expected, _ = change(rig_of("mlp", optimizer=fast))
    found, said = change(rig_of("mlp", mode, optimizer=fast), devices)
    moving = [path for path in found if trains(mode, path)]
    assert len(moving) > 3
    for path in moving:
        size = np.abs(expected[path]).max()
        np.testing.assert_allclose(
            found[path], expected[path], rtol=1e-3, atol=1e-3 * size + 1e-7
        )
    length = np.sqrt(sum(np.sum(expected[path] ** 2) for path in moving))
    np.testing.assert_allclose(said["gradient_norm"], length, rtol=1e-3)


@pytest.mark.slow
def test_lora_moves_by_the_gradient_of_the_weight_that_it_changes():
    fast = dataclasses.replace(PLAIN, learning_rate=1.0)
    whole, _ = change(rig_of("vit", optimizer=fast))
    rig = rig_of("vit", "lora", optimizer=fast)
    found, _ = change(rig)
    start = by_path(rig.initial.params)
    for name in ("block0/qkv", "block1/out", "block0/up", "block1/down"):
        layer = f"encoder/{name}"
        # W + 8 · A·B: the gradient of B is 8 · Aᵀ · that of W, and B = 0 stops A.
        expected = 16.0 / 2 * start[f"{layer}/lora_a"].T @ whole[f"{layer}/kernel"]
        np.testing.assert_allclose(
            found[f"{layer}/lora_b"], expected, rtol=1e-3, atol=1e-5
        )
        assert not found[f"{layer}/lora_a"].any()


# 0.5 to the power of how far a layer is from what follows the last block.
FACTORS = {
    "vit": {
        "embed": 1 / 8,
        "token": 1 / 8,
        "block0": 1 / 4,
        "block1": 1 / 2,
        "norm": 1.0,
    },
    "mlp": {"linear0": 1 / 16, "linear1": 1 / 8, "linear2": 1 / 4, "linear3": 1 / 2},
}


@pytest.mark.parametrize(
    ("encoder", "mode"), [("mlp", "all"), *slow(("mlp", "last"), ("vit", "all"))]
)
def test_rates_fall_with_each_layer_towards_the_pixels(encoder, mode):
    even, _ = change(rig_of(encoder, mode))
    decayed = dataclasses.replace(PLAIN, layer_decay=0.5)
    found, _ = change(rig_of(encoder, mode, optimizer=decayed))
    seen = set()
    for path, moved in found.items():
        network, part = path.split("/")[:2]
        factor = FACTORS[encoder][part] if network == "encoder" else 1.0
        size = np.abs(even[path]).max()
        np.testing.assert_allclose(
            moved, factor * even[path], rtol=0.01, atol=0.01 * factor * size + 1e-8
        )
        seen |= {part} if size else set()
    assert seen >= (FACTORS[encoder].keys() if mode == "all" else {"linear3"})


def test_the_head_is_trained_first_and_alone():
    rig = rig_of("convnet", "late", BYOL, DECAYING, average=0.9, momentum=0.9)
    mapped = parallelize(rig.step, some_devices("pmap", 2))
    state, states = mapped.place_state(rig.initial), []
    for batch in make_batches(3):
        state, _ = mapped.step(state, mapped.place_batch(batch))
        states.append(host_copy(state))
    old = by_path(vars(rig.initial))
    for kept in states[:2]:
        for path, leaf in by_path(vars(kept)).items():
            # Parameters, statistics, moments and counts, target and average.
            if "encoder" in path or "average" in path:
                np.testing.assert_array_equal(leaf, old[path], path)
            elif path.startswith("params"):
                assert (leaf != old[path]).any(), path
    for path, leaf in by_path(vars(states[2])).items():
        if path.startswith("params/encoder"):
            moved = np.abs(leaf - old[path]).max()
            # Adam's first step has the length of the rate: its count is new.
            decay = 0.01 * 0.1 * np.abs(old[path]).max()
            assert 0.009 < moved < 0.01001 + decay, path


def test_then_all_is_trained_as_by_a_new_optimizer():
    batches, devices = make_batches(4), some_devices("pmap", 1)
    state, _ = take_steps(rig_of("mlp", "late"), devices, batches)
    expected, _ = take_steps(rig_of("mlp", "head"), devices, batches[:2])
    rig = rig_of("mlp")
    expected = dataclasses.replace(expected, opt_state=rig.initial.opt_state)
    expected, _ = take_steps(rig, devices, batches[2:], expected)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)
    jax.tree.map(close, state.params, expected.params)


def test_the_encoder_has_a_warm_up_of_its_own():
    config = dataclasses.replace(PLAIN, learning_rate=0.5, warmup_steps=4)
    optimizer, _ = make_optimizer(config, 20, head_steps=6)
    params = {"encoder": jnp.zeros(1), "head": jnp.zeros(1)}
    state, moved = optimizer.init(params), []
    for step in range(12):
        gradient = jax.tree.map(jnp.ones_like, params)
        updates, state = optimizer.update(gradient, state, params, step=step)
        moved.append((-float(updates["encoder"][0]), -float(updates["head"][0])))
    encoder, head = np.transpose(moved)
    np.testing.assert_allclose(head, [0, 0.125, 0.25, 0.375, *[0.5] * 8], rtol=1e-6)
    rise = [0, 0.125, 0.25, 0.375, 0.5, 0.5]
    np.testing.assert_allclose(encoder, [*[0] * 6, *rise], rtol=1e-6)


def test_the_predictor_and_a_late_encoder_each_have_a_rate():
    config = dataclasses.replace(PLAIN, schedule="cosine", constant_predictor_rate=True)
    optimizer, _ = make_optimizer(config, 2, head_steps=1)
    params = {name: jnp.zeros(1) for name in ("encoder", "head", "predictor")}
    state = optimizer.init(params)
    gradient = jax.tree.map(jnp.ones_like, params)
    for step, expected in enumerate([(0, 0.01, 0.01), (0.005, 0.005, 0.01)]):
        updates, state = optimizer.update(gradient, state, params, step=step)
        found = [-float(leaf[0]) for leaf in updates.values()]
        np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("mode", "parallel"),
    [("late", "pmap"), *slow(("last", "shard_map")), *long_only(("late", "shard_map"))],
)
def test_devices_do_not_matter(mode, parallel):
    optimizer = dataclasses.replace(DECAYING, clip=0.5, layer_decay=0.7, name="sgd")
    rig = rig_of("convnet", mode, BYOL, optimizer, average=0.9, momentum=0.9)
    batches = make_batches(4)
    expected, _ = take_steps(rig, some_devices("pmap", 1), batches)
    state, _ = take_steps(rig, some_devices(parallel, 2), batches)
    close = functools.partial(np.testing.assert_allclose, rtol=2e-3, atol=2e-4)
    jax.tree.map(close, vars(state), vars(expected))


@pytest.mark.parametrize(
    ("encoder", "mode"), [("mlp", "last"), *slow(("mlp", "head"), ("vit", "lora"))]
)
def test_chunks_do_not_matter(encoder, mode):
    expected, _ = change(rig_of(encoder, mode))
    found, _ = change(rig_of(encoder, mode, chunks=4))
    close = functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-6)
    jax.tree.map(close, found, expected)


@functools.cache
def program(encoder, mode):
    """The compiled step on two devices."""
    rig = rig_of(encoder, mode, optimizer=DECAYING)
    mapped = parallelize(rig.step, some_devices("shard_map", 2))
    batch = mapped.place_batch(make_batches(1, rows=32)[0])
    return mapped.step.lower(mapped.place_state(rig.initial), batch).compile()


@pytest.fixture
def wide(monkeypatch):
    """Networks beside whose arithmetic that of views, loss and optimizer is little."""
    monkeypatch.setitem(ENCODERS, "mlp", dataclasses.replace(MLP, width=256))
    monkeypatch.setitem(_vit.SIZES, "ti", (64, 2, 2))
    program.cache_clear()
    yield
    program.cache_clear()


def test_frozen_layers_cost_no_arithmetic_of_the_way_back(wide):
    modes = ("all", "head", "last")
    cost = [program("mlp", mode).cost_analysis()["flops"] for mode in modes]
    _, head, last = np.array(cost) / cost[0]
    # Back costs twice as much as there.
    assert 0.3 < head < 0.36
    # The last of four layers back is its weights alone.
    assert 0.05 < last - head < 0.15


@pytest.mark.slow
def test_lora_costs_no_gradients_of_weights(wide):
    modes = ("all", "head", "lora")
    cost = [program("vit", mode).cost_analysis()["flops"] for mode in modes]
    _, head, lora = np.array(cost) / cost[0]
    assert head + 0.15 < lora < 0.9


def test_frozen_gradients_are_not_reduced_over_devices():
    def reduced(mode):
        """Numbers in all reductions of a step."""
        text = program("mlp", mode).as_text()
        found = re.findall(r"= (.*) all-reduce(?:-start)?\(", text)
        shapes = re.findall(r"f32\[([\d,]*)\]", " ".join(found))
        return sum(np.prod([int(n) for n in s.split(",") if n]) for s in shapes)

    params = rig_of("mlp").initial.params["encoder"]
    sizes = {name: sum(map(np.size, jax.tree.leaves(params[name]))) for name in params}
    assert reduced("all") - reduced("head") == sum(sizes.values())
    assert reduced("last") - reduced("head") == sizes["linear3"]


def test_an_optimizer_of_optax_needs_no_step():
    rig = make_rig(NT_XENT, MLP, optimizer=optax.adam(0.1))
    _, said = take_steps(rig, some_devices("pmap", 1), make_batches(1))
    assert np.isfinite(said[0]["loss"])
