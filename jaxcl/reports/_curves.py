"""Figures of what was recorded during training, over the steps."""

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

from markupsafe import Markup

from jaxcl.reports._axes import Range, axes, tick_labels
from jaxcl.reports._numbers import is_number, number, percent
from jaxcl.reports._svg import Scale, Size, line

Figure = dict[str, Any]
Points = tuple[Sequence[Any], Sequence[Any]]

LARGE: Size = (520.0, 270.0)
SMALL: Size = (340.0, 170.0)

_COLORS = 8
_LONG = 100  # records, from which on a curve is smoothed


def color(index: int) -> str:
    """The classes of the index-th line: eight colors, then the same ones dashed."""
    dashed = " dashed" if index // _COLORS % 2 else ""
    return f"c{index % _COLORS}{dashed}"


def curves(
    title: str,
    series: Mapping[str, Points],
    *,
    size: Size = LARGE,
    share: bool = False,
) -> Figure | None:
    """Lines over the steps, or None when no record is a number."""
    # The color belongs to the place, so that a run keeps its own in every figure.
    lines = [
        (name, color(index), finite_points(*points))
        for index, (name, points) in enumerate(series.items())
    ]
    lines = [(name, kind, points) for name, kind, points in lines if points[0]]
    if not lines:
        return None
    alone = len(lines) == 1
    # The last record as it is: a run that diverged must not end on an older number.
    legend = [(kind, name, _value(series[name][1], share)) for name, kind, _ in lines]
    last = ", ".join(f"{name} {value}" for _, name, value in legend)

    def draw(to_x: Scale, to_y: Scale) -> list[Markup]:
        return [
            mark
            for _, kind, points in lines
            for mark in _marks(*points, to_x, to_y, kind, faint=alone)
        ]

    svg = axes(
        f"{title} over the steps. At the end: {last}.",
        draw,
        x=_reach(step for _, _, (steps, _) in lines for step in steps),
        y=_reach(value for _, _, (_, values) in lines for value in values),
        size=size,
        y_labels=_percents if share else tick_labels,
    )
    window = max(_window(values) for _, _, (_, values) in lines)
    missing = sum(len(series[n][1]) - len(values) for n, _, (_, values) in lines)
    notes = [_smoothing(window, faint=alone), _gaps(title, missing)]
    note = " ".join(filter(None, notes))
    return {"title": title, "svg": svg, "legend": legend, "note": note}


def finite_points(steps: Sequence[Any], values: Sequence[Any]) -> Points:
    """The points whose value is a number; none when the lengths do not agree."""
    if len(steps) != len(values):
        return [], []
    kept = [
        (step, value)
        for step, value in zip(steps, values, strict=True)
        if is_number(step) and is_number(value)
    ]
    return [step for step, _ in kept], [value for _, value in kept]


def running_mean(values: Sequence[float], window: int) -> list[float]:
    """The mean around every place; at the ends of as many values as there are.

    >>> running_mean([1.0, 2.0, 6.0, 4.0], window=3)
    [1.5, 3.0, 4.0, 5.0]
    """
    sums = [0.0, *accumulate(values)]
    half, total = window // 2, len(values)
    spans = [(max(0, at - half), min(total, at + half + 1)) for at in range(total)]
    return [(sums[end] - sums[start]) / (end - start) for start, end in spans]


def _window(values: Sequence[float]) -> int:
    # A schedule is long but smooth: its mean would only round its corners off.
    swing = max(values) - min(values)
    noisy = sum(abs(b - a) for a, b in pairwise(values)) > 3 * swing
    return len(values) // 40 | 1 if noisy and len(values) >= _LONG else 1


def _marks(
    steps: Sequence[float],
    values: Sequence[float],
    to_x: Scale,
    to_y: Scale,
    kind: str,
    *,
    faint: bool,
) -> list[Markup]:
    window = _window(values)
    mean = line(steps, running_mean(values, window), to_x, to_y, f"line {kind}")
    # The faint records of several runs would hide one another.
    if window == 1 or not faint:
        return [mean]
    return [line(steps, values, to_x, to_y, f"faint {kind}"), mean]


def _value(values: Sequence[Any], share: bool) -> str:
    return percent(values[-1]) if share else number(values[-1])


def _smoothing(window: int, *, faint: bool) -> str:
    if window == 1:
        return ""
    mean = f"the mean of {window} neighboring records."
    return f"Faint: every record; line: {mean}" if faint else f"Lines: {mean}"


def _gaps(title: str, missing: int) -> str:
    return f"{title}: {missing:,} records are not finite." if missing else ""


def _reach(values: Any) -> Range:
    low, high = (found := sorted(values))[0], found[-1]
    # Zero is worth its space when the values nearly come down to it.
    return (0.0 if 0 < low < 0.25 * high else low), high


def _percents(rows: Sequence[float]) -> list[str]:
    return [f"{label}%" for label in tick_labels([100 * row for row in rows])]
