"""What the claims on similarities share: losses, printed numbers, comparisons."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from jaxcl.labs.reproduce._claim import Check, by_seed
from jaxcl.losses import (
    dcl_loss,
    dhel_loss,
    info_nce_loss,
    negative_variance_penalty,
    nt_xent_loss,
)

PAPER = "arXiv 2506.09781"

LOSSES = {
    "info_nce": info_nce_loss,
    "nt_xent": nt_xent_loss,
    "dcl": dcl_loss,
    "dhel": dhel_loss,
}

TABLE_1 = {  # variance by batch size: SimCLR, with the penalty
    32: (0.1649, 0.1008),
    64: (0.1505, 0.0952),
    128: (0.1444, 0.0929),
    256: (0.1404, 0.0921),
    512: (0.1396, 0.0917),
}
PUBLISHED_RATIO = TABLE_1[32][1] / TABLE_1[32][0]


def penalized(loss, penalty: float, rows: int):
    """The loss plus the variance penalty."""

    def total(u, v):
        variance = negative_variance_penalty(u, v, num_instances=rows)
        return loss(u, v) + penalty * variance

    return total


def check_sizes(variances: Mapping[int, np.ndarray]) -> list[Check]:
    """Checks that the variance falls as the batch size grows."""
    return [
        by_seed(
            f"variance of m = {other} minus that of {one}",
            variances[other] - variances[one],
            0,
            relation="below",
        )
        for one, other in pairwise(variances)
    ]


def check_penalty(
    plain: Mapping[int, np.ndarray], penalized: Mapping[int, np.ndarray]
) -> list[Check]:
    """Checks that the penalty lowers the variance at every batch size."""
    return [
        by_seed(
            f"change by the penalty, m = {size}",
            penalized[size] - plain[size],
            0,
            relation="below",
        )
        for size in plain
    ]
