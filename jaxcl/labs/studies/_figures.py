"""Figures of a study's page, as SVG."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from jaxcl.config import StudyConfig
from jaxcl.labs.studies._analysis import POINTS, Comparison, primary_metric
from jaxcl.labs.studies._plan import Cell, name_with_mode
from jaxcl.reports import COLORS, GRAY, as_svg, drawing, one_plot

Drawing = tuple[str, str, str]
_PAIRS = ("same_domain", "different_domain")
_DIRECTIONS = {
    "information": "true less shuffled metadata, all else equal",
    "method": "the arm less the baseline",
}


def draw_study(
    config: StudyConfig,
    frame: pd.DataFrame,
    comparisons: Sequence[Comparison],
    histograms: Mapping[Cell, Mapping[str, Any]],
) -> list[Drawing]:
    """Title, SVG and a line of explanation of each figure."""
    drawings = []
    with drawing():
        for shift in config.shifts:
            for unlabeled in config.unlabeled:
                here = f"{shift.name}" + (f", {unlabeled} samples" if unlabeled else "")
                part = [
                    one
                    for one in comparisons
                    if (one.shift, one.unlabeled) == (shift.name, unlabeled)
                ]
                drawings += _forests(config, here, part)
                rows = frame[
                    (frame["shift"] == shift.name) & (frame["unlabeled"] == unlabeled)
                ]
                drawings += _curves(here, rows)
                drawings += _doses(config, here, rows)
            drawings += _cosines(shift.name, histograms)
    return drawings


def _forests(
    config: StudyConfig, here: str, comparisons: Sequence[Comparison]
) -> list[Drawing]:
    drawings = []
    for contrast, meaning in _DIRECTIONS.items():
        rows = [one for one in comparisons if one.contrast == contrast]
        if not rows:
            continue
        figure, axes = one_plot(height=1.3 + 0.32 * len(rows))
        margin = config.analysis.margin
        axes.axvspan(-margin, margin, color=GRAY, alpha=0.15, linewidth=0)
        axes.axvline(0, color=GRAY, linewidth=0.8)
        for height, one in enumerate(reversed(rows)):
            effect = one.effect
            color = COLORS[0] if one.counted else GRAY
            ends = [end for end in (effect.low, effect.high) if np.isfinite(end)]
            if len(ends) == 2:
                axes.plot(ends, [height, height], color=color, linewidth=1.6)
            axes.plot(effect.difference, height, "o", color=color, markersize=5)
        names = [name_with_mode(one.arm, one.mode, one.rate) for one in rows]
        axes.set_yticks(range(len(rows)), names[::-1])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_xlabel("difference of accuracy under shift, points")
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        drawings.append(
            (
                f"{here}: {meaning}",
                as_svg(figure, f"Differences under {here}: {meaning}"),
                f"Mean of paired differences with {config.analysis.level:.0%} "
                f"intervals; the band is the margin of ±{margin:g} points. Gray rows "
                "are oracles, controls, or of a shift that is left out.",
            )
        )
    return drawings


def _curves(here: str, rows: pd.DataFrame) -> list[Drawing]:
    heads = rows[(rows["metric"] == "source_head") & (rows["split"] == "ood")]
    heads = heads[heads["mode"].isin(["none", "true"]) & (heads["labels"] > 0)]
    if heads["labels"].nunique() < 2:
        return []
    figure, axes = one_plot()
    for number, (arm, part) in enumerate(heads.groupby("arm", sort=False)):
        means = part.groupby("labels")["value"].mean() * POINTS
        style = "-" if number < len(COLORS) else "--"
        color = COLORS[number % len(COLORS)]
        axes.plot(
            means.index, means, style, marker="o", markersize=4, color=color, label=arm
        )
    counts = sorted(heads["labels"].unique())
    axes.set(xscale="log", xlabel="labels of each class", ylabel="accuracy, %")
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.minorticks_off()
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return [
        (
            f"{here}: accuracy under shift against labels",
            as_svg(figure, f"Accuracy under {here} against the number of labels"),
            "Linear heads fitted on labels of the training split; means over seeds, "
            "with true metadata.",
        )
    ]


def _doses(config: StudyConfig, here: str, rows: pd.DataFrame) -> list[Drawing]:
    metric = primary_metric(config.analysis)
    found = rows[
        (rows["metric"] == metric.metric)
        & (rows["split"] == metric.split)
        & (rows["labels"] == metric.labels)
    ]
    noisy = found[found["mode"] == "noisy"]["arm"].unique()
    if len(noisy) == 0:
        return []
    figure, axes = one_plot()
    for number, arm in enumerate(noisy):
        part = found[(found["arm"] == arm) & found["mode"].isin(["true", "noisy"])]
        color = COLORS[number % len(COLORS)]
        spread = part.groupby("rate")["value"].agg(["mean", "std"]) * POINTS
        axes.errorbar(
            spread.index, spread["mean"], spread["std"], color=color, label=arm
        )
        placebo = found[(found["arm"] == arm) & (found["mode"] == "shuffled")]["value"]
        if len(placebo):
            level = placebo.mean() * POINTS
            axes.axhline(level, color=color, linestyle=":", linewidth=1)
    axes.set(xlabel="share of metadata that is wrong", ylabel="accuracy, %")
    axes.legend(fontsize=8)
    return [
        (
            f"{here}: dose and response",
            as_svg(figure, f"Accuracy under {here} against wrong metadata"),
            "Mean and deviation over seeds; dotted: all metadata shuffled.",
        )
    ]


def _cosines(shift: str, histograms: Mapping[Cell, Mapping[str, Any]]) -> list[Drawing]:
    cells = [
        cell
        for cell, found in histograms.items()
        if cell.shift == shift and cell.mode in ("none", "true") and len(found) == 3
    ]
    last = max((cell.unlabeled or np.inf for cell in cells), default=0)
    first = next((cell.target for cell in cells), "")
    cells = [
        cell
        for cell in cells
        if (cell.unlabeled or np.inf) == last and cell.target == first
    ]
    if not cells:
        return []
    columns = min(3, len(cells))
    lines = -(-len(cells) // columns)
    figure, _ = one_plot(2.6 * columns, 1.9 * lines)
    figure.clear()
    for number, cell in enumerate(cells, 1):
        axes = figure.add_subplot(lines, columns, number)
        found = histograms[cell]
        edges = np.asarray(found["edges"])
        for name, color in (
            ("same_domain", COLORS[1]),
            ("different_domain", COLORS[0]),
        ):
            counts = np.asarray(found[name]["histogram"], float)
            density = counts / counts.sum() / (edges[1] - edges[0])
            axes.stairs(density, edges, color=color)
        axes.set_title(cell.arm, fontsize=9)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
    return [
        (
            f"{shift}: cosines of pairs of one domain (orange) and of two (blue)",
            as_svg(figure, f"Cosines of pairs by domain under {shift}"),
            "Projections of different images of the split without shift; first seed.",
        )
    ]
