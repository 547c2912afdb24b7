"""Claims on support-corrected InfoNCE that are judged by small trainings."""

from typing import Any

from jaxcl.labs.identifiability.optima import (
    best_scaling,
    full_support_loss,
    latitude_angle_error,
    latitude_loss,
    latitude_r2,
    restricted_infimum,
    scaling_map,
)
from jaxcl.labs.identifiability.recovery import (
    RecoveryTask,
    linear_encoder,
    mlp_encoder,
    residual_encoder,
    run_recovery,
    scaling_of,
)
from jaxcl.labs.reproduce._claim import Check, Measured, by_seed, claims_of
from jaxcl.labs.reproduce._support_settings import (
    CORRECTED,
    CORRECTED_RELEASED,
    FIBERS,
    FULL,
    PAPER,
    RELEASED,
    RESTRICTED,
    SPHERE,
    T,
)

FIBER_BATCH: dict[str, Any] = {
    "negatives": "fiber",
    "anchors": 1024,
    "fibers": 32,
    "num_negatives": 32,
}

_MLP = "MLP of three layers of 128, Adam"


def _pictured(checks, name, found) -> Measured:
    """The checks, and what the first seed made of the sphere."""
    return Measured(checks, {name: (found.latents, found.embeddings[0])})


def _mean_r2(found):
    return found.r2.mean(axis=1)


def _linear(setting, seeds, steps=2000, **options):
    task = RecoveryTask(setting, num_steps=steps, learning_rate=1e-2, **options)
    return run_recovery(task, linear_encoder(3), seeds=seeds)


def _linear_full(seeds):
    found = _linear(FULL, seeds)
    # A start may end in the fold of one hemisphere; its loss tells.
    good = found.loss < -0.85
    checks = [
        by_seed(
            "R², starts that end below −0.85", _mean_r2(found)[good], 0.999, 0, "above"
        ),
        by_seed("half angle error", found.angle_error[good], 0.005, 0, "below"),
        by_seed("loss − log M", found.loss[good], -0.904, 0.02),
    ]
    return _pictured(checks, "linear, positives everywhere", found)


def _linear_standard(setting, published_r2):
    def measure(seeds):
        found = _linear(setting, seeds)
        scale = best_scaling(setting)
        best = scaling_map(scale)
        exact = {
            "R²": latitude_r2(setting, best),
            "half angle error": latitude_angle_error(setting, best),
            "loss − log M": latitude_loss(setting, best),
        }
        printed = {"R²": published_r2} if published_r2 else {}
        values = {
            "R²": (_mean_r2(found), 0.003),
            "half angle error": (found.angle_error, 0.008),
            # Of M = 512 negatives; the limit is 0.007 to 0.01 lower.
            "loss − log M": (found.loss, 0.03),
        }
        checks = [
            by_seed(
                name,
                value,
                exact[name],
                tolerance,
                exact=exact[name],
                published=printed.get(name),
            )
            for name, (value, tolerance) in values.items()
        ]
        scalings = scaling_of(found.params, 1)
        checks.append(by_seed("λ", scalings, scale, 0.03, exact=scale))
        return _pictured(checks, f"linear, usual loss, {setting.conditional}", found)

    return measure


def _linear_corrected(seeds):
    found = _linear(CORRECTED, seeds, 3000, **FIBER_BATCH)
    checks = [
        by_seed("R²", _mean_r2(found), 0.999, 0, "above"),
        by_seed("λ", scaling_of(found.params, 1), 1.0, 0.02),
        by_seed("loss − log M, M = 32", found.loss, -0.55, 0.02),
    ]
    return _pictured(checks, "linear, corrected loss", found)


def _linear_repaired(seeds):
    found = _linear(
        CORRECTED_RELEASED, seeds, 3000, repair_temperature=True, **FIBER_BATCH
    )
    return [
        by_seed("R²", _mean_r2(found), 0.999, 0, "above"),
        by_seed("λ", scaling_of(found.params, 1), 1.0, 0.02),
    ]


def _mlp(setting, seeds, steps, **options):
    task = RecoveryTask(setting, num_steps=steps, **options)
    return run_recovery(task, mlp_encoder(3), seeds=seeds)


def _mlp_full(seeds):
    found = _mlp(FULL, seeds, 2000)
    checks = [
        by_seed("R²", _mean_r2(found), 0.99, 0, "above", published=1.0),
        by_seed(
            "loss − log M", found.loss, -0.904, 0.02, exact=full_support_loss(3, T)
        ),
    ]
    return _pictured(checks, "MLP, positives everywhere", found)


def _mlp_restricted(seeds):
    found = _mlp(RESTRICTED, seeds, 3000)
    bound = 1 / 3 + 0.01
    checks = [
        by_seed("R²", _mean_r2(found), bound, 0, "below", published=0.06),
        by_seed(
            "R² of a free coordinate, most", found.r2[:, 1:].max(1), 0.02, 0, "below"
        ),
        by_seed(
            "loss − log M", found.loss, -1.8, 0, "below", exact=restricted_infimum(3, T)
        ),
    ]
    return _pictured(checks, "MLP, usual loss", found)


