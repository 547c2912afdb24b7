"""Augmented views, made on the accelerator.

A view depends only on the key of its sample, not on how a batch is split over devices.
"""

from jaxcl.augment._draws import (
    BASE_DRAWS as BASE_DRAWS,
    EXTRA_DRAWS as EXTRA_DRAWS,
    draw_numbers as draw_numbers,
    sample_keys as sample_keys,
)
from jaxcl.augment._geometry import (
    Box as Box,
    crop_and_resize as crop_and_resize,
)
from jaxcl.augment._views import (
    augment_batch as augment_batch,
    augment_small as augment_small,
)

__all__ = [
    "BASE_DRAWS",
    "EXTRA_DRAWS",
    "Box",
    "augment_batch",
    "augment_small",
    "crop_and_resize",
    "draw_numbers",
    "sample_keys",
]
