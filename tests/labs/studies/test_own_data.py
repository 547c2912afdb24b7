import numpy as np
import pytest
from PIL import Image

from jaxcl.cli import main
from jaxcl.config import read_study
from jaxcl.data import DataError
from jaxcl.labs.studies import StudyError, plan_study
from jaxcl.labs.studies._own_data import OwnData, write_own_study
from jaxcl.labs.studies._plan import config_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Small pictures of three sites, and a table of several columns."""
    folder = tmp_path_factory.mktemp("birds")
    rng, rows = np.random.default_rng(0), ["path,species,site,camera,place"]
    (folder / "images").mkdir()
    for i in range(120):
        pixels = rng.integers(0, 255, (12, 12, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{i}.png")
        site = "east" if i < 60 else "west" if i < 110 else "far"
        species = "owl" if i % 2 else "wren"
        rows.append(f"{i}.png,{species},{site},one,{species}-land")
    (folder / "table.csv").write_text("\n".join(rows))
    return folder


def own(folder, domain="site", label="species"):
    return OwnData(folder / "images", folder / "table.csv", label, domain)


def test_a_folder_gives_a_study_that_can_run(folder, tmp_path):
    file = tmp_path / "out" / "study.toml"
    write_own_study(own(folder), file)
    study = read_study(file)
    study.check()
    # The third site has too few images to be tested on.
    assert set(study.shifts[0].targets) == {"east", "west"}
    cells = plan_study(study)
    assert len(cells) == 2 * 4
    for cell in cells:
        config = config_of(study, cell, 0)
        assert config.data.label == "species" and config.data.domain == "site"
        # Forty of the smaller rest, a quarter of which is for validation.
        assert config.data.batch_size <= 15
    assert {"true", "shuffled"} <= {cell.mode for cell in cells}
    assert "site" in study.question and "species" in study.question


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"domain": "camera"}, "'camera' must have at least two values, got"),
        ({"domain": "place"}, "'species' and 'place' say the same"),
        ({"domain": "sight"}, "sight"),
        ({"label": "specie"}, "specie"),
    ],
)
def test_columns_that_cannot_answer_are_refused_by_name(folder, columns, message):
    with pytest.raises((StudyError, DataError), match=message):
        write_own_study(own(folder, **columns), folder / "none.toml")
    assert not (folder / "none.toml").exists()


def test_the_command_says_what_is_wrong(folder, capsys):
    images, table = str(folder / "images"), str(folder / "table.csv")
    for arguments, message in (
        (["--data", images, "--metadata", table, "--label", "x"], "x"),
        (["a.toml", "--data", images], "name none beside it"),
        ([], "name the config of a study, or a folder with --data"),
        (["missing.toml"], "'missing.toml' cannot be read"),
    ):
        with pytest.raises(SystemExit) as raised:
            main(["study", *arguments])
        assert raised.value.code == 1
        assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("part", ["8/8", "-1/2", "two"])
def test_an_invalid_part_is_refused(part, tmp_path, capsys):
    config, out = "configs/studies/quick.toml", str(tmp_path / "out")
    with pytest.raises(SystemExit):
        main(["study", config, f"--part={part}", "--workdir", out])
    assert "`--part` must be like 0/8 to 7/8" in capsys.readouterr().err
