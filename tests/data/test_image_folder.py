import csv
import json

import numpy as np
import pytest
from PIL import Image

from jaxcl.cli import main
from jaxcl.config import DataConfig, SelectionConfig
from jaxcl.data import DataError, open_data, open_split
from jaxcl.data._build import build_image_folder

ROWS = [
    ("a/0.png", "cat", "north", "3", "0.5"),
    ("a/1.jpg", "dog", "", "4", ""),
    ("b/2.png", "cat", "south", "5", "1.5"),
    ("b/deep/3.png", "owl", "north", "", "2"),
]


@pytest.fixture
def photos(tmp_path):
    generator = np.random.default_rng(0)
    for i, (name, *_) in enumerate(ROWS):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (20 + i, 30, 3)
        Image.fromarray(generator.integers(0, 256, shape, dtype=np.uint8)).save(path)
    return tmp_path / "photos"


def write_csv(path, rows=ROWS, header=("path", "label", "hospital", "count", "score")):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return str(path)


def config(photos, table="", **changes):
    return DataConfig(
        path=str(photos),
        table=table,
        data_dir=str(photos.parent / "data"),
        batch_size=2,
        image_size=16,
        test_splits=(),
        **changes,
    )


def read_all(split):
    order = np.argsort(split.instances())
    keys = (*split.roles, *split.metadata)
    return {key: split.values(key)[order].tolist() for key in keys}


def test_everything_a_table_says_reaches_the_batch(photos):
    table = write_csv(photos.parent / "table.csv")
    split = open_split(config(photos, table, domain="hospital"), "train")
    values = read_all(split)
    assert split.names["label"] == ("cat", "dog", "owl")
    assert values["label"] == [0, 1, 0, 2]
    assert [split.names["domain"][i] if i >= 0 else "" for i in values["domain"]] == [
        row[2] for row in ROWS
    ]
    np.testing.assert_array_equal(values["count"], [3, 4, 5, np.nan])
    np.testing.assert_array_equal(values["score"], [0.5, np.nan, 1.5, 2.0])
    batch = next(open_data(config(photos, table, domain="hospital")).batches(0, 1))
    assert batch.image.shape == (2, 16, 16, 3)
    assert set(batch.metadata) == {"count", "score"}


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_other_tables_say_the_same(photos, kind):
    header = ("path", "label", "hospital", "count", "score")
    rows = [
        {
            "path": path,
            "label": label,
            "hospital": hospital or None,
            "count": int(count) if count else None,
            "score": float(score) if score else None,
        }
        for path, label, hospital, count, score in ROWS
    ]
    table = photos.parent / f"table.{kind}"
    if kind == "jsonl":
        table.write_text("\n".join(map(json.dumps, rows)))
    else:
        import pyarrow as pa
        from pyarrow import parquet

        columns = {name: [row[name] for row in rows] for name in header}
        parquet.write_table(pa.table(columns), table)
    expected = write_csv(photos.parent / "table.csv")
    found = [
        read_all(open_split(config(photos, str(one), domain="hospital"), "train"))
        for one in (table, expected)
    ]
    np.testing.assert_equal(*found)


def test_folders_say_domain_and_class(tmp_path):
    root = tmp_path / "photos"
    for domain in ("real", "sketch"):
        for label in ("cat", "dog"):
            (root / domain / label).mkdir(parents=True)
            picture = Image.new("RGB", (8, 8), "red" if label == "cat" else "blue")
            picture.save(root / domain / label / "one.png")
    held_out = SelectionConfig(held_out_domains=("sketch",))
    data = open_data(config(root, domain="domain", selection=held_out))
    assert data.train.names["domain"] == ("real", "sketch")
    assert data.train.values("domain").tolist() == [0, 0]
    assert sorted(data.train.values("label").tolist()) == [0, 1]


def test_what_did_not_change_is_not_stored_again(photos):
    table = write_csv(photos.parent / "table.csv")
    name = build_image_folder(config(photos, table))
    assert build_image_folder(config(photos, table)) == name
    write_csv(photos.parent / "table.csv", ROWS[:3])
    assert build_image_folder(config(photos, table)) != name


def test_other_words_for_missing_are_stored_anew(photos):
    table = write_csv(photos.parent / "table.csv")
    for missing, count in ({}, 5), ({"missing": ("5",)}, np.nan), ({}, 5):
        values = read_all(open_split(config(photos, table, **missing), "train"))
        np.testing.assert_array_equal(values["count"], [3, 4, count, np.nan])


