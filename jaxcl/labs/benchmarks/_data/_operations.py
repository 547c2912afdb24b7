"""The operations of our input paths, each alone, without waiting for the others."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxcl.data._batches import ImageReader, side_data
from jaxcl.data._decode import decode_image
from jaxcl.data._pipeline import local_draw
from jaxcl.labs.benchmarks._data._options import AUGMENTATION, VIEWS
from jaxcl.labs.benchmarks._data._pipeline import Files, read_encoded
from jaxcl.labs.benchmarks._data._streams import Stream
from jaxcl.labs.benchmarks._data._views import compile_views, completed, draw_base

# Several, since a processor gets faster at one it has seen again and again.
_BATCHES = 4


def read(files: Files) -> Stream:
    """Bytes and columns of the samples of each step, by Python."""
    split, sampler = files.data.train, files.data.sampler
    reader = ImageReader(split, files.data.bad)

    def of_step(step: int) -> Any:
        draw = local_draw(sampler, step)
        records = reader.records(draw.rows)
        return side_data(split, draw.rows, records, draw.epochs)

    return _of_steps(of_step, files)


def draw(files: Files) -> Stream:
    """The random numbers of the views, by JAX on the host."""
    return _of_steps(draw_base(files.seed, files.batch_size), files)


def decode_by_pillow(files: Files) -> Stream:
    """Bytes to a batch of pixels."""
    batches = [read_encoded(files, step) for step in range(_BATCHES)]

    return _of_steps(lambda step: _decode(files, batches[step % _BATCHES]), files)


def decode_by_tf(files: Files) -> Stream:
    """The same by TensorFlow."""
    from jaxcl.data._tf._decode import decode_and_fit

    split = files.data.train
    encoded = np.array([read_encoded(files, i) for i in range(_BATCHES)], object)

    def of_batch(data: Any) -> Any:
        return decode_and_fit(data, split.image_shape, split.fit)

    return _of_tensors((encoded,), of_batch, files)


def views_by_jax(files: Files) -> Stream:
    """Pixels to views."""
    views, images = compile_views(files.seed), _decoded(files)
    instances = jnp.arange(files.batch_size)

    def batches() -> Iterator[Any]:
        # As in training, the pixels come from the host every time.
        return completed(
            views(jnp.int32(step), instances, images[step % _BATCHES])
            for step in itertools.count()
        )

    return Stream(batches, files.batch_size)


def views_by_tf(files: Files) -> Stream:
    """The same by TensorFlow, with the numbers drawn before."""
    from jaxcl.data._tf._views import make_views

    images = _decoded(files)
    draw_step = draw_base(files.seed, files.batch_size)
    base = np.stack([draw_step(step) for step in range(_BATCHES)])

    def of_batch(images: Any, base: Any) -> Any:
        return make_views(images, base, None, AUGMENTATION, VIEWS)

    return _of_tensors((images, base), of_batch, files)


# By the name of the path, in its order.
_JAX = {"read": read, "decode": decode_by_pillow, "views": views_by_jax}
_TF = {"read": read, "draw": draw, "decode": decode_by_tf, "views": views_by_tf}
OPERATIONS = {"grain + JAX views": _JAX, "tf.data, views on the host": _TF}


def _decoded(files: Files) -> np.ndarray:
    """The pixels of the first steps, `[steps, batch, height, width, channels]`."""
    encoded = (read_encoded(files, step) for step in range(_BATCHES))
    return np.stack([_decode(files, batch) for batch in encoded])


def _decode(files: Files, encoded: list[bytes]) -> np.ndarray:
    split = files.data.train
    images = np.zeros((len(encoded), *split.image_shape), np.uint8)
    for i, data in enumerate(encoded):
        images[i] = decode_image(data, split.image_shape, split.fit)
    return images


def _of_steps(function: Callable[[int], Any], files: Files) -> Stream:
    return Stream(lambda: map(function, itertools.count()), files.batch_size)


def _of_tensors(
    tensors: tuple[Any, ...], function: Callable[..., Any], files: Files
) -> Stream:
    """A function of batches, mapped as in our tf.data path."""
    from jaxcl.data._tf import tensorflow

    tf = tensorflow()
    same = tf.data.Dataset.from_tensor_slices(tensors).repeat()
    mapped = same.map(function, num_parallel_calls=tf.data.AUTOTUNE)
    batches = mapped.prefetch(tf.data.AUTOTUNE)
    return Stream(batches.as_numpy_iterator, files.batch_size)
