"""The papers' formulas as double loops in float64: slow, plain, independent.

Nothing here calls the library or JAX. Every function takes numpy arrays and the
argument names of the loss it is the oracle of; `where` is True for rows that count.
t = temperature, s = similarity (cosine unless said), l_ij = s_ij / t. An id of -1 and
a NaN are unknown: a pair with one has weight 0 in every relation.
"""

from references.basics import (
    anchor_mean,
    cosine,
    cosine_similarity,
    kept_rows,
    log_sum_exp,
    reduced,
)
from references.domains import (
    cross_domain_supcon_loss,
    domain_weighted_supcon_loss,
    hierarchical_supcon_loss,
    kernel_nce_loss,
    rank_n_contrast_loss,
    within_domain_nce_loss,
    y_aware_nce_loss,
)
from references.general import pairwise_loss
from references.labels import (
    bias_balanced_cross_entropy,
    bias_contrastive_loss,
    contex_loss,
    epsilon_sup_info_nce_loss,
    fair_supcon_loss,
    soft_bias_contrastive_loss,
    supcon_loss,
)
from references.penalties import (
    coral_penalty,
    domain_confusion_penalty,
    fair_kl_penalty,
    group_dro_weights,
    irm_penalty,
    mmd_penalty,
    negative_variance_penalty,
    v_rex_penalty,
)
from references.statistics import (
    moments,
    negative_variance_bounds,
    pair_similarities,
    similarity_statistics,
)
from references.supports import (
    chunked_support_corrected_info_nce_loss,
    support_corrected_info_nce_loss,
)
from references.two_views import (
    additive_loss,
    dcl_loss,
    dhel_loss,
    info_nce_loss,
    nt_xent_loss,
    queue_nce_loss,
    sigmoid_loss,
    spectral_loss,
)

__all__ = [
    "additive_loss",
    "anchor_mean",
    "bias_balanced_cross_entropy",
    "bias_contrastive_loss",
    "chunked_support_corrected_info_nce_loss",
    "contex_loss",
    "coral_penalty",
    "cosine",
    "cosine_similarity",
    "cross_domain_supcon_loss",
    "dcl_loss",
    "dhel_loss",
    "domain_confusion_penalty",
    "domain_weighted_supcon_loss",
    "epsilon_sup_info_nce_loss",
    "fair_kl_penalty",
    "fair_supcon_loss",
    "group_dro_weights",
    "hierarchical_supcon_loss",
    "info_nce_loss",
    "irm_penalty",
    "kept_rows",
    "kernel_nce_loss",
    "log_sum_exp",
    "mmd_penalty",
    "moments",
    "negative_variance_bounds",
    "negative_variance_penalty",
    "nt_xent_loss",
    "pair_similarities",
    "pairwise_loss",
    "queue_nce_loss",
    "rank_n_contrast_loss",
    "reduced",
    "sigmoid_loss",
    "similarity_statistics",
    "soft_bias_contrastive_loss",
    "spectral_loss",
    "supcon_loss",
    "support_corrected_info_nce_loss",
    "v_rex_penalty",
    "within_domain_nce_loss",
    "y_aware_nce_loss",
]
