"""A claim of a paper, the checks that judge it, and the verdict."""

import dataclasses
import functools
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
    """A mean and its 95 % confidence interval."""

    mean: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Check:
    """A measured number, and what the claim says about it.

    Args:
        name: What was measured.
        values: One value per seed, or a single value if nothing is random.
        expected: The number that the claim states, or its bound.
        tolerance: Distance from `expected` that still agrees with the claim.
        relation: The number must be "near" the expected one, "below" or "above" it.
        published: The number that the paper prints, if any.
        exact: The number by a closed form or quadrature, if any.
        random: Whether values depend on the seed. A single such value is inconclusive.
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
        """Mean over seeds with its Student t interval."""
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
        """The interval of means that agree with the claim."""
        low, high = self.expected - self.tolerance, self.expected + self.tolerance
        if self.relation == "below":
            return -math.inf, high
        if self.relation == "above":
            return low, math.inf
        return low, high

    @property
    def verdict(self) -> Verdict:
        """Whether the interval lies inside the region, outside, or across its edge."""
        (mean, low, high), (least, most) = self.interval, self.region
        if not math.isfinite(mean):
            return "refuted"
        if least <= low and high <= most:
            return "confirmed"
        return "refuted" if high < least or low > most else "inconclusive"


class Measured(NamedTuple):
    """Checks, and data for figures."""

    checks: Sequence[Check]
    spheres: Mapping[str, tuple[np.ndarray, np.ndarray]] = {}
    """By name: latents and embeddings in three dimensions."""
    histograms: Mapping[str, np.ndarray] = {}
    """By name: histogram of the cosines of negative pairs, from −1 to 1."""


Measure = Callable[[tuple[int, ...]], Sequence[Check] | Measured]


@dataclasses.dataclass(frozen=True)
class Claim:
    """A statement of a paper that can be judged by running it.

    Args:
        name: ``group/what``, for the command line.
        source: Theorem, equation or table, and the paper.
        statement: What the paper says, in one sentence.
        setting: The setting in which it is tested.
        budget: The smallest budget that includes the claim.
        seconds: Approximate time on two cores.
        measure: ``measure(seeds)`` returns the checks, alone or as `Measured`.
        seeds: Number of seeds; 0 = nothing is random.
        remark: Explanation of the result, if it needs one.
    """

    name: str
    source: str
    statement: str
    setting: str
    budget: Budget
    seconds: float
    measure: Measure
    seeds: int = 0
    remark: str = ""

    @property
    def group(self) -> str:
        """The first part of the name."""
        return self.name.split("/")[0]


def single(
    name: str,
    value: Any,
    expected: float,
    tolerance: float = 0.0,
    relation: Relation = "near",
    published: float | None = None,
    exact: float | None = None,
    random: bool = False,
) -> Check:
    """A check of one number; of one number per seed if it is random."""
    values = tuple(float(one) for one in np.atleast_1d(value))
    return Check(name, values, expected, tolerance, relation, published, exact, random)


by_seed = functools.partial(single, random=True)


def as_published(name: str, value: Any, published: float, tolerance: float) -> Check:
    """A check of one number against the number that the paper prints."""
    return single(name, value, published, tolerance, published=published)


def as_exact(name: str, value: Any, exact: float, tolerance: float) -> Check:
    """A check of one number against its closed form or quadrature."""
    return single(name, value, exact, tolerance, exact=exact)


def claims_of(
    group: str, paper: str, seeds: int = 0
) -> tuple[Callable[..., Callable[[Measure], Measure]], list[Claim]]:
    """A decorator that makes claims of a paper, and the list that it appends them to.

    Claims of more than ten seconds need the budget "cpu", unless they name another.
    """
    claims: list[Claim] = []

    def claim(
        name: str,
        where: str,
        statement: str,
        setting: str,
        seconds: float,
        *,
        budget: Budget | None = None,
        seeds: int = seeds,
        remark: str = "",
    ) -> Callable[[Measure], Measure]:
        def add(measure: Measure) -> Measure:
            claims.append(
                Claim(
                    name=f"{group}/{name}",
                    source=f"{where}, {paper}",
                    statement=statement,
                    setting=setting,
                    budget=budget or ("seconds" if seconds <= 10 else "cpu"),
                    seconds=seconds,
                    measure=measure,
                    seeds=seeds,
                    remark=remark,
                )
            )
            return measure

        return add

    return claim, claims


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A claim and what was measured."""

    claim: Claim
    measured: Measured = dataclasses.field(default_factory=lambda: Measured(()))
    seconds: float = 0.0
    skipped: str = ""
    """Why it was not measured."""
    failed: str = ""
    """The error that stopped it."""

    @property
    def checks(self) -> tuple[Check, ...]:
        """The measured checks."""
        return tuple(self.measured.checks)

    @property
    def verdict(self) -> str:
        """Refuted if one check is, confirmed if all are."""
        if self.skipped:
            return "skipped"
        if self.failed:
            return "failed"
        found = [check.verdict for check in self.checks]
        if "refuted" in found:
            return "refuted"
        return "inconclusive" if "inconclusive" in found else "confirmed"


def as_record(outcome: Outcome) -> dict[str, Any]:
    """An outcome as a JSON object."""
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
