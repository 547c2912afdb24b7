"""A training run: every knob of it."""

from dataclasses import dataclass, field
from typing import Literal

from jaxcl._rules import find_broken_rules
from jaxcl.config._data import AugmentationConfig, DataConfig
from jaxcl.config._fields import ConfigError, as_dict, build, flatten


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
        build(
            TrainConfig, as_dict(self)
        )  # a config made in Python has had no type check yet
        broken = find_broken_rules(flatten(as_dict(self)))
        if broken:
            raise ConfigError("\n".join(broken))
