"""A picture of the losses: time relative to dense code, and memory, against rows."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxcl.labs.benchmarks._losses._contenders import DENSE, LOSSES, OURS
from jaxcl.labs.benchmarks._measurement import Results

if TYPE_CHECKING:
    import pandas as pd

# Okabe and Ito's colors: distinct for color-blind eyes too; ours and dense are fixed.
_COLORS = ("#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#8a6d3b", "#f0e442")
_FIXED = {OURS: "#d55e00", DENSE: "#444444"}
_MARKERS = "ovs^DPX"


def draw_losses(results: Results, path: Path) -> None:
    """Saves the picture: two rows of panels, one column a loss."""
    # Children load this module too, and draw nothing.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    frame = results.to_frame()
    times = frame[frame["what"] == "losses"]
    # The first width and number of cores: a picture of all would show nothing.
    first = times.iloc[0]
    times = times[(times[["dim", "threads"]] == first[["dim", "threads"]]).all(axis=1)]
    memory = frame[(frame["what"] == "memory") & (frame["dim"] == first["dim"])]
    label, quantity = "growth of memory", "growth"
    if memory.empty:
        memory, label, quantity = times, "temporaries of XLA", "temporaries"
    losses = [name for name in LOSSES if name in set(times["loss"])]
    figure = Figure(figsize=(4.2 * max(1, len(losses)), 8.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, max(1, len(losses)), squeeze=False, sharey="row")
    styles = _styles(dict.fromkeys([OURS, DENSE, *times["contender"]]))
    for (above, below), loss in zip(panels.T, losses, strict=False):
        above.axhline(1.0, color=_FIXED[DENSE], linewidth=1, linestyle=":")
        _draw(above, times[times["loss"] == loss], "wall ratio", styles)
        _draw(below, memory[memory["loss"] == loss], quantity, styles)
        above.set_title(LOSSES[loss].split(" + ")[0], fontsize=10)
        below.set_xlabel("rows of both views")
    panels[0, 0].set_ylabel("time / time of dense jnp (wall)")
    panels[1, 0].set_ylabel(f"{label} in one call, MiB")
    drawn = {line.get_label(): line for panel in panels.flat for line in panel.lines}
    drawn = {name: line for name, line in drawn.items() if name in styles}
    place: dict[str, Any] = {"loc": "outside lower center", "ncols": 4}
    figure.legend(list(drawn.values()), list(drawn), frameon=False, **place)
    figure.suptitle(_title(results.origin, first), fontsize=9)
    figure.savefig(path, dpi=150, format="png")


def _styles(names: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
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
    panel: Any, rows: "pd.DataFrame", quantity: str, styles: dict[str, Any]
) -> None:
    rows = rows[(rows["quantity"] == quantity) & (rows["value"] > 0)].sort_values(
        "size"
    )
    for name, style in styles.items():
        mine = rows[rows["contender"] == name]
        if not mine.empty:
            panel.plot(mine["size"], mine["value"], **style)
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    ticks = sorted(set(rows["size"]))
    panel.set_xticks(ticks, [f"{x:,}" for x in ticks], rotation=45, fontsize=8)
    panel.minorticks_off()
    panel.yaxis.set_major_formatter("{x:g}")
    panel.grid(which="major", alpha=0.3)


def _title(origin: Mapping[str, Any], first: "pd.Series") -> str:
    return (
        f"value and gradient, dim {first['dim']:g}, {first['dtype']}, "
        f"cores: {first['threads']} · {origin['machine']['processor']} · "
        f"{origin['device']['kind']} · commit {origin['commit']} · "
        f"{origin['date'][:10]}"
    )
