"""Data and augmentation: which samples, what their columns mean, how views are made."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from jaxcl.config._bounds import (
    Bound,
    Count,
    PartialShare,
    PositiveRange,
    PositiveShare,
    Probability,
    Share,
    ShareRange,
    Size,
    Weight,
    at_least,
)

# Those of pandas.
MISSING = (
    *("#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND"),
    *("1.#QNAN", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
)


# Twice the number above which Pillow warns: the most that it opens.
_PILLOW_OPENS = 178_956_970


@dataclass(frozen=True)
class SamplerConfig:
    """How the samples of a batch are drawn."""

    name: Literal[
        "uniform", "domain_balanced", "domain_homogeneous", "label_domain", "importance"
    ] = "uniform"
    """uniform: every sample once an epoch; domain_balanced: equally many samples of
    each domain in a batch; domain_homogeneous: each batch from one domain;
    label_domain: equally many of each pair of label and domain; importance: drawn with
    weight 1 / p(bias given label)."""
    cap: Annotated[float, at_least(1)] = 10.0
    """Largest weight of importance sampling, as a multiple of the smallest."""


@dataclass(frozen=True)
class SelectionConfig:
    """Which training samples are used, held out, or stripped of their label.

    What is held out can be evaluated: data.test_splits may name `held_out`,
    `validation_domains` and `validation`.
    """

    held_out_domains: tuple[str, ...] = ()
    """Domains excluded from training; they form the test split `held_out`."""
    validation_domains: tuple[str, ...] = ()
    """Domains excluded from training; they form the test split `validation_domains`."""
    validation_fraction: PartialShare = 0.0
    """Share of the remaining samples that forms the test split `validation`."""
    fraction: PositiveShare = 1.0
    """Share of the remaining samples to train on; smaller shares are subsets of larger
    ones."""
    per_class: Count = 0
    """Number of samples of each class to train on; 0 = all."""
    labeled_fraction: Share = 1.0
    """Share of the training samples that keep their label; the others get label -1."""
    labeled_per_class: Count = 0
    """Number of samples of each class that keep their label; 0 = all."""
    seed: Count = 0
    """Seed of all choices above; independent of the seed of the run."""


@dataclass(frozen=True)
class CorruptionConfig:
    """Metadata corrupted on purpose, in training only: the control arms of a study."""

    mode: Literal["none", "shuffle", "noise", "drop", "infer"] = "none"
    """shuffle: permute the values; noise: replace them by other values; drop: remove
    them; infer: replace them by clusters of the images' colors."""
    column: str = "domain"
    """Column to corrupt: label, domain, bias, or a column of metadata."""
    rate: Share = 1.0
    """Share of the samples to corrupt."""
    seed: Count = 0
    """Seed of the corruption."""


@dataclass(frozen=True)
class DataConfig:
    """The data set, its columns, and how batches are read."""

    name: str = "colored_digits"
    """Name of a data set, or name/config; `jaxcl data list` shows all."""
    path: str = ""
    """Folder with your own images, in place of `name`."""
    table: str = ""
    """CSV, Parquet or JSONL file that describes the images of `path`: a column `path`,
    and any others. Without it the folders say split, domain and class:
    `train/<domain>/<class>/<file>`, of which all but the file may be absent."""
    missing: tuple[str, ...] = MISSING
    """Words that stand for a missing value in every column of `table`; an empty cell
    always does."""
    white: Weight = 0.0
    """The value that is white in images of `path` with more than 8 bits; 0 = 65535
    for 16 bits, and for others 1, 255 or 65535, as fits all of them."""
    data_dir: str = ""
    """Where data sets are built and read; empty = TFDS_DATA_DIR, else a user cache."""
    batch_size: Annotated[int, at_least(2)] = 128
    """Samples per step, over all devices."""
    views: Size = 2
    """Augmented views of each sample."""
    image_size: Count = 0
    """Height and width of the decoded images; 0 = as stored."""
    fit: Literal["crop", "stretch"] = "crop"
    """How images of another shape are brought to image_size: crop their center, or
    stretch them."""
    max_pixels: Annotated[
        int, Bound(f"be from 1 to {_PILLOW_OPENS}", lambda n: 1 <= n <= _PILLOW_OPENS)
    ] = 120_000_000
    """Largest number of pixels of an image as stored; one with more counts as
    unreadable, before any of it is decoded. A 102-megapixel camera stays below."""
    normalization: Literal["none", "train"] = "none"
    """train: standardize each channel by its mean and standard deviation over the
    training samples, after augmentation."""
    train_split: str = "train"
    """Split to train on; slices such as train[:50%] are allowed."""
    test_splits: Annotated[
        tuple[str, ...],
        Bound("not repeat a split", lambda splits: len(set(splits)) == len(splits)),
    ] = ("id_test", "ood_test")
    """Splits to evaluate on."""
    label: str = "label"
    """Column of the class, for objectives and evaluations that read it; empty = none; a
    dot reaches nested ones: attributes.Male."""
    domain: str = ""
    """Column of the domain; empty = none; `a * b` = every pair of values of a and b."""
    bias: str = ""
    """Column of the bias attribute; empty = none."""
    instance: str = ""
    """Column of integers that identify the samples; empty = their positions."""
    metadata: tuple[str, ...] = ()
    """Further columns to load, also texts; empty = all numbers and categories."""
    colors: Count = 0
    """Blocks along each side of a training image whose mean colors, from 0 to 1, become
    the metadata column `colors`; 0 = none."""
    selection: SelectionConfig = field(default_factory=SelectionConfig)
    """Which training samples are used, held out, or stripped of their label."""
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    """How the samples of a batch are drawn."""
    corruption: CorruptionConfig = field(default_factory=CorruptionConfig)
    """Metadata corrupted on purpose, in training only."""
    bad_records: Literal["error", "skip", "count"] = "error"
    """What to do with an image that cannot be decoded. error: stop the run; skip: leave
    it out of its batch; count: skip up to max_bad_records, then stop."""
    max_bad_records: Count = 100
    """Largest number of skipped images with bad_records = "count"."""
    pipeline: Literal["grain", "tf_data"] = "grain"
    """Library that prefetches batches: grain, or tf.data (needs TensorFlow). Both give
    the same batches."""
    keep_on_device: bool = False
    """Keep all training images in the accelerator's memory."""
    workers: Size = 2
    """Threads that read and decode batches in advance."""


