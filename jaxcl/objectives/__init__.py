"""Objectives: from the networks' outputs and a batch to a loss and its metrics."""

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
)
from jaxcl.objectives._decorrelation import (
    make_barlow_twins_objective as make_barlow_twins_objective,
    make_vicreg_objective as make_vicreg_objective,
)
from jaxcl.objectives._from_config import (
    Facts as Facts,
    Pairs as Pairs,
    find_pairs as find_pairs,
    make_objective as make_objective,
    uninformed_loss as uninformed_loss,
)
from jaxcl.objectives._momentum import (
    make_byol_objective as make_byol_objective,
    make_moco_v2_objective as make_moco_v2_objective,
    make_moco_v3_objective as make_moco_v3_objective,
    make_simsiam_objective as make_simsiam_objective,
)
from jaxcl.objectives._objective import (
    Objective as Objective,
    Outputs as Outputs,
    views_of as views_of,
)
from jaxcl.objectives._penalties import (
    with_group_dro as with_group_dro,
    with_penalties as with_penalties,
)

__all__ = [
    "Facts",
    "Objective",
    "Outputs",
    "Pairs",
    "count_log_prior",
    "find_pairs",
    "make_barlow_twins_objective",
    "make_byol_objective",
    "make_cross_entropy_objective",
    "make_moco_v2_objective",
    "make_moco_v3_objective",
    "make_objective",
    "make_pairwise_objective",
    "make_row_objective",
    "make_sigmoid_objective",
    "make_simsiam_objective",
    "make_two_view_objective",
    "make_vicreg_objective",
    "uninformed_loss",
    "views_of",
    "with_cross_entropy",
    "with_group_dro",
    "with_penalties",
]
