"""Measures claims one by one within a budget."""

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
    """An unknown claim, group or budget, or another wrong option."""


def find_claims(names: Sequence[str]) -> list[Claim]:
    """The claims of some groups or names, in the order of `CLAIMS`; all by default."""
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
    """Reads the name of a budget, or minutes."""
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
    """Judges claims; those that exceed the budget are skipped with a reason.

    Args:
        claims: Claims to judge.
        budget: "seconds", "cpu" or "gpu": all claims of this and smaller budgets. A
            number: minutes; a claim starts only if its expected time is left.
        seeds: Number of seeds of each random claim; None = as the claim says.
        tell: Called with every outcome as soon as it is known.

    Returns:
        One outcome per claim.
    """
    if seeds is not None and seeds < 1:
        raise ClaimError(f"`seeds` must be at least 1, got {seeds}")
    started, outcomes = time.monotonic(), []
    for claim in claims:
        count = claim.seeds if seeds is None or not claim.seeds else seeds
        expected = claim.seconds * (count / claim.seeds if claim.seeds else 1.0)
        left = None
        if not isinstance(budget, str):
            left = 60 * budget - (time.monotonic() - started)
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
    started = time.monotonic()
    try:
        with warnings.catch_warnings():
            # Some claims are about unmatched temperatures.
            warnings.simplefilter("ignore", UnmatchedTemperature)
            found = claim.measure(seeds)
        measured = found if isinstance(found, Measured) else Measured(found)
        failed = "" if measured.checks else "nothing was measured"
    except DataError as error:
        return Outcome(claim, skipped=str(error))
    except Exception as error:  # a claim that fails must not stop the others
        measured, failed = Measured(()), f"{type(error).__name__}: {error}"
    return Outcome(claim, measured, time.monotonic() - started, failed=failed)
