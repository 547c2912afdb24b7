"""What is found when the pictures of a folder are decoded, and what comes of it."""

import dataclasses
import io
import json
import logging
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from small_runs import small

import jaxcl
from jaxcl.cli import main
from jaxcl.config import ConfigError, DataConfig
from jaxcl.data import DataError, describe_folder, open_data, open_split
from jaxcl.data._builders import _folder_pictures
from jaxcl.data._builders._folder_pictures import check_pictures
from jaxcl.reports import render_html

RAMP = np.arange(256).reshape(16, 16)
SHORT = b"\x89PNG\r\n\x1a\n"


def encoded(pixels, kind="tiff", **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def sixteen_bit_colors(values):
    """A PNG of 16 bits a channel, which Pillow does not write."""
    rows = np.repeat(values[..., None], 3, 2).astype(">u2")
    parts = [(b"IHDR", struct.pack(">IIBBBBB", *values.shape[::-1], 16, 2, 0, 0, 0))]
    parts += [(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows)))]
    parts += [(b"IEND", b"")]
    return SHORT + b"".join(
        struct.pack(">I", len(data)) + kind + data
        + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )  # fmt: skip


def twelve_packed_bits():
    """A TIFF of two pixels of 12 bits, black and white."""
    tags = [(256, 2), (257, 1), (258, 12), (259, 1), (262, 1), (273, 122), (277, 1)]
    tags += [(278, 1), (279, 3)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    return head + b"\x00\x0f\xff"


@pytest.fixture
def put(tmp_path):
    """A config for a folder of pictures, given by name and bytes."""

    def put_all(files, **changes):
        for name, data in files.items():
            path = tmp_path / "photos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        given = {"batch_size": len(files), "image_size": 16, "test_splits": ()}
        return DataConfig(
            path=str(tmp_path / "photos"),
            data_dir=str(tmp_path / "data"),
            **{**given, **changes},
        )

    return put_all


def images(config):
    """The images of the first batch in the order of their paths, one channel."""
    batch = next(open_data(config).batches(0, 1))
    return batch.image[np.argsort(batch.instance)][..., 0]


@pytest.mark.parametrize(
    ("white", "dtype"),
    [
        (1, np.float32),
        (255, np.float32),
        (255, np.int32),
        (65535, np.int32),
        (65535, np.uint16),
    ],
)
def test_the_usual_ranges_of_deep_pictures_are_known(put, white, dtype):
    shades = (RAMP * (white / 255)).astype(dtype)
    found = images(put({"a/1.tif": encoded(shades), "a/2.tif": encoded(shades)}))
    assert np.abs(found.astype(int) - RAMP).max() <= 1


def test_one_white_holds_for_all_pictures_of_a_folder(put):
    dark, light = RAMP.astype(np.float32) / 4, RAMP.astype(np.float32)
    config = put({"train/1.tif": encoded(light), "train/2.tif": encoded(dark)})
    found = images(config)
    assert np.abs(found[1].astype(int) - RAMP // 4).max() <= 1
    assert found[0].max() == 255


@pytest.mark.parametrize(
    "pictures",
    [
        [(RAMP * 16).astype(np.uint16)],
        [RAMP.astype(np.uint16)],
        [(RAMP * 16).astype(np.int32)],
        [(RAMP / 250).astype(np.float32)],
        [(RAMP * 12).astype(np.float32)],
        [(RAMP / 255).astype(np.float32), RAMP.astype(np.float32)],
    ],
    ids=["12 bits", "8 bits", "int32", "above 1", "above 255", "two ranges"],
)
def test_where_white_is_not_known_it_is_asked_for(put, pictures):
    files = {f"a/{i}.tif": encoded(pixels) for i, pixels in enumerate(pictures)}
    config = put(files)
    with pytest.raises(DataError, match=r"'a/0.tif'.*`data.white`"):
        open_split(config, "train")


def test_the_white_that_is_said_holds(put):
    files = {
        "a/1.tif": encoded((RAMP * 4095 / 255).astype(np.uint16)),
        "a/2.png": encoded(RAMP.astype(np.uint8), "png"),
        "a/3.tif": encoded(RAMP.astype(np.float32)),
    }
    found = images(put(files, white=4095.0)).astype(int)
    assert np.abs(found[0] - RAMP).max() <= 1
    np.testing.assert_array_equal(found[1], RAMP)
    assert found[2].max() == 16
    with pytest.raises(DataError, match=r"'a/1.tif' .*above `data.white`"):
        open_split(put({}, white=1000.0), "train")


def test_sixteen_bit_colors_keep_their_upper_bits(put):
    found = images(put({"a/1.png": sixteen_bit_colors(RAMP * 257)}, batch_size=1))
    np.testing.assert_array_equal(found[0], RAMP)
    with pytest.raises(DataError, match=r"'a/1.png'.* with 8 bits"):
        open_split(put({"a/1.png": sixteen_bit_colors(RAMP * 16)}), "train")


def test_twelve_bits_that_the_file_declares_are_twelve_bits(tmp_path):
    (tmp_path / "a.tif").write_bytes(twelve_packed_bits())
    assert check_pictures(tmp_path, ["a.tif"], 0.0).whites == {"a.tif": 4095.0}


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
        raise AssertionError("the pictures were checked again")

    monkeypatch.setattr(_folder_pictures, "check_pictures", fail)
    open_data(config)


def test_a_folder_of_which_nothing_can_be_read_is_refused(put):
    config = put({"a/1.png": b"", "a/2.png": b"x"}, bad_records="skip")
    with pytest.raises(DataError, match=r"2 of the images .*'a/1.png' \(is empty"):
        open_data(config)


def test_what_is_odd_is_noted(put, caplog):
    frames = [Image.fromarray((RAMP + shift).astype(np.uint8)) for shift in (0, 1)]
    file = io.BytesIO()
    frames[0].save(file, "gif", save_all=True, append_images=frames[1:])
    seen = np.full((8, 8, 2), 255, np.uint8)
    seen[:4, :, 1] = 0  # white on nothing
    files = {"a/1.gif": file.getvalue(), "a/2.png": encoded(seen, "png")}
    found = describe_folder(put({**files, "a/3.tif": encoded(RAMP.astype(np.int32))}))
    assert found["notes"] == [
        "pictures of whole numbers up to 255, where 255 is white: 1 ('a/3.tif')",
        "pictures with several frames, of which the first is used: 1 ('a/1.gif')",
        "pictures of one color: 1 ('a/2.png')",
    ]
    assert all(note in caplog.text for note in found["notes"])


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


def test_the_command_says_what_a_folder_holds(broken, tmp_path, capsys):
    config = broken()
    for command in ("show", "build"):
        main(["data", command, config.path, "--data-dir", config.data_dir])
        said = capsys.readouterr().out
        assert "train 6" in said
        assert "a 3, b 3" in said
        assert "a/empty.jpg: is empty" in said
    main(["data", "show", config.path, "--data-dir", config.data_dir, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["splits"] == {"train": 6}
    assert set(found["unreadable"]) == set(BROKEN)


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