def test_splits_of_the_table_are_splits_of_the_data(photos):
    # The order of the rows is not that of the paths.
    rows = [
        (*row, split) for row, split in zip(ROWS, ("train", "test") * 2, strict=True)
    ][::-1]
    header = ("path", "label", "hospital", "count", "score", "split")
    table = write_csv(photos.parent / "table.csv", rows, header)
    train, test = (open_split(config(photos, table), s) for s in ("train", "test"))
    assert read_all(train)["label"] == [0, 0]
    assert read_all(test)["label"] == [1, 2]


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        ([*ROWS, ("c/9.png", "cat", "", "", "")], None, "names 1 images .*c/9.png"),
        ([*ROWS, ROWS[0]], None, "a/0.png"),
        ([("../x.png", *ROWS[0][1:])], None, "must be relative to the folder"),
        ([("/etc/x.png", *ROWS[0][1:])], None, "must be relative to the folder"),
        (ROWS, ("file", "label", "hospital", "count", "score"), "path"),
        ([ROWS[0], ROWS[1][:3]], None, "table.csv"),
        (ROWS, ("path", "label", "", "count", "score"), "table.csv"),
        (ROWS, ("path", "label", "image", "count", "score"), "image"),
    ],
)
def test_a_wrong_table_is_refused_with_its_place(photos, rows, header, message):
    options = {} if header is None else {"header": header}
    table = write_csv(photos.parent / "table.csv", rows, **options)
    with pytest.raises(DataError, match=message):
        open_split(config(photos, table), "train")


def test_a_folder_without_images_or_at_no_depth_is_refused(tmp_path, photos):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds none"):
        open_split(config(tmp_path / "empty"), "train")
    with pytest.raises(DataError, match="must be a folder of images"):
        open_split(config(tmp_path / "nowhere"), "train")
    with pytest.raises(DataError, match="<domain>/<class>/<file>"):
        open_split(config(photos), "train")


