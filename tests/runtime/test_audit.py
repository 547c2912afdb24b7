"""A step is taken again on other devices, and any bit that differs ends the run."""

import dataclasses
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from long_tests import long_only, slow
from small_faults import flip_bit, flip_in_step
from small_runs import last_state, small
from small_steps import make_batches, make_rig, some_devices

import jaxcl
from jaxcl.config import ConfigError, ObjectiveConfig
from jaxcl.experiment import _loop
from jaxcl.runtime import Audit, AuditError, Clock, read_lines
from jaxcl.runtime._copies import SAME, _checksum, _difference
from jaxcl.training import AXIS, StepOptions, parallelize, stack_batches, state_digest
from jaxcl.training._devices import rotate

MAPPINGS = ["pmap", "shard_map"]
INITIAL = {"rate": np.float32(0.5), "weight": np.float32([1.0, 2.0, -3.0])}
BATCH = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)


def small_step(state, batch, *constants):
    """Pulls the weight to the mean of all rows."""
    mean = lax.pmean(jnp.mean(batch, axis=0), AXIS)
    for constant in constants:
        mean = mean + constant
    apart = state["weight"] - mean
    new = {**state, "weight": state["weight"] - state["rate"] * apart}
    return new, {"loss": jnp.sum(apart**2)}


def take(parallel, devices, step=4, state=INITIAL, **options):
    """One step with an audit of every second one."""
    audit = Audit(parallel, devices, Clock(), **{"every": 2, **options})
    return audit.step(step, parallel.place_state(state), BATCH)


def spoil(parallel, call, where, device, bit=0):
    """Makes the step or its replay flip a bit of an array on one device."""

    def spoiled(state, batch):
        state, metrics = getattr(parallel, call)(state, batch)
        found = {"state": state, "metrics": metrics}
        part, name = where
        changed = flip_bit(found[part][name], device, bit)
        found[part] = {**found[part], name: changed}
        return found["state"], found["metrics"]

    return parallel._replace(**{call: spoiled})


@pytest.mark.parametrize("mapping", MAPPINGS)
@pytest.mark.parametrize("call", ["step", "replay"])
@pytest.mark.parametrize("where", [("state", "weight"), ("metrics", "loss")])
def test_a_flipped_bit_on_one_device_is_found(mapping, call, where):
    devices = some_devices(mapping, 4)
    parallel = parallelize(small_step, devices)
    spoiled = spoil(parallel, call, where, jax.devices()[2])
    with pytest.raises(AuditError) as raised:
        take(spoiled, devices)
    copies, text = raised.value.report["copies"], str(raised.value)
    assert raised.value.step == 4
    assert [f"{call} cpu:2"] in copies.values()
    assert sorted(map(len, copies.values())) == [1, 7]
    assert all(digest in text for digest in copies)
    assert [*raised.value.report["differences"]] == ["['{}']['{}']".format(*where)]
    assert "arrays that differ: 1 of 3, " in text


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_a_difference_within_the_tolerance_is_accepted(mapping):
    devices = some_devices(mapping, 2)
    parallel = parallelize(small_step, devices)
    where, device = ("state", "weight"), jax.devices()[1]
    lowest = spoil(parallel, "step", where, device)
    take(lowest, devices, tolerance=1e-6)
    higher = spoil(parallel, "step", where, device, bit=16)
    with pytest.raises(AuditError, match="differ: 1 of 3, "):
        take(higher, devices, tolerance=1e-6)


def test_a_copy_that_an_earlier_step_left_wrong_is_found():
    devices = some_devices("pmap", 4)
    parallel = parallelize(small_step, devices)
    spoiled = spoil(parallel, "step", ("state", "weight"), jax.devices()[3])
    audit = Audit(spoiled, devices, Clock(), every=2)
    state, _ = audit.step(1, parallel.place_state(INITIAL), BATCH)
    whole = Audit(parallel, devices, Clock(), every=2)
    with pytest.raises(AuditError) as raised:
        whole.step(2, state, BATCH)
    assert ["step cpu:3", "replay cpu:3"] in raised.value.report["copies"].values()


