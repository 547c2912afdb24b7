"""The embeddings of a run leave it as a table that names what is known."""

import dataclasses
import re
import resource

import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet
from small_runs import last_state, small

import jaxcl
from jaxcl.cli import main
from jaxcl.config import ConfigError, ModelConfig
from jaxcl.data import DataError, _batches, from_arrays
from jaxcl.experiment import TrainedEncoder, _embeddings, embed_run, make_experiment
from jaxcl.experiment._parts import Parts, open_parts
from jaxcl.runtime import WorkdirError, find_workdir
from jaxcl.training import make_devices


def picture(i):
    return np.random.default_rng(i).integers(0, 255, (8, 8, 3), np.uint8)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of forty images, and its table."""
    place = tmp_path_factory.mktemp("embed")
    rows = ["path,label,hospital,age,sick,note"]
    for i in range(40):
        Image.fromarray(picture(i)).save(place / f"{i:02}.png")
        label, hospital = "ab"[i % 2], ("north", "south", "")[i % 3]
        age = "" if i == 3 else 20.5 + i
        rows.append(f"{i:02}.png,{label},{hospital},{age},{i % 4 == 0},patient {i}")
    table = place.with_suffix(".csv")
    table.write_text("\n".join(rows))
    return place, table


@pytest.fixture(scope="module")
def run(photos, tmp_path_factory):
    """A run on them, which sees wrong hospitals and few labels."""
    folder, table = photos
    config = small(
        num_steps=1,
        eval_every=0,
        data__path=str(folder),
        data__table=str(table),
        data__image_size=8,
        data__domain="hospital",
        data__batch_size=8,
        data__train_split="train",
        data__test_splits=("validation",),
        data__selection__validation_fraction=0.25,
        data__selection__labeled_fraction=0.5,
        data__corruption__mode="shuffle",
        model=ModelConfig(encoder="mlp", width=16, stages=1, head_layers=0),
    )
    workdir = tmp_path_factory.mktemp("run")
    jaxcl.train(config, workdir, quiet=True)
    return workdir


def check(rows):
    """The rows are in the order of the paths, and say what the table says."""
    for i, row in enumerate(rows):
        assert row["path"] == f"{i:02}.png"
        assert row["label"] == "ab"[i % 2]
        hospital = ("north", "south", None)[i % 3]
        assert row["domain"] == row["hospital"] == hospital
        assert row["age"] == (None if i == 3 else 20.5 + i)
        assert row["sick"] == (i % 4 == 0)
        assert row["note"] == f"patient {i}"


def test_a_run_gives_its_splits_with_all_that_is_known(run, tmp_path):
    out = tmp_path / "deep" / "splits.parquet"
    embed_run(run, out, quiet=True)
    table = parquet.read_table(out)
    assert table.column_names[:3] == ["path", "instance", "split"]
    assert table.column_names[-1] == "embedding"
    splits = table["split"].to_pylist()
    assert (splits.count("train"), splits.count("validation")) == (30, 10)
    # True values, though the run saw others.
    check(table.to_pylist())


def test_the_embedding_is_that_of_the_encoder(run, photos, tmp_path):
    embed_run(run, tmp_path / "all.parquet", folder=photos[0], quiet=True)
    table = parquet.read_table(tmp_path / "all.parquet")
    assert table.num_rows == 40 and set(table["split"].to_pylist()) == {"train"}
    check(table.to_pylist())
    experiment = make_experiment(find_workdir(run)[1], make_devices())
    images = np.stack([picture(i) for i in range(40)])
    expected = experiment.encode(last_state(run), images.astype(np.float32) / 255)
    assert str(table["embedding"].type) == "fixed_size_list<element: float>[16]"
    found = np.array(table["embedding"].to_pylist())
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_another_folder_is_embedded_at_the_size_of_the_run(run, tmp_path, capsys):
    for i in range(5):
        place = tmp_path / "new" / "ab"[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 30), (50 * i, 0, 0)).save(place / f"{i}.png")
    out = tmp_path / "new.parquet"
    main(["embed", str(run), str(tmp_path / "new"), "--out", str(out), "--quiet"])
    assert capsys.readouterr().out == ""
    table = parquet.read_table(out)
    assert table["label"].to_pylist() == ["a", "a", "a", "b", "b"]
    paths = ["a/0.png", "a/2.png", "a/4.png", "b/1.png", "b/3.png"]
    assert table["path"].to_pylist() == paths
    assert len(table["embedding"][0]) == 16
    # Without a folder, and said how many.
    main(["embed", str(run), "--out", str(out)])
    assert f"{out}: 40 rows, " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"data": "mnist", "folder": "a"}, "`data` must not come with a folder"),
        ({"batch_size": 0}, "`batch_size` must be at least 1"),
        ({"out": "a.csv"}, r"`out` must be a file \*\.parquet, got 'a\.csv'"),
        ({"table": "a.csv"}, "`table` must come with a folder"),
    ],
)
def test_wrong_files_are_refused_before_anything_is_opened(tmp_path, options, words):
    with pytest.raises(ConfigError, match=words):
        embed_run(tmp_path, **{"out": "a.parquet", **options})


def test_the_file_says_where_it_comes_from(run, tmp_path):
    found = embed_run(run, tmp_path / "a.parquet", quiet=True)
    known = {
        key.decode().removeprefix("jaxcl."): value.decode()
        for key, value in found.metadata.items()
        if key.startswith(b"jaxcl.")
    }
    assert (known["run"], known["step"], known["dim"]) == (run.name, "1", "16")
    assert {"commit", "version", "encoder"} <= set(known)
    assert found.num_rows == 40


def test_embed_and_encode_agree_bit_for_bit(run, photos, tmp_path):
    embed_run(run, tmp_path / "a.parquet", folder=photos[0], quiet=True)
    table = parquet.read_table(tmp_path / "a.parquet")
    images = [Image.open(photos[0] / path) for path in table["path"].to_pylist()]
    expected = jaxcl.load(run).encode(images)
    frame = table.to_pandas()
    np.testing.assert_array_equal(np.stack(frame["embedding"]), expected)


def test_a_folder_is_embedded_though_the_data_of_the_run_are_gone(
    run, photos, tmp_path, monkeypatch
):
    place = tmp_path / "other"
    place.mkdir()
    Image.fromarray(picture(3)).save(place / "a.png")
    config = find_workdir(run)[1].data
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "elsewhere"))
    photos[0].rename(photos[0].with_name("moved"))
    try:
        found = embed_run(run, tmp_path / "a.parquet", folder=place, quiet=True)
        with pytest.raises(DataError, match=re.escape(config.path)):
            embed_run(run, tmp_path / "b.parquet", quiet=True)
    finally:
        photos[0].with_name("moved").rename(photos[0])
    assert found.num_rows == 1
    assert not (tmp_path / "b.parquet").exists()


def test_another_data_set_is_embedded_by_its_name(run, tmp_path):
    kinds = ["cat", "dog", "cat"]
    name = from_arrays(image=np.stack([picture(i) for i in range(3)]), label=kinds)
    embed_run(run, tmp_path / "a.parquet", data=name, quiet=True)
    table = parquet.read_table(tmp_path / "a.parquet")
    assert table["label"].to_pylist() == kinds
    expected = jaxcl.load(run).encode([picture(i) for i in range(3)])
    found = np.array(table["embedding"].to_pylist(), np.float32)
    np.testing.assert_array_equal(found, expected)


@pytest.fixture
def many(tmp_path, monkeypatch):
    """A data set of many parts."""
    monkeypatch.setattr(_embeddings, "_ROWS_OF_PART", 8)
    images = np.stack([picture(i) for i in range(30)])
    age = [None if i < 20 else float(i) for i in range(30)]
    return from_arrays(image=images, age=np.array(age, float), path=np.arange(30)[::-1])


def stop_after(monkeypatch, parts):
    """Ends the writing of parts as a kill would, but for the process."""
    write = Parts.write

    def stop(self, number, *arguments):
        if number == parts:
            raise KeyboardInterrupt
        write(self, number, *arguments)

    monkeypatch.setattr(Parts, "write", stop)


def test_what_was_embedded_before_a_kill_is_kept(
    run, many, tmp_path, monkeypatch, capsys
):
    out, whole = tmp_path / "a.parquet", tmp_path / "whole.parquet"
    embed_run(run, whole, data=many, batch_size=4, quiet=True)
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            embed_run(run, out, data=many, batch_size=4, quiet=True)
    assert not out.exists()
    counted, embed = [], TrainedEncoder.embed
    monkeypatch.setattr(
        TrainedEncoder,
        "embed",
        lambda self, images: counted.append(len(images)) or embed(self, images),
    )
    embed_run(run, out, data=many, batch_size=4)
    assert "16 of 30 images were embedded before, and are kept" in (
        capsys.readouterr().err
    )
    assert sum(counted) == 16  # 14, filled up to batches of 4
    assert parquet.read_table(out).equals(parquet.read_table(whole))
    assert parquet.read_metadata(out).num_row_groups == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == [out.name, whole.name]


def test_parts_of_other_settings_are_not_used(run, many, tmp_path, monkeypatch, capsys):
    out = tmp_path / "a.parquet"
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            embed_run(run, out, data=many, batch_size=4, quiet=True)
    embed_run(run, out, data=many, batch_size=8)
    said = capsys.readouterr().err
    assert "parts of another run, or of other images, are not used" in said
    assert parquet.read_metadata(out).num_rows == 30


def test_a_column_has_one_type_though_its_first_rows_are_unknown(run, many, tmp_path):
    embed_run(run, tmp_path / "a.parquet", data=many, batch_size=4, quiet=True)
    table = parquet.read_table(tmp_path / "a.parquet")
    assert str(table["age"].type) in ("float", "double")
    assert table["age"].null_count == 20
    assert table["path"].to_pylist() == sorted(map(str, range(30)))
    place = [29 - int(path) for path in table["path"].to_pylist()]
    expected = jaxcl.load(run).encode([picture(i) for i in place], batch_size=4)
    found = np.array(table["embedding"].to_pylist(), np.float32)
    np.testing.assert_array_equal(found, expected)


def test_two_processes_do_not_write_one_file(run, many, tmp_path):
    out = tmp_path / "a.parquet"
    with (
        open_parts(out, "mine"),
        pytest.raises(WorkdirError, match="is being written by another process"),
    ):
        embed_run(run, out, data=many, quiet=True)


def test_a_full_disk_leaves_the_old_file_and_the_parts(run, many, tmp_path):
    out = tmp_path / "a.parquet"
    out.write_bytes(b"old")

    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Enough for each part, and too little for all of them.
    resource.setrlimit(resource.RLIMIT_FSIZE, (6000, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            embed_run(run, out, data=many, batch_size=4, quiet=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert out.read_bytes() == b"old"
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [".a.parquet.parts", "a.parquet"]
    assert len([*(tmp_path / names[0]).glob("*.parquet")]) == 4


@pytest.mark.parametrize("policy", ["error", "skip"])
def test_broken_images_are_left_out_or_named_as_the_run_says(
    run, tmp_path, monkeypatch, policy, caplog
):
    place = tmp_path / "images"
    place.mkdir()
    for i in range(5):
        Image.fromarray(picture(i)).save(place / f"{i}.png")
    (place / "2.png").write_bytes((place / "2.png").read_bytes()[:60])
    trained = jaxcl.load(run)
    data = dataclasses.replace(trained.config.data, bad_records=policy)
    config = dataclasses.replace(trained.config, data=data)
    monkeypatch.setattr(
        _embeddings,
        "load",
        lambda *_, **__: dataclasses.replace(trained, config=config),
    )
    out = tmp_path / "a.parquet"
    if policy == "error":
        with pytest.raises(DataError, match=r"2\.png"):
            embed_run(run, out, folder=place, quiet=True)
        return
    embed_run(run, out, folder=place, quiet=True)
    paths = parquet.read_table(out)["path"].to_pylist()
    assert paths == ["0.png", "1.png", "3.png", "4.png"]


def test_images_that_break_later_are_left_out_and_counted_over_a_kill(
    run, many, tmp_path, monkeypatch
):
    trained = jaxcl.load(run)

    def allow(count):
        data = dataclasses.replace(
            trained.config.data, bad_records="count", max_bad_records=count
        )
        config = dataclasses.replace(trained.config, data=data)
        changed = dataclasses.replace(trained, config=config)
        monkeypatch.setattr(_embeddings, "load", lambda *_, **__: changed)

    decode, broken = _batches.decode_image, [picture(29), picture(3)]

    def torn(data, *how):
        pixels = decode(data, *how)
        if any(np.array_equal(pixels, one) for one in broken):
            raise OSError("torn")
        return pixels

    monkeypatch.setattr(_batches, "decode_image", torn)
    out = tmp_path / "a.parquet"
    options = {"data": many, "batch_size": 4, "quiet": True}
    allow(2)
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            embed_run(run, out, **options)
    assert embed_run(run, out, **options).num_rows == 28
    paths = parquet.read_table(out)["path"].to_pylist()
    assert not {"0", "26"} & set(paths)
    allow(1)
    with pytest.raises(DataError, match="torn; that makes 2"):
        embed_run(run, tmp_path / "b.parquet", **options)
