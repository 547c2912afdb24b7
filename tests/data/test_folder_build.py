"""What comes of the images of a folder: splits, what is left out, what is said."""

import dataclasses
import io
import json
import logging
import unicodedata

import numpy as np
import pytest
from PIL import Image
from small_runs import small

import jaxcl
from jaxcl.cli import main
from jaxcl.config import ConfigError
from jaxcl.data import DataError, open_data, open_split
from jaxcl.data._builders import _folder_pictures
from jaxcl.reports import render_html

RAMP = np.arange(256).reshape(16, 16)


def encoded(pixels, kind="tiff", **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


GOOD = encoded(RAMP.astype(np.uint8), "png")
BROKEN = {
    "a/empty.jpg": (b"", "is empty"),
    "a/page.jpg": (b"<!DOCTYPE html><html>", "is no image"),
    "b/cut.png": (GOOD[:-14], "'b/cut.png'"),
    "b/nan.tif": (encoded(np.full((4, 4), np.nan, np.float32)), "NaN"),
}
WHOLE = {f"{'ab'[i % 2]}/{i}.png": GOOD for i in range(6)}


@pytest.fixture
def broken(put):
    def make(**changes):
        files = {name: data for name, (data, _) in BROKEN.items()}
        return put({**files, **WHOLE}, **{"batch_size": 4, **changes})

    return make


def test_all_that_is_broken_is_named_before_a_batch_is_read(broken):
    with pytest.raises(DataError) as raised:
        open_data(broken())
    message = str(raised.value)
    assert message.startswith("4 of the images")
    assert "`data.bad_records` = 'skip'" in message
    for name, (_, why) in BROKEN.items():
        assert f"{name!r} (" in message
        assert why in message


def test_what_is_broken_is_left_out_and_named_once(broken, caplog):
    data = open_data(broken(bad_records="skip", train_split="train"))
    assert len(data.train) == len(WHOLE)
    assert set(data.bad.reasons) == set(BROKEN)
    said = [record.message for record in caplog.records if "cut.png" in record.message]
    assert len(said) == 1
    batches = list(data.batches(0, 3))
    assert all(batch.where.all() for batch in batches)


def test_more_than_may_be_broken_is_an_error(broken):
    open_data(broken(bad_records="count", max_bad_records=4))
    with pytest.raises(DataError, match=r"`data.max_bad_records` is 3"):
        open_data(broken(bad_records="count", max_bad_records=3))


def test_instances_do_not_depend_on_what_is_broken(put):
    config = put({**WHOLE, "a/1.jpg": b""}, bad_records="skip")
    numbers = {f"a/{i}.png": place for place, i in enumerate((0, 2, 4), 1)}
    split = open_split(config, "train")
    found = {
        record["path"].decode(): int(record["instance"])
        for record in split.read(np.arange(len(split)))
    }
    assert {name: found[name] for name in numbers} == {
        name: place - (name < "a/1.jpg") for name, place in numbers.items()
    }


def test_pictures_are_decoded_once_for_all_runs(put, monkeypatch):
    config = put(WHOLE)
    open_data(config)

    def fail(*_):
        raise AssertionError("the images were checked again")

    monkeypatch.setattr(_folder_pictures, "check_pictures", fail)
    open_data(config)


def test_a_folder_of_which_nothing_can_be_read_is_refused(put):
    config = put({"a/1.png": b"", "a/2.png": b"x"}, bad_records="skip")
    with pytest.raises(DataError, match=r"2 of the images .*'a/1.png' \(is empty"):
        open_data(config)


def test_a_long_check_says_how_long_it_will_take(put, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "jaxcl")
    monkeypatch.setattr(_folder_pictures, "_AT_ONCE", 2)
    monkeypatch.setattr(_folder_pictures, "_SECONDS_BETWEEN_LINES", 0.0)
    open_split(put(WHOLE), "train")
    assert "checked 4 of 6 images" in caplog.text
    assert "s left" in caplog.text


def test_a_flat_folder_opens_without_labels(put):
    for label in ("label", ""):
        config = put({f"{i}.png": GOOD for i in range(4)}, label=label)
        data = open_data(config)
        assert not data.train.roles
        batch = next(data.batches(0, 1))
        assert batch.label is None
        assert batch.image.shape == (4, 16, 16, 3)


def test_validation_images_are_never_trained_on(put):
    files = {
        f"{split}/{label}/{i}.png": encoded(RAMP.astype(np.uint8) // (i + 1), "png")
        for split, count in (("train", 3), ("val", 2), ("test", 1))
        for label in ("cat", "dog")
        for i in range(count)
    }
    data = open_data(put(files, batch_size=2, test_splits=("val", "test")))
    assert len(data.train) == 6
    assert {name: len(split) for name, split in data.tests.items()} == {
        "val": 4,
        "test": 2,
    }
    shared = set(data.train.instances()) & set(data.tests["val"].instances())
    assert not shared


def test_a_stored_split_may_be_called_as_a_selection_is(put, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("path,split\n0.png,train\n1.png,train\n2.png,validation\n")
    config = put({f"{i}.png": GOOD for i in range(3)}, table=str(table), batch_size=2)
    config = dataclasses.replace(config, test_splits=("validation",))
    assert len(open_data(config).tests["validation"]) == 1
    with pytest.raises(ConfigError, match=r"held_out_domains`; .* no split 'held_out'"):
        open_data(dataclasses.replace(config, test_splits=("held_out",)))


def test_paths_of_a_table_may_be_spelled_as_other_systems_do(put, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("path,label\na\\1.png,x\nb/caf\u00e9.png,y\n")
    decomposed = unicodedata.normalize("NFD", "b/caf\u00e9.png")
    config = put({"a/1.png": GOOD, decomposed: GOOD}, table=str(table))
    split = open_split(config, "train")
    paths = {record["path"].decode() for record in split.read([0, 1])}
    assert paths == {"a/1.png", decomposed}


def test_the_command_says_what_a_folder_holds(broken, capsys):
    config = broken()
    where = [config.path, "--data-dir", config.data_dir]
    for command in ("show", "build"):
        main(["data", command, *where])
        said = capsys.readouterr().out
        assert "train 6" in said
        assert "a 3, b 3" in said
        assert "a/empty.jpg: is empty" in said
    main(["data", "show", *where, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["splits"] == {"train": 6}
    assert set(found["unreadable"]) == set(BROKEN)


@pytest.mark.slow
def test_the_pictures_of_a_folder_are_shown(broken, tmp_path, capsys):
    config, picture = broken(), tmp_path / "seen.png"
    where = [config.path, "--data-dir", config.data_dir]
    main(["data", "show", *where, "--out", str(picture), "--count", "2"])
    assert str(picture) in capsys.readouterr().out
    assert picture.stat().st_size > 1000


def test_a_report_counts_and_names_what_was_left_out():
    left_out = {"count": 2, "first": {"a/1.png": "is empty", "<b>": "is cut"}}
    page = render_html([{"name": "run", "data": {"name": "x", "left_out": left_out}}])
    assert "a/1.png (is empty)" in page
    assert "&lt;b&gt;" in page
    whole = {"count": 0, "first": {}}
    page = render_html([{"name": "run", "data": {"name": "x", "left_out": whole}}])
    assert "left out" not in page


@pytest.mark.slow
def test_a_run_reports_what_it_left_out(put, tmp_path):
    files = {f"train/{'ab'[i % 2]}/{i}.png": GOOD for i in range(8)}
    files |= {f"val/{'ab'[i % 2]}/{i}.png": GOOD for i in range(8)}
    data = put({**files, "val/b/9.png": GOOD[:-14]}, batch_size=8, bad_records="skip")
    data = dataclasses.replace(data, test_splits=("val",))
    config = small(num_steps=1, data=data, evaluation__neighbors=3)
    report = jaxcl.train(config, tmp_path / "run", quiet=True)
    assert report["data"]["splits"] == {"train": 8, "val": 8}
    assert report["data"]["left_out"]["count"] == 1
    assert set(report["data"]["left_out"]["first"]) == {"val/b/9.png"}
    assert "val/b/9.png" in (tmp_path / "run" / "report.html").read_text()
