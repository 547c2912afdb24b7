"""Figures of what the evaluation found: histograms of pairs, bars of domains."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from jaxcl.reports._axes import Range, axes, scale
from jaxcl.reports._curves import LARGE, Figure
from jaxcl.reports._numbers import fixed, is_number, percent
from jaxcl.reports._reading import METHODS, look
from jaxcl.reports._svg import Scale, element, picture, rule, text

_PAIRS = {
    "positive": ("c0", "positive pairs"),
    "negative": ("c1", "negative pairs"),
    # Most of these are negatives too, so they are an outline on top of them.
    "within": ("c7 hollow", "within a view"),
}
_MOST_BARS = 30
_LONGEST_NAME = 18
_LETTER = 9.0
_ROW = 23.0


def histogram(title: str, statistics: Any, reach: Range) -> Figure | None:
    """The density of the similarities of each kind of pair, and its mean."""
    edges = look(statistics, "edges") or []
    found = {
        pair: heights
        for pair in _PAIRS
        if (heights := density(edges, look(statistics, f"{pair}_histogram")))
    }
    if not found:
        return None
    means = {pair: look(statistics, f"{pair}_mean") for pair in found}

    def draw(to_x: Scale, to_y: Scale) -> list[Markup]:
        areas = [
            element("path", d=_steps(edges, found[pair], to_x, to_y), class_=kind)
            for pair, (color, _) in _PAIRS.items()
            if pair in found
            for kind in (f"area {color}", f"outline {color}")
        ]
        return areas + [
            rule(at, to_y(0), to_x=at, to_y=10.0, kind=f"mean {_PAIRS[pair][0]}")
            for pair, mean in means.items()
            if is_number(mean)
            for at in (to_x(mean),)
        ]

    legend = [
        (_PAIRS[pair][0], _PAIRS[pair][1], fixed(means[pair]))
        for pair in _PAIRS
        if pair in found
    ]
    spoken = ", ".join(f"{name} {mean}" for _, name, mean in legend)
    highest = max(height for heights in found.values() for height in heights)
    label = f"Density of cosine similarity, {title.lower()}. Means: {spoken}."
    svg = axes(label, draw, x=reach, y=(0.0, highest), size=LARGE)
    return {"title": title, "svg": svg, "legend": legend, "note": ""}


def histogram_reach(many: Sequence[Any]) -> Range:
    """The similarities that occur in any of the histograms, so that they compare."""
    spans = [
        span
        for statistics in many
        for pair in _PAIRS
        if (edges := look(statistics, "edges"))
        and (counts := look(statistics, f"{pair}_histogram"))
        and len(edges) == len(counts) + 1
        for span, count in zip(pairwise(edges), counts, strict=True)
        if count
    ]
    if not spans:
        return -1.0, 1.0
    return min(low for low, _ in spans), max(high for _, high in spans)


def density(edges: Sequence[float], counts: Any) -> list[float]:
    """Counts as heights whose area is one; nothing for an empty histogram.

    >>> density([-1.0, 0.0, 0.5], [1, 3])
    [0.25, 1.5]
    """
    total = sum(counts or [])
    if not total or len(edges) != len(counts) + 1:
        return []
    return [
        count / (total * (high - low))
        for count, (low, high) in zip(counts, pairwise(edges), strict=True)
    ]


def domain_bars(split: str, before: Any, after: Any) -> Figure | None:
    """One bar a domain for the linear probe, or for kNN where there is no probe."""
    method = next((name for name in METHODS if look(after, name, "domains")), "")
    domains: Mapping[str, Any] = look(after, method, "domains") or {}
    bars = [(name, look(result, "accuracy")) for name, result in domains.items()]
    bars = [(name, value) for name, value in bars if is_number(value)]
    if not bars:
        return None
    note = ""
    if len(bars) > _MOST_BARS:
        note = f"the {_MOST_BARS} lowest of {len(bars)} domains"
        bars = sorted(bars, key=lambda bar: bar[1])[:_MOST_BARS]
    overall = look(after, method, "accuracy")
    worst = look(after, method, "worst_domain", "name")
    old = {name: look(before, method, "domains", name, "accuracy") for name, _ in bars}
    legend = [("c0 block", "after training", "")]
    if worst in dict(bars):
        legend.append(("c1 block", "worst domain", ""))
    if any(map(is_number, old.values())):
        legend.append(("tick", "before training", ""))
    if is_number(overall):
        legend.append(("dash", "all domains", percent(overall)))
    return {
        "title": f"{METHODS[method].capitalize()} accuracy per domain",
        "svg": _bars(f"{METHODS[method]} on {split}", bars, old, overall, worst),
        "legend": legend,
        "note": note,
    }


def _bars(
    label: str,
    bars: Sequence[tuple[str, float]],
    old: Mapping[str, Any],
    overall: Any,
    worst: Any,
) -> Markup:
    names = [_shortened(name) for name, _ in bars]
    left = 14 + _LETTER * max(map(len, names))
    width, bottom = LARGE[0], 8 + _ROW * len(bars)
    to_x = scale((0.0, 1.0), (left, width - 72))
    marks = [
        rule(to_x(at), 4, to_x=to_x(at), to_y=bottom, kind="grid" if at else "base")
        for at in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    for row, (name, value) in enumerate(bars):
        marks += _bar(8 + _ROW * row, names[row], name, value, old[name], to_x, worst)
    if is_number(overall):
        at = to_x(overall)
        marks.append(rule(at, 4, to_x=at, to_y=bottom, kind="dash"))
    marks += [
        text(to_x(at), bottom + 19, f"{100 * at:.0f}%", "middle")
        for at in (0.0, 0.5, 1.0)
    ]
    spoken = ", ".join(f"{name} {percent(value)}" for name, value in bars)
    label = f"Accuracy per domain, {label}: {spoken}."
    return picture(label, (width, bottom + 26), marks)


def _bar(
    top: float,
    short: str,
    name: str,
    value: float,
    old: Any,
    to_x: Scale,
    worst: Any,
) -> list[Markup]:
    middle, kind = top + _ROW / 2 - 2, "c1" if name == worst else "c0"
    start, end = to_x(0.0), to_x(value)
    size = {"width": end - start, "height": _ROW - 9.0}
    title = element("title", f"{name}: {percent(value)}")
    marks = [
        text(start - 8, middle + 5, short, "end"),
        element("rect", title, x=start, y=top + 2, class_=f"bar {kind}", **size),
        text(LARGE[0] - 8, middle + 5, percent(value), "end", class_="value"),
    ]
    if is_number(old):
        at = to_x(old)
        marks.append(rule(at, top, to_x=at, to_y=top + _ROW - 5, kind="tick"))
    return marks


def _steps(
    edges: Sequence[float], heights: Sequence[float], to_x: Scale, to_y: Scale
) -> str:
    """The outline of a histogram; stretches without a pair are left out."""
    path, down = [], True
    for (low, high), height in zip(pairwise(edges), heights, strict=True):
        if height and down:
            path.append(f"M{to_x(low):.1f} {to_y(0):.1f}")
        if height:
            path.append(f"V{to_y(height):.1f}H{to_x(high):.1f}")
        if not height and not down:
            path.append(f"V{to_y(0):.1f}")
        down = not height
    return "".join(path) + ("" if down else f"V{to_y(0):.1f}")


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}\u2026"
