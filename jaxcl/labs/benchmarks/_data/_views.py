"""Views of images in memory, by JAX and by tf.data."""

import contextlib
import functools
import itertools
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from jaxcl.augment import augment_batch, draw_numbers, sample_keys
from jaxcl.labs.benchmarks._data._options import AUGMENTATION, VIEWS
from jaxcl.labs.benchmarks._data._streams import Stream

_QUALITY = 90
_PICTURES_AT_ONCE = 64


class Pictures(NamedTuple):
    """Images of one batch, the same for every implementation."""

    images: np.ndarray
    """`[batch, height, width, 3]` of uint8."""
    seed: int


def make_pictures(count: int, size: int, seed: int) -> np.ndarray:
    """Smooth spots with noise, as compressible as photographs, `[n, size, size, 3]`.

    Example:
        >>> make_pictures(2, 16, seed=0).shape
        (2, 16, 16, 3)
    """
    generator = np.random.default_rng(seed)
    spots = generator.uniform(0, 255, (count, 4, 4, 3))
    # Bilinear, from 4 by 4 colors to all pixels.
    places = np.linspace(0, 3, size)
    weights = np.maximum(0.0, 1.0 - np.abs(places[:, None] - np.arange(4)))
    smooth = np.einsum("yh,xw,nhwc->nyxc", weights, weights, spots, optimize=True)
    noise = generator.normal(0, 8, smooth.shape)
    return np.clip(smooth + noise, 0, 255).astype(np.uint8)


def write_pictures(
    directory: Path, count: int, size: int, seed: int, suffix: str
) -> None:
    """Image files of one domain and two classes."""
    for start in range(0, count, _PICTURES_AT_ONCE):
        some = min(_PICTURES_AT_ONCE, count - start)
        for i, pixels in enumerate(make_pictures(some, size, seed + start), start):
            file = directory / "made" / "ab"[i % 2] / f"{i}.{suffix}"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(file, quality=_QUALITY)


def jax_views(pictures: Pictures) -> Stream:
    """`augment_batch` of images on the default device."""
    views, images = compile_views(pictures.seed), jnp.asarray(pictures.images)
    instances = jnp.arange(len(images))

    def batches() -> Iterator[jax.Array]:
        made = (views(jnp.int32(step), instances, images) for step in itertools.count())
        return completed(made)

    return Stream(batches, len(images))


@functools.cache
def compile_views(seed: int) -> Callable[[Any, Any, Any], jax.Array]:
    """Views of (epoch, instances, images) in one program, keys and all."""

    @jax.jit
    def views(epoch, instances, images):
        keys = sample_keys(seed, epoch, instances)
        return augment_batch(keys, images, VIEWS, AUGMENTATION)

    return views


def completed(batches: Generator[jax.Array, None, None]) -> Iterator[jax.Array]:
    """Complete batches; the next one is being made meanwhile, as in training."""
    with contextlib.closing(batches):
        for before, _ in itertools.pairwise(batches):
            yield jax.block_until_ready(before)


def tf_views(pictures: Pictures) -> Stream:
    """The views of our tf.data path, drawn by JAX and made by TensorFlow."""
    from jaxcl.data._tf import tensorflow
    from jaxcl.data._tf._views import make_views

    tf = tensorflow()
    images, count = tf.constant(pictures.images), len(pictures.images)
    draw = draw_base(pictures.seed, count)

    def of_step(step):
        base = tf.numpy_function(draw, [step], tf.float32)
        return make_views(images, base, None, AUGMENTATION, VIEWS)

    steps = tf.data.Dataset.range(2**31 - 1)
    made = steps.map(of_step, num_parallel_calls=tf.data.AUTOTUNE)
    return Stream(made.prefetch(tf.data.AUTOTUNE).as_numpy_iterator, count)


def draw_base(seed: int, count: int) -> Callable[[Any], np.ndarray]:
    """A function that draws the numbers of a step's views, as our tf.data path does."""

    def draw(step):
        with jax.default_device(jax.local_devices(backend="cpu")[0]):
            keys = sample_keys(seed, jnp.int32(step), jnp.arange(count))
            return np.asarray(draw_numbers(keys, VIEWS, AUGMENTATION)[0])

    return draw
