"""The usual ways to the same views: tf.image on each image, and torchvision."""

import importlib
import itertools
from typing import Any

from PIL import Image

from jaxcl.data._decode import open_picture
from jaxcl.labs.benchmarks._data._options import AUGMENTATION, VIEWS
from jaxcl.labs.benchmarks._data._pipeline import Files, read_encoded
from jaxcl.labs.benchmarks._data._streams import Stream
from jaxcl.labs.benchmarks._data._views import Pictures
from jaxcl.labs.benchmarks._timing import count_cores


def tf_image_views(pictures: Pictures) -> Stream:
    """Views as one writes them with tf.image, from the numbers of one draw a view."""
    from jaxcl.data._tf import tensorflow

    tf = tensorflow()
    images = pictures.images
    samples = tf.data.Dataset.from_tensor_slices(images).cache().repeat()
    seeds = tf.data.Dataset.counter(pictures.seed)

    def views(image, number):
        image = tf.image.convert_image_dtype(image, tf.float32)
        seeds = (tf.stack([number, tf.cast(i, tf.int64)]) for i in range(VIEWS))
        return tf.stack([_tf_image_view(tf, image, seed) for seed in seeds])

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
        aspect_ratio_range=AUGMENTATION.crop_ratio,
        area_range=AUGMENTATION.crop_scale,
        max_attempts=10,
        use_image_if_no_bounding_boxes=True,
    )
    draws = tf.random.stateless_uniform([7], seed)

    def maybe(draw, probability, change, image):
        return tf.cond(draw < probability, lambda: change(image), lambda: image)

    def jitter(image):
        return _tf_image_jitter(tf, image, draws)

    def gray(image):
        return tf.image.grayscale_to_rgb(tf.image.rgb_to_grayscale(image))

    image = tf.image.resize(tf.slice(image, begin, extent), (height, width))
    image.set_shape((height, width, 3))
    image = maybe(draws[0], AUGMENTATION.flip, tf.image.flip_left_right, image)
    image = maybe(draws[1], AUGMENTATION.jitter, jitter, image)
    return maybe(draws[6], AUGMENTATION.grayscale, gray, image)


def _tf_image_jitter(tf: Any, image: Any, draws: Any) -> Any:
    """Brightness is a factor, as in SimCLR; hue that of HSV: tf.image has no other."""

    def factor(draw, strength):
        return 1.0 + strength * (2.0 * draw - 1.0)

    def clip(image):
        return tf.clip_by_value(image, 0.0, 1.0)

    image = clip(image * factor(draws[2], AUGMENTATION.brightness))
    image = clip(
        tf.image.adjust_contrast(image, factor(draws[3], AUGMENTATION.contrast))
    )
    saturation = factor(draws[4], AUGMENTATION.saturation)
    image = tf.image.adjust_saturation(image, saturation)
    return clip(tf.image.adjust_hue(image, factor(draws[5], AUGMENTATION.hue) - 1.0))


def torchvision_views(pictures: Pictures) -> Stream:
    """Views by torchvision of images in memory, by one process for each core."""
    return _load(list(pictures.images), pictures.images.shape[1], len(pictures.images))


def torchvision_pipeline(files: Files) -> Stream:
    """The same of encoded images, which are in memory: reading costs nothing."""
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
        self._images = images
        transforms = importlib.import_module("torchvision.transforms")
        views = AUGMENTATION
        jitter = transforms.ColorJitter(
            views.brightness, views.contrast, views.saturation, views.hue
        )
        steps = [
            transforms.RandomResizedCrop(size, views.crop_scale, views.crop_ratio),
            transforms.RandomHorizontalFlip(views.flip),
            transforms.RandomApply([jitter], views.jitter),
            transforms.RandomGrayscale(views.grayscale),
            transforms.ToTensor(),
        ]
        self._transform = transforms.Compose(steps)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Any:
        image = self._images[index]
        if isinstance(image, bytes):
            picture = open_picture(image).convert("RGB")
        else:
            picture = Image.fromarray(image)
        return tuple(self._transform(picture) for _ in range(VIEWS))
