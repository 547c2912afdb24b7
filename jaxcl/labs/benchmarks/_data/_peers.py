"""The customary ways to the same views: tf.image on every image, and torchvision."""

import importlib
import io
import itertools
from typing import Any

from PIL import Image

from jaxcl.labs.benchmarks._data._options import AUGMENTATION, VIEWS
from jaxcl.labs.benchmarks._data._pipeline import Files, read_encoded
from jaxcl.labs.benchmarks._data._streams import Stream
from jaxcl.labs.benchmarks._data._views import Pictures
from jaxcl.labs.benchmarks._origin import count_cores

_SETTINGS = AUGMENTATION


def tf_image_views(pictures: Pictures) -> Stream:
    """Views as one writes them with tf.image, from the numbers of one draw a view."""
    from jaxcl.data._tf import tensorflow

    tf = tensorflow()
    images = pictures.images
    samples = tf.data.Dataset.from_tensor_slices(images).cache().repeat()
    seeds = tf.data.Dataset.counter(pictures.seed)

    def views(image, number):
        image = tf.image.convert_image_dtype(image, tf.float32)
        made = [
            _tf_image_view(tf, image, tf.stack([number, tf.cast(i, tf.int64)]))
            for i in range(VIEWS)
        ]
        return tf.stack(made)

    both = tf.data.Dataset.zip((samples, seeds))
    mapped = both.map(views, num_parallel_calls=tf.data.AUTOTUNE)
    batches = mapped.batch(len(images), drop_remainder=True)
    return Stream(batches.prefetch(tf.data.AUTOTUNE).as_numpy_iterator, len(images))


def _tf_image_view(tf: Any, image: Any, seed: Any) -> Any:
    height, width, _ = image.shape
    begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.shape(image),
        tf.zeros((1, 0, 4)),
        seed,
        min_object_covered=0.0,
        aspect_ratio_range=_SETTINGS.crop_ratio,
        area_range=_SETTINGS.crop_scale,
        max_attempts=10,
        use_image_if_no_bounding_boxes=True,
    )
    draws = tf.random.stateless_uniform([7], seed)
    image = tf.image.resize(tf.slice(image, begin, extent), (height, width))
    image.set_shape((height, width, 3))
    flipped = tf.image.flip_left_right
    image = tf.cond(draws[0] < _SETTINGS.flip, lambda: flipped(image), lambda: image)
    image = tf.cond(
        draws[1] < _SETTINGS.jitter,
        lambda: _tf_image_jitter(tf, image, draws),
        lambda: image,
    )
    return tf.cond(
        draws[6] < _SETTINGS.grayscale,
        lambda: tf.image.grayscale_to_rgb(tf.image.rgb_to_grayscale(image)),
        lambda: image,
    )


def _tf_image_jitter(tf: Any, image: Any, draws: Any) -> Any:
    """Brightness is a factor, as in SimCLR; hue that of HSV: tf.image has no other."""

    def factor(draw, strength):
        return 1.0 + strength * (2.0 * draw - 1.0)

    image = tf.clip_by_value(image * factor(draws[2], _SETTINGS.brightness), 0.0, 1.0)
    image = tf.image.adjust_contrast(image, factor(draws[3], _SETTINGS.contrast))
    image = tf.clip_by_value(image, 0.0, 1.0)
    saturation = factor(draws[4], _SETTINGS.saturation)
    image = tf.image.adjust_saturation(image, saturation)
    image = tf.image.adjust_hue(image, _SETTINGS.hue * (2.0 * draws[5] - 1.0))
    return tf.clip_by_value(image, 0.0, 1.0)


def torchvision_views(pictures: Pictures) -> Stream:
    """Views of images by torchvision, as Pillow holds them; a process for each core."""
    return _load(list(pictures.images), pictures.images.shape[1], len(pictures.images))


def torchvision_pipeline(files: Files) -> Stream:
    """The same of encoded images; they are in memory, so that reading costs nothing."""
    return _load(read_encoded(files, 0), files.size, files.batch_size)


def _load(images: list[Any], size: int, batch_size: int) -> Stream:
    torch = importlib.import_module("torch")
    cores = count_cores()
    torch.set_num_threads(cores)
    several = cores > 1
    loader = torch.utils.data.DataLoader(
        PillowSamples(images, size),
        batch_size=batch_size,
        sampler=itertools.cycle(range(len(images))),
        num_workers=cores if several else 0,
        # A fork would copy the locks of the threads that this process has.
        multiprocessing_context="spawn" if several else None,
        persistent_workers=several,
    )
    return Stream(lambda: iter(loader), batch_size)


class PillowSamples:
    """Images, as arrays or encoded, and their views as torchvision makes them."""

    def __init__(self, images: list[Any], size: int):
        self._images, self._transform = images, _make_transform(size)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Any:
        image = self._images[index]
        if isinstance(image, bytes):
            picture = Image.open(io.BytesIO(image)).convert("RGB")
        else:
            picture = Image.fromarray(image)
        return tuple(self._transform(picture) for _ in range(VIEWS))


def _make_transform(size: int) -> Any:
    transforms = importlib.import_module("torchvision.transforms")
    jitter = transforms.ColorJitter(
        _SETTINGS.brightness, _SETTINGS.contrast, _SETTINGS.saturation, _SETTINGS.hue
    )
    return transforms.Compose(
        [
            transforms.RandomResizedCrop(
                size, _SETTINGS.crop_scale, _SETTINGS.crop_ratio
            ),
            transforms.RandomHorizontalFlip(_SETTINGS.flip),
            transforms.RandomApply([jitter], _SETTINGS.jitter),
            transforms.RandomGrayscale(_SETTINGS.grayscale),
            transforms.ToTensor(),
        ]
    )
