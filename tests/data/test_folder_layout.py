import unicodedata

import pytest

from jaxcl.data import DataError
from jaxcl.data._builders._folder_layout import find_files, read_layout


@pytest.fixture
def read(tmp_path):
    """The layout of a folder with some files and folders."""

    def read_all(*paths):
        for path in paths:
            place = tmp_path / path
            folder = place if path.endswith("/") else place.parent
            folder.mkdir(parents=True, exist_ok=True)
            if not path.endswith("/"):
                place.write_bytes(b"bytes")
        return read_layout(tmp_path, find_files(tmp_path))

    return read_all


# What a path says: its split, and where there are any its domain and class.
SAID = {
    ("1.png", "2.JPG"): ["train", "train"],
    ("cat/1.png", "dog/1.png"): ["train cat", "train dog"],
    ("a/cat/1.png", "b/dog/1.png"): ["train a cat", "train b dog"],
    ("train/1.png", "val/1.png"): ["train", "val"],
    ("test/cat/1.png", "train/cat/1.png"): ["test cat", "train cat"],
    ("Testing/a/cat/1.png", "Training/b/cat/1.png"): ["test a cat", "train b cat"],
    ("TRAIN/cat/1.png", "Valid/cat/1.png"): ["train cat", "val cat"],
    ("dev/cat/1.png", "train/cat/1.png"): ["val cat", "train cat"],
    ("train/cat/1.png", "validation/cat/1.png"): ["train cat", "val cat"],
    ("jar/test/ok/1.png", "jar/train/ok/1.png"): ["test jar ok", "train jar ok"],
    ("cat/test/1.png", "cat/train/1.png"): ["test cat", "train cat"],
    ("test/test/cat/1.png", "train/train/cat/1.png"): ["test cat", "train cat"],
    ("bar/1.png", "train_station/1.png"): ["train bar", "train train_station"],
}


@pytest.mark.parametrize("paths", SAID)
def test_folders_tell_split_domain_and_class(read, paths):
    found = read(*paths)
    assert found.paths == list(paths)
    columns = [found.splits, found.domains, found.labels]
    rows = zip(*(column for column in columns if column), strict=True)
    assert list(map(" ".join, rows)) == SAID[paths]
    assert not found.notes


@pytest.mark.parametrize(
    ("paths", "match"),
    [
        (["photos/cat/1.png", "train/cat/1.png"], "'train', named as .* 'photos'"),
        (["bus/1.png", "car/1.png", "train/1.png"], "rename"),
        (["cat/1.png", "owl/deep/2.png"], "'cat/1.png', 'owl/deep/2.png'"),
        (["a/b/c/1.png"], "'a/b/c/1.png'"),
        (["test_set/cat/1.png", "train_set/cat/1.png"], "if these are splits"),
        (["trainA/a/1.png", "trainB/a/1.png"], "if these are splits"),
        (["train2017/1.png", "val2017/1.png"], "if these are splits"),
        (["TrainImages/a/1.png", "TestImages/a/1.png"], "if these are splits"),
        (["traindata/a/1.png", "testdata/a/1.png"], "if these are splits"),
        (["TrainSet/1.png", "ValSet/1.png"], "if these are splits"),
        (["trn/a/1.png", "tst/a/1.png"], "if these are splits"),
        (["train/cat/1.png", "val/cat/1.png", "valid/cat/1.png"], "'val', 'valid'"),
        (["train/test/1.png"], "two splits"),
        (["cat/1.png", "cat/notes.txt"], "notes.txt"),
        ([" /1.png"], "must have a name"),
    ],
)
def test_an_unclear_layout_is_asked_about(read, paths, match):
    with pytest.raises(DataError, match=match):
        read(*paths)


def test_both_ways_out_of_a_deep_layout_are_said(read):
    with pytest.raises(DataError, match=r"move them, or list .* `data.table`"):
        read("a/b/c/1.png")


def test_names_that_look_the_same_are_one_class(read):
    one, two = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    found = read(f"{one}/1.png", f"{two}/1.png", "sea lion/1.png", "sea\nlion /2.png")
    assert sorted(found.labels) == [one, one, "sea lion", "sea lion"]
    assert len(set(found.paths)) == 4
    assert found.notes == [
        r"class folders 'cafe\u0301', 'caf\xe9' are one class",
        r"class folders 'sea\nlion ', 'sea lion' are one class",
    ]


def test_domains_that_look_the_same_are_one_domain(read):
    found = read("north/cat/1.png", "north /cat/1.png")
    assert found.domains == ["north"] * 2
    assert found.notes == ["domain folders 'north', 'north ' are one domain"]


def test_names_that_differ_in_case_are_noted_and_stay_apart(read):
    found = read("Cat/1.png", "cat/1.png")
    assert found.labels == ["Cat", "cat"]
    assert "'Cat', 'cat' differ in case" in found.notes[0]


def test_folders_without_images_are_named(read):
    assert read("cat/1.png", "dog/").notes == ["folders without images: 'dog'"]


def test_classes_that_are_never_trained_on_are_named(read):
    found = read("train/cat/1.png", "val/cat/1.png", "val/owl/1.png")
    assert found.notes == ["classes without training images: 'owl'"]


def test_litter_is_passed_over(read):
    litter = ["__MACOSX/cat/1.png", ".ipynb_checkpoints/1.png", "cat/Thumbs.db"]
    litter += ["cat/.DS_Store", "desktop.ini", "@eaDir/cat/1.png", "cat/._1.png"]
    assert read("cat/1.png", *litter).paths == ["cat/1.png"]


def test_a_name_that_is_no_text_is_refused(read):
    with pytest.raises(DataError, match="not UTF-8"):
        read("cat/\udcff.png")


@pytest.mark.parametrize(
    ("link", "target", "match"),
    [
        ("dog", "cat", "a link to a folder, which is not followed"),
        ("cat/2.png", "nowhere.png", "a link to nothing"),
        ("cat/2.png", "../../1.png", "leads out of the folder"),
    ],
)
def test_links_are_never_dropped_in_silence(tmp_path, link, target, match):
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    for file in ("1.png", "photos/cat/1.png"):
        (tmp_path / file).write_bytes(b"bytes")
    (tmp_path / "photos" / link).symlink_to(target)
    with pytest.raises(DataError, match=match):
        read_layout(tmp_path / "photos", find_files(tmp_path / "photos"))


def test_a_link_to_a_file_of_the_folder_is_a_file(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.png").write_bytes(b"bytes")
    (tmp_path / "cat" / "2.png").symlink_to("1.png")
    assert len(read_layout(tmp_path, find_files(tmp_path)).paths) == 2
