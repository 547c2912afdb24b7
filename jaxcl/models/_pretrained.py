"""Trained weights of an encoder, with what is needed to run them."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PyTree

from jaxcl.kernels import AxisName
from jaxcl.models._architecture import Architecture, ImageShape
from jaxcl.models._encoder import Encoder
from jaxcl.models._lora import Lora, with_base
from jaxcl.models._moments import along
from jaxcl.models._positions import patch_grid, resample_positions

Values = Sequence[float] | Float[np.ndarray, " channels"]


@dataclass(frozen=True)
class Pretrained:
    """Trained weights of an encoder, with what is needed to run them.

    Args:
        architecture: The encoder.
        params: Its parameters, nested dicts of arrays.
        model_state: Its statistics of BatchNorm and other state.
        image_shape: Height, width and channels of the images that it was trained on.
        mean: Mean of each channel, in [0, 1], which is subtracted from the images;
            empty = 0.
        std: Standard deviation of each channel, by which the result is divided;
            empty = 1.
        source: Where the weights come from, in words: "timm", "torchvision", "jaxcl".
        digest: SHA-256 of the file.
        notes: Guesses made while loading, one sentence each.
    """

    architecture: Architecture
    params: PyTree
    model_state: PyTree
    image_shape: ImageShape
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    source: str = "jaxcl"
    digest: str = ""
    notes: tuple[str, ...] = ()

    def make_encoder(
        self,
        image_shape: ImageShape | None = None,
        *,
        axis_name: AxisName = None,
        dtype: DTypeLike | None = None,
        lora: Lora | None = None,
    ) -> Encoder:
        """An encoder that starts with these weights, and normalizes images as they do.

        Args:
            image_shape: Shape of the images; None = that of the training. Gray images
                are repeated for weights of three channels.
            axis_name: Mapped axis over which BatchNorm averages its batch statistics.
            dtype: Compute type; None = float32.
            lora: Adds LoRA to linear layers.

        Returns:
            The encoder. It takes images with values in [0, 1], and its `init` returns
            these weights, whatever its key, which draws those of `lora` only; learned
            positions are interpolated for `image_shape`, bicubic with antialias, as in
            timm.
        """
        channels = self.image_shape[-1]
        height, width = (image_shape or self.image_shape)[:2]
        shape = (height, width, channels)
        old = self.image_shape
        inner = self.architecture.make_encoder(
            shape, axis_name=axis_name, dtype=dtype, lora=lora
        )

        def init(key, images):
            params = _move_positions(self.params, self.architecture, old, shape)
            # A step may give the memory of its parameters away.
            params, state = jax.tree.map(jnp.array, (params, self.model_state))
            if lora is not None:
                params = with_base(inner.init(key, images)[0], params)
            return params, state

        def apply(params, model_state, images, train, key):
            images = standardize(repeat_gray(images, channels), self.mean, self.std)
            return inner.apply(params, model_state, images, train, key)

        return Encoder(init, apply)


def _move_positions(
    params: PyTree, architecture: Architecture, old: ImageShape, new: ImageShape
) -> PyTree:
    """Interpolates learned positions, where images have another number of patches."""
    if architecture.kind != "vit" or "positions" not in params:
        return params
    side = architecture.options["patch_size"]
    before, after = (patch_grid(h, w, side) for h, w, _ in (old, new))
    moved = resample_positions(jnp.asarray(params["positions"]), before, after)
    return {**params, "positions": moved}


def repeat_gray(
    images: Float[Array, "*batch height width _"], channels: int
) -> Float[Array, "*batch height width channels"]:
    """Repeats gray images for weights of several channels.

    Example:
        >>> repeat_gray(jnp.ones((2, 4, 4, 1)), 3).shape
        (2, 4, 4, 3)
    """
    if images.shape[-1] == channels:
        return images
    if images.shape[-1] != 1:
        raise ValueError(
            f"`images` must have {channels} channels, or 1, got {images.shape[-1]}"
        )
    return jnp.repeat(images, channels, axis=-1)


def standardize(
    images: Float[Array, "*batch channels"],
    mean: Values,
    std: Values,
) -> Float[Array, "*batch channels"]:
    """(images − mean) / std for each channel; empty = no such step.

    Example:
        >>> standardize(jnp.ones((1, 2)), mean=[0.5, 1.0], std=[0.25, 1.0])
        Array([[2., 0.]], dtype=float32)
    """
    if len(mean):
        images = images - along(jnp.asarray(mean, images.dtype), images)
    if len(std):
        images = images / along(jnp.asarray(std, images.dtype), images)
    return images
