"""Stored sets that a stranger wrote: nothing that they name is imported or opened."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys

import pytest

from jaxcl.data import DataError, open_data
from jaxcl.data._locate import find_builder
from jaxcl.data._stored import check_stored

EVIL = "evil_types.Evil"
IMAGE = "tensorflow_datasets.core.features.image_feature.Image"
LABEL = "tensorflow_datasets.core.features.class_label_feature.ClassLabel"
DICT = "tensorflow_datasets.core.features.features_dict.FeaturesDict"


@pytest.fixture
def given(damaged, tmp_path, monkeypatch):
    """A config of a stored set that no code describes, and its folder."""
    source = find_builder("damaged", damaged.data_dir).data_path
    folder = tmp_path / "sets" / "given" / "1.0.0"
    shutil.copytree(source, folder)
    mark = tmp_path / "imported"
    module = f"open({str(mark)!r}, 'w').close()\n"
    (tmp_path / "evil_types.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    config = dataclasses.replace(
        damaged, name="given", data_dir=str(tmp_path / "sets"), bad_records="skip"
    )
    yield config, folder
    assert not mark.exists()


def change(file, change_it):
    known = json.loads(file.read_text())
    changed = change_it(known)
    file.write_text(json.dumps(known if changed is None else changed))


def refused(config):
    with pytest.raises(DataError) as raised:
        open_data(config)
    message = str(raised.value)
    assert "stored data set" in message
    assert "\n" not in message
    return message


def test_a_set_of_known_types_opens_under_any_name(given):
    config, _ = given
    assert len(open_data(config).train) == 20


def evil_proto(known):
    known["featuresDict"]["features"]["label"]["pythonClassName"] = EVIL


def evil_other_spelling(known):
    label = known["featuresDict"]["features"]["label"]
    del label["pythonClassName"]
    label["python_class_name"] = EVIL


def evil_at_the_top(known):
    known["pythonClassName"] = EVIL


def evil_old_format(known):
    return {"type": DICT, "content": {"label": {"type": EVIL, "content": {}}}}


def evil_text_in_old_format(known):
    inner = json.dumps({"features": {"a": {"pythonClassName": EVIL}}})
    name = "tensorflow_datasets.FeaturesDict"
    return {"type": DICT, "content": inner, "proto_cls": name}


def evil_json_in_proto(known):
    inner = json.dumps({"label": {"type": EVIL, "content": {}}})
    return {"pythonClassName": DICT, "jsonFeature": {"json": inner}}


@pytest.mark.parametrize(
    "change_it",
    [
        evil_proto,
        evil_other_spelling,
        evil_at_the_top,
        evil_old_format,
        evil_text_in_old_format,
        evil_json_in_proto,
    ],
)
def test_no_module_that_features_name_is_imported(given, change_it):
    config, folder = given
    change(folder / "features.json", change_it)
    assert repr(EVIL) in refused(config)
    for name in ("given:1.0.0", "given:1.*.*"):
        assert repr(EVIL) in refused(dataclasses.replace(config, name=name))


def test_no_module_that_the_description_names_is_imported(given):
    config, folder = given
    features = {"pythonClassName": EVIL, "text": {}}
    change(
        folder / "dataset_info.json", lambda known: known.update({"features": features})
    )
    assert repr(EVIL) in refused(config)


def test_an_official_name_is_checked_as_well(given, tmp_path):
    config, folder = given
    folder.parent.rename(tmp_path / "sets" / "mnist")
    change(tmp_path / "sets" / "mnist" / "1.0.0" / "features.json", evil_proto)
    for name in ("mnist", "mnist:1.0.0"):
        assert repr(EVIL) in refused(dataclasses.replace(config, name=name))


def test_a_config_of_a_set_is_checked_as_well(given, tmp_path):
    config, folder = given
    whole = folder.parent / "blue" / "1.0.0"
    whole.parent.mkdir()
    folder.rename(whole)
    change(whole / "features.json", evil_proto)
    for name in ("given/blue", "given/blue:1.0.0", "given", "mnist/blue"):
        if name.startswith("mnist"):
            folder.parent.rename(tmp_path / "sets" / "mnist")
        assert repr(EVIL) in refused(dataclasses.replace(config, name=name))


@pytest.mark.parametrize("default", ["../../elsewhere", "/", 3, ["blue"]])
def test_the_default_config_lies_in_the_folder_of_the_set(given, tmp_path, default):
    config, folder = given
    elsewhere = tmp_path / "elsewhere" / "1.0.0"
    shutil.copytree(folder, elsewhere)
    shutil.rmtree(folder)
    change(elsewhere / "features.json", evil_proto)
    file = folder.parent / ".config" / "metadata.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"default_config_name": default}))
    assert "must name a config" in refused(config)


@pytest.mark.parametrize("name", ["features.json", "dataset_info.json"])
@pytest.mark.parametrize("depth", [70, 100_000])
def test_files_that_are_nested_deeply_are_named(given, name, depth):
    config, folder = given
    inner = '{"features": ' * depth + "{}" + "}" * depth
    (folder / name).write_text(inner)
    assert "nested too deeply" in refused(config)


@pytest.mark.parametrize("text", ["", "[]", '{"splits": 3}', '{"splits": [{"a": 1}]}'])
def test_a_description_that_is_none_is_named(given, text):
    config, folder = given
    (folder / "dataset_info.json").write_text(text)
    refused(config)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("filepathTemplate", "../{SPLIT}-{SHARD_X_OF_Y}"),
        ("filepathTemplate", "/etc/{SPLIT}-{SHARD_X_OF_Y}"),
        ("filepathTemplate", "{SPLIT:>999999999}"),
        ("filepathTemplate", "{SPLIT.__class__}"),
        ("name", "../train"),
        ("name", ""),
        ("shardLengths", ["1000000000000"]),
        ("shardLengths", ["-1"]),
    ],
)
def test_files_of_splits_lie_in_the_folder_and_hold_what_they_say(given, field, value):
    config, folder = given
    change(
        folder / "dataset_info.json",
        lambda known: known["splits"][0].update({field: value}),
    )
    refused(config)


def test_the_name_in_the_description_is_a_name(given):
    config, folder = given
    change(folder / "dataset_info.json", lambda known: known.update(name="../given"))
    assert "must hold names" in refused(config)


def put_link_to_device(folder):
    (folder / "label.labels.txt").symlink_to("/dev/zero")


def put_link_outside(folder):
    file = next(folder.glob("*array_record*"))
    file.rename(folder.parent / "moved")
    file.symlink_to(folder.parent / "moved")


def put_pipe(folder):
    (folder / "metadata.json").unlink(missing_ok=True)
    os.mkfifo(folder / "metadata.json")


@pytest.mark.parametrize("put", [put_link_to_device, put_link_outside, put_pipe])
def test_devices_pipes_and_links_out_of_the_folder_are_not_opened(given, put):
    config, folder = given
    put(folder)
    refused(config)


def test_the_folder_itself_may_be_a_link(given, tmp_path):
    config, folder = given
    folder.parent.rename(tmp_path / "far")
    folder.parent.symlink_to(tmp_path / "far")
    assert len(open_data(config).train) == 20


def test_names_of_classes_come_from_no_other_file(given, tmp_path):
    config, folder = given
    (tmp_path / "secret").write_text("a\nb\n")
    old = {"type": LABEL, "content": {"names_file": str(tmp_path / "secret")}}
    features = {"type": DICT, "content": {"label": old}}
    (folder / "features.json").write_text(json.dumps(features))
    assert "which is not read" in refused(config)


def test_a_number_of_classes_that_fills_the_memory_is_refused(given):
    config, folder = given

    def count(known):
        label = known["featuresDict"]["features"]["label"]
        label["classLabel"]["numClasses"] = str(10**12)

    change(folder / "features.json", count)
    assert "1000000000000" in refused(config)


def test_a_name_sets_no_other_directory(given, tmp_path):
    with pytest.raises(DataError, match="must be NAME, NAME/CONFIG"):
        check_stored("mnist/data_dir=elsewhere", tmp_path)


def test_columns_are_kept_through_no_link(given):
    config, folder = given
    victim, kept = folder / "victim", folder / f".columns-train.npz.{os.getpid()}"
    victim.write_text("stays")
    kept.symlink_to(victim)
    assert open_data(config).train.values("label").tolist() == [0, 1] * 10
    assert victim.read_text() == "stays"
    assert (folder / ".columns-train.npz").is_file()


def test_a_program_that_is_given_such_a_set_ends_with_one_line(given, tmp_path):
    config, folder = given
    change(folder / "features.json", evil_proto)
    arguments = ["train", "config.toml", "--workdir", str(tmp_path / "run")]
    arguments += ["--data.name", "given", "--data.data-dir", config.data_dir]
    (tmp_path / "config.toml").write_text("")
    ran = subprocess.run(
        [sys.executable, "-c", f"from jaxcl.cli import main; main({arguments})"],
        env={**os.environ, "PYTHONPATH": f"{os.getcwd()}:{tmp_path}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1, ran.stderr
    *_, last = ran.stderr.strip().split("\n")
    assert last.startswith("error: stored data set"), ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "imported").exists()