@pytest.mark.slow
def test_it_trains_by_config_alone(tmp_path, monkeypatch, data_dir):
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    rows = []
    for i in range(48):
        (tmp_path / "photos").mkdir(exist_ok=True)
        pixels = generator.integers(0, 256, (12, 10, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(f"photos/{i}.png")
        rows.append((f"{i}.png", "ab"[i % 2], "xy"[i // 2 % 2], str(i), "1"))
    write_csv(tmp_path / "photos.csv", rows)
    main(
        [
            "train",
            str(
                __import__("pathlib").Path(__file__).parents[2] / "configs/folder.toml"
            ),
            *("--data.path", "photos", "--data.table", "photos.csv"),
            *("--data.data-dir", str(tmp_path / "data"), "--data.batch-size", "8"),
            *("--data.image-size", "12", "--data.domain", "hospital"),
            *("--num-steps", "2", "--model.width", "4", "--model.stages", "2"),
            *("--augmentation.blur", "0", "--eval-every", "0", "--quiet"),
            *("--evaluation.neighbors", "3", "--workdir", "run"),
        ]
    )
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["data"]["labels"] == ["a", "b"]
    assert report["data"]["splits"] == {"train": 38, "validation": 10}


def stored(photos, table=""):
    """Every record by its path, with the bytes of the image."""
    import tensorflow_datasets as tfds

    data_dir = photos.parent / "data"
    name = build_image_folder(config(photos, table))
    builder = tfds.core.read_only_builder.builder_from_files(name, data_dir=data_dir)
    raw = {"image": tfds.decode.SkipDecoding()}
    source = builder.as_data_source("train", decoders=raw)
    return {record["path"].decode(): record for record in source}


@pytest.mark.parametrize("kind", ["jpg", "png", "bmp", "gif", "webp", "tif", "TIFF"])
def test_files_are_stored_as_they_are_and_read_again(tmp_path, kind):
    folder = tmp_path / "photos" / "cat"
    folder.mkdir(parents=True)
    for name in "ab":
        Image.new("RGB", (16, 16), (200, 10, 10)).save(folder / f"{name}.{kind}")
    record = stored(tmp_path / "photos")[f"cat/a.{kind}"]
    assert record["image"] == (folder / f"a.{kind}").read_bytes()
    data = open_data(config(tmp_path / "photos"))
    pixels = next(data.batches(0, 1)).image.astype(int)
    assert abs(pixels - (200, 10, 10)).max() <= 8


def test_instances_are_those_of_the_table_or_the_order_of_paths(photos):
    rows = [("b/2.png", "7"), ("a/1.jpg", "9"), ("b/deep/3.png", "3")]
    table = write_csv(photos.parent / "table.csv", rows, ("path", "instance"))
    found = {path: int(r["instance"]) for path, r in stored(photos, table).items()}
    assert found == {path: int(number) for path, number in rows}
    table = write_csv(photos.parent / "table.csv", [row[:1] for row in rows], ("path",))
    found = {path: int(r["instance"]) for path, r in stored(photos, table).items()}
    assert found == {"a/1.jpg": 0, "b/2.png": 1, "b/deep/3.png": 2}


def test_images_that_are_not_in_the_table_are_left_out_and_counted(photos, caplog):
    table = write_csv(photos.parent / "table.csv", ROWS[:1])
    assert list(stored(photos, table)) == ["a/0.png"]
    assert "3 images" in caplog.text
    assert "left out" in caplog.text


def test_missing_images_are_counted_and_the_first_three_are_named(photos):
    rows = [(f"c/{i}.png", "cat") for i in range(5)]
    table = write_csv(photos.parent / "table.csv", rows, ("path", "label"))
    match = r"5 images .* 'c/0.png' \(line 2\), .*'c/2.png' \(line 4\), \.\.\.;"
    with pytest.raises(DataError, match=match):
        stored(photos, table)


def test_one_image_under_two_names_or_with_another_suffix_is_refused(photos):
    for row, match in (
        ("./a//0.png", "line 3: .* there already, in line 2"),
        ("a/0.raw", "line 3: 'a/0.raw' is no image"),
    ):
        table = write_csv(photos.parent / "t.csv", [("a/0.png",), (row,)], ("path",))
        with pytest.raises(DataError, match=match):
            stored(photos, table)


def test_paths_may_be_written_as_other_systems_do(photos):
    accent = "b/e\u0301.png"  # e and an accent, as macOS writes it
    (photos / "b/2.png").rename(photos / accent)
    rows = [("a\\0.png",), (str(photos / "a/1.jpg"),), ("./b/\u00e9.png",)]
    table = write_csv(photos.parent / "t.csv", rows, ("path",))
    assert set(stored(photos, table)) == {"a/0.png", "a/1.jpg", accent}


def test_a_path_with_other_capitals_is_answered_with_those_that_are_there(photos):
    table = write_csv(photos.parent / "t.csv", [("a/0.PNG",)], ("path",))
    with pytest.raises(
        DataError, match=r"'a/0.PNG' .* it holds 'a/0.png', .* capitals"
    ):
        stored(photos, table)


def test_links_do_not_lead_out_of_the_folder(photos, tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "secret.png")
    (photos / "a" / "link.png").symlink_to(tmp_path / "secret.png")
    (photos / "out").symlink_to(tmp_path, target_is_directory=True)
    for path, match in (
        ("a/link.png", "leads out of the folder"),
        ("out/secret.png", "does not hold: 'out/secret.png'"),
    ):
        table = write_csv(tmp_path / "t.csv", [(path,)], ("path",))
        with pytest.raises(DataError, match=match):
            stored(photos, table)


def test_without_a_table_nothing_is_passed_over_in_silence(tmp_path):
    root = tmp_path / "photos"
    (root / "cat").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(root / "cat" / "a.png")
    for junk in (".DS_Store", "cat/Thumbs.db", "cat/._a.png"):
        (root / junk).write_bytes(b"")
    assert list(stored(root)) == ["cat/a.png"]
    made = [root / "cat" / "notes.txt", root / "cat" / "gone.png", root / "dog"]
    made[0].write_bytes(b"")
    made[1].symlink_to(root / "nowhere.png")
    made[2].symlink_to(root / "cat", target_is_directory=True)
    for path in made:
        with pytest.raises(DataError, match="is no file of an image"):
            stored(root)
        path.unlink()
    assert list(stored(root)) == ["cat/a.png"]


def test_a_changed_file_is_stored_again(tmp_path):
    # Of one size, whatever the color.
    path = tmp_path / "photos" / "cat" / "a.bmp"
    path.parent.mkdir(parents=True)
    images = []
    for color in ("red", "blue"):
        Image.new("RGB", (4, 4), color).save(path)
        images.append(stored(tmp_path / "photos")["cat/a.bmp"]["image"])
    assert images[0] != images[1] == path.read_bytes()
