"""A picture of the losses: time relative to dense code, and memory, against rows."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxcl.labs.benchmarks._losses._names import DENSE, LOSSES, OURS
from jaxcl.labs.benchmarks._measurement import Results
from jaxcl.labs.benchmarks._rows import to_rows

# Okabe and Ito's colors: distinct for color-blind eyes too; ours and dense are fixed.
_COLORS = ("#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#8a6d3b", "#f0e442")
_FIXED = {OURS: "#d55e00", DENSE: "#444444"}
_MARKERS = "ovs^DPX"

Row = Mapping[str, Any]


def draw_losses(results: Results, path: Path) -> None:
    """Saves the picture: two rows of panels, one column a loss."""
    # Children load this module too, and draw nothing.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = to_rows(results.measurements)
    times = [row for row in rows if row["what"] == "losses"]
    # The first width and number of cores: a picture of all would show nothing.
    first = times[0]
    times = [row for row in times if _same(row, first, "dim", "threads")]
    memory = [row for row in rows if row["what"] == "memory"]
    memory = [row for row in memory if _same(row, first, "dim")]
    quantity = "growth" if memory else "temporaries"
    losses = [name for name in LOSSES if any(row["loss"] == name for row in times)]
    figure = Figure(figsize=(4.2 * max(1, len(losses)), 8.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, max(1, len(losses)), squeeze=False, sharey="row")
    styles = _styles(row["contender"] for row in times)
    for i, loss in enumerate(losses):
        panels[0, i].axhline(1.0, color=_FIXED[DENSE], linewidth=1, linestyle=":")
        _draw(panels[0, i], times, loss, "wall ratio", styles)
        _draw(panels[1, i], memory or times, loss, quantity, styles)
        panels[0, i].set_title(LOSSES[loss].split(" + ")[0], fontsize=10)
        panels[1, i].set_xlabel("rows of both views")
    panels[0, 0].set_ylabel("time / time of dense jnp (wall)")
    what = "growth of memory" if memory else "temporaries of XLA"
    panels[1, 0].set_ylabel(f"{what} in one call, MiB")
    _draw_legend(figure, panels)
    figure.suptitle(_title(results.origin, first), fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, format="png")


def _same(row: Row, other: Row, *names: str) -> bool:
    return all(row[name] == other[name] for name in names)


def _styles(contenders: Iterable[str]) -> dict[str, dict[str, Any]]:
    names = list(dict.fromkeys([OURS, DENSE, *contenders]))
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


def _draw(
    panel: Any, rows: Sequence[Row], loss: str, quantity: str, styles: dict[str, Any]
) -> None:
    found = [row for row in rows if row["loss"] == loss and row.get(quantity)]
    for name, style in styles.items():
        mine = sorted((r["size"], r[quantity]) for r in found if r["contender"] == name)
        if mine:
            panel.plot(*zip(*mine, strict=True), **style)
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    ticks = sorted({row["size"] for row in found})
    panel.set_xticks(ticks, [f"{x:,}" for x in ticks], rotation=45, fontsize=8)
    panel.minorticks_off()
    panel.yaxis.set_major_formatter("{x:g}")
    panel.grid(which="major", alpha=0.3)


def _draw_legend(figure: Any, panels: Any) -> None:
    drawn: dict[str, Any] = {}
    for panel in panels.flat:
        handles, names = panel.get_legend_handles_labels()
        drawn |= dict(zip(names, handles, strict=True))
    if drawn:
        place = {"loc": "outside lower center", "ncols": 4}
        entries = list(drawn.values()), list(drawn)
        figure.legend(*entries, fontsize=9, frameon=False, **place)


def _title(origin: Mapping[str, Any], first: Row) -> str:
    cores = "" if first["threads"] is None else f", {first['cores']}"
    return (
        f"value and gradient, dim {first['dim']}, {first['dtype']}{cores} · "
        f"{origin['machine']['processor']} · {origin['device']['kind']} · "
        f"commit {origin['commit']} · {origin['date'][:10]}"
    )
