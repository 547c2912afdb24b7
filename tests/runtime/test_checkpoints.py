"""A checkpoint is right, or it is not used: formats, damage, retention, refusals."""

import dataclasses
import hashlib
import itertools
import json
import os
import pickle
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from faults.storage_program import listing, make_state, top
from long_tests import slow

from jaxcl.runtime import CheckpointError, Checkpoints, NonFiniteError

TEMPLATE = make_state(0)


def save(directory, *steps, **options):
    with Checkpoints(directory, **options) as checkpoints:
        for step in steps:
            checkpoints.save(make_state(step))


def restore(directory, template=TEMPLATE):
    with Checkpoints(directory) as checkpoints:
        return checkpoints.restore(template)


def assert_same(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
    for one, other in pairs:
        one, other = np.asarray(one), np.asarray(other)
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert one.tobytes() == other.tobytes()


def with_leaf(state, name, value):
    """The state with a leaf of its dictionary replaced, added, or (None) left out."""
    for field in dataclasses.fields(state):
        held = getattr(state, field.name)
        if isinstance(held, dict) and "kernel" in held:
            changed = {**held, name: value}
            kept = {key: leaf for key, leaf in changed.items() if leaf is not None}
            return dataclasses.replace(state, **{field.name: kept})
    raise AssertionError("no field holds the dictionary")


def sign_again(manifest, **changes):
    """Changes a manifest as a program would that knows how to."""
    content = {**json.loads(manifest.read_text()), **changes}
    content.pop("digest")
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    manifest.write_text(json.dumps({**content, "digest": digest}))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    directory = tmp_path_factory.mktemp("saved") / "checkpoints"
    save(directory, 1, 2, 3)
    return directory


@pytest.fixture
def three(saved, tmp_path):
    """A copy of the checkpoints of steps 1, 2 and 3."""
    return Path(shutil.copytree(saved, tmp_path / "checkpoints"))


def test_every_type_comes_back_bit_for_bit(saved):
    types = {str(np.asarray(leaf).dtype) for leaf in jax.tree.leaves(TEMPLATE)}
    assert types == {"float32", "bfloat16", "int32", "uint32", "bool"}
    assert_same(restore(saved), make_state(3))


def test_arrays_of_a_device_are_saved_as_those_of_the_host(tmp_path):
    state = jax.tree.map(jnp.asarray, make_state(4))
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state)
        assert_same(checkpoints.restore(state), make_state(4))


def test_the_bits_of_minus_zero_and_subnormal_numbers_are_kept(tmp_path):
    numbers = np.array([-0.0, 1e-45, -1e-45, 3.4e38], np.float32)
    state = with_leaf(make_state(1), "kernel", numbers)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state)
        assert_same(checkpoints.restore(state), state)


def test_a_manifest_says_what_the_arrays_are(saved):
    content = json.loads((saved / "3" / "manifest.json").read_text())
    assert (content["step"], content["format"]) == (3, 2)
    assert content["version"]
    leaves = jax.tree_util.tree_leaves_with_path(make_state(3))
    assert content["leaves"] == {
        jax.tree_util.keystr(path): {
            "sha256": hashlib.sha256(np.asarray(leaf).tobytes()).hexdigest(),
            "shape": list(np.shape(leaf)),
            "dtype": str(np.asarray(leaf).dtype),
        }
        for path, leaf in leaves
    }
    files = {p for p in (saved / "3").rglob("*") if p.is_file()}
    names = {p.relative_to(saved / "3").as_posix() for p in files}
    assert set(content["files"]) == names - {"manifest.json"}
    for name, file in content["files"].items():
        data = (saved / "3" / name).read_bytes()
        assert file == {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}


def flipped(content, at):
    return content[:at] + bytes([content[at] ^ 16]) + content[at + 1 :]


