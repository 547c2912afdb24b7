import shutil
import subprocess
from pathlib import Path

import jaxcl
from jaxcl.training import _record, describe_versions, find_commit, peak_memory_mib


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


def test_an_installed_package_is_found_in_the_checkout_it_came_from(
    tmp_path, monkeypatch
):
    checkout, installed = tmp_path / "checkout", tmp_path / "site-packages"
    checkout.mkdir()
    installed.mkdir()
    copy_of_package(checkout)
    package = copy_of_package(installed)
    commit = commit_everything(checkout)
    monkeypatch.setattr(_record, "__file__", str(package / "training" / "_record.py"))
    monkeypatch.chdir(checkout)
    assert find_commit() == commit
    (checkout / "jaxcl" / "batch.py").write_text("changed = True\n")
    assert find_commit() is None


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
