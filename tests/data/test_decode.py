import io

import numpy as np
import pytest
from PIL import Image

from jaxcl.data._decode import decode_image, make_upright, middle_box


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


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "LA"])
def test_every_mode_of_color_becomes_three_channels(mode):
    file = io.BytesIO()
    Image.fromarray(noise(6, 6, 3)).convert(mode).save(
        file, "tiff" if mode == "CMYK" else "png"
    )
    found = decode_image(file.getvalue(), (6, 6, 3), "crop")
    expected = Image.open(io.BytesIO(file.getvalue())).convert("RGB")
    np.testing.assert_array_equal(found, np.asarray(expected))


def test_sixteen_bits_are_scaled_and_not_cut_off():
    deep = (np.arange(64).reshape(8, 8) * 1024).astype(np.uint16)
    found = decode_image(encoded(deep), (8, 8, 1), "crop")[:, :, 0]
    np.testing.assert_allclose(found, deep / 257.0, atol=1.0)
    assert found.max() > 240


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


def test_a_picture_taken_sideways_is_turned_upright():
    pixels = noise(4, 6, 3)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png", exif=exif)
    found = decode_image(file.getvalue(), (6, 4, 3), "crop")
    np.testing.assert_array_equal(found, np.rot90(pixels, -1))
    jpeg = encoded(pixels, "jpeg", exif=exif, quality=100)
    upright = make_upright(jpeg)
    assert Image.open(io.BytesIO(upright)).size == (4, 6)
    np.testing.assert_array_equal(
        decode_image(upright, (6, 4, 3), "crop"), decode_image(jpeg, (6, 4, 3), "crop")
    )


def test_bytes_without_a_turn_are_left_alone():
    data = encoded(noise(4, 6, 3), "jpeg")
    assert make_upright(data) is data


@pytest.mark.parametrize("data", [b"", b"no image", encoded(noise(9, 9, 3))[:-30]])
def test_what_is_no_whole_image_is_an_error(data):
    with pytest.raises((OSError, SyntaxError, ValueError)):
        decode_image(data, (9, 9, 3), "crop")
