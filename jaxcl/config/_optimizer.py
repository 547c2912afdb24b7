"""How parameters are updated."""

from dataclasses import dataclass
from typing import Annotated, Literal

from jaxcl.config._bounds import (
    Bound,
    Count,
    PartialShare,
    Positive,
    PositiveShare,
    Share,
    Size,
    Weight,
)


@dataclass(frozen=True)
class OptimizerConfig:
    """Update rule, learning rate over time, and gradient accumulation."""

    name: Literal["adamw", "sgd", "lars"] = "adamw"
    """The update rule."""
    learning_rate: Positive = 1e-3
    """Peak learning rate, reached after the warm-up."""
    rate_rule: Literal["absolute", "linear", "sqrt"] = "absolute"
    """How the rate scales with data.batch_size. absolute: not at all; linear:
    learning_rate is for 256 samples and is multiplied by batch_size / 256; sqrt:
    learning_rate is multiplied by the square root of batch_size (0.075 in SimCLR)."""
    schedule: Literal["cosine", "constant", "steps"] = "cosine"
    """After the warm-up: a cosine decay, a constant rate, or drops at `drop_at`."""
    final_rate: Share = 0.0
    """Rate at the end of the cosine, as a share of the peak (0.001 in SupCon)."""
    drop_at: Annotated[
        tuple[float, ...],
        Bound("be shares within (0, 1)", lambda drops: all(0 < d < 1 for d in drops)),
    ] = (0.7, 0.8, 0.9)
    """Shares of the run at which the schedule `steps` drops the rate."""
    drop_to: Share = 0.1
    """Factor by which each drop multiplies the rate."""
    warmup_steps: Count = 20
    """Steps of linear warm-up from 0."""
    weight_decay: Weight = 1e-4
    """Weight decay of parameters with two or more axes."""
    momentum: PartialShare = 0.9
    """Momentum of sgd and lars."""
    trust: Positive = 0.001
    """Trust coefficient of lars, for parameters with two or more axes."""
    clip: Weight = 0.0
    """Largest global norm of the gradient; 0 = not clipped."""
    constant_predictor_rate: bool = False
    """Keep the predictor's learning rate at its peak (SimSiam)."""
    layer_decay: PositiveShare = 1.0
    """Factor of the learning rate from each layer of the encoder to the one below it
    (0.65 to 0.75 in BEiT and MAE); 1 = all layers have the same rate."""
    accumulate: Size = 1
    """Number of chunks in which encoder and head process a batch. Loss and gradient
    are those of the whole batch; memory is that of one chunk."""
