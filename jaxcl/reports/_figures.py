"""Figures of what the evaluation found: histograms of pairs, bars of domains."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from jaxcl.reports._curves import LARGE, PALETTE, Figure, Range
from jaxcl.reports._numbers import fixed, is_number, percent
from jaxcl.reports._plots import GRAY, as_svg, drawing, one_plot
from jaxcl.reports._reading import METHODS, look
from jaxcl.reports._terminal import printable

_PAIRS = {
    "positive": ("c0", "positive pairs"),
    "negative": ("c1", "negative pairs"),
    # Most of these are negatives too, so they are an outline on top of them.
    "within": ("c7", "within a view"),
}
_MOST_BARS = 30
_LONGEST_NAME = 18


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
    legend = [(*_PAIRS[pair], fixed(means[pair])) for pair in found]
    spoken = ", ".join(f"{name} {mean}" for _, name, mean in legend)
    with drawing():
        figure, axes = one_plot(*LARGE)
        for pair, heights in found.items():
            color = PALETTE[int(_PAIRS[pair][0][1:])]
            if pair != "within":
                axes.stairs(heights, edges, fill=True, color=color, alpha=0.2)
            axes.stairs(heights, edges, color=color, linewidth=1.2)
            if is_number(means[pair]):
                axes.axvline(means[pair], color=color, linestyle="--", linewidth=1.2)
        axes.set_xlim(*reach)
        axes.set_ylim(bottom=0)
        label = f"Density of cosine similarity, {title.lower()}. Means: {spoken}."
        svg = as_svg(figure, label)
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
    places = range(len(bars))
    colors = [PALETTE[int(name == worst)] for name, _ in bars]
    spoken = ", ".join(f"{name} {percent(value)}" for name, value in bars)
    with drawing():
        from matplotlib.ticker import PercentFormatter

        figure, axes = one_plot(LARGE[0], 0.6 + 0.27 * len(bars))
        axes.barh(places, [value for _, value in bars], height=0.62, color=colors)
        for place, (name, value) in enumerate(bars):
            axes.text(1.02, place, percent(value), va="center")
            if is_number(old[name]):
                axes.plot(old[name], place, "|", color="black", markersize=11)
        if is_number(overall):
            axes.axvline(overall, color="black", linestyle="--", linewidth=1)
        axes.set_yticks(places, names)
        axes.set(xlim=(0, 1), ylim=(len(bars) - 0.5, -0.5), xticks=(0, 0.5, 1))
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, 0))
        axes.grid(axis="x", color=GRAY, alpha=0.2, linewidth=0.6)
        axes.tick_params(axis="y", length=0)
        return as_svg(figure, f"Accuracy per domain, {label}: {spoken}.")


def _shortened(name: str) -> str:
    name = printable(name)
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}\u2026"
