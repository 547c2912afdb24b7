"""Encoders, and small trainings that measure what they recover."""

from jaxcl.labs.identifiability.recovery._encoders import (
    RowEncoder as RowEncoder,
    invertible_encoder as invertible_encoder,
    linear_encoder as linear_encoder,
    mlp_encoder as mlp_encoder,
    orthogonal_encoder as orthogonal_encoder,
    patches_encoder as patches_encoder,
    residual_encoder as residual_encoder,
    spiral_encoder as spiral_encoder,
)
from jaxcl.labs.identifiability.recovery._recovery import (
    Recovery as Recovery,
    run_recovery as run_recovery,
    scaling_of as scaling_of,
)
from jaxcl.labs.identifiability.recovery._task import (
    RecoveryTask as RecoveryTask,
)
from jaxcl.labs.identifiability.recovery._training import (
    minimize as minimize,
    over_seeds as over_seeds,
)

__all__ = [
    "Recovery",
    "RecoveryTask",
    "RowEncoder",
    "invertible_encoder",
    "linear_encoder",
    "minimize",
    "mlp_encoder",
    "orthogonal_encoder",
    "over_seeds",
    "patches_encoder",
    "residual_encoder",
    "run_recovery",
    "scaling_of",
    "spiral_encoder",
]
