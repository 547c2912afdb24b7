"""Waterbirds, UTKFace, Caltech-256, Camelyon17: made files in the real layout."""

import csv
import hashlib
import io
import logging
import sys
import tarfile
from collections import Counter

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from jaxcl.data._builders import (
    Caltech256,
    Camelyon17,
    UtkFace,
    Waterbirds,
    caltech256,
    camelyon17,
    utk_face,
)
from jaxcl.data._errors import DataError


def picture(value, size=8, kind="jpeg", mode="RGB"):
    """An encoded image of one gray, which `gray_of` reads again."""
    file = io.BytesIO()
    color = {"L": value, "RGB": (value,) * 3, "RGBA": (*(value,) * 3, 99)}[mode]
    Image.new(mode, (size, size), color).save(file, kind, quality=95)
    return file.getvalue()


def gray_of(example):
    return round(float(np.asarray(example["image"], float)[..., :3].mean()))


def write(root, files):
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def write_archive(path, files, mode):
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def table(header, rows):
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([header, *rows])
    return file.getvalue().encode()


def build(kind, manual_dir, data_dir, config=None):
    """The examples of every split, read without TensorFlow."""
    builder = kind(data_dir=data_dir, config=config, file_format="array_record")
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=manual_dir)
    )
    return {split: list(builder.as_data_source(split)) for split in builder.info.splits}


def refused(kind, manual_dir, data_dir, match, config=None):
    with pytest.raises(DataError, match=match):
        build(kind, manual_dir, data_dir, config)


# Waterbirds.

ALBATROSS, GREBE, WREN = "001.Black_footed_Albatross", "052.Grebe", "200.Wren"
BIRD_HEADER = ["img_id", "img_filename", "y", "split", "place", "place_filename"]
# img_id, file, waterbird, split, water
BIRDS = [
    (1, f"{ALBATROSS}/Black_Footed_0001.jpg", 1, 0, 1),
    (2, f"{ALBATROSS}/Black_Footed_0002.jpg", 1, 2, 0),
    (7, f"{GREBE}/Grebe_0001.jpg", 1, 1, 1),
    (11, f"{WREN}/Wren_0001.jpg", 0, 0, 0),
    (12, f"{WREN}/Wren_0002.jpg", 0, 0, 1),
    (13, f"{WREN}/Wren_0003.jpg", 0, 2, 0),
    (14, f"{WREN}/Wren_0004.jpg", 0, 2, 1),
]
BIRD_FOLDER = "waterbird_complete95_forest2water2"


def bird_files(birds=BIRDS, header=BIRD_HEADER):
    files = {row[1]: picture(10 * row[0]) for row in BIRDS}
    rows = [(*row, "/o/ocean/1.jpg") for row in birds]
    return {"metadata.csv": table(header, rows), **files}


def in_folder(folder, files):
    return {f"{folder}/{name}": data for name, data in files.items()}


def check_birds(read):
    names = ["train", "validation", "test"]
    assert {s: len(e) for s, e in read.items()} == {
        "train": 3,
        "validation": 1,
        "test": 3,
    }
    for number, file, label, split, place in BIRDS:
        (example,) = [e for e in read[names[split]] if e["instance"] == number]
        assert (example["label"], example["place"]) == (label, place)
        assert example["species"].decode() == file.split("/")[0]
        assert abs(gray_of(example) - 10 * number) <= 1


def test_birds_keep_their_split_kind_place_and_species(tmp_path):
    write(tmp_path / "in", in_folder(BIRD_FOLDER, bird_files()))
    check_birds(build(Waterbirds, tmp_path / "in", tmp_path / "out"))
    assert "tensorflow" not in sys.modules


def test_the_archive_of_birds_is_read_as_it_was_downloaded(tmp_path):
    (tmp_path / "in").mkdir()
    files = in_folder(BIRD_FOLDER, bird_files())
    write_archive(tmp_path / "in" / f"{BIRD_FOLDER}.tar.gz", files, "w:gz")
    check_birds(build(Waterbirds, tmp_path / "in", tmp_path / "out"))