def test_the_last_audit_without_a_difference_is_named():
    devices = some_devices("pmap", 2)
    parallel = parallelize(small_step, devices)
    with pytest.raises(AuditError, match="none passed before"):
        take(spoil(parallel, "step", ("metrics", "loss"), jax.devices()[0]), devices)
    calls = []

    def step(state, batch):
        calls.append(1)
        state, metrics = parallel.step(state, batch)
        if len(calls) == 4:
            state = {**state, "rate": flip_bit(state["rate"], jax.devices()[0])}
        return state, metrics

    audit = Audit(parallel._replace(step=step), devices, Clock(), every=2)
    state = parallel.place_state(INITIAL)
    with pytest.raises(AuditError, match="step 2 passed") as raised:
        for number in range(1, 5):
            state, _ = audit.step(number, state, BATCH)
    assert raised.value.step == 4


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([1.0, np.nan], [1.0, np.nan], SAME),
        ([1.0, np.nan], [1.0, -np.nan], 0.0),
        ([0.0, 1.0], [-0.0, 1.0], 0.0),
        ([4.0, np.nan], [4.0, 2.0], np.inf),
        ([4.0, np.inf], [3.0, np.inf], 0.25),
        ([4.0, np.inf], [4.0, -np.inf], np.inf),
        ([0.0, 0.0], [0.0, 1.0], np.inf),
        ([-4.0, 1.0], [-4.0, 2.0], 0.25),
    ],
)
def test_a_difference_is_relative_to_the_largest_magnitude(one, other, expected):
    assert _difference(np.float32(one), np.float32(other)) == expected


def test_steps_that_are_not_finite_are_compared_by_their_bits():
    devices = some_devices("pmap", 2)
    parallel = parallelize(small_step, devices)
    bad = {**INITIAL, "rate": np.float32(np.nan)}
    take(parallel, devices, state=bad)
    spoiled = spoil(parallel, "step", ("state", "weight"), jax.devices()[1])
    with pytest.raises(AuditError):
        take(spoiled, devices, state=bad)


@pytest.mark.parametrize(
    "dtype", ["float32", "bfloat16", "float16", "int32", "uint8", "bool"]
)
def test_each_bit_and_the_order_of_values_change_a_checksum(dtype):
    generator = np.random.default_rng(0)
    values = jnp.asarray(generator.integers(0, 2, 9), dtype)
    bits = np.asarray(values).view(np.uint8)
    checksum = jax.jit(_checksum)
    seen = {int(checksum(values))}
    places = range(1 if dtype == "bool" else 8)
    for byte in range(len(bits)):
        for bit in places:
            changed = bits.copy()
            changed[byte] ^= 1 << bit
            seen.add(int(checksum(jnp.asarray(changed.view(values.dtype)))))
    assert len(seen) == 1 + len(bits) * len(places)
    assert int(checksum(values[::-1])) not in seen or dtype == "bool"


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_a_replay_gives_each_device_the_rows_of_its_neighbor(mapping):
    devices = some_devices(mapping, 4)
    parallel = parallelize(small_step, devices)
    state = parallel.place_state(INITIAL)
    replayed, _ = parallel.replay(state, BATCH)
    shards = replayed["weight"].addressable_shards
    assert [shard.device.id for shard in shards] == [1, 2, 3, 0]
    assert not state["weight"].is_deleted()
    placed = parallelize(small_step, rotate(some_devices("shard_map", 4)))
    rows = placed.place_batch(BATCH).addressable_shards
    first = {shard.device.id: shard.index[0].start for shard in rows}
    expected = {1: 0, 2: 2, 3: 4, 0: 6}
    assert {device: row or 0 for device, row in first.items()} == expected


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_constants_and_several_steps_are_replayed(mapping):
    devices = some_devices(mapping, 4)
    constant = np.float32([0.5, 0.25, 1.0])
    parallel = parallelize(small_step, devices, constant, steps=2)
    batches = stack_batches([BATCH, 2 * BATCH])
    audit = Audit(parallel, devices, Clock(), every=2)
    state, metrics = audit.step(2, parallel.place_state(INITIAL), batches)
    assert metrics["loss"].shape == (2,)
    assert np.isfinite(np.asarray(state["weight"])).all()
    spoiled = spoil(parallel, "replay", ("metrics", "loss"), jax.devices()[0])
    with pytest.raises(AuditError):
        Audit(spoiled, devices, Clock(), every=2).step(
            2, parallel.place_state(INITIAL), batches
        )


