"""Data and augmentation: which samples, what their columns mean, how views are made."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class SamplerConfig:
    """Which samples meet in a batch, and how often each is seen."""

    name: Literal[
        "uniform", "domain_balanced", "domain_homogeneous", "label_domain", "importance"
    ] = "uniform"
    """domain_balanced: as many of every domain in a batch; domain_homogeneous: a batch
    has one domain; label_domain: as many of every label in every domain; importance:
    samples weigh 1 / p(bias given label)."""
    cap: float = 10.0
    """Largest weight of importance sampling, in multiples of the smallest."""


@dataclass(frozen=True)
class SelectionConfig:
    """Which training samples are trained on, held out, or lose their label.

    Test splits can be named `held_out`, `validation_domains` and `validation`.
    """

    held_out_domains: tuple[str, ...] = ()
    """Domains never trained on; they are the test split `held_out`."""
    validation_domains: tuple[str, ...] = ()
    """Domains never trained on; they are the test split `validation_domains`."""
    validation_fraction: float = 0.0
    """Share of the other samples that becomes the test split `validation`."""
    fraction: float = 1.0
    """Share of what is left that is trained on; a smaller share lies in a larger."""
    per_class: int = 0
    """Samples of each class that are trained on; 0 = all."""
    labeled_fraction: float = 1.0
    """Share of the training samples whose label is shown; the others have label -1."""
    labeled_per_class: int = 0
    """Labels shown of each class; 0 = all."""
    seed: int = 0
    """Of every choice above, apart from the seed of the run."""


@dataclass(frozen=True)
class CorruptionConfig:
    """Metadata made worse on purpose, in training only: the controls of a study."""

    mode: Literal["none", "shuffle", "noise", "drop", "infer"] = "none"
    """shuffle: values trade places; noise: other values; drop: missing; infer: clusters
    of the images' colors instead of values."""
    column: str = "domain"
    """What is corrupted: label, domain, bias, or a column of metadata."""
    rate: float = 1.0
    """Share of the samples that are touched."""
    seed: int = 0
    """Of what is drawn."""


@dataclass(frozen=True)
class DataConfig:
    """Which data set, and which of its columns mean what."""

    name: str = "colored_digits"
    """A data set, or name/config: `jaxcl data list` shows the known ones."""
    path: str = ""
    """A folder of images of your own, instead of a name."""
    table: str = ""
    """CSV, Parquet or JSONL file of what is known of the images of `path`: a column
    `path`, and any others. Without it the folders are `<domain>/<class>/<file>`."""
    data_dir: str = ""
    """Where data sets are built and read; empty = TFDS_DATA_DIR, else a user cache."""
    batch_size: int = 128
    """Samples a step, over all devices."""
    views: int = 2
    """Augmented views of a sample."""
    image_size: int = 0
    """Height and width after decoding; 0 = as stored."""
    fit: Literal["crop", "stretch"] = "crop"
    """How images of another shape come to image_size: the middle of them, or all."""
    normalization: Literal["none", "train"] = "none"
    """train: subtract mean and divide by deviation of each channel of the training
    samples, after augmentation."""
    train_split: str = "train"
    """The split to train on, slices allowed: train[:50%]."""
    test_splits: tuple[str, ...] = ("id_test", "ood_test")
    """The splits to evaluate on."""
    label: str = "label"
    """The column that holds the class; attributes.Male for one inside another."""
    domain: str = ""
    """The column that holds the domain; empty = none; a * b = each pair of values."""
    bias: str = ""
    """The column that holds the bias attribute; empty = none."""
    instance: str = ""
    """The column of whole numbers that names a sample; empty = its position."""
    metadata: tuple[str, ...] = ()
    """Other columns to carry, texts included; empty = every number and category."""
    colors: int = 0
    """Blocks along each side of a training image whose mean colors are carried as the
    metadata `colors`, numbers from 0 to 1; 0 = none."""
    selection: SelectionConfig = field(default_factory=SelectionConfig)
    """Selection."""
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    """Sampler."""
    corruption: CorruptionConfig = field(default_factory=CorruptionConfig)
    """Corruption."""
    bad_records: Literal["error", "skip", "count"] = "error"
    """What an image that cannot be decoded does: end the run; be left out of its batch;
    be left out until there are more than max_bad_records."""
    max_bad_records: int = 100
    """How many of them `count` allows."""
    pipeline: Literal["grain", "tf_data"] = "grain"
    """What reads ahead: grain, or tf.data (needs TensorFlow). Both give the same."""
    keep_on_device: bool = False
    """Keep all images in the accelerator's memory, and send it positions only."""
    workers: int = 2
    """Threads that read and decode batches ahead of the step."""


@dataclass(frozen=True)
class AugmentationConfig:
    """How views are made; each operation is drawn for every view of every sample."""

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
    """Values for all fields below, of a paper; those that are given come after it."""
    on: Literal["device", "host"] = "device"
    """Where views are made: by the accelerator in the step, or by tf.data."""
    plain_views: int = 0
    """How many of the views, the first ones, are the image itself."""
    crop_scale: tuple[float, float] = (0.4, 1.0)
    """Share of the image's area in a random resized crop; 1, 1 = no crop."""
    crop_from: Literal["fitted", "stored"] = "fitted"
    """What is cropped: the image at data.image_size, or all pixels that are stored,
    which keeps small parts of large images sharp (on = "host" only)."""
    crop_ratio: tuple[float, float] = (0.75, 1.3333333)
    """Range of the crop's width / height."""
    flip: float = 0.0
    """Probability of a horizontal flip."""
    rotate: float = 0.0
    """Largest turn in degrees, either way; the corners become black."""
    jitter: float = 0.0
    """Probability of a change of brightness, contrast, saturation and hue."""
    brightness: float = 0.4
    """Largest relative change of brightness."""
    contrast: float = 0.4
    """Largest relative change of contrast."""
    saturation: float = 0.4
    """Largest relative change of saturation; color images only."""
    hue: float = 0.1
    """Largest turn of the hue, in turns; color images only."""
    hue_space: Literal["yiq", "hsv"] = "yiq"
    """What turns: the color plane of YIQ (fast, keeps the luma), or the H of HSV (as in
    Pillow and torchvision)."""
    grayscale: float = 0.0
    """Probability of removing the color."""
    blur: float = 0.0
    """Probability of a Gaussian blur."""
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    """Range of its standard deviation in pixels."""
    blur_size: int = 0
    """Pixels across its kernel, odd; 0 = a tenth of the image, at least 3."""
    erase: float = 0.0
    """Probability that a rectangle of the view becomes black."""
    erase_scale: tuple[float, float] = (0.02, 0.33)
    """Share of the view's area that is erased."""
    small_views: int = 0
    """Views beside `data.views` that are small crops (multi-crop)."""
    small_size: int = 96
    """Height and width of the small crops."""
    small_scale: tuple[float, float] = (0.05, 0.14)
    """Share of the image's area in a small crop."""
