import importlib.metadata
import json
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import jaxcl
from jaxcl.runtime import _record, describe_versions, find_commit, peak_memory_mib


def commit_everything(repository):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x"]):
        subprocess.run(["git", *identity, *command], cwd=repository, check=True)
    shown = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.check_output(shown, cwd=repository, text=True).strip()


def copy_of_package(place):
    package = Path(jaxcl.__file__).parent
    ignored = shutil.ignore_patterns("__pycache__")
    return shutil.copytree(package, place / "jaxcl", ignore=ignored)


def test_git_is_started_in_no_checkout_but_that_of_the_package(tmp_path, monkeypatch):
    # The settings of a repository can name programs, and cost nothing to plant.
    stranger, installed = tmp_path / "stranger", tmp_path / "stranger" / "venv"
    installed.mkdir(parents=True)
    copy_of_package(stranger)
    package = copy_of_package(installed)
    commit_everything(stranger)
    mark, hook = tmp_path / "mark", tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {mark}\n")
    hook.chmod(0o755)
    setting = ["git", "config", "core.fsmonitor", str(hook)]
    subprocess.run(setting, cwd=stranger, check=True)
    monkeypatch.chdir(stranger)
    subprocess.run(["git", "status", "-uno"], check=True, capture_output=True)
    assert mark.exists()  # so the hook works
    mark.unlink()
    monkeypatch.setattr(_record, "__file__", str(package / "training" / "_record.py"))
    find_commit()
    assert not mark.exists()
    monkeypatch.setattr(
        _record, "__file__", str(stranger / "jaxcl" / "training" / "_record.py")
    )
    assert find_commit()  # that of the package itself, and even there no hook
    assert not mark.exists()


def test_an_installed_package_names_the_commit_that_pip_recorded(monkeypatch):
    recorded = json.dumps({"vcs_info": {"commit_id": "0123456789abcdef"}})
    for text, expected in ((recorded, "0123456"), ("{}", None), (None, None)):
        found = SimpleNamespace(read_text=lambda _, text=text: text)
        monkeypatch.setattr(importlib.metadata, "distribution", lambda _, f=found: f)
        assert _record._installed_commit() == expected


def test_the_source_digest_tells_apart_what_has_one_version(tmp_path, monkeypatch):
    package = copy_of_package(tmp_path)
    monkeypatch.setattr(_record, "__file__", str(package / "training" / "_record.py"))
    digest = _record.source_digest.__wrapped__
    before = digest()
    assert digest() == before == describe_versions()["source of jaxcl"]
    (package / "batch.py").write_text("changed = True\n")
    assert digest() != before


def test_a_changed_checkout_is_called_dirty(tmp_path, monkeypatch):
    package = copy_of_package(tmp_path)
    commit = commit_everything(tmp_path)
    monkeypatch.setattr(_record, "__file__", str(package / "training" / "_record.py"))
    assert find_commit() == commit
    (package / "batch.py").write_text("changed = True\n")
    assert find_commit() == f"{commit}-dirty"


def test_versions_and_memory_are_those_of_this_process():
    assert describe_versions()["jax"] == __import__("jax").__version__
    assert 50 < peak_memory_mib() < 100_000
