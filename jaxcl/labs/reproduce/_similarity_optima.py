"""Claims on similarities, judged by free unit rows at an optimum."""

import functools
import math

from jaxcl.labs.identifiability.batches import (
    optimize_batches,
    penalized_similarity,
    penalty_threshold,
    sigmoid_optimum,
    simplex_loss,
)
from jaxcl.labs.reproduce._claim import as_exact, by_seed, claims_of, single
from jaxcl.labs.reproduce._similarity_settings import LOSSES, PAPER, penalized
from jaxcl.losses import (
    info_nce_loss,
    sigmoid_loss,
    spectral_loss,
)
from jaxcl.metrics import negative_variance_bounds

claim, CLAIMS = claims_of("similarities", PAPER)
_FREE = "free unit rows, L-BFGS in float64"


@claim(
    "full-batch-optimum",
    "Thm 5.1",
    "In full batch, positives end at 1 and all negatives at −1/(n−1).",
    f"n = 8, d = 16, t = 0.5, {_FREE}",
    10,
)
def _full_batch(seeds):
    found = []
    for name, loss in LOSSES.items():
        best = optimize_batches(functools.partial(loss, temperature=0.5), 8, 16)
        exact = simplex_loss(name, 8, 0.5)
        found += [
            as_exact(f"least loss, {name}", best.loss, exact, 1e-6),
            single(f"positive similarity, {name}", best.positive_min, 1.0, 1e-4),
            single(f"negative similarity, {name}", best.negative_mean, -1 / 7, 1e-4),
            single(f"variance of negatives, {name}", best.negative_variance, 0.0, 1e-6),
        ]
    return found


@claim(
    "spectral-optimum",
    "Thm 5.1 and Tab. 3",
    "The spectral loss has the same optimum.",
    f"n = 8, d = 16, {_FREE}",
    3,
    remark="x² does not increase below 0, so the theorem does not apply: negatives end "
    "at 0.",
)
def _spectral(seeds):
    best = optimize_batches(spectral_loss, 8, 16)
    return [
        single("negative similarity", best.negative_mean, -1 / 7, 1e-3, exact=0.0),
        single("least loss", best.loss, -0.97959, 1e-3, exact=-1.0),
    ]


@claim(
    "excessive-separation",
    "Thm 5.3, Ex. 5.4",
    "The sigmoid loss pushes negatives below −1/(n−1) and positives below 1 when "
    "its bias is small.",
    f"n = 8, d = 8, {_FREE}",
    4,
)
def _excess(seeds):
    found = []
    for scale, bias in ((5.0, 2.0), (1.0, 2.0)):
        loss = functools.partial(sigmoid_loss, logit_scale=scale, logit_bias=-bias)
        exact = sigmoid_optimum(8, scale, bias)
        best = optimize_batches(loss, 8, 8)
        name = f"scale {scale:g}, bias {bias:g}"
        found += [
            single(f"positive, {name}", best.positive_mean, exact.positive, 1e-3),
            single(f"negative, {name}", best.negative_mean, exact.negative, 1e-3),
            as_exact(f"loss, {name}", best.loss, exact.loss, 1e-3),
        ]
    return found


@claim(
    "separation-repaired",
    "Ex. 5.4",
    "Adding negatives within a view prevents that.",
    f"n = 8, d = 8, scale 5, bias 2, {_FREE}",
    3,
)
def _excess_repaired(seeds):
    loss = functools.partial(
        sigmoid_loss, logit_scale=5.0, logit_bias=-2.0, within_view=True
    )
    best = optimize_batches(loss, 8, 8)
    return [
        single("positive similarity", best.positive_min, 1.0, 1e-3),
        single("negative similarity", best.negative_mean, -1 / 7, 1e-3),
    ]


