"""The objective: what each loss needs of a run, one row a loss, and its settings."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from jaxcl.config._bounds import Positive, Share, Size, Weight


class ObjectiveSpec(NamedTuple):
    """One objective: its loss, what the loss reads, and what it needs of a run."""

    loss: str = ""
    """Its function in `jaxcl.losses`; empty = `jaxcl.objectives` has a maker for it."""
    columns: tuple[str, ...] = ()
    """Columns of the batch that the loss takes, in its order."""
    arguments: tuple[str, ...] = ()
    """Fields of `objective` that are passed to the loss or the maker by name."""
    two_views: bool = False
    """Whether it compares exactly two views of each sample."""
    networks: tuple[str, ...] = ()
    """Networks beside encoder and head: predictor, target, classifier."""
    per_anchor: bool = True
    """Whether every anchor has a loss of its own, as V-REx, IRM and GroupDRO need."""
    uninformed: "Callable[[ObjectiveConfig, int, int], float | None] | None" = None
    """The loss when all embeddings are equal, from the objective, the batch size and
    the number of views; None where it depends on the batch."""

    @property
    def knobs(self) -> tuple[str, ...]:
        """Fields of `objective` that have an effect; all others must be left alone."""
        target = ("momentum", "momentum_schedule") if "target" in self.networks else ()
        return self.arguments + target


_SOFTMAX = ("temperature", "learn_temperature")


def _two_views(loss: str, candidates: Callable[[int], int]) -> ObjectiveSpec:
    """A loss of two views with a temperature, and its candidates by the batch size."""

    def uninformed(objective: "ObjectiveConfig", size: int, views: int) -> float:
        return _log(candidates(size))

    return ObjectiveSpec(loss, (), _SOFTMAX, two_views=True, uninformed=uninformed)


def _rows(loss: str, columns: str, *arguments: str, **fields) -> ObjectiveSpec:
    """A loss of rows with columns and a temperature."""
    arguments = (*_SOFTMAX, *arguments)
    return ObjectiveSpec(loss, tuple(columns.split()), arguments, **fields)


def _log(count: float) -> float:
    """The cross-entropy of a uniform choice among `count` candidates."""
    return math.log(max(count, 1))


def _supcon(objective: "ObjectiveConfig", size: int, views: int) -> float:
    """Every other row of the batch is a candidate."""
    return _log(views * size - 1)


OBJECTIVES: dict[str, ObjectiveSpec] = {
    "nt_xent": _two_views("nt_xent_loss", lambda size: 2 * size - 1),
    "info_nce": _two_views("info_nce_loss", lambda size: size),
    "dcl": _two_views("dcl_loss", lambda size: 2 * size - 2),
    "dhel": _two_views("dhel_loss", lambda size: size - 1),
    "sigmoid": ObjectiveSpec(arguments=("learn_temperature",), two_views=True),
    "spectral": ObjectiveSpec("spectral_loss", two_views=True, per_anchor=False),
    "moco_v2": ObjectiveSpec(
        arguments=(*_SOFTMAX, "queue_size"),
        two_views=True,
        networks=("target",),
        uninformed=lambda objective, size, views: _log(objective.queue_size + 1),
    ),
    "moco_v3": ObjectiveSpec(
        arguments=_SOFTMAX,
        two_views=True,
        networks=("predictor", "target"),
        uninformed=lambda objective, size, views: (
            4 * objective.temperature * _log(size)
        ),
    ),
    "supcon": _rows(
        "supcon_loss",
        "label",
        "form",
        uninformed=lambda objective, size, views: (
            _supcon(objective, size, views) if objective.form == "out" else None
        ),
    ),
    "contex": _rows("contex_loss", "label instance", "label_weight", "hinge"),
    "epsilon_sup_info_nce": _rows("epsilon_sup_info_nce_loss", "label", "epsilon"),
    "bias_contrastive": _rows("bias_contrastive_loss", "label bias"),
    "soft_bias_contrastive": _rows("soft_bias_contrastive_loss", "label", "metadata"),
    "fair_supcon": _rows("fair_supcon_loss", "label bias", "normalize_groups"),
    "within_domain": _rows("within_domain_nce_loss", "instance domain"),
    "domain_weighted_supcon": _rows(
        "domain_weighted_supcon_loss",
        "label domain",
        "same_domain_weight",
        uninformed=lambda objective, size, views: (
            _supcon(objective, size, views)
            if objective.same_domain_weight == 0.5
            else None
        ),
    ),
    "cross_domain_supcon": _rows(
        "cross_domain_supcon_loss", "label domain", uninformed=_supcon
    ),
    "y_aware": _rows(
        "y_aware_nce_loss", "instance", "metadata", "bandwidth", uninformed=_supcon
    ),
    "kernel_nce": _rows("", "instance", "metadata", "bandwidth", "ridge"),
    "rank_n_contrast": _rows("rank_n_contrast_loss", "", "metadata"),
    "hierarchical_supcon": _rows("hierarchical_supcon_loss", "", "metadata"),
    "pairwise": _rows("", "", "positives", "negatives", "form"),
    "cross_entropy": ObjectiveSpec(columns=("label",), networks=("classifier",)),
    "vicreg": ObjectiveSpec(
        arguments=("invariance_weight", "variance_weight", "covariance_weight"),
        two_views=True,
        per_anchor=False,
    ),
    "barlow_twins": ObjectiveSpec(
        arguments=("redundancy_weight",), two_views=True, per_anchor=False
    ),
    "byol": ObjectiveSpec(two_views=True, networks=("predictor", "target")),
    "simsiam": ObjectiveSpec(two_views=True, networks=("predictor",)),
}


class PenaltySpec(NamedTuple):
    """What a penalty needs of a run."""

    columns: tuple[str, ...] = ()
    """Columns of `data` that must be named."""
    two_views: bool = False
    """Whether it compares exactly two views of each sample."""
    per_anchor: bool = False
    """Whether it is computed from the losses of single anchors."""


PENALTIES: dict[str, PenaltySpec] = {
    "negative_variance": PenaltySpec(two_views=True),
    "domain_confusion": PenaltySpec(("domain",)),
    "coral": PenaltySpec(("domain",)),
    "mmd": PenaltySpec(("domain",)),
    "fair_kl": PenaltySpec(("label", "bias")),
    "v_rex": PenaltySpec(("domain",), per_anchor=True),
    "irm": PenaltySpec(("domain",), per_anchor=True),
}

# A type checker needs the names written out; the rows above are the one list of them.
if TYPE_CHECKING:
    ObjectiveName = str
else:
    ObjectiveName = Literal[tuple(OBJECTIVES)]


@dataclass(frozen=True)
class PenaltiesConfig:
    """Weights of the penalties that are added to the loss; 0 = off."""

    negative_variance: Weight = 0.0
    """Variance of the similarities of negative pairs (30 in arXiv 2506.09781)."""
    domain_confusion: Weight = 0.0
    """CAD: pairs of one domain must not be more similar than pairs of two domains."""
    coral: Weight = 0.0
    """Distance between the domains' means and covariances of the embeddings."""
    mmd: Weight = 0.0
    """Maximum mean discrepancy between the domains' embeddings."""
    fair_kl: Weight = 0.0
    """FairKL: KL divergence between the similarities of bias-aligned and
    bias-conflicting pairs."""
    v_rex: Weight = 0.0
    """Variance of the domains' mean losses."""
    irm: Weight = 0.0
    """IRMv1: squared derivative of each domain's loss by a common scale."""

    def active(self) -> dict[str, float]:
        """The penalties with a positive weight, and their weights."""
        return {name: weight for name, weight in vars(self).items() if weight > 0}


