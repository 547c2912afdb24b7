"""The directory of a study can come from a stranger."""

import subprocess
import sys

import pytest

from jaxcl.labs.studies import _jobs
from jaxcl.labs.studies._directory import StudyDirectory, StudyError, read_result


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000])
def test_what_is_no_study_is_named(tmp_path, text):
    directory = StudyDirectory(tmp_path)
    directory.config.write_text(text)
    with pytest.raises(StudyError, match=r"study.json' (cannot be read|must hold)"):
        directory.read_config()
    (tmp_path / "result").write_text(text)
    with pytest.raises(StudyError):
        read_result(tmp_path / "result")


def test_a_link_is_not_read(tmp_path):
    directory = StudyDirectory(tmp_path)
    directory.config.symlink_to("/dev/zero")
    with pytest.raises(StudyError, match="cannot be read"):
        directory.read_config()


def test_a_worker_imports_nothing_from_the_working_directory(tmp_path, monkeypatch):
    commands = []
    monkeypatch.setattr(_jobs.subprocess, "Popen", lambda c, **_: commands.append(c))
    directory = StudyDirectory(tmp_path / "study")
    directory.logs.mkdir(parents=True)
    _jobs._start(directory, 0, 1)
    (command,) = commands
    (tmp_path / "jaxcl").mkdir()
    (tmp_path / "jaxcl" / "__init__.py").write_text("raise SystemExit('let in')")
    monkeypatch.undo()
    before = command[: command.index("-m")]
    ran = subprocess.run(
        [*before, "-c", "import jaxcl"], cwd=tmp_path, capture_output=True, text=True
    )
    assert "let in" not in ran.stderr
    assert command[0] == sys.executable
