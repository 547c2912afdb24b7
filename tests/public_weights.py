"""Random weights that two programs draw alike, so that no file need hold them.

``scripts/compare_encoders.py`` gives them to the networks of other libraries and
records what these answer; tests give them to ours.
"""

import zlib
from collections.abc import Mapping

import numpy as np

# Registers, class tokens and positions: neither kernels nor factors.
_ADDED = ("token", "pos_embed", "positional", "position_embeddings", "class_embedding")


def draw_weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Arrays by name: nothing is 0 or 1, as it is where training begins."""
    return {key: _draw(key, tuple(shape)) for key, shape in shapes.items()}


def _draw(key: str, shape: tuple[int, ...]) -> np.ndarray:
    if key.endswith("bias_mask"):
        return np.repeat(np.float32([1, 0, 1]), shape[0] // 3)
    # The numbers of this old generator are fixed for all time.
    values = np.random.RandomState(zlib.crc32(key.encode())).uniform(size=shape)
    if key.endswith("running_var") or (
        len(shape) == 1 and key.endswith(("weight", "gamma", "lambda1", "_1", "_2"))
    ):
        return np.asarray(0.5 + values, np.float32)
    if len(shape) < 2 or any(word in key for word in _ADDED):
        return np.asarray(values - 0.5, np.float32)
    fan_in = shape[0] if key.endswith("proj") else np.prod(shape[1:])
    return np.float32((2 * values - 1) * np.sqrt(3 / fan_in))


def draw_images(image_shape: tuple[int, ...], count: int = 2) -> np.ndarray:
    """Images with values in [0, 1]."""
    draws = np.random.RandomState(0).uniform(size=(count, *image_shape))
    return np.float32(draws)
