import lzma
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxcl.config import DataConfig
from jaxcl.data import DataError, build, open_split

SHARED = Path(__file__).parents[2] / "../shared/data"
FOLDERS = {
    "pacs": ("PACS", "sketch", "dog"),
    "vlcs": ("VLCS", "SUN09", "chair"),
    "office_home": ("office_home", "Real World", "Mug"),
    "terra_incognita": ("terra_incognita", "location_38", "coyote"),
}


def put(path, color):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (9, 7), color).save(path)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_of_the_real_layout_is_built(name, tmp_path):
    root, domain, label = FOLDERS[name]
    manual = tmp_path / "downloads" / "manual"
    for i, color in enumerate(("red", "blue")):
        put(manual / root / domain / label / f"{i}.jpg", color)
    (manual / root / domain / label / "Thumbs.db").write_bytes(b"junk")
    build(name, str(tmp_path))
    config = DataConfig(
        name=name, data_dir=str(tmp_path), domain="domain", image_size=8
    )
    split = open_split(config, "train")
    assert len(split) == 2
    assert {split.names["label"][i] for i in split.values("label")} == {label}
    assert len(set(split.instances().tolist())) == 2


def test_an_unknown_folder_or_file_is_named(tmp_path):
    manual = tmp_path / "downloads" / "manual"
    put(manual / "PACS" / "sketch" / "dog" / "0.jpg", "red")
    put(manual / "PACS" / "sketch" / "cactus" / "0.jpg", "red")
    with pytest.raises(DataError, match="cactus"):
        build("pacs", str(tmp_path))


def test_what_must_be_fetched_by_hand_is_said(tmp_path):
    with pytest.raises(DataError, match="PACS"):
        build("pacs", str(tmp_path))


@pytest.fixture(scope="module")
def real_pacs(tmp_path_factory):
    if not (SHARED / "pacs64.tar.xz").exists():
        pytest.skip("needs ../shared/data/pacs64.tar.xz")
    manual = tmp_path_factory.mktemp("pacs") / "downloads" / "manual"
    manual.mkdir(parents=True)
    for name in ("pacs64.tar.xz", "pacs_udg_splits.tar.xz"):
        with lzma.open(SHARED / name) as file, tarfile.open(fileobj=file) as archive:
            archive.extractall(manual, filter="data")
    return manual.parents[1]


@pytest.mark.slow
def test_the_real_pacs_has_its_published_counts(real_pacs):
    build("pacs", str(real_pacs))
    config = DataConfig(
        name="pacs", data_dir=str(real_pacs), domain="domain", image_size=64
    )
    split = open_split(config, "train")
    domains = Counter(split.names["domain"][i] for i in split.values("domain"))
    assert domains == {
        "art_painting": 2048,
        "cartoon": 2344,
        "photo": 1670,
        "sketch": 3929,
    }
    assert np.bincount(split.values("label")).min() > 700
    assert len(set(split.instances().tolist())) == 9991


@pytest.mark.slow
@pytest.mark.parametrize(
    ("held_out", "counts"),
    [
        ("photo", (85, 385, 759, 7481)),
        ("art_painting", (80, 368, 725, 7141)),
        ("cartoon", (77, 355, 697, 6874)),
        ("sketch", (64, 284, 555, 5447)),
    ],
)
def test_the_lists_of_the_real_protocol_have_their_published_counts(
    real_pacs, held_out, counts
):
    from jaxcl.data._builders._domain_folders import scan
    from jaxcl.data._builders.pacs import (
        DOMAINS,
        LABELS,
        PacsConfig,
        find_lists,
        udg_splits,
    )

    manual = real_pacs / "downloads" / "manual"
    images = scan(manual / "PACS", DOMAINS, LABELS)
    for fraction, count in zip(("1p", "5p", "10p", "100p"), counts, strict=True):
        config = PacsConfig(
            name="one", lists="udg", held_out=held_out, fraction=fraction
        )
        splits = udg_splits(images, find_lists(manual, images, config), config)
        assert len(splits["labeled"]) == count
        trained = {images[i].domain for i in splits["train"] + splits["labeled"]}
        assert held_out not in trained
        assert {images[i].domain for i in splits["test"]} == {held_out}
        assert not set(splits["train"]) & set(splits["id_test"])