@pytest.mark.parametrize(
    ("mapping", "count"),
    [
        ("pmap", 2),
        *slow(("shard_map", 2), ("pmap", 4)),
        *long_only(
            ("pmap", 1), ("pmap", 8), ("shard_map", 1), ("shard_map", 4),
            ("shard_map", 8),
        ),
    ],
)  # fmt: skip
def test_a_step_on_other_devices_has_the_same_bits(mapping, count):
    options = StepOptions(average=0.9)
    rig = make_rig(ObjectiveConfig("moco_v2", queue_size=37), options=options)
    devices = some_devices(mapping, count)
    parallel = parallelize(rig.step, devices)
    audit = Audit(parallel, devices, Clock(), every=1)
    state = parallel.place_state(rig.initial)
    for step, batch in enumerate(make_batches(4), 1):
        state, _ = audit.step(step, state, batch)


def test_the_time_of_an_audit_is_not_that_of_training():
    clock = Clock()
    with clock("train"):
        with clock("audit"):
            time.sleep(0.2)
        with clock("audit"):
            pass
    assert clock.seconds["audit"] >= 0.2
    assert clock.seconds["train"] < 0.1
    assert clock.counts["audit"] == 2


def test_audits_must_fall_between_dispatches():
    config = small(steps_per_dispatch=2, num_steps=6, eval_every=2, audit_every=3)
    with pytest.raises(ConfigError, match="`audit_every` must be a multiple of"):
        config.check()


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"parallel": "shard_map", "steps_per_dispatch": 2},
        *long_only(
            {"steps_per_dispatch": 2, "data__keep_on_device": True},
            {"on_non_finite": "skip"},
            {},
        ),
    ],
)
def test_a_run_with_audits_is_the_run_without(tmp_path, changes):
    config = small(num_steps=4, checkpoint_every=2, eval_every=0, **changes)
    audited = dataclasses.replace(config, audit_every=2)
    found = []
    for name, one in (("without", config), ("with", audited)):
        jaxcl.train(one, tmp_path / name, quiet=True)
        log = (tmp_path / name / "metrics.jsonl").read_text()
        found.append((state_digest(last_state(tmp_path / name)), log))
    assert found[0] == found[1]
    # Whether and how a run is audited may change when it resumes.
    jaxcl.train(
        dataclasses.replace(config, audit_every=4), tmp_path / "with", quiet=True
    )


@pytest.mark.slow
def test_a_difference_ends_the_run_and_is_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(_loop, "parallelize", _loop.parallelize)
    flip_in_step(_loop, 4)
    config = small(num_steps=6, eval_every=0, audit_every=2)
    with pytest.raises(AuditError) as raised:
        jaxcl.train(config, tmp_path, quiet=True)
    (incident,) = read_lines(tmp_path / "incidents.jsonl")
    assert incident["step"] == raised.value.step == 4
    assert incident["passed"] == 2
    assert len(incident["copies"]) == 2
    assert all(digest in str(raised.value) for digest in incident["copies"])
    assert f"step 2 is kept in {tmp_path / 'checkpoints'}" in str(raised.value)
    assert next(iter(incident["differences"])).startswith("['state'].params")
    # The time goes to the audit, and the same command goes on from the checkpoint.
    monkeypatch.undo()
    report = jaxcl.train(config, tmp_path, quiet=True)
    assert report["run"]["steps"] == 6
    assert report["run"]["seconds"]["audit"] > 0