DAMAGES = {
    "first byte": lambda file, _: file.write_bytes(flipped(file.read_bytes(), 0)),
    "middle byte": lambda file, _: file.write_bytes(
        flipped(file.read_bytes(), file.stat().st_size // 2)
    ),
    "last byte": lambda file, _: file.write_bytes(
        flipped(file.read_bytes(), file.stat().st_size - 1)
    ),
    "half": lambda file, _: file.write_bytes(
        file.read_bytes()[: file.stat().st_size // 2]
    ),
    "empty": lambda file, _: file.write_bytes(b""),
    "longer": lambda file, _: file.write_bytes(file.read_bytes() + b"x"),
    "missing": lambda file, _: file.unlink(),
    "of another step": lambda file, other: file.write_bytes(other.read_bytes()),
    "a directory": lambda file, _: (file.unlink(), file.mkdir()),
}


def counterparts(step, other):
    """Every file of a step, with that of the same rank in another step."""
    # Data files have names by chance: the n-th largest is the one of the same arrays.
    files = [
        sorted(
            (path for path in directory.rglob("*") if path.is_file()),
            key=lambda path: (str(path.parent.name), path.stat().st_size, path.name),
        )
        for directory in (step, other)
    ]
    assert len(files[0]) > 5
    # Into how many files Orbax puts the data is chance as well.
    return itertools.zip_longest(
        files[0], files[1][: len(files[0])], fillvalue=files[1][0]
    )


TELLING = ("middle byte", "missing")


@pytest.mark.parametrize(
    "damage", [*TELLING, *slow(*(n for n in DAMAGES if n not in TELLING))]
)
def test_damage_to_any_file_leads_to_the_checkpoint_before(three, caplog, damage):
    for file, other in counterparts(three / "3", three / "2"):
        caplog.clear()
        good = file.read_bytes()
        DAMAGES[damage](file, other)
        if file.is_file() and file.read_bytes() == good:
            continue
        assert_same(restore(three), make_state(2))
        assert "skipped, step 3" in caplog.text
        if file.is_dir():
            file.rmdir()
        file.write_bytes(good)
    assert_same(restore(three), make_state(3))


def test_values_that_are_not_those_saved_are_passed_over(three, caplog):
    # The files are in order, so that every reader is content: only the digests know.
    manifest = three / "3" / "manifest.json"
    leaves = json.loads(manifest.read_text())["leaves"]
    name = next(name for name in leaves if "kernel" in name)
    leaves[name]["sha256"] = "0" * 64
    sign_again(manifest, leaves=leaves)
    assert_same(restore(three), make_state(2))
    assert f"1 arrays were changed, first `{name}`" in caplog.text


def test_a_checkpoint_under_the_name_of_another_step_is_passed_over(three, caplog):
    shutil.copytree(three / "1", three / "9")
    assert_same(restore(three), make_state(3))
    assert "step 9: its manifest is of step 1" in caplog.text


def test_names_that_lead_nowhere_are_passed_over(three, caplog):
    (three / "007").mkdir()
    (three / "9").symlink_to("nowhere")
    assert_same(restore(three), make_state(3))
    assert "step 9: it has no manifest" in caplog.text
    assert "step 7" not in caplog.text


def test_a_directory_that_is_none_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"file' cannot be listed"):
        restore(tmp_path / "file")


def test_files_that_are_not_in_the_manifest_are_no_part_of_it(three):
    (three / "3" / "state" / "stray").write_text("")
    assert_same(restore(three), make_state(3))


def test_what_is_no_file_of_the_checkpoint_is_not_read(three, caplog):
    outside = three.parent / "outside"
    outside.write_text("precious")
    for step, kind in ((3, "link"), (2, "pipe")):
        stray = three / str(step) / "state" / "stray"
        stray.symlink_to("/dev/zero") if kind == "link" else os.mkfifo(stray)
    assert_same(restore(three), make_state(1))
    assert caplog.text.count("'stray' is a link or no file") == 2


def test_a_manifest_names_no_file_outside_of_its_checkpoint(three, caplog):
    secret = three.parent / "secret"
    secret.write_text("precious")
    for step, name in ((3, "../../secret"), (2, str(secret)), (1, "/dev/zero")):
        manifest = three / str(step) / "manifest.json"
        files = json.loads(manifest.read_text())["files"]
        digest = hashlib.sha256(b"precious").hexdigest()
        sign_again(manifest, files={**files, name: {"sha256": digest, "size": 8}})
    with pytest.raises(CheckpointError, match="no checkpoint in"):
        restore(three)
    assert caplog.text.count("is outside of it") == 3


def test_a_manifest_that_is_a_device_or_deep_is_not_read(three, caplog):
    manifests = [three / str(step) / "manifest.json" for step in (2, 3)]
    manifests[0].unlink()
    manifests[0].symlink_to("/dev/zero")
    manifests[1].write_text("[" * 100_000)
    assert_same(restore(three), make_state(1))


def test_a_step_can_be_asked_for_and_no_other_is_taken(three):
    with Checkpoints(three) as checkpoints:
        assert_same(checkpoints.restore(TEMPLATE, 2), make_state(2))
        (three / "2" / "state" / "_METADATA").write_text("")
        with pytest.raises(CheckpointError, match=r"step 2: its file .* was changed"):
            checkpoints.restore(TEMPLATE, 2)
        with pytest.raises(CheckpointError, match="step 9: it has no manifest"):
            checkpoints.restore(TEMPLATE, 9)
        assert_same(checkpoints.restore(TEMPLATE), make_state(3))


def test_when_none_can_be_read_the_run_does_not_start_anew(three):
    for step in (1, 2, 3):
        shutil.rmtree(three / str(step) / "state")
    with pytest.raises(CheckpointError) as raised:
        restore(three)
    for part in ("no checkpoint in", "step 1:", "step 2:", "step 3:", "is missing"):
        assert part in str(raised.value)


def test_a_lost_manifest_is_damage_and_no_reason_to_remove_the_state(three):
    for step in (1, 2, 3):
        (three / str(step) / "manifest.json").unlink()
    with pytest.raises(CheckpointError, match="step 3: it has no manifest"):
        restore(three)
    save(three, 4)
    assert top(three) == ["1", "2", "3", "4"]


def test_nothing_is_unpickled(three):
    events, active = [], [True]
    sys.addaudithook(lambda event, _: active and events.append(event))
    bomb = pickle.dumps(SimpleNamespace(planted=True))
    pickle.loads(bomb)
    assert "pickle.find_class" in events  # so the hook would see one
    for name in ("state.pkl", "state/data.pickle", "state/d/checkpoint"):
        (three / "3" / name).write_bytes(bomb)
    (three / "checkpoint.pkl").write_bytes(bomb)
    events.clear()
    assert_same(restore(three), make_state(3))
    for file in (three / "3" / "state" / "_METADATA", three / "3" / "manifest.json"):
        file.write_bytes(bomb)
        assert_same(restore(three), make_state(2))
    active.clear()
    assert "open" in events
    assert "pickle.find_class" not in events


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "kernel",
            np.zeros((10, 300), np.float32),
            r"kernel'\]` must have shape \(10, 300\), got \(300, 10\)",
        ),
        (
            "counts",
            np.zeros(4, np.float32),
            r"counts'\]` must have type float32, got int32",
        ),
        ("more", np.zeros(1), r"more'\]` is missing from the checkpoint"),
        ("scalar", None, r"scalar'\]` is in the checkpoint, but not expected"),
    ],
)
def test_a_checkpoint_of_another_model_is_an_error_that_names_the_array(
    three, caplog, name, value, message
):
    with pytest.raises(CheckpointError, match=message) as raised:
        restore(three, with_leaf(TEMPLATE, name, value))
    assert "step 3 in" in str(raised.value)
    assert not caplog.records