def test_the_copy_of_wilds_is_read_as_well(tmp_path):
    write(tmp_path / "in", in_folder("waterbirds_v1.0", bird_files()))
    check_birds(build(Waterbirds, tmp_path / "in", tmp_path / "out"))


def test_names_of_birds_and_places_are_known(tmp_path):
    features = Waterbirds(data_dir=tmp_path).info.features
    assert features["label"].names == ["landbird", "waterbird"]
    assert features["place"].names == ["land", "water"]


def test_birds_that_are_not_all_there_are_said_to_be_so(tmp_path, caplog):
    write(tmp_path / "in", in_folder(BIRD_FOLDER, bird_files()))
    with caplog.at_level(logging.WARNING):
        build(Waterbirds, tmp_path / "in", tmp_path / "out")
    assert "data set waterbirds" in caplog.text
    assert "('waterbird', 'land'): 56" in caplog.text


def test_groups_of_birds_are_as_many_as_the_splits_have_images():
    from jaxcl.data._builders.waterbirds import COUNTS

    totals = {split: sum(groups.values()) for split, groups in COUNTS.items()}
    assert totals == {"train": 4795, "validation": 1199, "test": 5794}
    # 11,788 photographs of CUB-200-2011, 5,994 of them for training.
    assert sum(totals.values()) == 11_788
    assert totals["train"] + totals["validation"] == 5_994


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({2: "2"}, r"line 3: 'y' must be a whole number from 0 to 1, got '2'"),
        ({3: "x"}, r"line 3: 'split' must be a whole number from 0 to 2, got 'x'"),
        ({4: ""}, r"line 3: 'place' must be a whole number from 0 to 1, got ''"),
        ({0: "²"}, r"line 3: 'img_id' must be .*, got '²'"),
        ({1: "../../secret.jpg"}, "'../../secret.jpg' names a place outside"),
        ({1: "/etc/hostname"}, "'/etc/hostname' names a place outside"),
        ({1: "gone.jpg"}, r"1 of 7 images are missing, the first is '.*gone\.jpg'"),
    ],
)
def test_a_row_of_birds_that_is_wrong_is_named(tmp_path, change, message):
    birds = [list(row) for row in BIRDS]
    for column, value in change.items():
        birds[1][column] = value
    (tmp_path / "secret.jpg").write_bytes(picture(0))
    write(tmp_path / "in", in_folder(BIRD_FOLDER, bird_files(birds)))
    refused(Waterbirds, tmp_path / "in", tmp_path / "out", message)


def test_a_table_of_birds_of_another_kind_is_refused(tmp_path):
    write(
        tmp_path / "in",
        in_folder(BIRD_FOLDER, bird_files(header=["id", *BIRD_HEADER[1:]])),
    )
    refused(Waterbirds, tmp_path / "in", tmp_path / "out", "'img_id' is missing")


def test_a_row_that_is_cut_off_is_named(tmp_path):
    files = bird_files()
    files["metadata.csv"] += b"15,x.jpg,0\n"
    write(tmp_path / "in", in_folder(BIRD_FOLDER, files))
    refused(Waterbirds, tmp_path / "in", tmp_path / "out", "line 9: must have 6 values")


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (Waterbirds, [BIRD_FOLDER, "waterbirds_v1.0", f"{BIRD_FOLDER}.tar.gz"]),
        (UtkFace, ["UTKFace", "UTKFace.tar.gz"]),
        (Caltech256, ["256_ObjectCategories", "256_ObjectCategories.tar"]),
        (Camelyon17, ["camelyon17_v1.0", "camelyon17_v1.0.tar.gz"]),
    ],
)
def test_what_is_missing_is_named_with_every_place_it_could_be(tmp_path, kind, names):
    write(tmp_path / "in", {"other.txt": b""})
    with pytest.raises(DataError) as caught:
        build(kind, tmp_path / "in", tmp_path / "out")
    for name in names:
        assert repr(str(tmp_path / "in" / name)) in str(caught.value)


def test_a_folder_that_holds_something_else_says_what(tmp_path):
    write(tmp_path / "in", {f"{BIRD_FOLDER}/readme.txt": b""})
    refused(
        Waterbirds,
        tmp_path / "in",
        tmp_path / "out",
        "must hold 'metadata.csv', directly or one folder below; it holds readme.txt",
    )


