"""Every knob of a run: frozen dataclasses, read from TOML, checked before use."""

import dataclasses
import difflib
import tomllib
import types
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from jaxcl._rules import find_broken_rules

__all__ = [
    "AugmentationConfig",
    "ConfigError",
    "DataConfig",
    "EvaluationConfig",
    "ModelConfig",
    "ObjectiveConfig",
    "OptimizerConfig",
    "PenaltiesConfig",
    "TrainConfig",
    "as_dict",
    "differing_fields",
    "from_dict",
    "nearest",
    "read_toml",
    "write_toml",
]


class ConfigError(ValueError):
    """A config that cannot be run; the message names field, rule and value."""


@dataclass(frozen=True)
class DataConfig:
    """Which data set, and which of its columns mean what."""

    name: str = "colored_digits"
    """A data set, or name/config: `jaxcl data list` shows the known ones."""
    data_dir: str = ""
    """Where data sets are built and read; empty = TFDS_DATA_DIR, else a user cache."""
    batch_size: int = 128
    """Samples a step, over all devices."""
    views: int = 2
    """Augmented views of a sample."""
    image_size: int = 0
    """Height and width after decoding; 0 = as stored."""
    train_split: str = "train"
    """The split to train on, slices allowed: train[:50%]."""
    test_splits: tuple[str, ...] = ("id_test", "ood_test")
    """The splits to evaluate on."""
    label: str = "label"
    """The column that holds the class."""
    domain: str = ""
    """The column that holds the domain; empty = none."""
    bias: str = ""
    """The column that holds the bias attribute; empty = none."""
    workers: int = 2
    """Threads that read and decode batches ahead of the step."""


@dataclass(frozen=True)
class AugmentationConfig:
    """How views are made; each operation is drawn for every view of every sample."""

    crop_scale: tuple[float, float] = (0.4, 1.0)
    """Share of the image's area in a random resized crop; 1, 1 = no crop."""
    crop_ratio: tuple[float, float] = (0.75, 1.3333333)
    """Range of the crop's width / height."""
    flip: float = 0.0
    """Probability of a horizontal flip."""
    jitter: float = 0.0
    """Probability of a change of brightness, contrast, saturation and hue."""
    brightness: float = 0.4
    """Largest relative change of brightness."""
    contrast: float = 0.4
    """Largest relative change of contrast."""
    saturation: float = 0.4
    """Largest relative change of saturation; color images only."""
    hue: float = 0.1
    """Largest turn of the hue, in turns of the YIQ color plane; color images only."""
    grayscale: float = 0.0
    """Probability of removing the color."""


@dataclass(frozen=True)
class ModelConfig:
    """Encoder and projection head."""

    encoder: Literal["convnet"] = "convnet"
    """Which encoder."""
    width: int = 32
    """Channels of the first convolution; every stage doubles them."""
    stages: int = 3
    """Convolution stages; every stage but the first halves the image."""
    head_hidden: int = 128
    """Hidden units of the projection head."""
    head_dim: int = 64
    """Dimension of the projections the loss compares."""


@dataclass(frozen=True)
class PenaltiesConfig:
    """Weights of the penalties that are added to the loss; 0 = off."""

    negative_variance: float = 0.0
    """Variance penalty on negative similarities (30 in arXiv 2506.09781)."""


@dataclass(frozen=True)
class ObjectiveConfig:
    """What is minimized."""

    name: Literal["nt_xent", "info_nce", "within_domain"] = "nt_xent"
    """The contrastive loss."""
    temperature: float = 0.2
    """Divides the similarities."""
    penalties: PenaltiesConfig = field(default_factory=PenaltiesConfig)
    """Penalties beside the loss."""


@dataclass(frozen=True)
class OptimizerConfig:
    """How parameters move."""

    name: Literal["adamw", "sgd"] = "adamw"
    """The update rule."""
    learning_rate: float = 1e-3
    """Its peak, reached after the warm-up; a cosine to 0 follows."""
    warmup_steps: int = 20
    """Steps of linear warm-up from 0."""
    weight_decay: float = 1e-4
    """Decay of parameters with two or more axes."""
    momentum: float = 0.9
    """Momentum of sgd."""


@dataclass(frozen=True)
class EvaluationConfig:
    """What is asked of the frozen embeddings."""

    batch_size: int = 500
    """Images embedded at a time."""
    neighbors: int = 20
    """Neighbors of the kNN classifier."""
    max_train: int = 10_000
    """Training samples the classifiers are fitted on; the first of the split."""
    max_test: int = 10_000
    """Samples of every test split."""
    max_pairs: int = 1_000
    """Training instances whose views the similarity statistics compare."""


