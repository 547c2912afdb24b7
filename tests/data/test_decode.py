import io

import numpy as np
import pytest
from PIL import Image

from jaxcl.data._decode import decode_image, make_plain, middle_box, read_picture


def encoded(pixels, kind="png", **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def noise(*shape, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=dtype)


def test_an_image_of_the_right_shape_comes_as_it_is():
    pixels = noise(7, 5, 3)
    np.testing.assert_array_equal(
        decode_image(encoded(pixels), (7, 5, 3), "crop"), pixels
    )
    gray = noise(7, 5)
    found = decode_image(encoded(gray), (7, 5, 1), "stretch")
    np.testing.assert_array_equal(found[:, :, 0], gray)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "LA", "YCbCr"])
def test_every_mode_of_color_becomes_three_channels(mode):
    file = io.BytesIO()
    Image.fromarray(noise(6, 6, 3)).convert(mode).save(
        file, "tiff" if mode in ("CMYK", "YCbCr") else "png"
    )
    found = decode_image(file.getvalue(), (6, 6, 3), "crop")
    expected = Image.open(io.BytesIO(file.getvalue())).convert("RGB")
    np.testing.assert_array_equal(found, np.asarray(expected))


def test_a_jpeg_for_printers_is_no_negative():
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (250, 20, 20)).convert("CMYK").save(file, "jpeg")
    assert file.getvalue().find(b"Adobe") > 0
    found = decode_image(file.getvalue(), (8, 8, 3), "crop").astype(int)
    assert np.abs(found - (250, 20, 20)).max() <= 8


def test_lab_is_read_as_cie_says():
    # L* of 50 is a gray of 118.9 in sRGB.
    file = io.BytesIO()
    Image.new("LAB", (4, 4), (128, 128, 128)).save(file, "tiff")
    found = decode_image(file.getvalue(), (4, 4, 3), "crop").astype(int)
    assert np.abs(found - 119).max() <= 2


def test_sixteen_bits_are_scaled_and_not_cut_off():
    deep = (np.arange(64).reshape(8, 8) * 1024).astype(np.uint16)
    found = decode_image(encoded(deep), (8, 8, 1), "crop")[:, :, 0]
    np.testing.assert_allclose(found, deep / 257.0, atol=1.0)
    assert found.max() > 240


def with_hidden_color(mode):
    """Bytes of an image, green where it is transparent and black in the middle."""
    colors = np.zeros((6, 6, 4), np.uint8)
    colors[..., 1], colors[2:4, 2:4] = 200, (0, 0, 0, 255)
    index = np.zeros((6, 6), np.uint8)
    index[2:4, 2:4] = 1
    if mode == "RGBA":
        return encoded(colors)
    if mode == "LA":
        return encoded(colors[..., [1, 3]])
    if mode == "RGB":
        return encoded(colors[..., :3], transparency=(0, 200, 0))
    if mode == "L":
        return encoded(colors[..., 1], transparency=200)
    if mode == "I;16":
        return encoded(colors[..., 1].astype(np.uint16) * 256, transparency=200 * 256)
    picture = Image.fromarray(index).convert("P")
    picture.putpalette([0, 200, 0, 0, 0, 0] + [9] * 762)
    file = io.BytesIO()
    transparency = b"\x00\xff" if mode == "P with alpha" else 0
    picture.save(file, "gif" if mode == "gif" else "png", transparency=transparency)
    return file.getvalue()


@pytest.mark.parametrize(
    "mode", ["RGBA", "LA", "RGB", "L", "I;16", "P", "P with alpha", "gif"]
)
def test_what_is_transparent_is_white_whatever_color_it_hides(mode):
    expected = np.full((6, 6, 3), 255)
    expected[2:4, 2:4] = 0
    data = with_hidden_color(mode)
    np.testing.assert_array_equal(decode_image(data, (6, 6, 3), "crop"), expected)


def test_half_transparent_is_half_white():
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[..., 3] = 102  # 40 %
    assert (decode_image(encoded(pixels), (4, 4, 3), "crop") == 153).all()


def test_numbers_that_no_one_says_the_white_of_are_refused():
    for kind in (np.int32, np.float32):
        data = encoded(np.full((4, 4), 200, kind), "tiff")
        with pytest.raises(ValueError, match="does not say which is white"):
            decode_image(data, (4, 4, 3), "crop")


@pytest.mark.parametrize(
    ("value", "match"),
    [(np.nan, "NaN"), (np.inf, "infinite"), (-3, "values from -3 to 1")],
)
def test_what_is_no_shade_is_refused(value, match):
    pixels = np.ones((4, 4), np.float32)
    pixels[1, 2] = value
    with pytest.raises(ValueError, match=match):
        decode_image(encoded(pixels, "tiff"), (4, 4, 3), "crop")


