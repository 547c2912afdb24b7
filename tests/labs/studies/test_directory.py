"""The directory of a study can come from a stranger."""

import json
import subprocess
import sys

import pytest
from labs.studies.small_studies import TREE

from jaxcl.config import study_from_dict
from jaxcl.labs.studies import _jobs
from jaxcl.labs.studies._collect import collect
from jaxcl.labs.studies._directory import StudyDirectory, StudyError, read_result
from jaxcl.labs.studies._plan import plan_study


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


@pytest.mark.parametrize(
    ("what", "other"),
    [
        ("data", "cd"),
        ("settings", {"jax_enable_x64": True}),
    ],
)
def test_runs_of_other_data_or_settings_are_not_compared(tmp_path, what, other):
    config = study_from_dict(TREE)
    directory = StudyDirectory(tmp_path)
    cell = plan_study(config)[0]
    result = {
        "values": [{"metric": "m", "split": "s", "labels": 0, "value": 0.5}],
        "seconds": {"train": 1.0, "measure": 1.0, "total": 2.0, "compiled": False},
        "data": "ab",
        "settings": {"jax_enable_x64": False},
    }
    for seed, found in enumerate((result, {**result, what: other})):
        path = directory.result(cell, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found))
        if seed == 0:
            collect(config, directory)
    with pytest.raises(StudyError, match=f"must have the same {what}"):
        collect(config, directory)