def test_a_manifest_of_a_later_version_is_not_called_damaged(three, caplog):
    sign_again(three / "3" / "manifest.json", format=3)
    with pytest.raises(CheckpointError, match="another version of this library"):
        restore(three)
    assert not caplog.records


def test_files_one_may_not_read_are_not_called_damaged(three, monkeypatch, caplog):
    def refuse(*_, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(CheckpointError, match=r"step 3 .*Permission denied"):
        restore(three)
    assert not caplog.records


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["kernel", "half", "scalar"])
def test_a_state_that_is_not_finite_is_refused(three, name, number):
    value = np.array(leaf_of(make_state(4), name))
    value[(0,) * value.ndim] = number
    with Checkpoints(three) as checkpoints:
        with pytest.raises(
            NonFiniteError, match=rf"{name}'\]` must be finite .* got 1"
        ):
            checkpoints.save(with_leaf(make_state(4), name, value))
        assert checkpoints.latest_step() == 3
    assert top(three) == ["1", "2", "3"]


def leaf_of(state, name):
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return next(leaf for path, leaf in leaves if name in jax.tree_util.keystr(path))


def test_a_disk_without_room_is_found_before_anything_is_written(three, monkeypatch):
    before = listing(three)
    usage = SimpleNamespace(total=10**9, used=10**9 - 5000, free=5000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with Checkpoints(three, keep=1) as checkpoints:
        with pytest.raises(CheckpointError) as raised:
            checkpoints.save(make_state(4))
        assert checkpoints.latest_step() == 3
    assert f"step 4 could not be saved in {str(three)!r}" in str(raised.value)
    assert "it needs 1.0 MiB, 4.9 KiB are free" in str(raised.value)
    assert listing(three) == before


def test_a_state_that_reads_back_otherwise_is_no_checkpoint(three, monkeypatch):
    write = ocp.Checkpointer.save

    def write_wrongly(self, path, args):
        item = {n: leaf + 1 if "counts" in n else leaf for n, leaf in args.item.items()}
        write(self, path, args=ocp.args.StandardSave(item))

    monkeypatch.setattr(ocp.Checkpointer, "save", write_wrongly)
    with Checkpoints(three, keep=1) as checkpoints:
        with pytest.raises(CheckpointError, match=r"step 4 .* first `.*counts'\]`"):
            checkpoints.save(make_state(4))
        assert checkpoints.latest_step() == 3
    # Old ones go when a new one is verified, not before.
    assert top(three) == ["1", "2", "3"]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no /proc to look into")
def test_all_is_flushed_before_it_gets_its_name(tmp_path, monkeypatch):
    events, fsync, rename = [], os.fsync, Path.rename

    def flushed(descriptor):
        events.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    def renamed(path, target):
        events.append("named")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(Path, "rename", renamed)
    save(tmp_path, 1)
    before, after = events[: events.index("named")], events[events.index("named") :]
    made = [tmp_path / "1", *(tmp_path / "1").rglob("*")]
    unfinished = tmp_path / "1.unfinished"
    names = {str(unfinished / path.relative_to(tmp_path / "1")) for path in made}
    manifest = str(unfinished / "manifest.json")
    assert names - {manifest} <= set(before)
    # It is written under a name by chance.
    assert any(str(unfinished / ".manifest.json-") in name for name in before)
    assert after == ["named", str(tmp_path)]


@pytest.mark.parametrize("failing", ["mkdir", "rename", "replace"])
def test_an_error_of_the_disk_says_which_step_and_leaves_the_old_ones(
    three, monkeypatch, failing
):
    def fail(path, *_, **options):
        raise OSError(5, "Input/output error", str(path))

    with Checkpoints(three, keep=1) as checkpoints:
        with monkeypatch.context() as patch:
            patch.setattr(Path, failing, fail)
            with pytest.raises(CheckpointError, match=r"step 4 .* Input/output error"):
                checkpoints.save(make_state(4))
        assert top(three) == ["1", "2", "3"]
        checkpoints.save(make_state(4))
    assert_same(restore(three), make_state(4))


def test_what_is_still_written_after_a_failure_is_removed_too(three, monkeypatch):
    # Orbax writes arrays side by side: one fails while another goes on.
    remove, late = shutil.rmtree, iter("ab")

    def save(_, path, **options):
        path.mkdir()
        raise OSError(27, "File too large", str(path))

    def remove_while_written(path, **options):
        remove(path, **options)
        for name in late:
            path.mkdir()
            (path / name).write_text("late")
            break

    monkeypatch.setattr(ocp.Checkpointer, "save", save)
    monkeypatch.setattr(shutil, "rmtree", remove_while_written)
    with (
        Checkpoints(three) as checkpoints,
        pytest.raises(CheckpointError, match="File too large"),
    ):
        checkpoints.save(make_state(4))
    assert next(late, None) is None
    assert top(three) == ["1", "2", "3"]


def test_the_newest_are_kept(tmp_path):
    save(tmp_path, 2, 4, 6, 8, 10)
    assert top(tmp_path) == sorted(["6", "8", "10"])
    save(tmp_path, 12, keep=1)
    assert top(tmp_path) == ["12"]


def test_damaged_checkpoints_do_not_count_as_kept(three):
    (three / "3" / "state" / "_METADATA").write_text("{}")
    with Checkpoints(three, keep=2) as checkpoints:
        assert int(checkpoints.restore(TEMPLATE).step) == 2
        assert checkpoints.latest_step() == 2
        checkpoints.save(make_state(4))
        assert top(three) == ["2", "3", "4"]
        checkpoints.save(make_state(5))
        assert top(three) == ["4", "5"]


def test_an_earlier_step_is_not_removed_the_moment_it_is_saved(three):
    with Checkpoints(three, keep=1) as checkpoints:
        checkpoints.save(make_state(2))
        assert "2" in top(three)


def test_what_cannot_be_removed_does_not_end_a_run(three, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(shutil, "rmtree", refuse)
    save(three, 4)
    assert "1.removed" in top(three)
    assert "leftover could not be removed" in caplog.text
    monkeypatch.undo()
    save(three, 5)
    assert top(three) == ["3", "4", "5"]


LEFTOVERS = (
    "4.unfinished/state/d/x",
    "4.unfinished/manifest.json",
    "1.removed/state/d/x",
    "4.orbax-checkpoint-tmp/state/x",
    "config.unfinished",
)


def test_leftovers_are_no_checkpoints_and_go_with_the_next_save(three):
    manifest = (three / "3" / "manifest.json").read_bytes()
    for name in LEFTOVERS:
        (three / name).parent.mkdir(parents=True, exist_ok=True)
        (three / name).write_bytes(manifest)
    (three / "damaged-2-0").mkdir()
    before = listing(three)
    with Checkpoints(three) as checkpoints:
        assert checkpoints.latest_step() == 3
        assert_same(checkpoints.restore(TEMPLATE), make_state(3))
        assert listing(three) == before  # who only looks changes nothing
        checkpoints.save(make_state(4))
    assert top(three) == ["2", "3", "4", "damaged-2-0"]
    assert_same(restore(three), make_state(4))


def test_looking_for_checkpoints_makes_no_directory(tmp_path):
    assert restore(tmp_path / "none") is None
    with Checkpoints(tmp_path / "none") as checkpoints:
        assert checkpoints.latest_step() is None
    assert top(tmp_path) == []


def test_a_step_that_is_there_is_not_written_again(three):
    before = listing(three)
    save(three, 3)
    with Checkpoints(three) as checkpoints:
        checkpoints.restore(TEMPLATE)
        checkpoints.save(make_state(3))
    assert listing(three) == before


@pytest.mark.parametrize("known", [True, False])
def test_a_damaged_step_is_set_aside_when_it_is_written_again(three, known):
    (three / "3" / "manifest.json").unlink()
    for repeated in range(2):
        with Checkpoints(three) as checkpoints:
            if known:
                checkpoints.restore(TEMPLATE)
            checkpoints.save(make_state(3))
            assert checkpoints.latest_step() == 3
        assert_same(restore(three), make_state(3))
        assert f"damaged-3-{repeated}" in top(three)
        (three / "3" / "manifest.json").write_text("no JSON")


def test_a_step_that_was_damaged_since_it_was_saved_is_written_again(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(make_state(1))
        checkpoints.save(make_state(2))
        (tmp_path / "2" / "state" / "_METADATA").write_text("")
        assert_same(checkpoints.restore(TEMPLATE), make_state(1))
        checkpoints.save(make_state(2))
        assert_same(checkpoints.restore(TEMPLATE), make_state(2))


def test_one_that_is_removed_while_it_is_read_is_looked_for_again(three, monkeypatch):
    from jaxcl.runtime._storage import Storage

    read = Storage.read

    def read_too_late(storage, step, wanted):
        if step == 3:
            (three / "3").rename(three / "3.removed")
            save(three, 4)
        return read(storage, step, wanted)

    monkeypatch.setattr(Storage, "read", read_too_late)
    assert_same(restore(three), make_state(4))


def test_what_goes_with_a_state_is_kept_in_its_manifest(tmp_path):
    extra = {"config": {"num_steps": 6, "name": "simclr"}, "digest": "ab"}
    save(tmp_path, 1, describe=lambda: extra)
    assert_same(restore(tmp_path), make_state(1))
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.read_manifest(1).extra == extra
        with pytest.raises(CheckpointError, match=r"step 2 .* it has no manifest"):
            checkpoints.read_manifest(2)


@pytest.mark.parametrize("extra", [{"a": np.zeros(1)}, {"a": float("nan")}])
def test_what_is_no_json_cannot_go_with_a_state(tmp_path, extra):
    with pytest.raises(CheckpointError, match="`describe` must return JSON, got"):
        save(tmp_path, 1, describe=lambda: extra)
    assert top(tmp_path) == []


def test_at_least_one_checkpoint_is_kept(tmp_path):
    with pytest.raises(ValueError, match="`keep` must be at least 1, got 0"):
        Checkpoints(tmp_path, keep=0)
