"""Projections and a batch to a loss and its metrics."""

from jaxcl.objectives._contrastive import (
    Objective as Objective,
    make_two_view_objective as make_two_view_objective,
    make_within_domain_objective as make_within_domain_objective,
    with_penalties as with_penalties,
)

__all__ = [
    "Objective",
    "make_two_view_objective",
    "make_within_domain_objective",
    "with_penalties",
]
