"""Claims on support-corrected InfoNCE, judged by closed forms and quadrature."""

import math

import numpy as np

from jaxcl.labs.identifiability.latents import FiberSetting
from jaxcl.labs.identifiability.optima import (
    LatitudeMap,
    best_scaling,
    corrected_minimum,
    full_support_loss,
    latitude_angle_error,
    latitude_loss,
    latitude_r2,
    restricted_infimum,
    scaling_map,
    scaling_slope,
)
from jaxcl.labs.reproduce._claim import as_published, claims_of, single
from jaxcl.labs.reproduce._support_settings import (
    FIBERS,
    GREAT_SPHERE,
    PAPER,
    PUBLISHED_RATIOS,
    RELEASED,
    RESTRICTED,
    SPHERE,
    T,
    with_ratio,
)

claim, CLAIMS = claims_of("identifiability", PAPER)
IDENTITY = scaling_map(1.0)


@claim(
    "final-losses",
    "Tab. 3 to 7",
    "The printed final losses are the theoretical minima.",
    SPHERE,
    1,
)
def _closed_forms(seeds):
    full, ten = full_support_loss(3, T), full_support_loss(10, T)
    kept, ten_kept = restricted_infimum(3, T), restricted_infimum(10, T)
    return [
        as_published(
            "full support, orthogonal, + log 4000", full + math.log(4000), 7.388, 0.01
        ),
        as_published("10 dimensions, + log 2000", ten + math.log(2000), 7.130, 0.03),
        as_published(
            "positives share a coordinate, infimum, + log 2000",
            kept + math.log(2000),
            5.709,
            0.01,
        ),
        as_published(
            "the same, 10 dimensions", ten_kept + math.log(2000), 4.810, 0.015
        ),
    ]


@claim(
    "counterexample",
    "Thm 4.5",
    "With negatives from the whole sphere, shrinking the free coordinates is better "
    "than any orthogonal map.",
    FIBERS,
    3,
    remark="By quadrature; the slope at 1 is −A'(1)/t, where A is the alignment.",
)
def _counterexample(seeds):
    found = []
    for setting, slope, scale in (
        (RESTRICTED, 0.3241, 0.5717),
        (RELEASED, 0.1494, 0.7296),
    ):
        name, best = setting.conditional, best_scaling(setting)
        gain = latitude_loss(setting, scaling_map(best))
        gain -= latitude_loss(setting, IDENTITY)
        found += [
            single(f"dL/dλ at 1, {name}", scaling_slope(setting), slope, 1e-3),
            single(f"best λ, {name}", best, scale, 2e-3),
            single(f"L(best) − L(identity), {name}", gain, 0.0, relation="below"),
        ]
    return found


@claim(
    "corrected-is-stationary",
    "Thm 4.6",
    "With negatives from the fiber, orthogonal maps minimize the loss.",
    f"{FIBERS}, positives by Eq. 6",
    2,
)
def _corrected_is_stationary(seeds):
    setting = with_ratio(RESTRICTED, 1.0)
    loss, minimum = latitude_loss(setting, IDENTITY), corrected_minimum(RESTRICTED)
    return [
        single("best λ", best_scaling(setting), 1.0, 1e-3),
        single("L(identity)", loss, minimum, 1e-5, exact=-0.60832),
        single("dL/dλ at 1", scaling_slope(setting), 0.0, 1e-5),
    ]


@claim(
    "corrected-as-sampled",
    "Thm 4.6 with Alg. 13",
    "In the experiments, orthogonal maps minimize the adapted loss.",
    f"{FIBERS}, positives by Alg. 13",
    2,
    remark="Alg. 13 uses κ on the unit fiber where Eq. 6 means κr². The minimum of the "
    "loss is then a map of every fiber onto a great sphere.",
)
def _released_sampler(seeds):
    setting = with_ratio(RELEASED, 1.0)
    great = latitude_loss(setting, GREAT_SPHERE)
    excess, slope = latitude_loss(setting, IDENTITY) - great, scaling_slope(setting)
    return [
        single("L(identity) − L(great sphere)", excess, 0.0, 1e-3, exact=0.1361),
        single("dL/dλ at the identity", slope, 0.0, 1e-3, exact=-0.175),
    ]


