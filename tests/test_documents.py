"""What README and configs say is done here as it is said."""

import dataclasses
import re
import shlex
from pathlib import Path

import pytest
import tomli_w
from labs.studies.small_studies import SMALL as SMALL_STUDY
from PIL import Image
from small_runs import SMALL

import jaxcl.labs.studies
from jaxcl.cli import main
from jaxcl.config import as_dict, read_study, read_toml, write_toml
from jaxcl.labs.studies import plan_study
from jaxcl.labs.studies._plan import config_of

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
STUDIES = sorted((ROOT / "configs" / "studies").rglob("*.toml"))
CONFIGS = sorted({*(ROOT / "configs").rglob("*.toml")} - {*STUDIES})


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("block", blocks("python"))
def test_the_code_of_the_readme_runs(block):
    exec(compile(block, "README.md", "exec"), {})


@pytest.mark.slow
def test_the_commands_of_the_readme_work_in_their_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    # The same commands, on a run of seconds.
    write_toml(SMALL, tmp_path / "configs" / "quickstart.toml")
    main(["train", "configs/quickstart.toml", "--quiet"])
    (tmp_path / "configs" / "studies").mkdir()
    study = tomli_w.dumps(as_dict(dataclasses.replace(SMALL_STUDY, seeds=1)))
    (tmp_path / "configs" / "studies" / "quick.toml").write_text(study)
    write_photos(tmp_path)
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    lines = [line for line in lines if line.startswith("jaxcl ")]
    commands = [shlex.split(line, comments=True)[1:] for line in lines]
    assert len(commands) == 10
    for arguments in commands:
        main(arguments)
    for name in (
        "views.png",
        "comparison.html",
        "runs/within/report.html",
        "studies/quick/report.html",
    ):
        assert (tmp_path / name).is_file()


def write_photos(folder):
    """Images of one's own, their table, and the config of such on a run of seconds."""
    (folder / "photos").mkdir()
    rows = ["path,label,hospital,age"]
    for i in range(40):
        Image.new("RGB", (20, 16), (6 * i, 90, 120)).save(folder / f"photos/{i}.png")
        rows.append(f"{i}.png,{'ab'[i % 2]},{('north', 'south', '')[i % 3]},{20 + i}")
    (folder / "photos.csv").write_text("\n".join(rows))
    shipped = read_toml(ROOT / "configs" / "folder.toml").data
    data = dataclasses.replace(shipped, batch_size=16, image_size=16)
    small = dataclasses.replace(SMALL, data=data)
    write_toml(small, folder / "configs" / "folder.toml")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_can_be_run_and_says_what_it_asks(path):
    read_toml(path).check()
    question, command, *_ = path.read_text().splitlines()
    assert question.startswith("# ")
    assert question.endswith("?") or "?" in question
    assert f"jaxcl train {path.relative_to(ROOT)}" in command


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_study_can_be_run_and_says_what_it_asks(path):
    study = read_study(path)
    study.check()
    for cell in plan_study(study):
        config_of(study, cell, 0)
    lines = path.read_text().splitlines()
    header = [line for line in lines if line.startswith("# ")]
    assert any("?" in line for line in header)
    assert any(f"jaxcl study {path.relative_to(ROOT)}" in line for line in header)


def test_the_commands_of_the_page_on_studies_are_ones(monkeypatch):
    page = (ROOT / "docs" / "studies.md").read_text()
    blocks = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    lines = [line for line in lines if line.startswith("jaxcl study ")]
    asked = []
    monkeypatch.setattr(
        jaxcl.labs.studies, "show_study", lambda options: asked.append(options) or True
    )
    for line in lines:
        main(shlex.split(line.replace("$SLURM_ARRAY_TASK_ID", "7"))[1:])
    assert [options.part for options in asked] == ["", "7/8", "", ""]
    assert all((ROOT / options.config).exists() for options in asked[:3])
    assert asked[2].report_only and asked[3].domain == "site"


def test_every_path_the_readme_names_is_there():
    for path in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / path).exists(), path
    for name in re.findall(r"`((?:configs|docs|scripts|tests)/[^`*]*)`", README):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("page", ["reliability.md", "clusters.md"])
def test_every_test_a_page_names_is_there(page):
    text, named = (ROOT / "docs" / page).read_text(), 0
    for file, tests in re.findall(
        r"`(tests/[^`]*\.py)`(:(?:[\s,]*`test_\w+`)+)?", text
    ):
        source = (ROOT / file).read_text()
        for test in re.findall(r"test_\w+", tests):
            assert f"def {test}(" in source, (file, test)
            named += 1
    assert named or page != "reliability.md"


def test_forbidden_room_names_are_not_used():
    forbidden = {"utils", "common", "helpers", "misc", "core", "base"}
    for path in (ROOT / "jaxcl").rglob("*.py"):
        assert path.stem.strip("_") not in forbidden, path


def test_mappings_are_named_in_one_file_alone():
    for path in (ROOT / "jaxcl").rglob("*.py"):
        called = re.search(r"\b(pmap|shard_map)\(", path.read_text())
        assert called is None or path.name == "_devices.py", path
