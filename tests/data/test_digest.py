"""The digest of the data of a run: it follows the content, not the place."""

import dataclasses
import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_runs import small

from jaxcl.config import CorruptionConfig, DataConfig, SelectionConfig
from jaxcl.data import DataError, from_arrays, open_data

TABLE = ["path,label,age", "1.png,cat,1", "2.png,dog,2", "3.png,cat,3", "4.png,dog,4"]


def image(seed, kind="png"):
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


@pytest.fixture
def given(put):
    """A config of four images with a table."""
    config = put({f"{i}.png": image(i) for i in range(1, 5)}, batch_size=2)
    table = Path(config.path).with_name("table.csv")
    table.write_text("\n".join(TABLE))
    return dataclasses.replace(config, table=str(table))


def digest(config):
    found = open_data(config).digest
    assert len(found) == 64
    return found


def rewrite(config, old, new):
    lines = [line.replace(old, new) for line in TABLE]
    assert lines != TABLE
    Path(config.table).write_text("\n".join(lines))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2.png,dog", "2.png,cat"),
        ("3.png,cat,3", "3.png,cat,4"),
        ("dog", "wolf"),
        (",age", ",years"),
        ("1.png,cat,1", ""),
        ("path,label,age", "path,domain,age"),
    ],
)
def test_another_table_has_another_digest(given, old, new):
    before = digest(given)
    rewrite(given, old, new)
    assert digest(given) != before
    Path(given.table).write_text("\n".join(TABLE))
    assert digest(given) == before


def test_another_split_of_a_row_has_another_digest(given):
    rows = [f"{line},{'split' if not i else 'train'}" for i, line in enumerate(TABLE)]
    Path(given.table).write_text("\n".join(rows))
    before = digest(given)
    Path(given.table).write_text("\n".join([*rows[:-1], rows[-1][:-5] + "test"]))
    assert digest(given) != before


def test_another_image_has_another_digest(given):
    before = digest(given)
    file = Path(given.path, "2.png")
    data = file.read_bytes()
    Path(given.path, "2.png").write_bytes(image(9))
    assert digest(given) != before
    file.write_bytes(data)
    assert digest(given) == before


def test_swapped_images_have_another_digest(given):
    before = digest(given)
    one, two = (Path(given.path, f"{i}.png") for i in (1, 3))
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    assert digest(given) != before


def test_times_of_files_do_not_matter(given):
    before = digest(given)
    built = {path.name for path in Path(given.data_dir, "image_folder").iterdir()}
    for path in Path(given.path).iterdir():
        os.utime(path, (1, 1))
    assert digest(given) == before
    again = {path.name for path in Path(given.data_dir, "image_folder").iterdir()}
    assert again > built  # it was built again


def test_places_do_not_matter(given, tmp_path):
    there = tmp_path / "elsewhere" / "other_name"
    shutil.copytree(given.path, there)
    table = there.parent / "labels.csv"
    shutil.copy(given.table, table)
    moved = dataclasses.replace(
        given, path=str(there), table=str(table), data_dir=str(tmp_path / "new")
    )
    assert digest(moved) == digest(given)


def test_choices_of_a_run_do_not_matter(given):
    changed = dataclasses.replace(
        given,
        label="",
        image_size=4,
        selection=SelectionConfig(fraction=0.5),
        corruption=CorruptionConfig(mode="shuffle", column="age"),
    )
    assert digest(changed) == digest(given)


def test_arrays_have_the_digest_of_their_content(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8), np.uint8)

    def digest_of(data_dir, **arrays):
        name = from_arrays(data_dir=str(data_dir), **arrays)
        given = {"name": name, "data_dir": str(data_dir), "batch_size": 2}
        return digest(DataConfig(test_splits=(), **given))

    one = {"image": pixels, "label": [0, 1, 0, 1], "text": list("abcd")}
    before = digest_of(tmp_path / "a", **one)
    assert digest_of(tmp_path / "b", **one) == before
    assert digest_of(tmp_path / "a", **{**one, "label": [0, 1, 1, 1]}) != before
    assert digest_of(tmp_path / "a", **{**one, "image": pixels ^ 1}) != before


def test_another_set_is_known_by_name_columns_and_counts(damaged, tmp_path):
    loose = dataclasses.replace(damaged, bad_records="skip")
    shutil.copytree(damaged.data_dir, tmp_path / "copy")
    moved = dataclasses.replace(loose, data_dir=str(tmp_path / "copy"))
    assert digest(loose) == digest(moved)
    assert digest(loose) != digest(small().data)
    for line in (tmp_path / "copy").rglob("dataset_info.json"):
        line.write_text(line.read_text().replace('"20"', '"19"'))
    assert digest(moved) != digest(loose)


def test_an_image_that_is_changed_under_its_old_size_and_time_is_another(put):
    config = put({f"{i}.bmp": image(i, "bmp") for i in range(4)}, batch_size=2)
    before, path = digest(config), Path(config.path) / "1.bmp"
    known = path.stat()
    path.write_bytes(image(9, "bmp"))
    os.utime(path, ns=(known.st_atime_ns, known.st_mtime_ns))
    assert path.stat().st_size == known.st_size
    assert digest(config) != before


def test_a_table_that_is_no_file_is_not_read(given):
    for place in ("/dev/zero", "/dev/null"):
        with pytest.raises(DataError, match="cannot be read: it is no file"):
            open_data(dataclasses.replace(given, table=place))
