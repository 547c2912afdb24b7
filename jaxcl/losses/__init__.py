"""Contrastive losses: arrays in, a scalar out; pure, total, exact on many devices."""

from jaxcl.losses._domains import within_domain_nce_loss as within_domain_nce_loss
from jaxcl.losses._penalties import (
    negative_variance_penalty as negative_variance_penalty,
)
from jaxcl.losses._two_views import (
    info_nce_loss as info_nce_loss,
    nt_xent_loss as nt_xent_loss,
)

__all__ = [
    "info_nce_loss",
    "negative_variance_penalty",
    "nt_xent_loss",
    "within_domain_nce_loss",
]