def test_two_copies_in_one_folder_are_not_taken_for_one(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / "in", in_folder(f"{BIRD_FOLDER}/{name}", bird_files()))
    refused(Waterbirds, tmp_path / "in", tmp_path / "out", "one data set, got a, b")


# UTKFace.

DATE = "20170116174525125"


def face_name(age, gender, race, number):
    return f"{age}_{gender}_{race}_201701{number:011d}.jpg.chip.jpg"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f"26_1_3_{DATE}.jpg.chip.jpg", (26, 1, 3, DATE)),
        (f"116_0_4_{DATE}.jpg", (116, 0, 4, DATE)),
        # Names that the official archives hold.
        ("39_1_20170116174525125.jpg.chip.jpg", (39, -1, -1, "20170116174525125")),
        ("61_3_20170109150557335.jpg", (61, -1, -1, "20170109150557335")),
        ("24_0_1_20170116220224657 .jpg.chip.jpg", (24, 0, 1, "20170116220224657")),
        ("55_0_0_20170116232725357jpg.chip.jpg", (55, 0, 0, "20170116232725357")),
        ("53__0_20170116184028385.jpg", (53, -1, 0, "20170116184028385")),
        # Values that do not exist.
        (f"200_2_5_{DATE}.jpg", (-1, -1, -1, DATE)),
        ("20_1_0_.jpg", (20, 1, 0, "")),
        (f"20_1_0_7_{DATE}.jpg", (20, -1, -1, DATE)),
    ],
)
def test_a_name_says_age_gender_race_and_date_or_that_they_are_missing(name, expected):
    assert utk_face.parse_name(name) == expected


# age, gender, race, and how many such faces.
FACES = {
    (30, 0, 0): 300,
    (30, 1, 0): 200,
    (5, 0, 2): 60,
    (5, 1, 2): 200,
    (15, 1, 4): 20,
    (20, 0, 1): 40,
}
ODD_FACES = ["39_1_20170116174525125.jpg.chip.jpg", "53__0_20170116184028385.jpg"]


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    names = list(ODD_FACES)
    for (age, gender, race), count in FACES.items():
        names += [face_name(age, gender, race, len(names) + i) for i in range(count)]
    # Every face has its own gray, up to 250 of them.
    gray = {name: i % 250 for i, name in enumerate(sorted(names))}
    pictures = [picture(value, size=2) for value in range(250)]
    write(folder / "UTKFace", {name: pictures[gray[name]] for name in names})
    write(folder / "UTKFace", {"readme.txt": b"", ".DS_Store": b""})
    return folder


