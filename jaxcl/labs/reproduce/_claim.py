"""A claim of a paper, what is measured to judge it, and the verdict."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy import stats

Budget = Literal["seconds", "cpu", "gpu"]
Relation = Literal["near", "below", "above"]
Verdict = Literal["confirmed", "refuted", "inconclusive"]

BUDGETS: tuple[Budget, ...] = ("seconds", "cpu", "gpu")
_CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A mean, and where it lies with 95 % confidence."""

    mean: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Check:
    """A number that was measured, and what the claim says of it.

    Args:
        name: What was measured.
        values: One a seed; one alone where nothing is random.
        expected: What the claim says it is, or the bound it is below or above.
        tolerance: How far from `expected` is still as the claim says.
        relation: "near" the expected number, "below" it or "above" it.
        published: The number that the paper prints, where it prints one.
        exact: The number by a closed form or quadrature, where there is one.
        random: Whether other seeds give other values: then one alone decides nothing.
    """

    name: str
    values: tuple[float, ...]
    expected: float
    tolerance: float = 0.0
    relation: Relation = "near"
    published: float | None = None
    exact: float | None = None
    random: bool = False

    @property
    def interval(self) -> Interval:
        """Of the mean over seeds, by Student's t."""
        values = np.asarray(self.values, float)
        mean = float(values.mean())
        if len(values) < 2:
            reach = math.inf if self.random else 0.0
            return Interval(mean, mean - reach, mean + reach)
        quantile = stats.t.ppf(0.5 + _CONFIDENCE / 2, len(values) - 1)
        reach = float(quantile * values.std(ddof=1) / math.sqrt(len(values)))
        return Interval(mean, mean - reach, mean + reach)

    @property
    def region(self) -> tuple[float, float]:
        """The means that are as the claim says."""
        low, high = self.expected - self.tolerance, self.expected + self.tolerance
        if self.relation == "below":
            return -math.inf, high
        if self.relation == "above":
            return low, math.inf
        return low, high

    @property
    def verdict(self) -> Verdict:
        """Whether the interval lies in the region, outside, or over its edge."""
        (mean, low, high), (least, most) = self.interval, self.region
        if not math.isfinite(mean):
            return "refuted"
        if least <= low and high <= most:
            return "confirmed"
        return "refuted" if high < least or low > most else "inconclusive"


class Measured(NamedTuple):
    """Checks, and what a page can draw."""

    checks: Sequence[Check]
    spheres: Mapping[str, tuple[np.ndarray, np.ndarray]] = {}
    """By name: latents and embeddings of three dimensions."""
    histograms: Mapping[str, np.ndarray] = {}
    """By name: how many negative pairs have a cosine in each bin from −1 to 1."""


@dataclasses.dataclass(frozen=True)
class Claim:
    """A statement of a paper that can be judged by running it.

    Args:
        name: ``group/what``, for the command line.
        source: Paper, and its theorem, equation or table.
        statement: What the paper says, in one sentence.
        setting: What it is tried on.
        budget: What it takes.
        seconds: How long, on two cores, about.
        measure: ``measure(seeds)`` gives the checks, alone or as `Measured`.
        seeds: How many seeds it is judged by; 0 = nothing is random.
        remark: Why it is so, where that is not plain.
    """

    name: str
    source: str
    statement: str
    setting: str
    budget: Budget
    seconds: float
    measure: Callable[[tuple[int, ...]], Sequence[Check] | Measured]
    seeds: int = 0
    remark: str = ""

    @property
    def group(self) -> str:
        """The first part of the name."""
        return self.name.split("/")[0]


def near(
    name: str, value: Any, expected: float, tolerance: float, **numbers: Any
) -> Check:
    """A number that is not random."""
    return Check(name, (float(value),), expected, tolerance, **numbers)


def by_seed(
    name: str,
    values: Any,
    expected: float,
    tolerance: float = 0.0,
    relation: Relation = "near",
    **numbers: Any,
) -> Check:
    """A number of every seed."""
    values = tuple(float(value) for value in np.atleast_1d(values))
    return Check(name, values, expected, tolerance, relation, random=True, **numbers)


def claims_of(group: str, paper: str, seeds: int = 0) -> Callable[..., Claim]:
    """Makes the claims of a group and a paper; what takes 10 s is one of seconds."""

    def make(
        name, where, statement, setting, seconds, measure, *, budget=None, **rest
    ) -> Claim:
        budget = budget or ("seconds" if seconds <= 10 else "cpu")
        rest = {"seeds": seeds, **rest}
        of_paper = f"{where}, {paper}"
        name = f"{group}/{name}"
        return Claim(
            name, of_paper, statement, setting, budget, seconds, measure, **rest
        )

    return make


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A claim and what was found."""

    claim: Claim
    measured: Measured = dataclasses.field(default_factory=lambda: Measured(()))
    seconds: float = 0.0
    skipped: str = ""
    """Why it was not measured."""
    failed: str = ""
    """The error that ended it."""

    @property
    def checks(self) -> tuple[Check, ...]:
        """What was measured."""
        return tuple(self.measured.checks)

    @property
    def verdict(self) -> str:
        """Refuted when one check is, confirmed when all are."""
        if self.skipped:
            return "skipped"
        if self.failed:
            return "failed"
        found = [check.verdict for check in self.checks]
        if "refuted" in found:
            return "refuted"
        return "inconclusive" if "inconclusive" in found else "confirmed"


def as_record(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON."""
    claim = outcome.claim
    return {
        "claim": claim.name,
        "source": claim.source,
        "statement": claim.statement,
        "setting": claim.setting,
        "budget": claim.budget,
        "remark": claim.remark,
        "verdict": outcome.verdict,
        "seconds": round(outcome.seconds, 3),
        "skipped": outcome.skipped,
        "failed": outcome.failed,
        "checks": [
            {
                **dataclasses.asdict(check),
                "values": list(check.values),
                "mean": check.interval.mean,
                "low": _finite(check.interval.low),
                "high": _finite(check.interval.high),
                "verdict": check.verdict,
            }
            for check in outcome.checks
        ],
    }


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
