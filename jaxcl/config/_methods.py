"""What each objective needs of a run: columns, views, networks, and its own knobs."""

from typing import NamedTuple


class Method(NamedTuple):
    """Needs of one objective, asked for before anything runs."""

    columns: tuple[str, ...] = ()
    """Columns of `data` that must be named: domain, bias."""
    side: str = ""
    """The field of the objective that names columns of metadata, when it needs any."""
    two_views: bool = False
    """It compares exactly two views of each sample."""
    networks: tuple[str, ...] = ()
    """What stands beside encoder and head: predictor, target."""
    knobs: tuple[str, ...] = ()
    """Fields of `objective` that change what it does."""
    anchors: bool = True
    """It has a value for every anchor, which penalties between domains need."""
    labels: bool = False
    """Learns from labels."""


_SOFTMAX = ("temperature", "learn_temperature")
_TARGET = ("momentum", "momentum_schedule")


def _two_views(**needs) -> Method:
    return Method(two_views=True, knobs=_SOFTMAX, **needs)


def _rows(*knobs: str, **needs) -> Method:
    return Method(knobs=(*_SOFTMAX, *knobs), **needs)


METHODS: dict[str, Method] = {
    "nt_xent": _two_views(),
    "info_nce": _two_views(),
    "dcl": _two_views(),
    "dhel": _two_views(),
    "sigmoid": Method(two_views=True, knobs=("learn_temperature",)),
    "spectral": Method(two_views=True, anchors=False),
    "moco_v2": Method(
        two_views=True,
        networks=("target",),
        knobs=(*_SOFTMAX, *_TARGET, "queue_size"),
    ),
    "moco_v3": Method(
        two_views=True,
        networks=("predictor", "target"),
        knobs=(*_SOFTMAX, *_TARGET),
    ),
    "supcon": _rows("form", labels=True),
    "contex": _rows("label_weight", "hinge", labels=True),
    "epsilon_sup_info_nce": _rows("epsilon", labels=True),
    "bias_contrastive": _rows(columns=("bias",), labels=True),
    "soft_bias_contrastive": _rows("metadata", side="metadata", labels=True),
    "fair_supcon": _rows("normalize_groups", columns=("bias",), labels=True),
    "within_domain": _rows(columns=("domain",)),
    "domain_weighted_supcon": _rows(
        "same_domain_weight", columns=("domain",), labels=True
    ),
    "cross_domain_supcon": _rows(columns=("domain",), labels=True),
    "y_aware": _rows("metadata", "bandwidth", side="metadata"),
    "kernel_nce": _rows("metadata", "bandwidth", "ridge", side="metadata"),
    "rank_n_contrast": _rows("metadata", side="metadata"),
    "hierarchical_supcon": _rows("metadata", side="metadata", labels=True),
    "pairwise": _rows("positives", "negatives", "form"),
    "cross_entropy": Method(labels=True),
    "vicreg": Method(
        two_views=True,
        knobs=("invariance_weight", "variance_weight", "covariance_weight"),
        anchors=False,
    ),
    "barlow_twins": Method(two_views=True, knobs=("redundancy_weight",), anchors=False),
    "byol": Method(two_views=True, networks=("predictor", "target"), knobs=_TARGET),
    "simsiam": Method(two_views=True, networks=("predictor",)),
}

# Penalties: columns they need, whether they compare two views, whether they are made
# of the losses of single anchors.
PENALTIES: dict[str, Method] = {
    "negative_variance": Method(two_views=True),
    "domain_confusion": Method(columns=("domain",)),
    "coral": Method(columns=("domain",)),
    "mmd": Method(columns=("domain",)),
    "fair_kl": Method(columns=("bias",), labels=True),
    "v_rex": Method(columns=("domain",), anchors=True),
    "irm": Method(columns=("domain",), anchors=True),
}
OF_ANCHORS = ("v_rex", "irm")
