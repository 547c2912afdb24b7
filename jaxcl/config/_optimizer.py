"""How parameters move."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class OptimizerConfig:
    """Update rule, its rates over time, and how its gradient is made."""

    name: Literal["adamw", "sgd", "lars"] = "adamw"
    """The update rule."""
    learning_rate: float = 1e-3
    """Its peak, reached after the warm-up."""
    rate_rule: Literal["absolute", "linear", "sqrt"] = "absolute"
    """linear: learning_rate is for 256 samples a step and grows with batch_size; sqrt:
    it is for one sample and grows with the root of batch_size (0.075 in SimCLR)."""
    schedule: Literal["cosine", "constant", "steps"] = "cosine"
    """After the warm-up: half a cosine, nothing, or drops at `drop_at`."""
    final_rate: float = 0.0
    """Where the cosine ends, as a share of the peak (0.001 in SupCon)."""
    drop_at: tuple[float, ...] = (0.7, 0.8, 0.9)
    """Shares of the run at which `steps` drops the rate."""
    drop_to: float = 0.1
    """What is left of the rate at each."""
    warmup_steps: int = 20
    """Steps of linear warm-up from 0."""
    weight_decay: float = 1e-4
    """Decay of parameters with two or more axes."""
    momentum: float = 0.9
    """Momentum of sgd and lars."""
    trust: float = 0.001
    """Trust coefficient of lars; parameters with fewer than two axes move without."""
    clip: float = 0.0
    """Longest gradient, over all parameters; 0 = any."""
    constant_predictor_rate: bool = False
    """The predictor keeps the peak rate (SimSiam)."""
    accumulate: int = 1
    """Chunks in which encoder and head run over a batch. The loss sees the whole batch
    and its gradient is that of the whole batch; memory is that of one chunk."""
