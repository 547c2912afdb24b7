"""Logs that do not stop a run."""

import json
import logging

import jax.numpy as jnp
import numpy as np
import pytest

from jaxcl.runtime import JsonLines, MetricsLog, NonFiniteError, TensorBoard


def metrics(*losses):
    values = jnp.asarray(losses) if len(losses) > 1 else jnp.asarray(losses[0])
    return {"loss": values, "gradient_norm": jnp.ones_like(values)}


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_step_of_a_call_has_its_own_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(JsonLines(path), every=2, rate=lambda step: step / 10)
    log.add(3, metrics(1.0, 2.0, 3.0), 3)
    log.add(4, metrics(4.0))
    log.wait()
    found = [
        (line["step"], line["loss"], line["learning_rate"]) for line in lines_of(path)
    ]
    assert found == [(2, 2.0, 0.1), (4, 4.0, 0.3)]
    assert (log.step, log.loss) == (4, 4.0)


def test_the_step_of_a_call_that_is_not_finite_is_named():
    log = MetricsLog()
    broken = {**metrics(1.0, np.nan, np.inf)}
    broken["finite_leaves"] = jnp.array([[True, True], [True, False], [False, False]])
    with pytest.raises(NonFiniteError, match="`loss` is nan at step 12") as raised:
        log.add(13, broken, 3)
    assert raised.value.bad_leaves == (1,)


def test_a_directory_that_is_gone_is_made_again(tmp_path):
    path = tmp_path / "run" / "metrics.jsonl"
    log = MetricsLog(JsonLines(path))
    log.add(1, metrics(1.0))
    path.unlink()
    path.parent.rmdir()
    log.add(2, metrics(2.0))
    assert [line["step"] for line in lines_of(path)] == [2]


def test_a_disk_that_takes_nothing_is_named_once(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    log = MetricsLog(JsonLines(tmp_path / "file" / "metrics.jsonl"))
    with caplog.at_level(logging.WARNING):
        log.add(1, metrics(1.0))
        log.add(2, metrics(2.0))
    assert caplog.text.count("metrics are not written") == 1
    assert log.step == 2


def test_numbers_that_are_not_finite_are_null(tmp_path):
    path = tmp_path / "metrics.jsonl"
    JsonLines(path).write(1, {"loss": float("nan"), "rank": float("inf"), "a": 1.0})
    assert lines_of(path) == [{"step": 1, "loss": None, "rank": None, "a": 1.0}]


def test_lines_behind_the_step_that_is_continued_are_removed(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = JsonLines(path)
    log.write(1, {"loss": 0.0})
    log.write(2, {"loss": 0.0})
    digest = log.digest
    log.write(3, {"loss": 0.0})
    with path.open("a") as file:
        file.write('{"step": 4, "lo')
    assert JsonLines(path, digest).set_aside is None
    assert [line["step"] for line in lines_of(path)] == [1, 2]


def test_tensorboard_gets_the_same_numbers_and_never_stops_a_run(
    tmp_path, caplog, monkeypatch
):
    from tensorboardX.event_file_writer import EventFileWriter

    board = TensorBoard(tmp_path)
    board.write(1, {"loss": 1.5, "rank": None})
    board.close()
    board = TensorBoard(tmp_path / "more", step=1)
    (events,) = tmp_path.glob("events.*")
    assert b"loss" in events.read_bytes()
    assert b"rank" not in events.read_bytes()

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(EventFileWriter, "add_event", full)
    board.write(2, {"loss": 1.0})
    board.write(3, {"loss": 1.0})
    TensorBoard(tmp_path / "again").write(1, {"loss": 1.0})
    assert caplog.text.count("events are not written") == 2
