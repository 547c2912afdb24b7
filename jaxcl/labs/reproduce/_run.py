"""Measures claims, one after the other, within a budget."""

import time
import warnings
from collections.abc import Callable, Sequence
from difflib import get_close_matches

from jaxcl.data import DataError
from jaxcl.labs.identifiability.latents import UnmatchedTemperature
from jaxcl.labs.reproduce import (
    _similarity_batches,
    _similarity_images,
    _similarity_numbers,
    _similarity_optima,
    _support_exact,
    _support_free,
    _support_images,
    _support_samples,
    _support_tables,
    _support_trained,
)
from jaxcl.labs.reproduce._claim import BUDGETS, Claim, Measured, Outcome

CLAIMS: tuple[Claim, ...] = (
    *_support_samples.CLAIMS,
    *_support_exact.CLAIMS,
    *_support_free.CLAIMS,
    *_support_trained.CLAIMS,
    *_support_tables.CLAIMS,
    *_support_images.CLAIMS,
    *_similarity_optima.CLAIMS,
    *_similarity_numbers.CLAIMS,
    *_similarity_batches.CLAIMS,
    *_similarity_images.CLAIMS,
)


class ClaimError(ValueError):
    """There is no such claim, group or budget."""


def find_claims(names: Sequence[str]) -> list[Claim]:
    """The claims of groups and names, in the order of the registry; all for no name."""
    groups = {claim.group for claim in CLAIMS}
    known = groups | {claim.name for claim in CLAIMS}
    for name in names:
        if name not in known:
            close = get_close_matches(name, sorted(known), n=1, cutoff=0.0)
            raise ClaimError(
                f"there is no claim or group {name!r}; nearest: {close[0]!r}. "
                "`jaxcl reproduce list` shows all"
            )
    wanted = set(names) or groups
    return [claim for claim in CLAIMS if {claim.name, claim.group} & wanted]


def read_budget(text: str) -> str | float:
    """A budget's name, or minutes."""
    if text in BUDGETS:
        return text
    try:
        minutes = float(text)
    except ValueError:
        minutes = -1.0
    if not 0 < minutes < float("inf"):
        raise ClaimError(
            f"`budget` must be one of {', '.join(BUDGETS)}, or minutes above 0, got "
            f"{text!r}"
        )
    return minutes


def measure_claims(
    claims: Sequence[Claim],
    budget: str | float = "seconds",
    *,
    seeds: int | None = None,
    tell: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Judges claims; what does not fit the budget is skipped, and says so.

    Args:
        claims: What to judge.
        budget: "seconds", "cpu" or "gpu": all claims of that budget and the smaller
            ones. A number: minutes; a claim begins when what it takes is left.
        seeds: How many for each claim that is random; None = its own number.
        tell: Called with every outcome when it is there.

    Returns:
        An outcome for each claim.
    """
    if seeds is not None and seeds < 1:
        raise ClaimError(f"`seeds` must be at least 1, got {seeds}")
    began, outcomes = time.monotonic(), []
    for claim in claims:
        count = claim.seeds if seeds is None or not claim.seeds else seeds
        expected = claim.seconds * (count / claim.seeds if claim.seeds else 1.0)
        left = None
        if not isinstance(budget, str):
            left = 60 * budget - (time.monotonic() - began)
        reason = _reason_to_skip(claim, expected, budget, left)
        if reason:
            outcome = Outcome(claim, skipped=reason)
        else:
            outcome = _measure(claim, tuple(range(count)))
        outcomes.append(outcome)
        tell(outcome)
    return outcomes


def _reason_to_skip(claim, expected, budget, left) -> str:
    if left is None:
        too_large = BUDGETS.index(claim.budget) > BUDGETS.index(budget)
        return f"needs --budget {claim.budget}" if too_large else ""
    return f"takes about {expected:.0f} s, {left:.0f} s left" if expected > left else ""


def _measure(claim: Claim, seeds: tuple[int, ...]) -> Outcome:
    began = time.monotonic()
    try:
        with warnings.catch_warnings():
            # Some claims are about just that.
            warnings.simplefilter("ignore", UnmatchedTemperature)
            found = claim.measure(seeds)
        measured = found if isinstance(found, Measured) else Measured(found)
        failed = "" if measured.checks else "nothing was measured"
    except DataError as error:
        return Outcome(claim, skipped=str(error))
    except Exception as error:  # one claim must not cost the others
        measured, failed = Measured(()), f"{type(error).__name__}: {error}"
    return Outcome(claim, measured, time.monotonic() - began, failed=failed)