@dataclass(frozen=True)
class AugmentationConfig:
    """How views are made; operations are drawn anew for each view of each sample."""

    recipe: Literal[
        "custom",
        "none",
        "simclr",
        "supcon",
        "biascon",
        "cifar_all",
        "cifar_crop",
        "cifar_no_crop",
        "multi_crop",
    ] = "custom"
    """Settings of a paper for all fields below; fields that are set explicitly override
    them."""
    on: Literal["device", "host"] = "device"
    """Where views are made: on the accelerator inside the step, or by tf.data."""
    plain_views: Count = 0
    """Number of views, the first ones, that are the image without augmentation."""
    crop_scale: ShareRange = (0.4, 1.0)
    """Share of the image's area in a random resized crop; 1, 1 = no crop."""
    crop_from: Literal["fitted", "stored"] = "fitted"
    """What is cropped: the image at data.image_size, or the image as stored, which
    keeps small crops of large images sharp (on = "host" only)."""
    crop_ratio: PositiveRange = (0.75, 1.3333333)
    """Range of the crop's aspect ratio, width / height."""
    flip: Probability = 0.0
    """Probability of a horizontal flip."""
    rotate: Weight = 0.0
    """Largest rotation in degrees, in both directions; the corners become black."""
    jitter: Probability = 0.0
    """Probability of color jitter: brightness, contrast, saturation and hue."""
    brightness: Weight = 0.4
    """Largest relative change of brightness."""
    contrast: Weight = 0.4
    """Largest relative change of contrast."""
    saturation: Weight = 0.4
    """Largest relative change of saturation; color images only."""
    hue: Weight = 0.1
    """Largest shift of the hue, as a share of the full circle; color images only."""
    hue_space: Literal["yiq", "hsv"] = "yiq"
    """Color space of the hue shift: YIQ (fast, keeps the luma), or HSV (as in Pillow
    and torchvision)."""
    grayscale: Probability = 0.0
    """Probability of conversion to grayscale."""
    blur: Probability = 0.0
    """Probability of a Gaussian blur."""
    blur_sigma: PositiveRange = (0.1, 2.0)
    """Range of the standard deviation of the blur in pixels."""
    blur_size: Annotated[
        Count, Bound("be odd", lambda size: size == 0 or size % 2 == 1)
    ] = 0
    """Size of the blur kernel in pixels, odd; 0 = a tenth of the image, at least 3."""
    erase: Probability = 0.0
    """Probability of random erasing: a rectangle becomes black."""
    erase_scale: ShareRange = (0.02, 0.33)
    """Share of the view's area that is erased."""
    small_views: Count = 0
    """Additional views that are small crops (multi-crop)."""
    small_size: Annotated[int, at_least(4)] = 96
    """Height and width of the small crops."""
    small_scale: ShareRange = (0.05, 0.14)
    """Share of the image's area in a small crop."""
