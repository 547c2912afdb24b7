"""Augmentation of papers: the settings behind `augmentation.recipe`."""

from typing import Any

# Every operation off: a recipe lists what it switches on, whatever the defaults are.
_NONE: dict[str, Any] = {
    "plain_views": 0,
    "crop_scale": (1.0, 1.0),
    "flip": 0.0,
    "rotate": 0.0,
    "jitter": 0.0,
    "grayscale": 0.0,
    "blur": 0.0,
    "erase": 0.0,
    "small_views": 0,
}


def _crop(smallest: float) -> dict[str, Any]:
    return {"crop_scale": (smallest, 1.0), "crop_ratio": (3 / 4, 4 / 3)}


def _jitter(strength: float, hue: float) -> dict[str, Any]:
    """Color jitter with probability 0.8; the papers shift the hue in HSV."""
    return {
        "jitter": 0.8,
        "brightness": strength,
        "contrast": strength,
        "saturation": strength,
        "hue": hue,
        "hue_space": "hsv",
    }


# SimCLR, arXiv 2002.05709, appendix A, color distortion of strength 1 and a blur whose
# kernel is a tenth of the image. (For CIFAR-10, appendix B.9 halves the strength and
# leaves out the blur.)
_SIMCLR = {
    **_NONE,
    **_crop(0.08),
    "flip": 0.5,
    **_jitter(0.8, hue=0.2),
    "grayscale": 0.2,
    "blur": 0.5,
    "blur_sigma": (0.1, 2.0),
    "blur_size": 0,
}

# SupCon, arXiv 2004.11362, released code for CIFAR.
_SUPCON = {
    **_NONE,
    **_crop(0.2),
    "flip": 0.5,
    **_jitter(0.4, hue=0.1),
    "grayscale": 0.2,
}

# BiasCon, Hong and Yang, NeurIPS 2021, released code for colored digits: no crop, no
# flip.
_BIASCON = {**_NONE, "rotate": 20.0, **_jitter(0.4, hue=0.1)}

# The three regimes on CIFAR-10 of arXiv 2606.04280, section 5.2, values of its released
# code. Its order of operations is random, ours is fixed. The anchor is not augmented.
_CIFAR_NO_CROP = {
    **_NONE,
    "plain_views": 1,
    "flip": 0.5,
    **_jitter(0.8, hue=0.2),
    "grayscale": 0.2,
    "blur": 1.0,
    "blur_sigma": (0.1, 2.0),
    "blur_size": 3,
    "erase": 1.0,
    "erase_scale": (0.02, 0.33),
}

# Multi-crop, SwAV, arXiv 2006.09882, appendix A: two large crops and six small ones.
# The small ones measure 96 pixels where the large ones measure 224.
_MULTI_CROP = {
    **_SIMCLR,
    **_crop(0.14),
    "small_views": 6,
    "small_size": 96,
    "small_scale": (0.05, 0.14),
}

# Fields that a recipe does not use keep their defaults.
RECIPES: dict[str, dict[str, Any]] = {
    "none": _NONE,
    "simclr": _SIMCLR,
    "supcon": _SUPCON,
    "biascon": _BIASCON,
    "cifar_all": {**_CIFAR_NO_CROP, **_crop(0.08)},
    "cifar_crop": {**_NONE, "plain_views": 1, **_crop(0.08)},
    "cifar_no_crop": _CIFAR_NO_CROP,
    "multi_crop": _MULTI_CROP,
}
