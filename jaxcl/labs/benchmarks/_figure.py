"""A picture of the losses: time relative to dense code, and memory, against rows."""

from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxcl.labs.benchmarks._losses._contenders import DENSE, LOSSES, OURS
from jaxcl.labs.benchmarks._measurement import Results

if TYPE_CHECKING:
    import pandas as pd

# Okabe and Ito's colors, distinct for color-blind readers too.
_COLORS = ("#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#8a6d3b", "#f0e442")
_FIXED = {OURS: "#d55e00", DENSE: "#444444"}
_MARKERS = "ovs^DPX"


def draw_losses(results: Results, path: Path) -> None:
    """Saves the picture: two rows of panels, one column a loss."""
    # Children load this module too, and draw nothing.
    from matplotlib.figure import Figure

    frame = results.to_frame()
    times = frame[frame["what"] == "losses"]
    # Only the first width and number of cores: all of them would be unreadable.
    first = times.iloc[0]
    times = times[(times[["dim", "threads"]] == first[["dim", "threads"]]).all(axis=1)]
    memory = frame[(frame["what"] == "memory") & (frame["dim"] == first["dim"])]
    label, quantity = "growth of memory", "growth"
    if memory.empty:
        memory, label, quantity = times, "temporaries of XLA", "temporaries"
    losses = [name for name in LOSSES if name in set(times["loss"])]
    figure = Figure(figsize=(4.2 * len(losses), 8.2), layout="constrained")
    panels = figure.subplots(2, len(losses), squeeze=False, sharey="row")
    styles = _styles([*dict.fromkeys([OURS, DENSE, *times["contender"]])])
    lines: dict[str, Any] = {}
    for (above, below), loss in zip(panels.T, losses, strict=True):
        above.axhline(1.0, color=_FIXED[DENSE], linewidth=1, linestyle=":")
        lines |= _draw(above, times[times["loss"] == loss], "wall ratio", styles)
        lines |= _draw(below, memory[memory["loss"] == loss], quantity, styles)
        above.set_title(LOSSES[loss].split(" + ")[0], fontsize=10)
        below.set_xlabel("rows of both views")
    panels[0, 0].set_ylabel("time / time of dense jnp (wall)")
    panels[1, 0].set_ylabel(f"{label} in one call, MiB")
    place: dict[str, Any] = {"loc": "outside lower center", "ncols": 4}
    shown = {name: lines[name] for name in styles if name in lines}
    figure.legend(list(shown.values()), list(shown), frameon=False, **place)
    figure.suptitle(_title(results.origin, first), fontsize=9)
    figure.savefig(path, dpi=150, format="png")


def _styles(names: list[str]) -> dict[str, dict[str, Any]]:
    others = [name for name in names if name not in _FIXED]
    colors = dict(zip(others, cycle(_COLORS), strict=False)) | _FIXED
    markers = dict(zip(names, cycle(_MARKERS), strict=False))
    widths = dict.fromkeys(names, 1.3) | {OURS: 2.5}
    return {
        name: {"color": colors[name], "marker": markers[name], "lw": widths[name]}
        for name in names
    }


def _draw(
    panel: Any, rows: "pd.DataFrame", quantity: str, styles: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """One line a contender, by name."""
    rows = rows[(rows["quantity"] == quantity) & (rows["value"] > 0)]
    lines = {}
    for name, mine in rows.sort_values("size").groupby("contender"):
        (lines[name],) = panel.plot(mine["size"], mine["value"], **styles[str(name)])
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    ticks = sorted(set(rows["size"]))
    panel.set_xticks(ticks, [f"{x:,}" for x in ticks], rotation=45, fontsize=8)
    panel.minorticks_off()
    panel.yaxis.set_major_formatter("{x:g}")
    panel.grid(which="major", alpha=0.3)
    return lines


def _title(origin: dict[str, Any], first: "pd.Series") -> str:
    return (
        f"value and gradient, dim {first['dim']:g}, {first['dtype']}, "
        f"cores: {first['threads']} · {origin['machine']['processor']} · "
        f"{origin['device']['kind']} · commit {origin['commit']} · "
        f"{origin['date'][:10]}"
    )
