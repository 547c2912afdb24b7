"""How batch size and the variance penalty change similarities."""

from jaxcl.labs.identifiability.batches._closed_forms import (
    SigmoidOptimum as SigmoidOptimum,
    penalized_similarity as penalized_similarity,
    penalty_threshold as penalty_threshold,
    sigmoid_optimum as sigmoid_optimum,
    simplex_loss as simplex_loss,
)
from jaxcl.labs.identifiability.batches._free_rows import (
    PairSummary as PairSummary,
    descend_random_batches as descend_random_batches,
    optimize_batches as optimize_batches,
)
from jaxcl.labs.identifiability.batches._training import (
    BatchOutcome as BatchOutcome,
    train_in_batches as train_in_batches,
)

__all__ = [
    "BatchOutcome",
    "PairSummary",
    "SigmoidOptimum",
    "descend_random_batches",
    "optimize_batches",
    "penalized_similarity",
    "penalty_threshold",
    "sigmoid_optimum",
    "simplex_loss",
    "train_in_batches",
]
