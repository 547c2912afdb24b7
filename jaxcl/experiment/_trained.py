"""A trained encoder, which takes images as they are."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.config import ConfigError, TrainConfig
from jaxcl.data import fit_images
from jaxcl.models import Architecture, Encoder, Pretrained, repeat_gray
from jaxcl.training import Normalization, normalize

Shape = tuple[int, int, int]

# Batches that the device has before the first of them is waited for.
_AHEAD = 2


@dataclass(frozen=True, eq=False)
class TrainedEncoder:
    """A trained encoder that takes images as they are; `jaxcl.load` makes it.

    Attributes:
        run: The directory of the run.
        step: The step of the checkpoint.
        config: The config of the run.
        extra: What is stored with the checkpoint: versions, origin, history.
        encoder: The encoder, as two pure functions.
        params: Its parameters; their moving average if the run has one.
        model_state: Its statistics of BatchNorm, and other state.
        image_shape: Height, width and channels of the images that it takes.
        channels: Channels that the weights take: gray images are repeated for them.
        normalization: Mean and standard deviation of each channel, if the run
            normalizes its images.
        digest: SHA-256 of `params` and `model_state`.
    """

    run: Path
    step: int
    config: TrainConfig
    extra: Mapping[str, Any]
    encoder: Encoder
    params: Any
    model_state: Any
    image_shape: Shape
    channels: int
    normalization: Normalization | None
    digest: str

    def encode(self, images: Any, *, batch_size: int = 256) -> np.ndarray:
        """Embeds images, without augmentation.

        Images of another shape are brought to `image_shape` as the run does with its
        own, by `data.fit`. The rows equal those of ``jaxcl embed`` bit for bit where
        the same images share a batch, and else up to the order in which XLA sums.

        Args:
            images: uint8 `[n, height, width, channels]`, gray `[n, height, width]`, or
                a list of images that can differ in size: such arrays without the first
                axis, and images of Pillow.
            batch_size: Images at once. The last batch is filled up, so that all have
                one shape and one program. Fewer images than this are filled up to a
                power of two.

        Returns:
            float32 `[n, dim]`.

        Raises:
            ValueError: The images have another type or number of axes.
        """
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1, got {batch_size}")
        if not isinstance(images, Sequence):
            images = np.atleast_1d(np.asarray(images))
        fit, count = self.config.data.fit, len(images)
        size = choose_size(count, batch_size)

        def batches() -> Iterator[np.ndarray]:
            for start in range(0, count, size):
                fitted = fit_images(images[start : start + size], self.image_shape, fit)
                yield fill_up(fitted, size)

        if not count:
            fit_images(images, self.image_shape, fit)
            return np.zeros((0, self.dim), np.float32)
        return np.concatenate([*self.embed_batches(batches())])[:count]

    def embed_batches(self, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Embeddings of batches of images in `image_shape`, in order.

        The next batches are read while the device computes.
        """
        return _in_order(self.embed, batches)

    def embed(self, images: Any) -> jax.Array:
        """Embeddings of uint8 images in `image_shape`, compiled for each batch size."""
        return self._compiled(self.params, self.model_state, images)

    @cached_property
    def _compiled(self) -> Callable[..., jax.Array]:
        return jax.jit(self._apply)

    def apply(self, images: jax.Array) -> jax.Array:
        """Embeddings of uint8 images, as a pure function that holds the parameters."""
        return self._apply(self.params, self.model_state, images)

    def _apply(self, params: Any, model_state: Any, images: jax.Array) -> jax.Array:
        with jax.ensure_compile_time_eval():
            key = jax.random.key(0)  # evaluation mode draws nothing
        scaled = repeat_gray(images.astype(jnp.float32) / 255.0, self.channels)
        scaled = normalize(scaled, self.normalization)
        rows, _ = self.encoder.apply(params, model_state, scaled, False, key)
        return rows.astype(jnp.float32)

    @cached_property
    def dim(self) -> int:
        """The dimension of the embeddings."""
        images = jax.ShapeDtypeStruct((2, *self.image_shape), jnp.uint8)
        return jax.eval_shape(self.apply, images).shape[1]

    def count_parameters(self) -> int:
        """How many numbers `params` holds."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.params))

    @property
    def pretrained(self) -> Pretrained:
        """The weights, with what is needed to run them or to start from them.

        Raises:
            ConfigError: The encoder was passed to `train`: no architecture has a name.
        """
        architecture = self.extra["encoder"].get("architecture")
        if architecture is None:
            raise ConfigError(
                "`pretrained` must be of an encoder that the config names, got 'custom'"
            )
        mean = std = ()
        if self.normalization is not None:
            mean = tuple(self.normalization.mean.tolist())
            std = tuple(self.normalization.deviation.tolist())
        return Pretrained(
            architecture=Architecture.from_dict(architecture),
            params=self.params,
            model_state=self.model_state,
            image_shape=(*self.image_shape[:2], self.channels),
            mean=mean,
            std=std,
            digest=self.digest,
        )


def choose_size(count: int, batch_size: int) -> int:
    """The size of all batches of some images: a power of two if they are few.

    Example:
        >>> choose_size(5, 256), choose_size(1000, 256)
        (8, 256)
    """
    return min(batch_size, 1 << max(count - 1, 0).bit_length())


def fill_up(images: np.ndarray, size: int) -> np.ndarray:
    """A batch of images with black ones added."""
    return np.pad(images, [(0, size - len(images)), *[(0, 0)] * 3])


def _in_order(
    compute: Callable[[np.ndarray], jax.Array], batches: Iterable[np.ndarray]
) -> Iterator[np.ndarray]:
    """Results of batches, of which some are still being computed."""
    waiting: deque[jax.Array] = deque()
    for batch in batches:
        waiting.append(compute(batch))
        if len(waiting) > _AHEAD:
            yield np.asarray(waiting.popleft())
    yield from map(np.asarray, waiting)