def test_all_faces_are_there_in_the_order_of_their_names(faces, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        read = build(UtkFace, faces, tmp_path)
    assert list(read) == ["train"]
    assert len(read["train"]) == sum(FACES.values()) + 2
    names = sorted(p.name for p in (faces / "UTKFace").glob("[0-9]*"))
    for example in read["train"]:
        name = names[example["instance"]]
        assert abs(gray_of(example) - example["instance"] % 250) <= 1
        assert example["label"] == example["gender"]
        expected = utk_face.parse_name(name)
        assert (example["age"], example["gender"], example["race"]) == expected[:3]
        assert example["date"].decode() == expected.date
    counts = Counter((e["age"], e["gender"], e["race"]) for e in read["train"])
    assert counts == {**FACES, (39, -1, -1): 1, (53, -1, 0): 1}
    assert "2 names of files" in caplog.text
    assert "have no gender" in caplog.text
    assert "1 names of files" in caplog.text
    assert "2 files" in caplog.text
    assert "are no faces" in caplog.text


def groups(examples):
    return Counter((int(e["label"]), int(e["bias"])) for e in examples)


@pytest.mark.parametrize(
    ("config", "bias_of"),
    [
        ("race_bias", lambda e: int(e["race"] > 0)),
        ("age_bias", lambda e: int(e["age"] <= 10)),
    ],
)
def test_minorities_are_a_tenth_in_training_and_whole_when_held_out(
    faces, tmp_path, config, bias_of
):
    read = build(UtkFace, faces, tmp_path, config)
    train, held_out = read["train"], read["validation"] + read["test"]
    counts = groups(train)
    assert counts[1, 0] == counts[0, 0] // 10 > 0
    assert counts[0, 1] == counts[1, 1] // 10 > 0
    everyone = train + held_out
    assert len({e["instance"] for e in everyone}) == len(everyone)
    assert all(e["bias"] == bias_of(e) for e in everyone)
    assert all(e["label"] >= 0 for e in everyone)
    if config == "age_bias":
        assert all(e["age"] <= 10 or e["age"] >= 20 for e in everyone)
    # A fifth of the 822 files was held out, and nothing of it thrown away but those
    # without a bias; majorities are whole.
    assert len(read["test"]) - len(read["validation"]) in (0, 1)
    whole = Counter()
    for (age, gender, race), count in FACES.items():
        if config == "race_bias" or age != 15:
            whole[gender, bias_of({"age": age, "race": race})] += count
    held = groups(held_out)
    for value in (0, 1):
        assert counts[value, value] + held[value, value] == whole[value, value]
        # A minority is cut in training alone.
        share = held[1 - value, value] / whole[1 - value, value]
        assert 0.1 < share < 0.32
    if config == "race_bias":
        # Only the two odd files can be missing.
        assert 822 // 5 - 2 <= len(held_out) <= 822 // 5 + 1


def test_what_one_config_holds_out_no_other_trains_on(faces, tmp_path):
    race = build(UtkFace, faces, tmp_path, "race_bias")
    age = build(UtkFace, faces, tmp_path, "age_bias")

    def ids(read, *splits):
        return {int(e["instance"]) for split in splits for e in read[split]}

    assert not ids(race, "train") & ids(age, "validation", "test")
    assert not ids(age, "train") & ids(race, "validation", "test")


def test_the_division_of_faces_is_the_one_that_was_always_drawn():
    gender, bias = np.arange(60) % 2, np.arange(60) // 30
    # A change here would change every run on these data.
    splits = utk_face.divide(gender, bias)
    assert splits["validation"].tolist() == [26, 28, 29, 47, 48, 57]
    assert splits["test"].tolist() == [3, 6, 11, 16, 36, 56]
    # For 11 men and 13 women with the bias of their gender, one each without.
    men = [0, 2, 4, 8, 10, 12, 14, 18, 20, 22, 24]
    women = [31, 33, 35, 37, 39, 41, 43, 45, 49, 51, 53, 55, 59]
    assert splits["train"].tolist() == sorted([*men, *women, 7, 50])


def test_too_few_faces_for_a_config_are_refused(tmp_path):
    write(
        tmp_path / "in" / "UTKFace",
        {face_name(30, 0, 0, i): picture(i) for i in range(4)},
    )
    refused(
        UtkFace,
        tmp_path / "in",
        tmp_path / "out",
        "none in validation",
        "race_bias",
    )


def test_the_archive_of_faces_is_read_as_it_was_downloaded(tmp_path):
    (tmp_path / "in").mkdir()
    files = {f"UTKFace/{face_name(40, 1, 2, i)}": picture(i) for i in range(3)}
    write_archive(tmp_path / "in" / "UTKFace.tar.gz", files, "w:gz")
    assert len(build(UtkFace, tmp_path / "in", tmp_path / "out")["train"]) == 3


# Caltech-256.


def thing_name(number, name, i):
    return f"{number:03d}.{name}/{number:03d}_{i:04d}.jpg"


def thing_files(count):
    files = {
        thing_name(number, name, i): picture(number % 250, size=2)
        for number, name in enumerate(caltech256.LABELS, 1)
        for i in range(1, count + 1)
    }
    # The original holds these two as well.
    return {**files, "056.dog/greg/vision309/x": b"", "198.spider/RENAME2": b"#!"}


@pytest.fixture(scope="module")
def things(tmp_path_factory):
    folder = tmp_path_factory.mktemp("things")
    write(folder, in_folder("256_ObjectCategories", thing_files(2)))
    return folder


def test_classes_have_the_numbers_of_their_folders():
    names = caltech256.LABELS
    assert len(names) == len(set(names)) == 257
    known = {1: "ak47", 56: "dog", 198: "spider", 232: "t-shirt", 257: "clutter"}
    assert {number: names[number - 1] for number in known} == known
    # Up to the zebra the authors sorted them by name, and did not look at hyphens.
    letters = [name.replace("-", "") for name in names[:250]]
    assert letters == sorted(letters)


def test_things_keep_their_class_and_their_file(things, tmp_path):
    read = build(Caltech256, things, tmp_path)
    assert list(read) == ["train"]
    assert len(read["train"]) == 2 * 257
    for example in read["train"]:
        place, label = int(example["instance"]), int(example["label"])
        assert place // 2 == label
        file = thing_name(label + 1, caltech256.LABELS[label], place % 2 + 1)
        assert example["file"].decode() == file
        assert abs(gray_of(example) - (label + 1) % 250) <= 1


def test_so_many_of_every_class_are_trained_on_and_the_others_tested(
    tmp_path, monkeypatch
):
    # Three classes are enough for a look at all the way through.
    monkeypatch.setattr(caltech256, "LABELS", ("ak47", "american-flag", "backpack"))
    sizes = {"ak47": 16, "american-flag": 20, "backpack": 40}
    files = {
        thing_name(number, name, i): picture(i)
        for number, (name, size) in enumerate(sizes.items(), 1)
        for i in range(size)
    }
    write(tmp_path / "in" / "256_ObjectCategories", files)
    read = build(Caltech256, tmp_path / "in", tmp_path / "out", "15_per_class")
    counts = {s: Counter(int(e["label"]) for e in read[s]) for s in read}
    assert counts == {"train": {0: 15, 1: 15, 2: 15}, "test": {0: 1, 1: 5, 2: 25}}
    instances = [int(e["instance"]) for s in read for e in read[s]]
    assert sorted(instances) == list(range(76))


def test_a_smaller_division_lies_in_a_larger():
    labels = np.repeat(np.arange(5), [80, 90, 100, 61, 800])
    before = set()
    for per_class in caltech256.PER_CLASS:
        splits = caltech256.divide(labels, per_class)
        train = set(splits["train"].tolist())
        assert before < train
        assert np.bincount(labels[splits["train"]]).tolist() == [per_class] * 5
        assert sorted([*train, *splits["test"].tolist()]) == list(range(1131))
        before = train


def test_the_division_of_things_is_the_one_that_was_always_drawn():
    splits = caltech256.divide(np.repeat(np.arange(3), 20), 15)
    expected = [2, 3, 4, 9, 12, 25, 26, 30, 32, 38, 42, 46, 48, 55, 59]
    assert splits["test"].tolist() == expected


def test_a_class_with_too_few_images_is_named():
    with pytest.raises(DataError, match=r"'american-flag' must .* 15 images, got 15"):
        caltech256.divide(np.repeat([0, 1], [16, 15]), 15)


def test_a_class_that_is_missing_is_named(tmp_path):
    write(tmp_path / "in", {f"256_ObjectCategories/{thing_name(1, 'ak47', 1)}": b""})
    refused(
        Caltech256,
        tmp_path / "in",
        tmp_path / "out",
        r"256 of the 257 classes are missing .* '002\.american-flag'",
    )


def test_other_files_among_the_things_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(caltech256, "LABELS", ("ak47",))
    write(tmp_path / "in", {"256_ObjectCategories/001.ak47/001_0001.gif": b""})
    refused(Caltech256, tmp_path / "in", tmp_path / "out", r"001_0001\.gif' is no imag")


def test_only_the_published_archive_of_things_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(caltech256, "LABELS", ("ak47",))
    archive = tmp_path / "in" / "256_ObjectCategories.tar"
    archive.parent.mkdir()
    name = f"256_ObjectCategories/{thing_name(1, 'ak47', 1)}"
    write_archive(archive, {name: picture(77)}, "w")
    refused(
        Caltech256,
        tmp_path / "in",
        tmp_path / "out",
        "must have MD5 67b4f42ca05d46448c6bb8ecd2220f6d, got",
    )
    assert [path.name for path in archive.parent.iterdir()] == [archive.name]

    md5 = hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest()
    layout = caltech256._LAYOUT._replace(archives={archive.name: md5})
    monkeypatch.setattr(caltech256, "_LAYOUT", layout)
    (example,) = build(Caltech256, tmp_path / "in", tmp_path / "out")["train"]
    assert abs(gray_of(example) - 77) <= 1


# Camelyon17.

PATCH_HEADER = [
    *("", "patient", "node", "x_coord", "y_coord"),
    *("tumor", "slide", "center", "split"),
]
PATCHES = [
    (0, "004", 4, 3328, 21792, 1, 0, 0, 0),
    (1, "004", 4, 3200, 22272, 0, 0, 0, 1),
    (2, "010", 1, 1000, 2000, 0, 5, 1, 0),
    (3, "010", 1, 1096, 2000, 1, 5, 1, 1),
    (4, "051", 2, 640, 960, 1, 30, 2, 0),
    (5, "061", 0, 512, 512, 0, 35, 3, 0),
    (6, "096", 0, 96, 192, 0, 49, 4, 1),
]
# What WILDS makes of them: hospital 1 and 2 are held out, whatever the table says.
PATCH_SPLITS = {"train": {0, 5}, "id_val": {1, 6}, "val": {2, 3}, "test": {4}}


def patch_files():
    files = {"metadata.csv": table(PATCH_HEADER, PATCHES)}
    for number, patient, node, x, y, *_ in PATCHES:
        slide = f"patient_{patient}_node_{node}"
        name = f"patches/{slide}/patch_{slide}_x_{x}_y_{y}.png"
        files[name] = picture(20 * number, 96, "png", "RGBA")
    return files


def check_patches(read):
    found = {split: {int(e["instance"]) for e in read[split]} for split in read}
    assert found == PATCH_SPLITS
    for examples in read.values():
        for example in examples:
            row = PATCHES[int(example["instance"])]
            columns = ("patient", "node", "x", "y", "label", "slide", "domain")
            values = tuple(int(example[column]) for column in columns)
            assert values == (int(row[1]), *row[2:8])
            assert example["image"].shape[:2] == (96, 96)
            assert gray_of(example) == 20 * row[0]


def test_patches_are_divided_by_hospital(tmp_path):
    write(tmp_path / "in", in_folder("camelyon17_v1.0", patch_files()))
    check_patches(build(Camelyon17, tmp_path / "in", tmp_path / "out"))
    features = Camelyon17(data_dir=tmp_path / "out").info.features
    assert features["label"].names == ["normal", "tumor"]
    assert features["domain"].names == [f"hospital_{i}" for i in range(5)]
    assert "tensorflow" not in sys.modules


@pytest.mark.parametrize("around", ["", "camelyon17_v1.0/"])
def test_the_archive_of_patches_is_read_with_a_folder_around_it_and_without(
    tmp_path, around
):
    (tmp_path / "in").mkdir()
    files = {around + name: data for name, data in patch_files().items()}
    write_archive(tmp_path / "in" / "camelyon17_v1.0.tar.gz", files, "w:gz")
    check_patches(build(Camelyon17, tmp_path / "in", tmp_path / "out"))


def test_a_patient_that_is_no_number_reads_no_other_file(tmp_path):
    files = patch_files()
    files["metadata.csv"] += b"7,../../x,0,1,1,0,0,0,0\n"
    write(tmp_path / "in", in_folder("camelyon17_v1.0", files))
    refused(Camelyon17, tmp_path / "in", tmp_path / "out", r"\.\./\.\./x.* outside of")


def test_published_counts_of_patches_are_those_of_all_rows():
    assert sum(camelyon17.COUNTS.values()) == 455_954
    # The table holds a tenth back, in all hospitals.
    counts = camelyon17.COUNTS
    share = counts["id_val"] / (counts["train"] + counts["id_val"])
    assert share == pytest.approx(0.1, abs=0.001)
