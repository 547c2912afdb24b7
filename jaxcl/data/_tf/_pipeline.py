"""The tf.data pipeline: the same samples in the same order, decoded by TensorFlow.

Python reads the bytes and draws the random numbers of a step. TensorFlow's own threads,
which do not wait for Python's lock, decode, fit and augment.
"""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from jaxcl.augment import draw_numbers, sample_keys
from jaxcl.batch import Batch
from jaxcl.config import AugmentationConfig
from jaxcl.data._batches import BadRecords, ImageReader, side_data
from jaxcl.data._decode import decode_image, encode_png, make_plain
from jaxcl.data._errors import DataError
from jaxcl.data._pipeline import local_draw
from jaxcl.data._records import Record
from jaxcl.data._samplers import Sampler
from jaxcl.data._split import Split
from jaxcl.data._tf._decode import decode_and_fit, decode_crops
from jaxcl.data._tf._library import tensorflow
from jaxcl.data._tf._views import finish_views, make_small_views, make_views

# Steps whose bytes are read ahead of the decoding.
_READ_AHEAD = 4


def tf_batches(
    split: Split,
    sampler: Sampler,
    *,
    start: int,
    stop: int,
    bad: BadRecords,
    augmentation: AugmentationConfig | None = None,
    views: int = 2,
    seed: int = 0,
) -> Iterator[Batch]:
    """This process's part of the batches of the steps from `start` to `stop`.

    Args:
        split: An open split.
        sampler: Which samples each step sees.
        start: The first step.
        stop: One after the last step.
        bad: What to do with unreadable samples.
        augmentation: How views are made here; None leaves them to the accelerator.
        views: How many views.
        seed: Of the views.

    Returns:
        An iterator of batches of NumPy arrays: of images, or of their views.
    """
    tf = tensorflow()
    source = _Source(split, sampler, bad, augmentation, views, seed)
    kinds = [tf.string, *[tf.float32] * (0 if augmentation is None else 4)]
    batches = (
        tf.data.Dataset.range(start, stop)
        .map(
            lambda step: tf.numpy_function(source.read, [step], kinds),
            num_parallel_calls=_READ_AHEAD,
        )
        .map(
            lambda *columns: _make_pixels(split, augmentation, views, columns),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        .prefetch(tf.data.AUTOTUNE)
        .as_numpy_iterator()
    )
    for step in range(start, stop):
        try:
            arrays = next(batches)
        except tf.errors.OpError as error:
            # Read again by Pillow, which names the sample.
            ImageReader(split, BadRecords()).batch(local_draw(sampler, step).rows)
            said = str(error).splitlines()[0]
            raise DataError(
                f"a sample of split {split.name!r} at step {step} cannot be read: "
                f"{said}"
            ) from error
        side = source.side.pop(step)
        yield Batch(**{**vars(side), **arrays})


def _make_pixels(
    split: Split,
    augmentation: AugmentationConfig | None,
    views: int,
    columns: tuple[Any, ...],
) -> dict[str, Any]:
    """A batch's images, or its views, as TensorFlow makes them."""
    data, *numbers = columns
    data.set_shape([None])
    if augmentation is not None and augmentation.crop_from == "stored":
        base, extra, *_ = numbers
        crops = decode_crops(data, base, augmentation, views, *split.decoding)
        return {"views": finish_views(crops, base, extra, augmentation)}
    images = decode_and_fit(data, *split.decoding)
    if augmentation is None:
        return {"image": images}
    base, extra, small_base, small_extra = numbers
    made = {"views": make_views(images, base, extra, augmentation, views)}
    if augmentation.small_views:
        made["small_views"] = make_small_views(
            images, small_base, small_extra, augmentation
        )
    return made


class _Source:
    """Bytes and random numbers of each step, and the rest of its batch."""

    def __init__(
        self,
        split: Split,
        sampler: Sampler,
        bad: BadRecords,
        augmentation: AugmentationConfig | None,
        views: int,
        seed: int,
    ):
        self._split, self._sampler, self._bad = split, sampler, bad
        self._augmentation, self._views, self._seed = augmentation, views, seed
        self._reader = ImageReader(split, bad)
        self.side: dict[int, Batch] = {}
        """Batches by step that wait for their pixels."""
        self._black = encode_png(np.zeros(split.image_shape, np.uint8).squeeze())
        # One program: drawn one by one, the numbers would take as long as the views.
        self._draw = jax.jit(self._draw_all)

    def read(self, step: Any) -> list[np.ndarray]:
        step = int(step)
        draw = local_draw(self._sampler, step)
        records = self._reader.records(draw.rows)
        batch = side_data(self._split, draw.rows, records, draw.epochs)
        where, images = batch.where.copy(), []
        for i, (row, record) in enumerate(zip(draw.rows, records, strict=True)):
            data = None if record is None else self._check(record, int(row))
            where[i] = data is not None
            if data is not None:
                data = make_plain(data, self._split.max_pixels)
            images.append(data or self._black)
        self.side[step] = Batch(**{**vars(batch), "where": where})
        encoded = np.array(images, object)
        if self._augmentation is None:
            return [encoded]
        return [encoded, *self._numbers(batch)]

    def _check(self, record: Record, row: int) -> bytes | None:
        """The image's bytes; None when they are no image and it is left out."""
        data = record["image"]
        if self._bad.policy != "error":
            # What TensorFlow cannot decode would end its pipeline.
            try:
                decode_image(data, *self._split.decoding)
            except Exception as error:  # whatever a decoder of bytes raises
                self._bad.add(self._split, row, error, record)
                return None
        return data

    def _numbers(self, batch: Batch) -> list[np.ndarray]:
        """Four arrays with the sample first: of the views and of the small views."""
        with jax.default_device(jax.local_devices(backend="cpu")[0]):
            drawn = self._draw(batch.epoch, batch.instance)
        blank = np.zeros((len(batch.where), 0, 0), np.float32)
        return [blank if part is None else np.asarray(part) for part in drawn]

    def _draw_all(self, epochs: Any, instances: Any) -> tuple[Any, ...]:
        """The numbers drawn on the accelerator; None where no operation uses any."""
        config: Any = self._augmentation
        keys = sample_keys(self._seed, epochs, instances)
        drawn = draw_numbers(keys, self._views, config)
        if not config.small_views:
            return (*drawn, None, None)
        return (*drawn, *draw_numbers(keys, config.small_views, config, small=True))
