"""A training run: every knob of it."""

from dataclasses import dataclass, field
from typing import Literal

from jaxcl.config._data import AugmentationConfig, DataConfig
from jaxcl.config._distributed import DistributedConfig
from jaxcl.config._fields import ConfigError, as_dict, build, flatten
from jaxcl.config._model import ModelConfig
from jaxcl.config._objective import ObjectiveConfig
from jaxcl.config._optimizer import OptimizerConfig
from jaxcl.config._rules import find_broken_rules


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
    tensorboard: bool = False
    """Write the same numbers for TensorBoard too (needs tensorboardX)."""
    steps_per_dispatch: int = 1
    """Steps the devices take between two words of the host. The intervals above and
    num_steps must be multiples of it. Leave it at 1 on a CPU: XLA's convolutions are
    many times slower there inside of a loop."""
    on_non_finite: Literal["raise", "skip", "rollback"] = "raise"
    """What a loss or gradient that is not finite does: end the run; leave the
    parameters as they are and go on; or return to the last checkpoint and pass over
    the batches up to this one."""
    max_non_finite: int = 10
    """How often skip or rollback may happen before the run ends all the same."""
    parallel: Literal["auto", "pmap", "shard_map"] = "auto"
    """How the step is mapped; auto = pmap, or shard_map with several hosts."""
    distributed: DistributedConfig = field(default_factory=DistributedConfig)
    """Distributed."""
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
        defaults = flatten(as_dict(TrainConfig()))
        broken = find_broken_rules(flatten(as_dict(self)), defaults)
        if broken:
            raise ConfigError("\n".join(broken))
