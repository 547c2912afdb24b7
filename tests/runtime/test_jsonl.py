"""Logs that damage neither stops nor bends."""

import errno
import json
import logging

import pytest

from jaxcl.runtime import (
    EMPTY,
    Clock,
    JsonLines,
    _jsonl,
    append_line,
    append_timings,
    find_digest,
    read_lines,
    read_logged,
    total_timings,
)


@pytest.fixture
def log(tmp_path):
    """A log of three steps, whose digest is that after the second."""
    lines = JsonLines(tmp_path / "metrics.jsonl")
    lines.write(1, {"loss": 1.25})
    lines.write(2, {"loss": 1.5})
    digest = lines.digest
    lines.write(3, {"loss": 1.75})
    return lines, digest, tmp_path / "metrics.jsonl"


def test_lines_that_cannot_be_read_are_skipped_and_counted_once(tmp_path, caplog):
    path = tmp_path / "log.jsonl"
    deep = b"[" * 100_000
    path.write_bytes(b'{"a": 1}\n\xff\xfe\n{"a": 2\n' + deep + b'\n{"a": 3}\n{"a"')
    assert read_lines(path) == [{"a": 1}, {"a": 3}]
    (record,) = caplog.records
    assert "3 lines cannot be read, and are skipped" in record.getMessage()


def test_a_line_after_one_that_was_cut_is_whole(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"a": 1}\n{"a": ')
    append_line(path, {"a": 2})
    append_line(path, {"a": 3})
    assert read_lines(path) == [{"a": 1}, {"a": 2}, {"a": 3}]


def test_a_line_that_a_full_disk_cut_does_not_swallow_the_next(log, monkeypatch):
    lines, _, path = log
    opened = _jsonl._open

    class Full:
        """A file of which a write ends in the middle."""

        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def __getattr__(self, name):
            return getattr(self.file, name)

        def write(self, data):
            self.file.write(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(_jsonl, "_open", lambda path: Full(opened(path)))
        lines.write(4, {"loss": 2.0})
    lines.write(5, {"loss": 2.25})
    assert [line["step"] for line in read_lines(path)] == [1, 2, 3, 5]
    assert read_logged(path, lines.digest) == read_lines(path)


def test_a_log_is_cut_to_what_it_was_at_the_checkpoint(log):
    _, digest, path = log
    again = JsonLines(path, digest)
    assert again.set_aside is None
    again.write(3, {"loss": 9.0})
    assert [line["loss"] for line in read_lines(path)] == [1.25, 1.5, 9.0]
    assert read_logged(path, again.digest) == read_lines(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"1.25", b"1.75"), (b"1.25", b"\xff.25"), (b'"loss": 1.25', b'"loss": 1.250')],
)
def test_a_log_that_was_changed_gives_no_curves(log, old, new):
    _, digest, path = log
    assert [line["loss"] for line in read_logged(path, digest)] == [1.25, 1.5]
    path.write_bytes(path.read_bytes().replace(old, new))
    assert read_logged(path, digest) is None


def test_a_run_goes_on_beside_a_log_that_was_changed(log):
    _, digest, path = log
    changed = path.read_bytes().replace(b"1.25", b"9.75")
    path.write_bytes(changed)
    (path.parent / "damaged-metrics-0.jsonl").write_text("an earlier one")
    again = JsonLines(path, digest)
    again.write(3, {"loss": 2.0})
    assert read_logged(path, again.digest) == [{"step": 3, "loss": 2.0}]
    assert again.set_aside == path.parent / "damaged-metrics-1.jsonl"
    assert again.set_aside.read_bytes() == changed


def test_a_lost_log_gives_no_curves_and_is_begun_again(log):
    lines, digest, path = log
    path.unlink()
    assert read_logged(path, digest) is None
    lines.write(4, {"loss": 2.0})
    assert read_logged(path, lines.digest) == [{"step": 4, "loss": 2.0}]
    path.unlink()
    assert JsonLines(path, digest).set_aside is None


def test_a_link_is_not_written_through(tmp_path, caplog):
    victim, path = tmp_path / "victim", tmp_path / "metrics.jsonl"
    victim.write_text("precious")
    path.symlink_to(victim)
    lines = JsonLines.__new__(JsonLines)  # the link came after the log was opened
    lines._path, lines._failed, lines.digest = path, False, EMPTY
    lines.write(1, {"loss": 1.0})
    with pytest.raises(OSError):
        append_line(path, {"a": 1})
    assert victim.read_text() == "precious"
    assert "metrics are not written" in caplog.text


@pytest.mark.parametrize(
    "line",
    [
        '{"secondz": {"train": 1.0}, "timed_steps": 3}',
        '{"seconds": {"train": "1.0"}, "timed_steps": 3}',
        '{"seconds": {"train": -1.0}, "timed_steps": 3}',
        '{"seconds": {"train": NaN}, "timed_steps": 3}',
        '{"seconds": [1.0], "timed_steps": 3}',
        '{"seconds": {"train": 1.0}}',
        "[]",
        "5",
    ],
)
def test_a_damaged_timing_is_skipped(tmp_path, caplog, line):
    path, clock = tmp_path / "timings.jsonl", Clock()
    clock.seconds["train"], clock.steps = 2.5, 10
    append_timings(path, clock)
    with path.open("a") as file:
        file.write(line + "\n")
    append_timings(path, clock)
    with caplog.at_level(logging.WARNING):
        assert total_timings(path) == ({"train": 5.0}, 20)
    assert "a line that is no timing is skipped" in caplog.text


def test_a_digest_that_is_none_is_that_of_an_empty_log():
    for extra in ({}, {"metrics": None}, {"metrics": {"size": "x", "sha256": ""}}):
        assert find_digest(extra) == EMPTY
    assert json.loads(json.dumps(EMPTY._asdict()))["size"] == 0