def test_signed_bytes_are_refused():
    data = encoded(noise(4, 4), "tiff", tiffinfo={339: 2})
    with pytest.raises(ValueError, match="signed"):
        decode_image(data, (4, 4, 3), "crop")


def test_where_white_is_zero_it_is_white():
    deep = np.array([[0, 65535], [257 * 100, 257]], np.uint16)
    data = encoded(deep, "tiff", tiffinfo={262: 0})
    found = decode_image(data, (2, 2, 1), "crop")[:, :, 0]
    np.testing.assert_array_equal(found, [[255, 0], [155, 254]])


def test_the_first_frame_is_the_image():
    frames = [Image.new("L", (4, 4), shade) for shade in (30, 200)]
    for kind in ("gif", "tiff", "webp"):
        file = io.BytesIO()
        options = {"lossless": True} if kind == "webp" else {}
        frames[0].save(file, kind, save_all=True, append_images=frames[1:], **options)
        assert (decode_image(file.getvalue(), (4, 4, 3), "crop") == 30).all()


def test_crop_keeps_the_middle_and_stretch_keeps_all():
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = 255
    assert (decode_image(encoded(pixels), (10, 10, 3), "crop") == 255).all()
    whole = decode_image(encoded(pixels), (10, 10, 3), "stretch")
    assert whole[:, 0].max() == 0
    assert whole[:, 5].min() == 255


def test_the_middle_box_has_the_asked_for_shape_and_lies_inside():
    left, top, right, bottom = middle_box(40, 100, (10, 20, 3))
    assert (left, top, right, bottom) == (10, 0, 90, 40)


TURNED = Image.Exif()
TURNED[0x0112] = 6  # to be turned clockwise by a quarter


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        ("png", np.uint8),
        ("png", np.uint16),
        ("tiff", np.uint8),
        ("tiff", np.uint16),
        ("webp", np.uint8),
        ("jpeg", np.uint8),
    ],
)
def test_a_picture_taken_sideways_is_turned_upright(kind, dtype):
    pixels = np.zeros((4, 6), dtype)
    pixels[:, 3:] = np.iinfo(dtype).max
    options = {"tiffinfo": {274: 6}} if kind == "tiff" else {"exif": TURNED}
    data = encoded(pixels, kind, **options)
    found = decode_image(data, (6, 4, 3), "crop")[:, :, 0] > 127
    np.testing.assert_array_equal(found, np.rot90(pixels > 0, -1))


def test_what_other_decoders_ignore_is_encoded_again():
    pixels = noise(4, 6, 3)
    for kind in ("png", "jpeg"):
        data = encoded(pixels, kind, exif=TURNED)
        plain = make_plain(data)
        with Image.open(io.BytesIO(plain)) as picture:
            assert picture.size == (4, 6)
            assert picture.getexif().get(0x0112) is None
            np.testing.assert_array_equal(picture, read_picture(data))
    for mode in ("RGB", "L", "P", "P with alpha"):
        data = with_hidden_color(mode)
        with Image.open(io.BytesIO(make_plain(data))) as picture:
            assert "transparency" not in picture.info
            np.testing.assert_array_equal(picture.convert("RGB"), read_picture(data))


def test_bytes_that_hide_nothing_are_left_alone():
    upright = Image.Exif()
    upright[0x0112] = 1
    for kind in ("png", "jpeg"):
        for options in ({}, {"exif": upright}):
            data = encoded(noise(4, 6, 3), kind, **options)
            assert make_plain(data) is data


def test_broken_notes_on_a_picture_do_not_break_it():
    data = encoded(noise(4, 6, 3), "jpeg", exif=b"Exif\x00\x00no exif at all")
    assert read_picture(data).size == (6, 4)


@pytest.mark.parametrize("data", [b"", b"no image", encoded(noise(9, 9, 3))[:-30]])
def test_what_is_no_whole_image_is_an_error(data):
    with pytest.raises((OSError, SyntaxError, ValueError)):
        decode_image(data, (9, 9, 3), "crop")


def test_a_page_of_the_web_is_said_to_be_none():
    with pytest.raises(ValueError, match="<!DOCTYPE html"):
        decode_image(b"<!DOCTYPE html><html>", (9, 9, 3), "crop")
    with pytest.raises(ValueError, match="is empty"):
        decode_image(b"", (9, 9, 3), "crop")
