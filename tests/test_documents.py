"""The code, commands and paths in README, docs and configs work."""

import configparser
import dataclasses
import itertools
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
TRAINING = (ROOT / "docs" / "training.md").read_text()
DEVICES = (ROOT / "docs" / "devices.md").read_text()
DATA = (ROOT / "docs" / "data.md").read_text()
STUDIES = sorted((ROOT / "configs" / "studies").rglob("*.toml"))
CONFIGS = sorted({*(ROOT / "configs").rglob("*.toml")} - {*STUDIES})


def blocks(language):
    return re.findall(
        rf"```{language}\n(.*?)```", README + TRAINING + DEVICES + DATA, re.DOTALL
    )


@pytest.mark.parametrize("block", blocks("python"))
def test_the_code_of_the_pages_prints_the_numbers_it_shows(block, capsys):
    exec(compile(block, "README.md", "exec"), {})
    printed = capsys.readouterr().out.split()
    shown = re.findall(r"print\(.*\)  # (\d+\.\d+)", block)
    digits = [len(number.split(".")[1]) for number in shown]
    rounded = [f"{float(x):.{n}f}" for x, n in zip(printed, digits, strict=True)]
    assert rounded == shown


@pytest.mark.slow
def test_the_commands_of_readme_and_training_guide_work(tmp_path, monkeypatch):
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
    # Those that adapt weights are in `test_encoder_guide.py`.
    lines = [line for line in lines if re.match("jaxcl (?!.*adapt)", line)]
    commands = [shlex.split(line, comments=True)[1:] for line in lines]
    assert len(commands) == 14
    for arguments in commands:
        main(arguments)
    for name in (
        "views.png",
        "comparison.html",
        "runs/within/report.html",
        "runs/within/explore.html",
        "studies/quick/report.html",
    ):
        assert (tmp_path / name).is_file()


@pytest.mark.parametrize("path", [*CONFIGS, *STUDIES], ids=lambda path: path.name)
def test_the_header_of_a_config_states_its_time(path):
    lines = path.read_text().splitlines()
    header = " ".join(itertools.takewhile(lambda line: line.startswith("#"), lines))
    stated = r"\d s\b|\d seconds|(\d|[a-z]+) minutes?\b|\d hours|nobody has run it"
    assert re.search(stated, header)


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


PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")})


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_link_of_a_page_leads_somewhere(page):
    for path, anchor in re.findall(
        r"\]\((?!http)([^)#]*)#?([^)]*)\)", page.read_text()
    ):
        target = page.parent / path if path else page
        assert target.exists(), path
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), (path, anchor)


def anchors(page):
    """The links that GitHub makes of the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    kept = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in kept}


def test_every_file_that_readme_and_training_guide_name_exists():
    pages = README + TRAINING
    for name in re.findall(r"`((?:configs|docs|scripts|tests)/[^`*]*)`", pages):
        assert (ROOT / name).exists(), name


def test_the_drawings_of_the_wings_are_the_layers_that_are_checked():
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    wings = contracts["importlinter:contract:wings"]["layers"]
    labs = contracts["importlinter:contract:labs"]["layers"]
    layers = [line.split(" | ") for line in wings.replace("jaxcl.", "").split("\n")[1:]]
    inside = [[f"labs.{x}" for x in line.split(" | ")] for line in labs.split("\n")[1:]]
    at = layers.index(["labs"])
    drawn = [re.findall(r"[a-z][a-z.]*", line) for line in drawing("CONTRIBUTING.md")]
    assert drawn == layers[:at] + inside + layers[at + 1 :]
    rooms = {room for line in layers + inside for room in line}
    in_readme = set(re.findall(r"[a-z]+", "\n".join(drawing("README.md"))))
    assert {room.split(".")[-1] for room in rooms} <= in_readme


def drawing(page):
    """The lines of the drawing of the wings."""
    text = (ROOT / page).read_text()
    found = re.search(r"```\n(COMMAND .*?)\n```", text, re.DOTALL)
    return found.group(1).splitlines()


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


def test_the_version_is_the_same_everywhere():
    found = [
        re.search(r"^version\b\W+([\d.]+)", (ROOT / name).read_text(), re.MULTILINE)
        for name in ("pyproject.toml", "CITATION.cff")
    ]
    assert [match.group(1) for match in found] == [jaxcl.__version__] * 2


def test_forbidden_room_names_are_not_used():
    forbidden = {"utils", "common", "helpers", "misc", "core", "base"}
    for path in (ROOT / "jaxcl").rglob("*.py"):
        assert path.stem.strip("_") not in forbidden, path


def test_only_three_files_map_programs_over_devices():
    package = ROOT / "jaxcl"
    found = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if re.search(r"\b(pmap|shard_map)\(", path.read_text())
    }
    assert found == {
        "kernels/_meshes.py",
        "testing/_mappings.py",
        "training/_devices.py",
    }
