"""Figures of what was recorded during training, over the steps."""

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

from jaxcl.reports._numbers import is_number, number, percent
from jaxcl.reports._plots import COLORS, GRAY, as_svg, drawing, one_plot

Figure = dict[str, Any]
Points = tuple[Sequence[Any], Sequence[Any]]
Size = tuple[float, float]
Range = tuple[float, float]

LARGE: Size = (5.2, 2.7)  # inches, as matplotlib has them
SMALL: Size = (3.4, 1.8)

PALETTE = (*COLORS, GRAY)
_LONG = 100  # records, from which on a curve is smoothed
_MOST_POINTS = 400  # more would not show at the width of a figure


def color(index: int) -> str:
    """The classes of the index-th line: eight colors, then the same ones dashed."""
    dashed = " dashed" if index // len(PALETTE) % 2 else ""
    return f"c{index % len(PALETTE)}{dashed}"


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
        (index, name, finite_points(*points))
        for index, (name, points) in enumerate(series.items())
    ]
    lines = [(index, name, points) for index, name, points in lines if points[0]]
    if not lines:
        return None
    alone = len(lines) == 1
    # The last record as it is: a run that diverged must not end on an older number.
    legend = [
        (color(index), name, _value(series[name][1], share)) for index, name, _ in lines
    ]
    last = ", ".join(f"{name} {value}" for _, name, value in legend)
    with drawing():
        figure, axes = one_plot(*size)
        for index, _, points in lines:
            _draw_line(axes, index, *points, faint=alone)
        _scale_axes(axes, [values for _, _, (_, values) in lines], share)
        svg = as_svg(figure, f"{title} over the steps. At the end: {last}.")
    window = max(_window(values) for _, _, (_, values) in lines)
    missing = sum(len(series[n][1]) - len(values) for _, n, (_, values) in lines)
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


def _draw_line(
    axes: Any,
    index: int,
    steps: Sequence[float],
    values: Sequence[float],
    *,
    faint: bool,
) -> None:
    window = _window(values)
    shown: Any = {"color": PALETTE[index % len(PALETTE)], "solid_capstyle": "round"}
    # A lone record is a point. Faint records of several runs would hide one another.
    marker = "o" if len(steps) == 1 else ""
    if window > 1 and faint:
        axes.plot(*thin(steps, values), linewidth=0.8, alpha=0.3, **shown)
    dashes = "--" if "dashed" in color(index) else "-"
    smooth = thin(steps, running_mean(values, window))
    axes.plot(*smooth, dashes, linewidth=1.6, marker=marker, markersize=3, **shown)


def _scale_axes(axes: Any, many: Sequence[Sequence[float]], share: bool) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    low = min(map(min, many))
    # Zero is worth its space when the values nearly come down to it.
    if 0 < low < 0.25 * max(map(max, many)):
        axes.set_ylim(bottom=0)
    axes.margins(x=0.01)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.grid(axis="y", color=GRAY, alpha=0.2, linewidth=0.6)
    if share:
        span = max(map(max, many)) - low
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, int(span < 0.05)))


def thin(xs: Sequence[float], ys: Sequence[float]) -> tuple[list[float], list[float]]:
    """Few enough points for a page: of every stretch its lowest and its highest."""
    points = list(zip(xs, ys, strict=True))
    if len(points) > _MOST_POINTS:
        length = -(-len(points) // (_MOST_POINTS // 2))
        points = [
            point
            for start in range(0, len(points), length)
            for stretch in [points[start : start + length]]
            for point in sorted({pick(stretch, key=_height) for pick in (min, max)})
        ]
    return [x for x, _ in points], [y for _, y in points]


def _height(point: tuple[float, float]) -> float:
    return point[1]


def _value(values: Sequence[Any], share: bool) -> str:
    return percent(values[-1]) if share else number(values[-1])


def _smoothing(window: int, *, faint: bool) -> str:
    if window == 1:
        return ""
    mean = f"the mean of {window} neighboring records."
    return f"Faint: every record; line: {mean}" if faint else f"Lines: {mean}"


def _gaps(title: str, missing: int) -> str:
    return f"{title}: {missing:,} records are not finite." if missing else ""
