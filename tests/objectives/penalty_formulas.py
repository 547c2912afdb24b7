"""Penalties and GroupDRO of NT-Xent on made-up outputs: loops in NumPy, without JAX."""

import math

import numpy as np
import references
from objectives.formulas import twice
from objectives.made_up import FACTS, TEMPERATURE, WHERE, by_view, made_batch


def anchors_of(outputs, temperature=TEMPERATURE):
    """NT-Xent of every row, in the order of the rows."""
    u, v = np.float64(by_view(outputs.projections))
    losses = references.nt_xent_loss(
        u, v, temperature=temperature, where=WHERE, reduction="none"
    )
    return losses.reshape(-1)


def of_rows(penalty, part, *columns, **options):
    """The loops of a penalty on all views of a part of the outputs."""

    def formula(outputs):
        rows = np.concatenate(list(np.float64(by_view(getattr(outputs, part)))))
        side = [twice(getattr(made_batch(), column)) for column in columns]
        return penalty(rows, *side, where=twice(WHERE), **options)

    return formula


def negative_variance(outputs):
    u, v = np.float64(by_view(outputs.projections))
    count = FACTS.num_instances
    return references.negative_variance_penalty(u, v, num_instances=count, where=WHERE)


def v_rex(outputs):
    domains = twice(made_batch().domain)
    return references.v_rex_penalty(anchors_of(outputs), domains, where=twice(WHERE))


def irm(outputs):
    return references.irm_penalty(
        lambda scale: anchors_of(outputs, TEMPERATURE / scale),
        twice(made_batch().domain),
        where=twice(WHERE),
    )


def contrast(outputs):
    return anchors_of(outputs)[twice(WHERE)].mean()


LOOPS = {
    "negative_variance": negative_variance,
    "domain_confusion": of_rows(
        references.domain_confusion_penalty,
        "projections",
        "domain",
        temperature=TEMPERATURE,
    ),
    "coral": of_rows(references.coral_penalty, "embeddings", "domain"),
    "mmd": of_rows(references.mmd_penalty, "embeddings", "domain"),
    "fair_kl": of_rows(references.fair_kl_penalty, "projections", "label", "bias"),
    "v_rex": v_rex,
    "irm": irm,
}


def weighed(anchors, domains, weights, step_size):
    """GroupDRO by hand: new weights, and Σ of weight · mean loss of a domain.

    Of one view, or of two.
    """
    where = WHERE
    if len(anchors) > len(domains):
        domains, where = twice(domains), twice(where)
    means = []
    for domain in range(len(weights)):
        members = [
            loss
            for loss, its, keep in zip(anchors, domains, where, strict=True)
            if keep and its == domain
        ]
        means.append(sum(members) / len(members) if members else 0.0)
    raised = [
        weight * math.exp(step_size * mean)
        for weight, mean in zip(weights, means, strict=True)
    ]
    new = [weight / sum(raised) for weight in raised]
    return new, sum(q * mean for q, mean in zip(new, means, strict=True))
