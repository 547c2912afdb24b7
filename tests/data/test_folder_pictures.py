"""What is found when the images of a folder are decoded, and what comes of it."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from jaxcl.data import DataError, describe_folder, open_data, open_split
from jaxcl.data._builders._folder_pictures import check_pictures

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
    assert check_pictures(tmp_path, ["a.tif"], 0.0, 100).whites == {"a.tif": 4095.0}


def test_what_is_odd_is_noted(put, caplog):
    frames = [Image.fromarray((RAMP + shift).astype(np.uint8)) for shift in (0, 1)]
    file = io.BytesIO()
    frames[0].save(file, "gif", save_all=True, append_images=frames[1:])
    seen = np.full((8, 8, 2), 255, np.uint8)
    seen[:4, :, 1] = 0  # white on nothing
    files = {"a/1.gif": file.getvalue(), "a/2.png": encoded(seen, "png")}
    found = describe_folder(put({**files, "a/3.tif": encoded(RAMP.astype(np.int32))}))
    assert found["notes"] == [
        "images of whole numbers up to 255, where 255 is white: 1 ('a/3.tif')",
        "images with several frames, of which the first is used: 1 ('a/1.gif')",
        "images of one color: 1 ('a/2.png')",
    ]
    assert all(note in caplog.text for note in found["notes"])


def test_a_dark_picture_among_bright_ones_is_noted(put):
    bright, dark = ((RAMP * scale).astype(np.uint16) for scale in (257, 15))
    mask = (RAMP > 99).astype(np.uint8)
    files = {"a/1.png": encoded(bright, "png"), "a/2.png": encoded(dark, "png")}
    found = describe_folder(put({**files, "a/3.png": encoded(mask, "png")}))
    assert found["notes"][-1] == (
        "images almost black, without a value above 1/16 of white: 2 "
        "('a/2.png', 'a/3.png')"
    )
