"""Names of the losses and of the two contenders that are always there."""

from typing import Literal

LossName = Literal["nt_xent", "info_nce", "supcon", "combined"]

LOSSES: dict[str, str] = {
    "nt_xent": "NT-Xent (SimCLR)",
    "info_nce": "InfoNCE of two views (CLIP)",
    "supcon": "SupCon, ten labels",
    "combined": "SupCon with domain weights + 30 · negative variance",
}
OURS, DENSE = "jaxcl", "dense jnp"