@claim(
    "adapted-column",
    "Tab. 1 and 4 to 6",
    "The adapted loss ends at R² 0.63, half-APE 0.155 and loss 6.69 (6.01 for M = "
    "1000).",
    f"{FIBERS}, positives by Alg. 13",
    2,
    remark="These are the numbers of the great sphere, the exact optimum for these "
    "positives and negatives. The printed R² is no partial success of optimization.",
)
def _adapted_column(seeds):
    loss = latitude_loss(with_ratio(RELEASED, 1.0), GREAT_SPHERE)
    error = latitude_angle_error(RELEASED, GREAT_SPHERE)
    return [
        as_published("loss + log 2000", loss + math.log(2000), 6.69, 0.015),
        as_published("loss + log 1000", loss + math.log(1000), 6.01, 0.02),
        as_published("R²", latitude_r2(RELEASED, GREAT_SPHERE), 0.63, 0.03),
        as_published("half angle error", error, 0.155, 0.013),
    ]


@claim(
    "ratio-table",
    "Tab. 8, 10 and 11",
    "R², half-APE and loss for shares ρ = 0 to 0.9 of negatives on the fiber, with "
    "inverse encoders.",
    f"{FIBERS}, positives by Alg. 13",
    8,
    remark="Without training: the best h_λ by quadrature has the printed numbers. R² "
    "is best at ρ = 0.3 because two errors cancel there.",
)
def _ratio_table(seeds):
    found = []
    for ratio, (r2, linear_r2, error, loss) in PUBLISHED_RATIOS.items():
        if ratio > 0.9:
            continue  # λ diverges, so the printed numbers depend on training time
        setting = with_ratio(RELEASED, ratio)
        best = scaling_map(best_scaling(setting))
        exact_r2 = latitude_r2(setting, best)
        exact_error = latitude_angle_error(setting, best)
        exact_loss = latitude_loss(setting, best) + math.log(2000)
        # The paper prints R² and half-APE with three digits, losses with two.
        found += [
            as_published(f"R², ρ = {ratio}, Identity", exact_r2, r2, 2.5e-3),
            as_published(f"R², ρ = {ratio}, Linear", exact_r2, linear_r2, 2.5e-3),
            as_published(f"half-APE, ρ = {ratio}", exact_error, error, 2.5e-3),
            as_published(f"loss, ρ = {ratio}", exact_loss, loss, 0.015),
        ]
    return found


@claim(
    "ratio-end",
    "Tab. 8 and 11",
    "At ρ = 1 the loss ends at 6.69.",
    f"{FIBERS}, positives by Alg. 13",
    2,
    remark="The loss keeps falling as λ grows. The printed R² of 0.709 and 0.680 show "
    "where the optimizer stopped.",
)
def _ratio_end(seeds):
    setting = with_ratio(RELEASED, 1.0)
    scales = (1.0, 10.0, 100.0, 1e3)
    losses = [latitude_loss(setting, scaling_map(scale)) for scale in scales]
    step, last = max(np.diff(losses)), losses[-1] + math.log(2000)
    name = "largest step of L at λ = 1, 10, 100, 1000"
    return [
        single(name, step, 0, relation="below"),
        as_published("loss + log 2000", last, 6.69, 0.015),
    ]


@claim(
    "angle-error-convention",
    "App. C, Tab. 4 to 6",
    "The printed angle-preservation errors (APE) follow their definition.",
    f"{FIBERS}, positives by Alg. 13, ρ = 0",
    2,
    remark="The tables have half of it: the mean over all n² pairs, divided by two.",
)
def _angle_convention(seeds):
    best = scaling_map(best_scaling(RELEASED))
    whole = latitude_angle_error(RELEASED, best, half=False)
    return [as_published("APE as defined, ρ = 0", whole, 0.047, 5e-3)]


@claim(
    "temperature",
    "Thm 4.4",
    "κ = 1/t is needed: below it, a map that is not orthogonal is better.",
    f"{FIBERS}, corrected loss, κt = 0.6 and 0.3",
    2,
)
def _temperatures(seeds):
    found = []
    for kappa, identity, bound in ((2.0, -0.2671, -0.3447), (1.0, 0.2564, -0.1168)):
        setting = FiberSetting(concentration=kappa, constraint_ratio=1.0)
        shrink = kappa * T
        shrunk = LatitudeMap(lambda r, s=shrink: np.sqrt(s) * r)
        own, other = latitude_loss(setting, IDENTITY), latitude_loss(setting, shrunk)
        found += [
            single(f"L(identity), κ = {kappa:g}", own, identity, 1e-3),
            single(f"L(latitude map), κ = {kappa:g}", other, bound, 1e-3),
            single(f"difference, κ = {kappa:g}", other - own, 0, relation="below"),
        ]
    return found
