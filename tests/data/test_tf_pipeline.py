"""The tf.data path gives what the default path gives. Needs TensorFlow."""

import dataclasses
import importlib.util
import io
import itertools
import tarfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxcl.augment import augment_batch, augment_small, draw_numbers, sample_keys
from jaxcl.augment._draws import Draws
from jaxcl.augment._geometry import draw_box
from jaxcl.config import AugmentationConfig, DataConfig, SamplerConfig, from_dict
from jaxcl.data import DataError, open_data
from jaxcl.data._decode import decode_image, make_plain

if importlib.util.find_spec("tensorflow") is None:
    pytest.skip("TensorFlow is not installed", allow_module_level=True)

DIGITS = DataConfig(
    name="colored_digits/rho_0.9", domain="domain", batch_size=24, test_splits=()
)
RECIPES = (
    "none",
    "simclr",
    "supcon",
    "biascon",
    "cifar_all",
    "cifar_no_crop",
    "multi_crop",
)


def batches(stop, start=0, augmentation=None, **changes):
    config = dataclasses.replace(DIGITS, **changes)
    data = open_data(config, seed=1)
    return list(data.batches(start, stop, seed=5, augmentation=augmentation))


@pytest.mark.parametrize("sampler", ["uniform", "domain_balanced", "label_domain"])
def test_samples_order_and_pixels_are_those_of_the_default_path(sampler):
    chosen = SamplerConfig(sampler)
    ours = batches(5, sampler=chosen)
    theirs = batches(5, sampler=chosen, pipeline="tf_data")
    for batch, other in zip(ours, theirs, strict=True):
        jax.tree.map(np.testing.assert_array_equal, batch, other)


def test_it_starts_at_any_step():
    whole = batches(4, pipeline="tf_data")
    late = batches(4, 3, pipeline="tf_data")
    jax.tree.map(np.testing.assert_array_equal, whole[3], late[0])


@pytest.mark.parametrize("fit", ["crop", "stretch"])
def test_resized_images_are_those_of_the_default_path(fit):
    ours = batches(1, image_size=11, fit=fit)[0]
    theirs = batches(1, image_size=11, fit=fit, pipeline="tf_data")[0]
    np.testing.assert_array_equal(ours.image, theirs.image)


# One operation at a time, at full strength for every view.
OPERATIONS = {
    "crop": {"crop_scale": [0.2, 0.6]},
    "flip": {"flip": 0.5},
    "rotate": {"rotate": 40.0},
    "brightness": {"jitter": 1.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0},
    "contrast": {"jitter": 1.0, "brightness": 0.0, "saturation": 0.0, "hue": 0.0},
    "saturation": {"jitter": 1.0, "brightness": 0.0, "contrast": 0.0, "hue": 0.0},
    "hue_yiq": {"jitter": 1.0, "brightness": 0.0, "contrast": 0.0, "saturation": 0.0},
    "hue_hsv": {"jitter": 1.0, "hue": 0.5, "hue_space": "hsv"},
    "grayscale": {"grayscale": 0.5},
    "blur": {"blur": 1.0, "blur_size": 5},
    "erase": {"erase": 1.0},
}


@pytest.mark.parametrize("name", [*RECIPES, *OPERATIONS])
def test_views_made_on_the_host_are_those_of_the_accelerator(name):
    recipe = name if name in RECIPES else "none"
    given = {"recipe": recipe, "on": "host", "small_size": 8}
    changes = OPERATIONS.get(name, {})
    config = from_dict({"augmentation": {**given, **changes}}).augmentation
    batch = batches(1, augmentation=config, pipeline="tf_data")[0]
    plain = batches(1)[0]
    keys = sample_keys(5, jnp.asarray(plain.epoch), jnp.asarray(plain.instance))
    expected = augment_batch(keys, jnp.asarray(plain.image), 2, config)
    assert batch.image is None
    if changes:  # what does nothing would agree with everything
        unchanged = np.float32(plain.image)[:, None] / 255.0
        assert np.abs(batch.views - unchanged).max() > 0.05
    np.testing.assert_allclose(batch.views, expected, atol=2e-4)
    if config.small_views:
        small = augment_small(keys, jnp.asarray(plain.image), config)
        np.testing.assert_allclose(batch.small_views, small, atol=2e-4)
    else:
        assert batch.small_views is None


def test_views_do_not_depend_on_the_size_of_the_batch():
    config = AugmentationConfig(on="host", jitter=0.8, blur=0.5)
    sizes = [
        batches(count, augmentation=config, pipeline="tf_data", batch_size=size)
        for size, count in ((8, 3), (24, 1))
    ]
    small, whole = (np.concatenate([batch.views for batch in part]) for part in sizes)
    np.testing.assert_allclose(small, whole, atol=1e-5)


