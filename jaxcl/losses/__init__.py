"""Contrastive losses: arrays in, a scalar out; pure, total, exact on many devices.

Arrays may be JAX or NumPy arrays or lists. The result is float32 (float64 for float64
rows). An id is unknown when it is −1, a number when it is NaN, and only then. Whole
numbers beyond 32 bits are refused without x64, instead of wrapped around. An anchor
without a positive, or without a negative where the loss needs one, has no loss and
leaves the mean. Finite input gives a finite value and gradient on every batch: no
positives at all, one row, equal rows, rows of zeros, small temperatures, bfloat16.

Shared arguments:
    embeddings: Rows `[rows, dim]`, L2-normalized inside the loss unless it says
        otherwise: their norm does not matter, and a row of zeros stays zero and has a
        zero gradient. `jaxcl.pairs.flatten_views` turns more than two views of an
        instance into rows.
    u: First views `[batch, dim]`, one row per instance, L2-normalized like
        `embeddings`.
    v: Second views of the same instances.
    temperature: Divides the similarities. A positive number, or a traced scalar, whose
        gradient is exact: the temperature can be learned. A traced one below 1e-6
        counts as 1e-6.
    where: Boolean, True = keep the row (of both views). A dropped row is no anchor, no
        positive and no negative; its values change neither the loss nor the gradient of
        any other row.
    axis_name: Devices of this axis share their rows as candidates. It is an axis mapped
        by `pmap` or `shard_map`, a name or a tuple of names, or an axis of the mesh of
        ``jax.set_mesh``; rows sharded over a mesh with explicit axes need none. The
        result is the mean over all devices, the same on each, so that
        ``lax.pmean(jax.grad(loss)(params), axis_name)`` is the gradient of one device
        with all rows. A name gathers the rows of all devices on each;
        `jaxcl.kernels.Ring(name)` passes them around instead, so that no device holds
        all rows.
    block_size: Tile size in rows. None forms the logits in one piece up to about
        260,000 pairs and in tiles above. Tiles keep memory at O(rows·dim + rows·block),
        forward and backward; an integer forces them. The numbers are the same up to
        rounding. In one piece a loss has derivatives of every order and mode
        (`rank_n_contrast_loss`: ``jax.grad``, of any order). Tiles
        have ``jax.grad``, which can be differentiated again in either mode; for
        ``jax.jvp`` or ``jax.jacfwd`` of the loss itself, keep the rows few enough for
        one piece.
    reduction: "mean" over the anchors that have a loss, or "none" for one value per
        anchor (0 where it has none). Some losses have "mean" only.
"""

from jaxcl.losses._additive import (
    additive_loss as additive_loss,
    sigmoid_loss as sigmoid_loss,
    spectral_loss as spectral_loss,
)
from jaxcl.losses._alignment import (
    coral_penalty as coral_penalty,
    mmd_penalty as mmd_penalty,
)
from jaxcl.losses._biases import (
    bias_balanced_cross_entropy as bias_balanced_cross_entropy,
    bias_contrastive_loss as bias_contrastive_loss,
    epsilon_sup_info_nce_loss as epsilon_sup_info_nce_loss,
    soft_bias_contrastive_loss as soft_bias_contrastive_loss,
)
from jaxcl.losses._domains import (
    cross_domain_supcon_loss as cross_domain_supcon_loss,
    domain_confusion_penalty as domain_confusion_penalty,
    domain_weighted_supcon_loss as domain_weighted_supcon_loss,
    within_domain_nce_loss as within_domain_nce_loss,
)
from jaxcl.losses._environments import (
    group_dro_weights as group_dro_weights,
    irm_penalty as irm_penalty,
    v_rex_penalty as v_rex_penalty,
)
from jaxcl.losses._fairness import (
    fair_kl_penalty as fair_kl_penalty,
    fair_supcon_loss as fair_supcon_loss,
)
from jaxcl.losses._metadata import (
    kernel_nce_loss as kernel_nce_loss,
    rank_n_contrast_loss as rank_n_contrast_loss,
    y_aware_nce_loss as y_aware_nce_loss,
)
from jaxcl.losses._pairwise import (
    pairwise_loss as pairwise_loss,
)
from jaxcl.losses._penalties import (
    negative_variance_penalty as negative_variance_penalty,
)
from jaxcl.losses._queue import queue_nce_loss as queue_nce_loss
from jaxcl.losses._supervised import (
    contex_loss as contex_loss,
    hierarchical_supcon_loss as hierarchical_supcon_loss,
    supcon_loss as supcon_loss,
)
from jaxcl.losses._support import (
    chunked_support_corrected_info_nce_loss as chunked_support_corrected_info_nce_loss,
    support_corrected_info_nce_loss as support_corrected_info_nce_loss,
)
from jaxcl.losses._two_views import (
    dcl_loss as dcl_loss,
    dhel_loss as dhel_loss,
    info_nce_loss as info_nce_loss,
    nt_xent_loss as nt_xent_loss,
)

__all__ = [
    "additive_loss",
    "bias_balanced_cross_entropy",
    "bias_contrastive_loss",
    "chunked_support_corrected_info_nce_loss",
    "contex_loss",
    "coral_penalty",
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
    "kernel_nce_loss",
    "mmd_penalty",
    "negative_variance_penalty",
    "nt_xent_loss",
    "pairwise_loss",
    "queue_nce_loss",
    "rank_n_contrast_loss",
    "sigmoid_loss",
    "soft_bias_contrastive_loss",
    "spectral_loss",
    "supcon_loss",
    "support_corrected_info_nce_loss",
    "v_rex_penalty",
    "within_domain_nce_loss",
    "y_aware_nce_loss",
]
