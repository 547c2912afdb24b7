"""The config of a training run."""

from dataclasses import dataclass, field
from typing import Literal

from jaxcl.config._bounds import Count, Size, Weight, broken_bounds
from jaxcl.config._data import AugmentationConfig, DataConfig
from jaxcl.config._distributed import DistributedConfig
from jaxcl.config._evaluation import EvaluationConfig
from jaxcl.config._fields import as_dict, build, raise_broken
from jaxcl.config._model import ModelConfig
from jaxcl.config._objective import ObjectiveConfig
from jaxcl.config._optimizer import OptimizerConfig
from jaxcl.config._rules import broken_rules


@dataclass(frozen=True)
class TrainConfig:
    """A training run."""

    seed: Count = 0
    """Seed of the initial parameters, the order of samples and the augmentation."""
    num_steps: Size = 300
    """Number of parameter updates."""
    checkpoint_every: Size = 100
    """Steps between checkpoints; the last step writes one too."""
    eval_every: Count = 100
    """Steps between kNN evaluations; 0 = evaluate only at the end."""
    log_every: Size = 10
    """Steps between lines of metrics.jsonl."""
    tensorboard: bool = False
    """Also write the metrics for TensorBoard (needs tensorboardX)."""
    steps_per_dispatch: Size = 1
    """Steps per call of the compiled program; num_steps, checkpoint_every, eval_every
    and audit_every must be multiples of it. Leave it at 1 on a CPU, where XLA runs
    convolutions inside a loop many times slower."""
    on_non_finite: Literal["raise", "skip", "rollback"] = "raise"
    """What to do when loss or gradient are not finite. raise: stop the run; skip: skip
    the update; rollback: return to the last checkpoint and skip the batches up to this
    one."""
    max_non_finite: Count = 10
    """Largest number of skips or rollbacks before the run stops."""
    audit_every: Count = 0
    """Steps between audits, which take a step again on other devices and end the run if
    its result differs: the hardware is then at fault. 0 = never."""
    audit_tolerance: Weight = 0.0
    """Largest difference that an audit accepts, relative to the largest magnitude of
    each array; 0 = all bits must be the same."""
    parallel: Literal["auto", "pmap", "shard_map"] = "auto"
    """How the step is mapped over devices; auto = pmap, or shard_map on several
    hosts."""
    matmul_precision: Literal["auto", "default", "high", "highest"] = "auto"
    """Precision of float32 products on an accelerator, as in
    jax.default_matmul_precision: one, three or six passes in bfloat16 on a TPU. auto:
    networks at the default, losses at the highest."""
    distributed: DistributedConfig = field(default_factory=DistributedConfig)
    """The processes of a run on several hosts."""
    data: DataConfig = field(default_factory=DataConfig)
    """The data set, its columns, and how batches are read."""
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    """How views are made; operations are drawn anew for each view of each sample."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """Encoder, projection head and predictor."""
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    """The loss and what is added to it. A field that the loss ignores must be unset."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """Update rule, learning rate over time, and gradient accumulation."""
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    """How the embeddings are evaluated."""

    def check(self) -> None:
        """Raises a `ConfigError` that lists every rule this config breaks."""
        # The types too: a config made in Python has not been read by `from_dict`.
        build(TrainConfig, as_dict(self))
        raise_broken([*broken_bounds(self), *broken_rules(self)])