@claim(
    "separation-at-scale",
    "Eq. 10",
    "SigLIP's initial scale and bias separate excessively above some batch size.",
    "scale 10, bias 10",
    3,
    remark="From n = 22,040 on.",
)
def _excess_start(seeds):
    scale = bias = 10.0

    def separates(rows):
        left = 1 + math.exp(scale / (rows - 1) + bias)
        return left / (1 + math.exp(scale - bias)) < (rows - 2) / 2

    first = next(rows for rows in range(3, 100_000) if separates(rows))
    below, above = (sigmoid_optimum(rows, scale, bias) for rows in (20_000, 30_000))
    return [
        single("first n with excessive separation", first, 22_040, 0),
        single("positive similarity at n = 20,000", below.positive, 1.0, 1e-9),
        single(
            "positive similarity at n = 30,000", above.positive, 1 - 1e-4, 0, "below"
        ),
    ]


@claim(
    "fixed-batches",
    "Thm 5.5",
    "At the optimum of fixed batches, negatives have mean −1/(n−1) and a variance "
    "within the bounds.",
    f"n = 16, m = 4, t = 0.5, {_FREE}",
    15,
    seeds=5,
)
def _fixed_batches(seeds):
    found = []
    for name in ("info_nce", "nt_xent"):
        loss = functools.partial(LOSSES[name], temperature=0.5)
        tight, case = optimize_batches(loss, 16, 3, batch_size=4), f"d = 3, {name}"
        found += [
            single(f"mean of negatives, {case}", tight.negative_mean, -1 / 15, 1e-4),
            single(f"variance, {case}", tight.negative_variance, 0.2844444, 1e-4),
            single(f"negatives of a batch, {case}", tight.within_batch, -1 / 3, 1e-4),
        ]
    loss = functools.partial(info_nce_loss, temperature=0.5)
    wide = [optimize_batches(loss, 16, 32, batch_size=4, seed=seed) for seed in seeds]
    low, high = negative_variance_bounds(16, 4)
    variances = [one.negative_variance for one in wide]
    means = [one.negative_mean for one in wide]
    return [
        *found,
        by_seed("mean of negatives, d = 32", means, -1 / 15, 1e-5),
        single("least variance, d = 32", min(variances), low, relation="above"),
        single("largest variance, d = 32", max(variances), high, relation="below"),
        by_seed("variance, d = 32", variances, 0.0428, 0.006, exact=0.0428),
    ]


@claim(
    "penalty-threshold",
    "after Def. 5.7",
    "The penalty moves the negatives of a batch towards −1/(n−1).",
    f"n = 16, m = 4, d = 8, t = 0.5, {_FREE}",
    12,
    remark="Only above a weight λ*, which the paper does not mention. It is 69 for "
    "NT-Xent at n = 50,000, m = 64, t = 0.2.",
)
def _threshold(seeds):
    found = []
    for name in ("info_nce", "dcl"):
        loss = functools.partial(LOSSES[name], temperature=0.5)
        edge = penalty_threshold(name, 16, 4, 0.5)
        for times in (0.5, 2.0):
            weight = times * edge
            exact = penalized_similarity(name, 16, 4, 0.5, weight)
            best = optimize_batches(penalized(loss, weight, 16), 16, 8, batch_size=4)
            case = f"{name}, {times:g} λ*"
            found += [
                as_exact(
                    f"negatives of a batch, {case}", best.within_batch, exact, 1e-3
                ),
                single(f"positives, {case}", best.positive_min, 1.0, 1e-3),
            ]
    return found


@claim(
    "penalty-keeps-full-batch",
    "§5.3",
    "In full batch, the penalty does not move the optimum.",
    f"n = 8, d = 16, λ = 30, {_FREE}",
    3,
)
def _keeps_full_batch(seeds):
    loss = functools.partial(info_nce_loss, temperature=0.5)
    best = optimize_batches(penalized(loss, 30.0, 8), 8, 16)
    return [
        single("negative similarity", best.negative_mean, -1 / 7, 1e-4),
        single("variance of negatives", best.negative_variance, 0.0, 1e-6),
        single("positive similarity", best.positive_min, 1.0, 1e-4),
    ]
