"""One picture: time relative to the dense code, and memory, against rows."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jaxcl.labs.benchmarks._contenders import BASELINE, LOSSES, OURS
from jaxcl.labs.benchmarks._records import Memory, Results, Timing

# Okabe and Ito's colors: distinct for color-blind eyes too; ours and dense are fixed.
_COLORS = ("#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#8a6d3b", "#f0e442")
_FIXED = {OURS: "#d55e00", BASELINE: "#444444"}
_MARKERS = "ovs^DPX"


def draw_results(results: Results, path: Path) -> None:
    """Saves the picture; two rows of panels, one column a loss."""
    # Children load this module too, and draw nothing.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    timings = _of_one_setting(results.timings)
    losses = [name for name in LOSSES if any(t.loss == name for t in timings)]
    figure = Figure(figsize=(4.2 * max(1, len(losses)), 8.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, max(1, len(losses)), squeeze=False, sharey="row")
    styles = _styles(timings)
    for i, loss in enumerate(losses):
        of_loss = [t for t in timings if t.loss == loss]
        _draw_times(panels[0, i], of_loss, styles)
        _draw_memory(panels[1, i], _memory_points(results, loss, of_loss), styles)
        panels[0, i].set_title(LOSSES[loss].split(" + ")[0], fontsize=10)
        panels[1, i].set_xlabel("rows of both views")
    panels[0, 0].set_ylabel("time / time of dense jnp (wall)")
    panels[1, 0].set_ylabel(_memory_label(results))
    drawn: dict[str, Any] = {}
    for panel in panels.flat:
        handles, names = panel.get_legend_handles_labels()
        drawn |= dict(zip(names, handles, strict=True))
    if drawn:
        figure.legend(
            list(drawn.values()),
            list(drawn),
            loc="outside lower center",
            ncols=4,
            fontsize=9,
            frameon=False,
        )
    figure.suptitle(_title(results, timings), fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, format="png")


def _of_one_setting(timings: Iterable[Timing]) -> list[Timing]:
    """The first width and number of cores: a picture of all would show nothing."""
    timings = list(timings)
    return [
        t for t in timings if (t.dim, t.threads) == (timings[0].dim, timings[0].threads)
    ]


def _styles(timings: Iterable[Timing]) -> dict[str, dict[str, Any]]:
    names = list(dict.fromkeys([OURS, BASELINE, *(t.contender for t in timings)]))
    others = [name for name in names if name not in _FIXED]
    colors = _FIXED | {name: _COLORS[i % len(_COLORS)] for i, name in enumerate(others)}
    return {
        name: {
            "color": colors[name],
            "marker": _MARKERS[i % len(_MARKERS)],
            "linewidth": 2.5 if name == OURS else 1.3,
            "markersize": 6,
            "label": name,
        }
        for i, name in enumerate(names)
    }


def _draw_times(panel: Any, timings: list[Timing], styles: dict[str, Any]) -> None:
    panel.axhline(1.0, color=_FIXED[BASELINE], linewidth=1, linestyle=":")
    points = [
        (t.contender, t.rows, t.wall_ratio) for t in timings if t.wall_ratio is not None
    ]
    _draw_lines(panel, points, styles)


def _draw_memory(panel: Any, points: list[Any], styles: dict[str, Any]) -> None:
    _draw_lines(panel, points, styles)


def _draw_lines(panel: Any, points: list[Any], styles: dict[str, Any]) -> None:
    for name, style in styles.items():
        mine = sorted((x, y) for who, x, y in points if who == name)
        if mine:
            panel.plot(*zip(*mine, strict=True), **style)
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    ticks = sorted({x for _, x, _ in points})
    panel.set_xticks(ticks, [f"{x:,}" for x in ticks], rotation=45, fontsize=8)
    panel.minorticks_off()
    panel.yaxis.set_major_formatter("{x:g}")
    panel.grid(which="major", alpha=0.3)


def _memory_points(results: Results, loss: str, timings: list[Timing]) -> list[Any]:
    """Growth of a call where it was measured, else the compiler's temporaries."""
    if results.memory:
        dim = timings[0].dim if timings else None
        found: list[Memory] = [
            one for one in results.memory if (one.name, one.dim) == (loss, dim)
        ]
        return [(m.contender, m.rows, m.growth_mib) for m in found if m.growth_mib]
    return [
        (t.contender, t.rows, t.temporaries_mib) for t in timings if t.temporaries_mib
    ]


def _memory_label(results: Results) -> str:
    what = "growth of memory" if results.memory else "temporaries of XLA"
    return f"{what} in one call, MiB"


def _title(results: Results, timings: list[Timing]) -> str:
    record = results.record
    first = timings[0]
    cores = "" if first.threads is None else f", {first.threads} core(s)"
    return (
        f"value and gradient, dim {first.dim}, {first.dtype}{cores} · "
        f"{record['machine']['processor']} · {record['device']['kind']} · "
        f"commit {record['commit']} · {record['date'][:10]}"
    )
