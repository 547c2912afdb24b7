"""Claims on support-corrected InfoNCE, judged by samples."""

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
from jaxcl.labs.reproduce._claim import as_exact, claims_of, single
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

claim, CLAIMS = claims_of("identifiability", PAPER)
_LAW = {"num_fixed": 1, "concentration": KAPPA}


def _loss(*embeddings, **options) -> jax.Array:
    return support_corrected_info_nce_loss(*embeddings, temperature=T, **options)


@claim(
    "loss-formula",
    "Eq. 8",
    "The positive is in the denominator, together with the M negatives.",
    "one anchor, three negatives",
    3,
)
def _formula(seeds):
    anchor = jnp.array([[1.0, 0.0]])
    logits = jnp.array([0.2, -0.4, 0.9])
    negatives = jnp.stack([logits, jnp.sqrt(1 - logits**2)], axis=1)
    positive = jnp.array([[0.6, 0.8]])
    scaled = [0.6 / T, *(np.asarray(logits) / T)]
    by_hand = -scaled[0] + math.log(sum(math.exp(one) for one in scaled))
    shared, own = (
        _loss(anchor, positive, given) for given in (negatives, negatives[None])
    )
    return [
        single("shared negatives − by hand", shared - by_hand, 0.0, 1e-5),
        single("separate negatives − by hand", own - by_hand, 0.0, 1e-5),
    ]


@claim(
    "sampler-moments",
    "Eq. 6 and Alg. 13",
    "On the unit fiber, positives have concentration κr² by definition, and κ in the "
    "experiments.",
    FIBERS,
    3,
)
def _moments(seeds):
    found = []
    for radius in (0.4, 1.0):
        base = jnp.array([math.sqrt(1 - radius**2), radius, 0.0])
        many = jnp.broadcast_to(base, (200_000, 3))
        for setting, kappa in ((RESTRICTED, KAPPA * radius**2), (RELEASED, KAPPA)):
            conditional = setting.conditional
            key = jax.random.key(3)
            drawn = sample_positives(key, many, **_LAW, conditional=conditional)
            cosine = np.asarray(drawn[:, 1] / radius, np.float64)
            exact = float(mean_cosine(kappa, 2))
            slack = 4 * float(cosine.std()) / math.sqrt(len(cosine))
            name = f"E cos, {conditional}, r = {radius:g}"
            found.append(as_exact(name, cosine.mean(), exact, slack))
    return found


@claim(
    "orthogonal-invariance",
    "Thm 4.6",
    "Orthogonal maps of the embeddings do not change the loss.",
    FIBERS,
    3,
)
def _orthogonal_invariance(seeds):
    keys = jax.random.split(jax.random.key(0), 4)
    z = sample_sphere(keys[0], (256,), 3)
    positives = sample_positives(keys[1], z, **_LAW)
    turn, _ = jnp.linalg.qr(jax.random.normal(keys[3], (3, 3)))
    kinds = {
        "separate": sample_fiber(keys[2], z, 64, num_fixed=1),
        "shared": sample_sphere(keys[2], (64,), 3),
    }

    def loss(negatives, by):
        return float(_loss(z @ by, positives @ by, negatives @ by))

    return [
        single(
            f"loss of a rotation − identity, {kind} negatives",
            loss(negatives, turn) - loss(negatives, jnp.eye(3)),
            0.0,
            1e-5,
        )
        for kind, negatives in kinds.items()
    ]


def _augmented(count):
    """Anchors, positives, and `count` negatives that are drawn as positives are."""
    z = sample_sphere(jax.random.key(0), (2048,), 3)
    many = jnp.repeat(z[:, None], count, axis=1)
    positives = sample_positives(jax.random.key(1), z, **_LAW)
    return z, positives, sample_positives(jax.random.key(2), many, **_LAW)


@claim(
    "proxy",
    "Alg. 14",
    "Augmentations of the anchor can replace negatives from its fiber.",
    f"{FIBERS}, M = 256",
    4,
    remark="They follow the distribution of positives, so a constant map is optimal, "
    "with loss log(M + 1).",
)
def _proxy(seeds):
    count = 256
    rows = _augmented(count)
    identity = float(_loss(*rows)) - math.log(count)
    constant = float(_loss(*map(jnp.ones_like, rows))) - math.log(count)
    return [
        single("L(constant map)", constant, math.log1p(1 / count), 1e-5),
        single("L(identity)", identity, 0.17, 0.02, exact=0.1713),
        single("L(identity) − L(constant)", identity - constant, 0, relation="below"),
    ]


@claim(
    "weighted-proxy",
    "after Alg. 14",
    "Weighted by one over their density, such negatives give the corrected loss.",
    f"{FIBERS}, M = 512",
    5,
)
def _weighted_proxy(seeds):
    count = 512
    z, positives, negatives = _augmented(count)
    weights = -KAPPA * jnp.einsum("bd,bmd->bm", z, negatives)
    value = float(_loss(z, positives, negatives, log_weights=weights))
    return [as_exact("L(identity)", value - math.log(count), -0.596, 0.03)]


@claim(
    "discrete-contexts",
    "§4.4",
    "With discrete contexts, negatives from the anchor's context give the corrected "
    "loss.",
    f"{SPHERE}, two contexts",
    4,
    remark="within_domain_nce_loss equals the support-corrected loss for discrete "
    "contexts.",
)
def _discrete(seeds):
    # Two contexts, that is two heights, with eight latents each.
    keys = jax.random.split(jax.random.key(0), 2)
    heights = jnp.repeat(jnp.array([-0.5, 0.3]), 8)
    angle = jax.random.uniform(keys[0], (16,), maxval=2 * math.pi)
    radius = jnp.sqrt(1 - heights**2)
    z = jnp.stack([heights, radius * jnp.cos(angle), radius * jnp.sin(angle)], axis=1)
    positives = sample_positives(keys[1], z, **_LAW)
    rows = jnp.concatenate([z, positives])
    instances = jnp.tile(jnp.arange(16), 2)
    contexts = jnp.tile(jnp.repeat(jnp.array([0, 1]), 8), 2)
    masked = within_domain_nce_loss(
        rows, instances, contexts, temperature=T, reduction="none"
    )[:16]
    corrected = []
    for i in range(16):
        others = [j for j in range(32) if j % 16 != i and contexts[j] == contexts[i]]
        one = slice(i, i + 1)
        corrected.append(_loss(z[one], positives[one], rows[jnp.array(others)]))
    gap = jnp.max(jnp.abs(masked - jnp.stack(corrected)))
    return [single("largest difference of an anchor", gap, 0.0, 1e-5)]
