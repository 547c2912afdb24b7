"""What the claims on similarities share, and printed numbers."""

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

TABLE_1 = {  # batch: SimCLR, with the penalty
    32: (0.1649, 0.1008),
    64: (0.1505, 0.0952),
    128: (0.1444, 0.0929),
    256: (0.1404, 0.0921),
    512: (0.1396, 0.0917),
}


def penalized(loss, penalty: float, rows: int):
    """A loss and its variance penalty."""

    def total(u, v):
        variance = negative_variance_penalty(u, v, num_instances=rows)
        return loss(u, v) + penalty * variance

    return total
