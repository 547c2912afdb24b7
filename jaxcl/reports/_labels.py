"""What a run is called among others."""

from collections import Counter
from collections.abc import Sequence

from jaxcl.reports._numbers import number
from jaxcl.reports._reading import Report, look, name_of


def labels(reports: Sequence[Report]) -> list[str]:
    """A name for every run; with its seed, then with its place, where names repeat."""
    names = [name_of(report) for report in reports]
    seeds = [look(report, "config", "seed") for report in reports]
    names = _told_apart(names, [f"seed {number(seed)}" for seed in seeds])
    return _told_apart(names, [f"#{place}" for place in range(1, len(names) + 1)])


def _told_apart(names: Sequence[str], marks: Sequence[str]) -> list[str]:
    repeated = Counter(names)
    return [
        f"{name} ({mark})" if repeated[name] > 1 else name
        for name, mark in zip(names, marks, strict=True)
    ]
