"""Runs on data without labels, or with labels in one split only."""

import json

import numpy as np
import pytest
from PIL import Image
from small_runs import small

import jaxcl
from jaxcl.config import ConfigError
from jaxcl.reports import render_html, render_table


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Forty images side by side, of which no one says anything."""
    place = tmp_path_factory.mktemp("photos")
    for i in range(40):
        Image.new("RGB", (8, 8), (6 * i, 90, 120)).save(place / f"{i:02}.png")
    return place


def config_of(folder, **changes):
    fields = {
        "data__path": str(folder),
        "data__image_size": 8,
        "data__domain": "",
        "data__batch_size": 8,
        "data__train_split": "train",
        "data__test_splits": ("validation",),
        "data__selection__validation_fraction": 0.25,
        "num_steps": 2,
        "eval_every": 1,
    }
    return small(**{**fields, **changes})


def test_a_folder_of_pictures_alone_trains_and_says_what_is_left_out(folder, tmp_path):
    report = jaxcl.train(config_of(folder), tmp_path, quiet=True)
    assert np.isfinite(report["curves"]["loss"]).all()
    assert report["evaluation"]["after"]["splits"] == {}
    assert report["evaluation"]["after"]["similarity_statistics"]
    (note,) = report["notes"]
    assert note.startswith("accuracy is left out: the data set has no column 'label'")
    page = (tmp_path / "report.html").read_text()
    assert "accuracy is left out" in page and "<h2>Accuracy</h2>" not in page
    assert "no split has an accuracy" in str(render_table([report]).caption)
    # Evaluating again, and beside a run of an older version, which has no notes.
    again = jaxcl.evaluate(tmp_path, quiet=True)
    assert again["notes"] == report["notes"]
    older = {key: value for key, value in report.items() if key != "notes"}
    assert render_html([older, json.loads(json.dumps(report))])
    assert render_html([older])


def test_the_notes_are_said_once_before_the_first_step(folder, tmp_path, capsys):
    jaxcl.train(config_of(folder, data__label=""), tmp_path)
    said = capsys.readouterr().err
    assert said.count("note: accuracy is left out: `data.label` is ''") == 1
    assert said.index("note:") < said.index("step 2/2")


def test_a_loss_of_labels_is_refused_before_anything_is_written(folder, tmp_path):
    config = config_of(folder, objective__name="supcon")
    words = r"`data\.label` must name a column for objective\.name = 'supcon'"
    with pytest.raises(ConfigError, match=words):
        jaxcl.train(config, tmp_path / "run", quiet=True)
    assert not (tmp_path / "run" / "checkpoints").exists()


def write_table(folder, tmp_path, labels, splits):
    rows = [f"{i:02}.png,{labels[i]},{splits[i]}" for i in range(40)]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["path,label,split", *rows]))
    return str(table)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("train", "test", "note"),
    [
        ("", "ab", "no training image has a label"),
        ("ab", "", "accuracy on 'test' is left out"),
        ("a", "ab", "one class, 'a'"),
    ],
)
def test_labels_in_one_split_only(folder, tmp_path, train, test, note):
    labels = [(train if i < 24 else test)[i % 2 :][:1] or train[:1] for i in range(40)]
    if not test:
        labels[24:] = [""] * 16
    splits = ["train" if i < 24 else "test" for i in range(40)]
    config = config_of(
        folder,
        data__table=write_table(folder, tmp_path, labels, splits),
        data__test_splits=("test",),
        data__selection__validation_fraction=0.0,
    )
    report = jaxcl.train(config, tmp_path / "run", quiet=True)
    assert any(note in said for said in report["notes"])
    assert report["evaluation"]["after"]["splits"] == {}
