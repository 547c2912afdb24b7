"""Images that are too large, or of a format for which a program would be started."""

import dataclasses
import io
import os
import struct
import subprocess
import sys
import warnings
import zlib

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from jaxcl.config import ConfigError, DataConfig, TrainConfig
from jaxcl.data import DataError, from_dataframe, open_data, open_split, read_images
from jaxcl.data._batches import BadRecords
from jaxcl.data._decode import decode_image, open_upright, read_picture
from jaxcl.data._deep import Header, deep_values, to_gray
from jaxcl.data._records import ParsedRecords

EPS = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 8 8
%%EndComments
0 0 8 8 rectfill
showpage
%%EOF
"""


def encoded(pixels, kind="png", **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def claiming(width, height):
    """A PNG whose header names a size, and which holds one pixel."""
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0\0")),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data))
        + kind
        + data
        + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )


@pytest.fixture
def started(tmp_path, monkeypatch):
    """A file that exists once Ghostscript was started."""
    mark, program = tmp_path / "started", tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch '{mark}'\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return mark


def test_no_image_starts_a_program(started, put):
    # In a process of its own, as Pillow remembers whether there is a Ghostscript.
    folder = put({"a/1.png": EPS, "b/1.png": EPS})
    program = (
        "from jaxcl.cli import main\n"
        f"main(['data', 'build', {folder.path!r}, '--data-dir', {folder.data_dir!r}])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert "is no image that is read (JPEG, PNG" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not started.exists()


@pytest.mark.parametrize(
    "start",
    [
        EPS,
        b"\xd7\xcd\xc6\x9a" + bytes(40),  # WMF
        b"8BPS\0\1" + bytes(40),  # PSD
        b"%PDF-1.4\n",
        b"GRIB" + bytes(40),
        b"BUFR" + bytes(40),
        b"\x89HDF\r\n\x1a\n" + bytes(40),
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),  # FPX and MIC
    ],
)
def test_other_formats_are_no_images(start):
    with pytest.raises(ValueError, match="is no image that is read"):
        read_picture(start)


@pytest.mark.parametrize("kind", ["jpeg", "png", "tiff", "gif", "webp", "bmp", "mpo"])
def test_formats_that_are_promised_are_read(kind):
    file = io.BytesIO()
    picture = Image.new("RGB", (8, 6), (200, 40, 40))
    more = {"save_all": True, "append_images": [picture]} if kind == "mpo" else {}
    picture.save(file, kind, **more)
    found = np.asarray(read_picture(file.getvalue())).astype(int)
    assert found.shape == (6, 8, 3)
    assert np.abs(found - (200, 40, 40)).max() <= 20


def test_images_inside_other_columns_are_not_decoded(started):
    def features(inner):
        return tfds.features.FeaturesDict(
            {"image": tfds.features.Image(), "label": np.int64, **inner}
        )

    nested = tfds.features.Image(shape=(None, None, 3))
    given = features(
        {
            "more": {"image": nested},
            "series": tfds.features.Sequence(nested),
            "deep": tfds.features.Sequence({"image": nested}),
        }
    )
    data = io.BytesIO(EPS)
    raw = given.serialize_example(
        {
            "image": data,
            "label": 1,
            "more": {"image": io.BytesIO(EPS)},
            "series": [io.BytesIO(EPS)],
            "deep": [{"image": io.BytesIO(EPS)}],
        }
    )
    record, *_ = ParsedRecords([raw], given).read([0])
    assert record == {"image": EPS, "label": 1}
    assert not started.exists()


def test_a_large_image_is_refused_by_its_header():
    with pytest.raises(ValueError, match=r"400 × 300 pixels.*`data.max_pixels`"):
        read_picture(claiming(400, 300), 119_999)


def test_an_image_of_just_the_largest_size_is_read():
    data = encoded(np.zeros((300, 400), np.uint8))
    assert read_picture(data, 120_000).size == (400, 300)
    with pytest.raises(ValueError, match=r"400 × 300 pixels"):
        read_picture(data, 119_999)


def test_a_camera_of_102_megapixels_is_within_the_default():
    assert DataConfig().max_pixels >= 11_648 * 8_736
    with pytest.raises(ConfigError, match=r"data.max_pixels.*from 1 to 178956970"):
        TrainConfig(data=DataConfig(max_pixels=178_956_971)).check()


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_the_largest_limit_is_what_pillow_opens():
    assert Image.MAX_IMAGE_PIXELS == 178_956_970 // 2
    with pytest.raises(ValueError, match=r"too many pixels for any `data.max_pixels`"):
        read_picture(claiming(20_000, 10_000), 178_956_970)


def test_large_images_of_a_folder_are_left_out_before_they_are_decoded(put):
    small = encoded(np.zeros((8, 8), np.uint8))
    files = {"a/1.png": small, "b/1.png": small, "b/2.png": claiming(11_000, 11_000)}
    config = put(files, bad_records="skip", batch_size=2)
    reason = "11,000 × 11,000 pixels, more than `data.max_pixels` = 120,000,000"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        assert reason in open_data(config).bad.reasons["b/2.png"]
        with pytest.raises(DataError, match="11,000 × 11,000"):
            open_data(dataclasses.replace(config, bad_records="error"))


def test_another_limit_builds_a_folder_again(put):
    small, large = (encoded(np.zeros((n, n), np.uint8)) for n in (8, 20))
    config = put({"a/1.png": small, "a/2.png": large}, bad_records="skip")
    narrow = dataclasses.replace(config, max_pixels=399)
    assert len(open_split(narrow, "train")) == 1
    assert len(open_split(config, "train")) == 2


def test_large_images_of_a_data_frame_are_left_out(put):
    import pandas

    config = put({"1.png": encoded(np.zeros((9, 9), np.uint8))})
    frame = pandas.DataFrame({"path": ["1.png"]})
    with pytest.raises(DataError, match="9 × 9 pixels"):
        from_dataframe(frame, config.path, max_pixels=80, data_dir=config.data_dir)


def test_large_images_of_records_are_treated_as_unreadable(damaged):
    config = dataclasses.replace(damaged, image_size=4, max_pixels=63)
    split = open_split(config, "train[:3]")
    bad = BadRecords("skip")
    assert not read_images(split, bad).any()
    assert {why for _, why in bad.found.values()} == {
        "has 8 × 8 pixels, more than `data.max_pixels` = 63: raise it, or make the "
        "image smaller"
    }


def test_a_data_set_cannot_ask_for_large_images(damaged):
    with pytest.raises(DataError, match=r"read as 8 × 8 pixels.*set `data.image_size`"):
        open_split(dataclasses.replace(damaged, max_pixels=63), "train")


def by_one_formula(values, header, hidden, white):
    """Shades of a deep image with floats of the whole of it."""
    shades = values.astype(np.float64) * (255.0 / white)
    if header.white_is_zero:
        shades = 255.0 - shades
    if hidden is not None:
        shades[values == hidden] = 255.0
    return np.rint(shades).astype(np.uint8)


@pytest.mark.parametrize("white_is_zero", [False, True])
@pytest.mark.parametrize(
    ("dtype", "white"),
    [
        (np.uint16, 65535),
        (">u2", 65535),
        (np.int32, 70000),
        (np.float32, 1),
        (np.float32, 4095),
    ],
)
def test_deep_images_are_the_same_in_parts(dtype, white, white_is_zero, monkeypatch):
    monkeypatch.setattr("jaxcl.data._deep._AT_ONCE", 1000)
    values = np.random.default_rng(0).random((157, 91)) * white
    values = values.astype(dtype)
    values[0, 0] = white
    picture = Image.fromarray(values)
    hidden = float(values[5, 5])
    picture.info["transparency"] = hidden
    header = Header(16, white_is_zero)
    deep = deep_values(picture, header)
    assert (deep.low, deep.high) == (float(values.min()), float(values.max()))
    np.testing.assert_array_equal(
        np.asarray(to_gray(deep, white)), by_one_formula(values, header, hidden, white)
    )


@pytest.mark.parametrize("odd", [np.nan, np.inf, -1.0])
def test_an_odd_value_is_found_in_every_part(odd, monkeypatch):
    monkeypatch.setattr("jaxcl.data._deep._AT_ONCE", 8)
    values = np.ones((4, 8), np.float32)
    values[2, 3] = odd
    with pytest.raises(ValueError, match=r"NaN or infinite|at least 0"):
        deep_values(*open_upright(encoded(values, "tiff"), 100))


def test_a_gray_image_in_colors_is_the_same_as_before_it_was_fitted():
    pixels = np.random.default_rng(0).integers(0, 256, (30, 41), np.uint8)
    colors = Image.fromarray(pixels).convert("RGB")
    box = (4.5, 0.0, 36.5, 30.0)
    expected = colors.resize((16, 15), Image.Resampling.BILINEAR, box=box)
    np.testing.assert_array_equal(
        decode_image(encoded(pixels), (15, 16, 3), "crop"), np.asarray(expected)
    )


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_large_deep_image_takes_little_more_than_its_own_memory(tmp_path):
    side, file = 5000, tmp_path / "a.png"
    values = (np.arange(side * side) % 65536).astype(np.uint16).reshape(side, side)
    file.write_bytes(encoded(values, compress_level=1))
    program = (
        "import re\n"
        "from jaxcl.data._decode import decode_image\n"
        "def most():\n"
        "    with open('/proc/self/status') as file:\n"
        "        return int(re.search(r'VmHWM:\\s+(\\d+)', file.read())[1])\n"
        f"data = open({str(file)!r}, 'rb').read()\n"
        "before = most()\n"
        "decode_image(data, (32, 32, 3), 'crop')\n"
        "print(most() - before)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    # 4 bytes of a value in some versions of Pillow, 1 of its shade, and some parts.
    assert int(ran.stdout) < (side * side * 5 >> 10) + 40_000
