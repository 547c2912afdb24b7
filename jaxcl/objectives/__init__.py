"""What the networks say of a batch, to a loss and its metrics."""

from jaxcl.objectives._classification import (
    count_log_prior as count_log_prior,
    make_cross_entropy_objective as make_cross_entropy_objective,
    with_cross_entropy as with_cross_entropy,
)
from jaxcl.objectives._contrastive import (
    make_pairwise_objective as make_pairwise_objective,
    make_row_objective as make_row_objective,
    make_sigmoid_objective as make_sigmoid_objective,
    make_two_view_objective as make_two_view_objective,
    numbers_of as numbers_of,
    roles as roles,
)
from jaxcl.objectives._decorrelation import (
    make_barlow_twins_objective as make_barlow_twins_objective,
    make_vicreg_objective as make_vicreg_objective,
)
from jaxcl.objectives._momentum import (
    make_byol_objective as make_byol_objective,
    make_moco_v2_objective as make_moco_v2_objective,
    make_moco_v3_objective as make_moco_v3_objective,
    make_simsiam_objective as make_simsiam_objective,
)
from jaxcl.objectives._objective import (
    Memory as Memory,
    Metrics as Metrics,
    Objective as Objective,
    Outputs as Outputs,
)
from jaxcl.objectives._penalties import (
    make_penalties as make_penalties,
    with_group_dro as with_group_dro,
    with_penalties as with_penalties,
)

__all__ = [
    "Memory",
    "Metrics",
    "Objective",
    "Outputs",
    "count_log_prior",
    "make_barlow_twins_objective",
    "make_byol_objective",
    "make_cross_entropy_objective",
    "make_moco_v2_objective",
    "make_moco_v3_objective",
    "make_pairwise_objective",
    "make_penalties",
    "make_row_objective",
    "make_sigmoid_objective",
    "make_simsiam_objective",
    "make_two_view_objective",
    "make_vicreg_objective",
    "numbers_of",
    "roles",
    "with_cross_entropy",
    "with_group_dro",
    "with_penalties",
]
