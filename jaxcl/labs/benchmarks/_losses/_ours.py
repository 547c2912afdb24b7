"""The losses of this library, as a user would call them."""

import jax.numpy as jnp

from jaxcl.labs.benchmarks._losses._cases import Case
from jaxcl.labs.benchmarks._losses._dense import (
    NUM_INSTANCES,
    PENALTY_WEIGHT,
    SAME_DOMAIN_WEIGHT,
)
from jaxcl.losses import (
    domain_weighted_supcon_loss,
    info_nce_loss,
    negative_variance_penalty,
    nt_xent_loss,
    supcon_loss,
)


def our_nt_xent(case: Case):
    """`nt_xent_loss`."""
    return lambda u, v, *_: nt_xent_loss(u, v, temperature=case.temperature)


def our_info_nce(case: Case):
    """`info_nce_loss` with its defaults: CLIP."""
    return lambda u, v, *_: info_nce_loss(u, v, temperature=case.temperature)


def our_supcon(case: Case):
    """`supcon_loss`, form "out"."""

    def loss(u, v, labels, domains):
        del domains
        rows = jnp.concatenate([u, v])
        return supcon_loss(rows, jnp.tile(labels, 2), temperature=case.temperature)

    return loss


def our_combined(case: Case):
    """`domain_weighted_supcon_loss` + 30 `negative_variance_penalty`, one program."""

    def loss(u, v, labels, domains):
        contrast = domain_weighted_supcon_loss(
            jnp.concatenate([u, v]),
            jnp.tile(labels, 2),
            jnp.tile(domains, 2),
            same_domain_weight=SAME_DOMAIN_WEIGHT,
            temperature=case.temperature,
        )
        penalty = negative_variance_penalty(u, v, num_instances=NUM_INSTANCES)
        return contrast + PENALTY_WEIGHT * penalty

    return loss
