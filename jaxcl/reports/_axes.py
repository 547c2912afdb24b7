"""Axes with round ticks."""

import math
from collections.abc import Callable, Iterable, Sequence

from markupsafe import Markup

from jaxcl.reports._svg import Scale, Size, picture, rule, text

Range = tuple[float, float]
Draw = Callable[[Scale, Scale], Iterable[Markup]]

_DIGIT = 8.6  # width of a digit at the largest letters that the style sheet gives


def scale(domain: Range, pixels: Range) -> Scale:
    """The straight map from values to pixels."""
    low, high = domain
    slope = (pixels[1] - pixels[0]) / ((high - low) or 1.0)
    return lambda value: pixels[0] + slope * (value - low)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Values from at or below `low` to at or above `high`, steps of 1, 2 or 5.

    >>> ticks(2.1, 5.3)
    [2.0, 3.0, 4.0, 5.0, 6.0]
    >>> ticks(7.0, 7.0)
    [2.0, 4.0, 6.0, 8.0, 10.0, 12.0]
    """
    if high <= low:
        margin = abs(low) / 2 or 0.5
        low, high = low - margin, high + margin
    unit = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(
        size for size in (unit, 2 * unit, 5 * unit, 10 * unit)
        # A rounding error must not double the step.
        if high - low <= size * most * (1 + 1e-9)
    )  # fmt: skip
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [count * step for count in range(first, last + 1)]


def tick_labels(values: Sequence[float]) -> list[str]:
    """Ticks as text, all with as many decimals as their step needs.

    >>> tick_labels([0.0, 0.05, 0.1])
    ['0', '0.05', '0.10']
    >>> tick_labels([0.0, 20_000.0])
    ['0', '20k']
    >>> tick_labels([0.0, 0.00002])
    ['0', '2e-5']
    """
    step = values[1] - values[0] if values[1:] else 1.0
    largest = max(map(abs, values))
    scaled, suffix = list(values), ""
    if 0 < largest < 1e-3:
        power = math.floor(math.log10(largest) + 1e-9)
        scaled, step = [value / 10.0**power for value in values], step / 10.0**power
        suffix = f"e{power}"
    elif largest >= 10_000:
        unit, suffix = (1e6, "M") if largest >= 1e6 else (1e3, "k")
        scaled, step = [value / unit for value in values], step / unit
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    texts = [f"{value:.{decimals}f}{suffix}" if value else "0" for value in scaled]
    # Only the sign of the number: that of an exponent reads better short.
    return [
        text.replace("-", "\u2212", 1) if text[0] == "-" else text for text in texts
    ]


def axes(
    label: str,
    draw: Draw,
    *,
    x: Range,
    y: Range,
    size: Size,
    y_labels: Callable[[Sequence[float]], list[str]] = tick_labels,
) -> Markup:
    """Marks on a plane with ticks; `draw` gets the two scales and gives the marks."""
    rows = ticks(*y, most=5 if size[1] > 200 else 3)
    # The plane ends with the data in x, so that no line stops short of its edge.
    columns = [at for at in ticks(*x) if x[0] - 1e-9 <= at <= x[1] + 1e-9] or [x[0]]
    names = y_labels(rows)
    left = 14 + _DIGIT * max(map(len, names))
    right, bottom = size[0] - 18.0, size[1] - 28.0
    to_x = scale(x, (left, right))
    to_y = scale((rows[0], rows[-1]), (bottom, 10.0))
    grid = [
        rule(
            left, to_y(at), to_x=right, to_y=to_y(at), kind="base" if not i else "grid"
        )
        for i, at in enumerate(rows)
    ]
    side = [
        text(left - 8, to_y(at) + 4, name, "end")
        for at, name in zip(rows, names, strict=True)
    ]
    foot = [
        text(to_x(at), bottom + 20, name, "middle")
        for at, name in zip(columns, tick_labels(columns), strict=True)
    ]
    return picture(label, size, [*grid, *draw(to_x, to_y), *side, *foot])