def records_of(name, tmp_path, split="train"):
    """Every record by its instance, read as it is stored."""
    import tensorflow_datasets as tfds

    builder = tfds.builder(name, data_dir=tmp_path, file_format="array_record")
    source = builder.as_data_source(
        split, decoders={"image": tfds.decode.SkipDecoding()}
    )
    return {int(record["instance"]): record for record in source}


@pytest.mark.parametrize("name", FOLDERS)
def test_the_archive_may_lie_there_instead_of_the_folder(name, tmp_path):
    root, domain, label = FOLDERS[name]
    manual = tmp_path / "downloads" / "manual"
    manual.mkdir(parents=True)
    file = tmp_path / "a.jpg"
    put(file, "red")
    # The one around everything has another name in the PACS of DomainBed.
    inside = {"PACS": "kfold", "office_home": "OfficeHomeDataset_10072016"}
    with tarfile.open(manual / f"{root}.tar.gz", "w:gz") as archive:
        archive.add(file, f"{inside.get(root, root)}/{domain}/{label}/a.jpg")
    build(name, str(tmp_path))
    (record,) = records_of(name, tmp_path).values()
    assert record["image"] == file.read_bytes()
    assert record["file"] == f"{domain}/{label}/a.jpg".encode()


def test_an_archive_that_leads_outside_builds_nothing(tmp_path):
    manual = tmp_path / "downloads" / "manual"
    manual.mkdir(parents=True)
    with tarfile.open(manual / "VLCS.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("../VLCS/SUN09/dog/a.jpg"))
    with pytest.raises(DataError, match="outside of its folder"):
        build("vlcs", str(tmp_path))
    assert [path.name for path in manual.iterdir()] == ["VLCS.tar"]


def test_instances_follow_domain_class_and_file_however_folders_are_spelled(tmp_path):
    manual = tmp_path / "downloads" / "manual" / "office_home"
    places = [
        ("Art", "Alarm_Clock", "b.jpg"),
        ("Art", "TV", "a.png"),
        ("real_world", "alarm clock", "a.jpg"),
        ("real_world", "toothbrush", "a.jpg"),
    ]
    for domain, label, file in reversed(places):
        put(manual / domain / label / file, "red")
    (manual / "ImageInfo.csv").write_text("of the original")
    build("office_home", str(tmp_path))
    records = records_of("office_home", tmp_path)
    assert [records[i]["file"].decode() for i in range(4)] == [
        "/".join(place) for place in places
    ]
    assert [records[i]["domain"] for i in range(4)] == [0, 0, 3, 3]
    # The order of Python's sorted(), as in DomainBed: TV before Table.
    assert [records[i]["label"] for i in range(4)] == [0, 58, 0, 61]
    put(manual / "Real World" / "TV" / "a.jpg", "red")
    with pytest.raises(DataError, match="holds domain 'Real World' twice"):
        build("office_home", str(tmp_path / "2"), manual_dir=str(manual.parent))


def test_a_part_of_a_data_set_is_built_and_said_to_be_one(tmp_path, caplog):
    put(tmp_path / "VLCS" / "SUN09" / "dog" / "a.jpg", "red")
    build("vlcs", str(tmp_path / "data"), manual_dir=str(tmp_path))
    assert "is not complete: expected Caltech101 1,415, LabelMe 2,656" in caplog.text
    assert "found SUN09 1; 1 in all" in caplog.text


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("PACS/painting/dog/a.jpg", "'painting', which is no domain"),
        ("PACS/photo/dog/a.txt", "a.txt' is no image"),
        ("PACS/photo/dog/deep/a.jpg", "deep' is no image"),
        ("PACS/photo/a.jpg", "'a.jpg', which is no class"),
        ("PACS/notes.txt", "'notes.txt', which is no domain"),
    ],
)
def test_what_does_not_belong_is_named(tmp_path, path, message):
    put(tmp_path / "PACS" / "photo" / "dog" / "0.jpg", "red")
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_bytes(b"")
    with pytest.raises(DataError, match=message):
        build("pacs", str(tmp_path / "data"), manual_dir=str(tmp_path))