@dataclass(frozen=True)
class TrainConfig:
    """A training run."""

    seed: int = 0
    """Decides initial parameters, order of samples and augmentation."""
    num_steps: int = 300
    """Parameter updates."""
    checkpoint_every: int = 100
    """Steps between checkpoints; one more is written at the end."""
    eval_every: int = 100
    """Steps between kNN evaluations; 0 = none but the full one at the end."""
    log_every: int = 10
    """Steps between lines of metrics.jsonl."""
    parallel: Literal["auto", "pmap", "shard_map"] = "auto"
    """How the step is mapped; auto = pmap, or shard_map with several hosts."""
    distributed: bool = False
    """Join the other hosts of a TPU pod or cluster before the first step."""
    data: DataConfig = field(default_factory=DataConfig)
    """Data."""
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    """Augmentation."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """Model."""
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    """Objective."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """Optimizer."""
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    """Evaluation."""

    def check(self) -> None:
        """Raises a `ConfigError` that lists every rule this config breaks."""
        from_dict(as_dict(self))  # a config made in Python has had no type check yet
        broken = find_broken_rules(flatten(as_dict(self)))
        if broken:
            raise ConfigError("\n".join(broken))


def read_toml(path: str | Path) -> TrainConfig:
    """Reads a config; a wrong key or type is a `ConfigError` that names it.

    Args:
        path: A TOML file.

    Returns:
        The config, defaults filled in; not yet checked against the rules.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            tree = tomllib.load(file)
    except OSError as error:
        raise ConfigError(
            f"config {str(path)!r} cannot be read: {error.strerror}"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"config {str(path)!r} is no TOML: {error}") from error
    return from_dict(tree)


def write_toml(config: TrainConfig, path: str | Path) -> None:
    """Writes every field of `config`, defaults included."""
    import tomli_w

    Path(path).write_text(tomli_w.dumps(as_dict(config)))


def as_dict(config: Any) -> dict[str, Any]:
    """The config as nested dicts of plain values."""
    return dataclasses.asdict(config, dict_factory=_plain_dict)


def _plain_dict(items: list[tuple[str, Any]]) -> dict[str, Any]:
    # TOML and JSON have lists, no tuples.
    return {n: list(v) if isinstance(v, tuple) else v for n, v in items}


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one dict with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def differing_fields(
    first: TrainConfig, second: TrainConfig
) -> dict[str, tuple[Any, Any]]:
    """Dotted names of the fields that differ, each with its two values."""
    one, two = flatten(as_dict(first)), flatten(as_dict(second))
    return {name: (one[name], two[name]) for name in one if one[name] != two[name]}


def from_dict(tree: dict[str, Any]) -> TrainConfig:
    """A config from nested dicts; unknown names and wrong types are errors.

    Example:
        >>> from_dict({"seed": 3, "data": {"batch_size": 64}}).data.batch_size
        64
        >>> from_dict({"data": {"batchsize": 64}})
        Traceback (most recent call last):
        ...
        jaxcl.config.ConfigError: unknown field `data.batchsize`; did you mean
        `data.batch_size`?
    """
    return _build(TrainConfig, tree, "")


def nearest(name: str, known: Iterable[str]) -> str:
    """Which known name was meant, or all known names when none is near.

    Example:
        >>> nearest("nt_xnet", ["nt_xent", "info_nce"])
        'did you mean `nt_xent`?'
    """
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f"did you mean `{close[0]}`?"
    return "known are " + ", ".join(f"`{k}`" for k in known)


def _build(kind: type, tree: Any, prefix: str) -> Any:
    if not isinstance(tree, dict):
        raise ConfigError(f"`{prefix[:-1]}` must be a table, got {tree!r}")
    hints = get_type_hints(kind)
    values = {}
    for name, value in tree.items():
        if name not in hints:
            known = {prefix + field for field in hints} | _field_names()
            suggestion = nearest(prefix + name, known)
            raise ConfigError(f"unknown field `{prefix}{name}`; {suggestion}")
        values[name] = _convert(hints[name], value, prefix + name)
    return kind(**values)


def _field_names() -> set[str]:
    return set(flatten(as_dict(TrainConfig())))


def _convert(hint: Any, value: Any, name: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, f"{name}.")  # type: ignore[arg-type]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value not in arguments:
            choices = ", ".join(map(repr, arguments))
            raise ConfigError(f"`{name}` must be one of {choices}, got {value!r}")
        return value
    if origin in (Union, types.UnionType):
        raise TypeError(f"`{name}`: unions are not used in configs")
    if origin is tuple:
        return _convert_tuple(arguments, value, name)
    # A bool is an int to Python, and an int is a fine float.
    fits = isinstance(value, hint) or (hint is float and isinstance(value, int))
    if not fits or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(
            f"`{name}` must be {_article(hint.__name__)}, "
            f"got {value!r} ({type(value).__name__})"
        )
    return float(value) if hint is float else value


def _convert_tuple(arguments: tuple[Any, ...], value: Any, name: str) -> Any:
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"`{name}` must be a list, got {value!r}")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        arguments = (arguments[0],) * len(value)
    if len(arguments) != len(value):
        raise ConfigError(
            f"`{name}` must have {len(arguments)} values, got {list(value)!r}"
        )
    pairs = zip(arguments, value, strict=True)
    return tuple(
        _convert(hint, item, f"{name}[{i}]") for i, (hint, item) in enumerate(pairs)
    )


def _article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"