def test_crops_of_all_stored_pixels_are_those_of_pillow():
    config = AugmentationConfig(
        on="host", crop_from="stored", crop_scale=(0.2, 0.6), flip=0.5
    )
    batch = batches(1, augmentation=config, pipeline="tf_data", image_size=8)[0]
    stored = batches(1)[0]
    keys = sample_keys(5, jnp.asarray(stored.epoch), jnp.asarray(stored.instance))
    base, _ = draw_numbers(keys, 2, config)
    for i in range(24):
        for view in range(2):
            draws = Draws(*base[i, view])
            box = [float(value) * 16 for value in draw_box(draws, config)]
            top, left, height, width = box
            picture = Image.fromarray(stored.image[i]).resize(
                (8, 8),
                Image.Resampling.BILINEAR,
                box=(left, top, min(left + width, 16), min(top + height, 16)),
            )
            expected = np.asarray(picture)
            if draws.flip < 0.5:
                expected = expected[:, ::-1]
            found = batch.views[i, view] * 255
            np.testing.assert_allclose(found, expected, atol=1.01)


def encode_jpegs(pictures):
    files = []
    for picture in pictures:
        for options in ({"quality": 75}, {"quality": 95, "subsampling": 0}):
            file = io.BytesIO()
            picture.save(file, "jpeg", **options)
            files.append(file.getvalue())
    return files


def read_real_jpegs(count):
    archive = Path(__file__).parents[2] / "../shared/data/cifar10_jpeg.tar.xz"
    if not archive.exists():
        pytest.skip("needs ../shared/data/cifar10_jpeg.tar.xz")
    with tarfile.open(archive) as members:
        names = (member for member in members if member.name.endswith(".jpg"))
        return [
            members.extractfile(member).read()
            for member in itertools.islice(names, count)
        ]


@pytest.mark.parametrize("kind", ["made", "real"])
@pytest.mark.parametrize("size", [32, 20])
def test_jpegs_are_decoded_as_pillow_does(kind, size):
    import tensorflow as tf

    from jaxcl.data._tf._decode import decode_and_fit

    if kind == "real":
        files = read_real_jpegs(200)
    else:
        generator = np.random.default_rng(0)
        shape = (32, 32, 3)
        noise = [generator.integers(0, 256, shape, dtype=np.uint8) for _ in range(8)]
        smooth = [
            np.broadcast_to(np.arange(32, dtype=np.uint8)[:, None, None] * 8, shape)
        ]
        files = encode_jpegs(map(Image.fromarray, noise + smooth))
    expected = [decode_image(file, (size, size, 3), "crop") for file in files]
    found = decode_and_fit(tf.constant(files), (size, size, 3), "crop")
    np.testing.assert_array_equal(found, np.stack(expected))


def one_of_every_format():
    """Encoded images that TensorFlow would read otherwise than Pillow does."""
    generator = np.random.default_rng(0)
    colors = generator.integers(0, 256, (12, 12, 4), dtype=np.uint8)
    turned = Image.Exif()
    turned[0x0112] = 6

    def save(picture, kind, **options):
        file = io.BytesIO()
        picture.save(file, kind, **options)
        return file.getvalue()

    rgba, rgb = Image.fromarray(colors), Image.fromarray(colors[..., :3])
    gray, deep = colors[..., 0], colors[..., 0].astype(np.uint16) * 257
    return {
        "alpha": save(rgba, "png"),
        "gray with alpha": save(rgba.convert("LA"), "png"),
        "one clear color": save(
            rgb, "png", transparency=tuple(colors[0, 0, :3].tolist())
        ),
        "one clear shade": save(
            Image.fromarray(gray), "png", transparency=int(gray[0, 0])
        ),
        "palette": save(rgb.convert("P"), "png"),
        "clear in a palette": save(rgb.convert("P"), "png", transparency=b"\x00" * 99),
        "one bit": save(rgb.convert("1"), "png"),
        "16 bits": save(Image.fromarray(deep), "png"),
        "turned png": save(rgb, "png", exif=turned),
        "turned jpeg": save(rgb, "jpeg", exif=turned),
        "turned tiff": save(rgb, "tiff", tiffinfo={274: 6}),
        "printers' jpeg": save(rgb.convert("CMYK"), "jpeg"),
        "gray jpeg": save(Image.fromarray(gray), "jpeg"),
        "gif": save(rgb, "gif"),
        "webp": save(rgba, "webp", lossless=True),
        "bmp": save(rgb, "bmp"),
    }


@pytest.mark.parametrize("channels", [1, 3])
def test_every_format_is_read_as_on_the_default_path(channels):
    import tensorflow as tf

    from jaxcl.data._tf._decode import decode_and_fit

    shape = (12, 12, channels)
    for name, data in one_of_every_format().items():
        found = decode_and_fit(tf.constant([make_plain(data)]), shape, "crop")
        expected = decode_image(data, shape, "crop")
        np.testing.assert_array_equal(found[0], expected, name)


def test_a_damaged_image_is_named_as_on_the_default_path(damaged):
    config = dataclasses.replace(damaged, pipeline="tf_data")
    with pytest.raises(DataError, match=r"record (4|11) .*\(file (04|11).png\)"):
        list(open_data(config).batches(0, 2))