@pytest.fixture
def small_pacs(tmp_path):
    """Three images of every domain, one of them kept back, with both kinds of lists."""
    letters = {"art_painting": "A", "cartoon": "C", "photo": "P", "sketch": "S"}
    for domain, letter in letters.items():
        for i in range(3):
            put(tmp_path / "PACS" / domain / "dog" / f"{i}.jpg", "red")
        # The lists of the protocol name the PNG of the original.
        lines = [f"{domain}/dog/{i}.png 0" for i in range(3)]
        for kind, rows in (("train", lines[:2]), ("test", lines[2:])):
            udg, domclp = tmp_path / "udg_splits", tmp_path / "PACS" / "train_test_list"
            for folder in (udg, domclp):
                folder.mkdir(exist_ok=True)
            (udg / f"{domain}_{kind}_1.txt").write_text("\n".join(rows))
            (udg / f"{domain}_{kind}_5p_1.txt").write_text(rows[-1])
            rows = [f"{row} 2" for row in rows]
            (domclp / f"{letter}_{kind}_fold_1.txt").write_text("\n".join(rows))
            (domclp / f"{letter}_{kind}_fold_1_ft5.txt").write_text(rows[0])
    return tmp_path


@pytest.mark.parametrize(
    ("config", "labeled"),
    [("udg_photo_5p_1", [1, 4, 10]), ("domclp_photo_5p_1", [0, 3, 9])],
)
def test_the_protocol_holds_out_a_domain_and_a_tenth(small_pacs, config, labeled):
    data_dir = small_pacs / "data"
    build(f"pacs/{config}", str(data_dir), manual_dir=str(small_pacs))
    splits = {
        split: sorted(records_of(f"pacs/{config}", data_dir, split))
        for split in ("train", "labeled", "validation", "id_test", "test")
    }
    assert splits == {
        "train": [0, 1, 3, 4, 9, 10],
        "labeled": labeled,
        "validation": [2, 5, 11],
        "id_test": [2, 5, 11],
        "test": [6, 7, 8],
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("sketch/dog/7.png 0", "names 1 images that are not there: sketch/dog/7.png"),
        ("sketch/dog/0.png 1", "line 1: must be sketch/<class>/<name>"),
        ("photo/dog/0.png 0", "line 1: must be sketch/<class>/<name>"),
        ("sketch/dog/0.png", "line 1: must be sketch/<class>/<name>"),
    ],
)
def test_a_wrong_list_is_refused_with_its_place(small_pacs, line, message):
    (small_pacs / "udg_splits" / "sketch_train_1.txt").write_text(line)
    with pytest.raises(DataError, match=message):
        build("pacs/udg_photo_5p_1", str(small_pacs / "d"), manual_dir=str(small_pacs))


def test_missing_lists_are_named(small_pacs):
    with pytest.raises(DataError, match=r"art_painting_train_2\.txt' is missing"):
        build("pacs/udg_photo_5p_2", str(small_pacs / "d"), manual_dir=str(small_pacs))
    (small_pacs / "udg_splits").rename(small_pacs / "elsewhere")
    with pytest.raises(DataError, match=r"needs the lists .*PACS/udg_splits"):
        build("pacs/udg_photo_5p_1", str(small_pacs / "d"), manual_dir=str(small_pacs))


@pytest.mark.slow
def test_a_config_of_the_real_protocol_is_built_as_its_lists_say(real_pacs):
    build("pacs/udg_photo_1p_0", str(real_pacs))
    records = {
        split: records_of("pacs/udg_photo_1p_0", real_pacs, split)
        for split in ("train", "labeled", "validation", "id_test", "test")
    }
    counts = {split: len(found) for split, found in records.items()}
    assert counts == {
        "train": 7481,
        "labeled": 85,
        "validation": 21,
        "id_test": 840,
        "test": 1670,
    }
    manual = real_pacs / "downloads" / "manual"
    listed = set()
    for domain in ("art_painting", "cartoon", "sketch"):
        lines = (manual / "udg_splits" / f"{domain}_train_1p_0.txt").read_text()
        listed |= {line.split()[0].rsplit(".", 1)[0] for line in lines.splitlines()}
    found = {r["file"].decode().rsplit(".", 1)[0] for r in records["labeled"].values()}
    assert found == listed
    for record in records["validation"].values():
        path = manual / "PACS" / record["file"].decode()
        assert record["image"] == path.read_bytes()
