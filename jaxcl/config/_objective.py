"""What is minimized: a loss, what it learns and remembers, and what is added to it."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class PenaltiesConfig:
    """Weights of the penalties that are added to the loss; 0 = off."""

    negative_variance: float = 0.0
    """Variance penalty on negative similarities (30 in arXiv 2506.09781)."""
    domain_confusion: float = 0.0
    """CAD: rows of one domain must not be easier to find than those of others."""
    coral: float = 0.0
    """Distance of the domains' means and covariances of the embeddings."""
    mmd: float = 0.0
    """Maximum mean discrepancy between the domains' embeddings."""
    fair_kl: float = 0.0
    """FairKL: similarities of aligned and conflicting biases must be alike."""
    v_rex: float = 0.0
    """Variance of the domains' mean losses."""
    irm: float = 0.0
    """Squared slope of each domain's loss in a common scale (IRMv1)."""


@dataclass(frozen=True)
class ObjectiveConfig:
    """What is minimized. Fields that the chosen objective does not use must be left."""

    name: Literal[
        "nt_xent",
        "info_nce",
        "dcl",
        "dhel",
        "sigmoid",
        "spectral",
        "moco_v2",
        "moco_v3",
        "supcon",
        "contex",
        "epsilon_sup_info_nce",
        "bias_contrastive",
        "soft_bias_contrastive",
        "fair_supcon",
        "within_domain",
        "domain_weighted_supcon",
        "cross_domain_supcon",
        "y_aware",
        "kernel_nce",
        "rank_n_contrast",
        "hierarchical_supcon",
        "pairwise",
        "cross_entropy",
        "vicreg",
        "barlow_twins",
        "byol",
        "simsiam",
    ] = "nt_xent"
    """The loss. nt_xent is SimCLR's, sigmoid SigLIP's, bias_contrastive BiasCon's,
    fair_supcon FSCL's; pairwise takes its pairs from `positives` and `negatives`."""
    temperature: float = 0.2
    """Divides the similarities."""
    learn_temperature: bool = False
    """Learn the temperature, from this one on; with sigmoid, its scale and bias."""
    positives: str = "same(instance)"
    """Of pairwise: who is whose positive, in the words of jaxcl.pairs."""
    negatives: str = "everyone()"
    """Of pairwise: who is whose negative."""
    form: Literal["out", "in"] = "out"
    """Of supcon and pairwise: the mean over positives outside or inside the log."""
    label_weight: float = 0.5
    """Of contex: share of the label part; the rest is for views of one image."""
    hinge: bool = False
    """Of contex: no loss once a positive is nearer than all negatives."""
    epsilon: float = 0.25
    """Of epsilon_sup_info_nce: by how much positives must be nearer than negatives."""
    normalize_groups: bool = False
    """Of fair_supcon: every group counts alike (FSCL+)."""
    same_domain_weight: float = 0.5
    """Of domain_weighted_supcon: weight of pairs of one domain; 0.5 is SupCon."""
    metadata: tuple[str, ...] = ()
    """Columns of numbers that y_aware, kernel_nce and rank_n_contrast compare; levels
    of a hierarchy, the coarsest first; features of a bias for soft_bias_contrastive."""
    bandwidth: float = 1.0
    """Of y_aware and kernel_nce: how far apart metadata still count as near."""
    ridge: float = 0.1
    """Of kernel_nce: added to the kernel matrix before it is inverted."""
    queue_size: int = 4096
    """Of moco_v2: older keys that are kept as negatives."""
    momentum: float = 0.99
    """Of moco_v2, moco_v3 and byol: how much of the slow networks a step keeps."""
    momentum_schedule: Literal["constant", "cosine"] = "constant"
    """cosine: the momentum rises to 1, as in BYOL and MoCo v3."""
    invariance_weight: float = 25.0
    """Of vicreg: of the distance of two views."""
    variance_weight: float = 25.0
    """Of vicreg: of the dimensions' deviation falling below 1."""
    covariance_weight: float = 1.0
    """Of vicreg: of the covariances of the dimensions."""
    redundancy_weight: float = 0.0051
    """Of barlow_twins: of the correlations of different dimensions."""
    cross_entropy: float = 0.0
    """Weight of the cross-entropy of a linear classifier beside the loss (0.01 in
    BiasCon)."""
    balance: bool = False
    """The cross-entropy knows how often a label has a bias in training (BiasBal)."""
    group_dro: float = 0.0
    """Step size of GroupDRO's weights of the domains; 0 = domains are not weighed."""
    penalties: PenaltiesConfig = field(default_factory=PenaltiesConfig)
    """Penalties beside the loss."""
