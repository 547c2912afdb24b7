"""The losses of this library, as a user would call them."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

import jaxcl.losses
from jaxcl.labs.benchmarks._baselines import (
    NUM_INSTANCES,
    PENALTY_WEIGHT,
    SAME_DOMAIN_WEIGHT,
)
from jaxcl.labs.benchmarks._cases import Case


class PendingError(Exception):
    """A loss that this version of the library does not have yet."""


def find_loss(name: str) -> Callable[..., Any]:
    """A public loss by name."""
    loss = getattr(jaxcl.losses, name, None)
    if loss is None:
        raise PendingError(f"jaxcl.losses has no `{name}` yet")
    return loss


def our_nt_xent(case: Case):
    """`nt_xent_loss`."""
    nt_xent_loss = find_loss("nt_xent_loss")

    def loss(u, v, labels, domains):
        del labels, domains
        return nt_xent_loss(u, v, temperature=case.temperature)

    return loss


def our_info_nce(case: Case):
    """`info_nce_loss` with its defaults: CLIP."""
    info_nce_loss = find_loss("info_nce_loss")

    def loss(u, v, labels, domains):
        del labels, domains
        return info_nce_loss(u, v, temperature=case.temperature)

    return loss


def our_supcon(case: Case):
    """`supcon_loss`, form "out"."""
    supcon_loss = find_loss("supcon_loss")

    def loss(u, v, labels, domains):
        del domains
        rows = jnp.concatenate([u, v])
        return supcon_loss(rows, jnp.tile(labels, 2), temperature=case.temperature)

    return loss


def our_combined(case: Case):
    """`domain_weighted_supcon_loss` + 30 `negative_variance_penalty`, one program."""
    domain_weighted = find_loss("domain_weighted_supcon_loss")
    variance = find_loss("negative_variance_penalty")

    def loss(u, v, labels, domains):
        contrast = domain_weighted(
            jnp.concatenate([u, v]),
            jnp.tile(labels, 2),
            jnp.tile(domains, 2),
            same_domain_weight=SAME_DOMAIN_WEIGHT,
            temperature=case.temperature,
        )
        penalty = variance(u, v, num_instances=NUM_INSTANCES)
        return contrast + PENALTY_WEIGHT * penalty

    return loss
