"""Claims on support-corrected InfoNCE that are judged by samples."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.labs.identifiability.latents import (
    sample_fiber,
    sample_positives,
    sample_sphere,
)
from jaxcl.labs.identifiability.optima import mean_cosine
from jaxcl.labs.reproduce._claim import Check, claims_of, near
from jaxcl.labs.reproduce._support_settings import (
    FIBERS,
    KAPPA,
    PAPER,
    RELEASED,
    RESTRICTED,
    SPHERE,
    T,
)
from jaxcl.losses import support_corrected_info_nce_loss, within_domain_nce_loss


def _formula(seeds):
    anchor = jnp.array([[1.0, 0.0]])
    logits = jnp.array([0.2, -0.4, 0.9])
    negatives = jnp.stack([logits, jnp.sqrt(1 - logits**2)], axis=1)
    positive = jnp.array([[0.6, 0.8]])
    scaled = [0.6 / T, *(np.asarray(logits) / T)]
    by_hand = -scaled[0] + math.log(sum(math.exp(one) for one in scaled))
    shared, own = (
        support_corrected_info_nce_loss(anchor, positive, given, temperature=T)
        for given in (negatives, negatives[None])
    )
    return [
        near("shared negatives − by hand", shared - by_hand, 0.0, 1e-5),
        near("negatives of its own − by hand", own - by_hand, 0.0, 1e-5),
    ]


def _orthogonal_invariance(seeds):
    keys = jax.random.split(jax.random.key(0), 4)
    z = sample_sphere(keys[0], (256,), 3)
    positives = sample_positives(keys[1], z, num_fixed=1, concentration=KAPPA)
    turn, _ = jnp.linalg.qr(jax.random.normal(keys[3], (3, 3)))
    kinds = {
        "own": sample_fiber(keys[2], z, 64, num_fixed=1),
        "shared": sample_sphere(keys[2], (64,), 3),
    }

    def loss(negatives, by):
        rows = z @ by, positives @ by, negatives @ by
        return float(support_corrected_info_nce_loss(*rows, temperature=T))

    return [
        near(
            f"loss of a rotation − identity, {kind} negatives",
            loss(negatives, turn) - loss(negatives, jnp.eye(3)),
            0.0,
            1e-5,
        )
        for kind, negatives in kinds.items()
    ]


def _moments(seeds):
    found = []
    for radius in (0.4, 1.0):
        base = jnp.array([math.sqrt(1 - radius**2), radius, 0.0])
        many = jnp.broadcast_to(base, (200_000, 3))
        for setting, kappa in ((RESTRICTED, KAPPA * radius**2), (RELEASED, KAPPA)):
            conditional = setting.conditional
            drawn = sample_positives(
                jax.random.key(3),
                many,
                num_fixed=1,
                concentration=KAPPA,
                conditional=conditional,
            )
            cosine = np.asarray(drawn[:, 1] / radius, np.float64)
            exact = float(mean_cosine(kappa, 2))
            slack = 4 * float(cosine.std()) / math.sqrt(len(cosine))
            name = f"E cos, {conditional}, r = {radius:g}"
            found.append(near(name, cosine.mean(), exact, slack, exact=exact))
    return found


def _proxy(seeds):
    count = 256
    z = sample_sphere(jax.random.key(0), (2048,), 3)
    many = jnp.repeat(z[:, None], count, axis=1)
    law = {"num_fixed": 1, "concentration": KAPPA}
    positives = sample_positives(jax.random.key(1), z, **law)
    negatives = sample_positives(jax.random.key(2), many, **law)

    def loss(*rows):
        value = support_corrected_info_nce_loss(*rows, temperature=T)
        return float(value) - math.log(count)

    one = jnp.ones_like(z)
    identity = loss(z, positives, negatives)
    collapsed = loss(one, one, jnp.ones_like(negatives))
    return [
        near("L(constant map)", collapsed, math.log1p(1 / count), 1e-5),
        near("L(identity)", identity, 0.17, 0.02, exact=0.1713),
        Check(
            "L(identity) − L(constant)", (identity - collapsed,), 0, relation="below"
        ),
    ]


def _weighted_proxy(seeds):
    count, exact = 512, -0.596
    z = sample_sphere(jax.random.key(0), (2048,), 3)
    many = jnp.repeat(z[:, None], count, axis=1)
    law = {"num_fixed": 1, "concentration": KAPPA}
    positives = sample_positives(jax.random.key(1), z, **law)
    negatives = sample_positives(jax.random.key(2), many, **law)
    weights = -KAPPA * jnp.einsum("bd,bmd->bm", z, negatives)
    value = support_corrected_info_nce_loss(
        z, positives, negatives, temperature=T, log_weights=weights
    )
    return [
        near("L(identity)", float(value) - math.log(count), exact, 0.03, exact=exact)
    ]


def _discrete(seeds):
    # Contexts a batch shares: two heights, eight latents of each.
    keys = jax.random.split(jax.random.key(0), 2)
    heights = jnp.repeat(jnp.array([-0.5, 0.3]), 8)
    angle = jax.random.uniform(keys[0], (16,), maxval=2 * math.pi)
    radius = jnp.sqrt(1 - heights**2)
    z = jnp.stack([heights, radius * jnp.cos(angle), radius * jnp.sin(angle)], axis=1)
    positives = sample_positives(keys[1], z, num_fixed=1, concentration=KAPPA)
    rows = jnp.concatenate([z, positives])
    instances = jnp.tile(jnp.arange(16), 2)
    contexts = jnp.tile(jnp.repeat(jnp.array([0, 1]), 8), 2)
    masked = within_domain_nce_loss(
        rows, instances, contexts, temperature=T, reduction="none"
    )[:16]
    corrected = []
    for i in range(16):
        others = [j for j in range(32) if j % 16 != i and contexts[j] == contexts[i]]
        corrected.append(
            support_corrected_info_nce_loss(
                z[i : i + 1],
                positives[i : i + 1],
                rows[jnp.array(others)],
                temperature=T,
            )
        )
    gap = float(jnp.max(jnp.abs(masked - jnp.stack(corrected))))
    return [near("largest difference of an anchor", gap, 0.0, 1e-5)]


_claim = claims_of("identifiability", PAPER)

CLAIMS = (
    _claim(
        "loss-formula",
        "Eq. 8",
        "The positive is in the denominator, the M negatives are added to it.",
        "one anchor, three negatives",
        3,
        _formula,
    ),
    _claim(
        "sampler-moments",
        "Eq. 6 and Alg. 13",
        "The definition's positives have concentration κr² on the unit fiber, the "
        "experiments' κ.",
        FIBERS,
        3,
        _moments,
    ),
    _claim(
        "orthogonal-invariance",
        "Thm 4.6",
        "Orthogonal maps of the embeddings do not change the loss.",
        FIBERS,
        3,
        _orthogonal_invariance,
    ),
    _claim(
        "proxy",
        "Alg. 14",
        "Negatives that are augmentations of the anchor can stand for the fiber's.",
        f"{FIBERS}, M = 256",
        4,
        _proxy,
        remark="They follow the law of the positive, so that a constant map is "
        "optimal, at log(M + 1).",
    ),
    _claim(
        "weighted-proxy",
        "after Alg. 14",
        "Weighted by one over their density, such negatives give the corrected loss.",
        f"{FIBERS}, M = 512",
        5,
        _weighted_proxy,
    ),
    _claim(
        "discrete-contexts",
        "§4.4",
        "Where contexts are discrete, negatives of the anchor's context are the "
        "correction.",
        f"{SPHERE}, two contexts",
        4,
        _discrete,
        remark="within_domain_nce_loss is the support-corrected loss of discrete "
        "contexts, exactly.",
    ),
)