@dataclass(frozen=True)
class ObjectiveConfig:
    """The loss and what is added to it. A field that the loss ignores must be unset."""

    name: ObjectiveName = "nt_xent"
    """The loss. nt_xent is SimCLR's, sigmoid SigLIP's, bias_contrastive BiasCon's,
    fair_supcon FSCL's; pairwise takes its pairs from `positives` and `negatives`."""
    temperature: Positive = 0.2
    """Temperature that divides the similarities."""
    learn_temperature: bool = False
    """Learn the temperature, starting from `temperature`; with sigmoid, learn its scale
    and bias."""
    positives: str = "same(instance)"
    """pairwise: which pairs are positive, in the language of jaxcl.pairs."""
    negatives: str = "everyone()"
    """pairwise: which pairs are negative."""
    form: Literal["out", "in"] = "out"
    """supcon, pairwise: average over the positives outside or inside the logarithm."""
    label_weight: Share = 0.5
    """contex: weight of the label term; the rest is for views of the same image."""
    hinge: bool = False
    """contex: no loss for a positive that is more similar than all negatives."""
    epsilon: float = 0.25
    """epsilon_sup_info_nce: margin between positives and negatives."""
    normalize_groups: bool = False
    """fair_supcon: give every group the same weight (FSCL+)."""
    same_domain_weight: Share = 0.5
    """domain_weighted_supcon: weight of pairs of the same domain; 0.5 is SupCon."""
    metadata: tuple[str, ...] = ()
    """Columns of metadata: numbers for y_aware, kernel_nce and rank_n_contrast; levels,
    coarsest first, for hierarchical_supcon; bias features for soft_bias_contrastive."""
    bandwidth: Positive = 1.0
    """y_aware, kernel_nce: bandwidth of the Gaussian kernel on the metadata."""
    ridge: Positive = 0.1
    """kernel_nce: added to the diagonal of the kernel matrix before it is inverted."""
    queue_size: Size = 4096
    """moco_v2: number of past keys that serve as negatives."""
    momentum: Share = 0.99
    """moco_v2, moco_v3, byol: decay of the target networks, which are exponential
    moving averages of encoder and head."""
    momentum_schedule: Literal["constant", "cosine"] = "constant"
    """cosine: the momentum rises to 1 over the run, as in BYOL and MoCo v3."""
    invariance_weight: Weight = 25.0
    """vicreg: weight of the distance between two views."""
    variance_weight: Weight = 25.0
    """vicreg: weight of the hinge that keeps each dimension's deviation above 1."""
    covariance_weight: Weight = 1.0
    """vicreg: weight of the squared covariances between dimensions."""
    redundancy_weight: Weight = 0.0051
    """barlow_twins: weight of the squared correlations between dimensions."""
    cross_entropy: Weight = 0.0
    """Weight of the cross-entropy of a linear classifier that is added to the loss
    (0.01 in BiasCon)."""
    balance: bool = False
    """Correct the cross-entropy for how often each label occurs with each bias in the
    training samples (BiasBal)."""
    group_dro: Weight = 0.0
    """Step size of GroupDRO, which weights the domains; 0 = off."""
    penalties: PenaltiesConfig = field(default_factory=PenaltiesConfig)
    """Weights of the penalties that are added to the loss; 0 = off."""