def _mlp_released(seeds):
    found = _mlp(CORRECTED_RELEASED, seeds, 3000, **FIBER_BATCH)
    checks = [
        by_seed("R²", _mean_r2(found), 0.63, 0.05, published=0.63),
        by_seed("fiber-Gram error", found.fiber_gram_error, 0.3, 0, "above"),
        by_seed("loss − log M, M = 32", found.loss, -0.852, 0.02),
    ]
    return _pictured(checks, "MLP, adapted loss as sampled", found)


def _mlp_corrected(seeds):
    found = _mlp(CORRECTED, seeds, 3000, **FIBER_BATCH)
    checks = [
        by_seed("fiber-Gram error", found.fiber_gram_error, 0.03, 0, "below"),
        by_seed("loss − log M, M = 32", found.loss, -0.55, 0.03),
        # One seed that does not recover them is enough.
        Check(
            "lowest R² of a seed",
            (float(_mean_r2(found).min()),),
            0.99,
            relation="above",
        ),
    ]
    return _pictured(checks, "MLP, corrected loss", found)


def _residual(seeds):
    corrected = run_recovery(
        RecoveryTask(CORRECTED, num_steps=2000, **FIBER_BATCH),
        residual_encoder(3),
        seeds=seeds,
    )
    usual = run_recovery(
        RecoveryTask(RESTRICTED, num_steps=2000), residual_encoder(3), seeds=seeds
    )
    checks = [
        by_seed("R², corrected", _mean_r2(corrected), 0.995, 0, "above"),
        by_seed("R², usual", _mean_r2(usual), 0.34, 0, "below"),
    ]
    return _pictured(checks, "near the identity, corrected loss", corrected)


_claim = claims_of("identifiability", PAPER, seeds=3)

CLAIMS = (
    _claim(
        "linear-full-support",
        "Thm 4.4",
        "A linear encoder finds an orthogonal map when positives lie everywhere.",
        f"{SPHERE}, 2,000 steps, M = 512",
        15,
        _linear_full,
        seeds=5,
    ),
    _claim(
        "linear-restricted",
        "Thm 4.5",
        "A linear encoder shrinks the free coordinates when negatives are of the whole "
        "sphere.",
        f"{FIBERS}, positives by Eq. 6, 2,000 steps, M = 512",
        15,
        _linear_standard(RESTRICTED, None),
        seeds=3,
    ),
    _claim(
        "linear-restricted-as-sampled",
        "Tab. 1 and 4 to 6, inverse encoder",
        "InfoNCE with the inverse encoder ends at R² 0.99.",
        f"{FIBERS}, positives by Alg. 13, 2,000 steps, M = 512",
        15,
        _linear_standard(RELEASED, 0.994),
        seeds=3,
        remark="R² of 0.99 is not identification: λ is 0.73.",
    ),
    _claim(
        "linear-corrected",
        "Thm 4.6",
        "With the corrected loss a linear encoder finds an orthogonal map.",
        f"{FIBERS}, positives by Eq. 6, 3,000 steps, M = 32",
        15,
        _linear_corrected,
        seeds=3,
    ),
    _claim(
        "temperature-repair",
        "Alg. 13",
        "A temperature of t r² for each anchor repairs the mismatch of the released "
        "sampler.",
        f"{FIBERS}, positives by Alg. 13, 3,000 steps, M = 32",
        15,
        _linear_repaired,
        seeds=3,
        remark="Not of the paper: derived from its Thm 4.6.",
    ),
    _claim(
        "mlp-full-support",
        "Tab. 1",
        "An MLP recovers the latents when positives lie everywhere.",
        f"{SPHERE}, {_MLP}, 2,000 steps",
        60,
        _mlp_full,
        seeds=4,
        remark="A start may end in a minimum that is not the least: one hemisphere "
        "folded onto the other.",
    ),
    _claim(
        "mlp-restricted",
        "Tab. 1",
        "An MLP does not recover them when positives keep a coordinate.",
        f"{FIBERS}, positives by Eq. 6, {_MLP}, 3,000 steps",
        90,
        _mlp_restricted,
    ),
    _claim(
        "mlp-adapted-as-sampled",
        "Tab. 1",
        "With the adapted loss R² is 0.63.",
        f"{FIBERS}, positives by Alg. 13, {_MLP}, 3,000 steps",
        120,
        _mlp_released,
        remark="A great sphere for every fiber: their inner products are far from the "
        "latents'.",
    ),
    _claim(
        "mlp-corrected-recovers",
        "Thm 4.6, abstract",
        "The corrected loss makes an MLP recover the latents.",
        f"{FIBERS}, positives by Eq. 6, {_MLP}, 3,000 steps",
        120,
        _mlp_corrected,
        remark="Every fiber is right, whatever the seed; but R² is 0.67 where the MLP "
        "folds u to |u|, which the loss cannot tell from the identity. The encoder has "
        "to select.",
    ),
    _claim(
        "residual-corrected",
        "§4.5",
        "An encoder near the identity recovers the latents with the corrected loss.",
        f"{FIBERS}, positives by Eq. 6, x + 0.1 MLP(x), 2,000 steps",
        120,
        _residual,
        remark="And only with it: the same encoder and the usual loss lose the free "
        "coordinates.",
    ),
)
