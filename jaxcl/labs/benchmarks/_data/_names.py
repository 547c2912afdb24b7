"""What all input paths are asked for."""

from typing import Literal

from jaxcl.config import AugmentationConfig

PathName = Literal["jax", "tf_data", "torchvision"]

JPEG = "jpeg"
VIEWS = 2
# The views of every contender, as far as each of them can make them.
AUGMENTATION = AugmentationConfig(
    crop_scale=(0.08, 1.0), flip=0.5, jitter=0.8, grayscale=0.2
)


def batch_of(size: int) -> int:
    """Images of a batch: about as many pixels in memory for every size."""
    return 256 if size <= 64 else 64
