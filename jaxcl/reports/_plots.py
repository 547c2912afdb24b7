"""Figures of Matplotlib as SVG for a page in one file, light or dark."""

import io
import re
from typing import Any

from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

GRAY = "#5a6472"
COLORS = ("#2563a8", "#c2570c", "#5f8f3c", "#8a4fa3", "#0f8a8a", "#b03a5b", "#8a6d1c")
STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GRAY,
    "legend.frameon": False,
    # The same picture has the same names in every run.
    "svg.hashsalt": "jaxcl",
    # A dollar in a name is a dollar.
    "text.parse_math": False,
}


def one_plot(width: float = 6.4, height: float = 3.9) -> tuple[Figure, Any]:
    """A figure and its axes; to be called, and drawn, under `STYLE`."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def as_svg(figure: Figure, label: str) -> str:
    """The figure as an element of a page; black takes the color of the text.

    Args:
        figure: A figure; its background becomes clear.
        label: What it shows, for those who do not see it.
    """
    figure.patch.set_alpha(0)
    for axes in figure.axes:
        axes.patch.set_alpha(0)
    text = io.StringIO()
    FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None, "Creator": None})
    # Without what only a file of its own has.
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"#000000|\bblack\b", "currentColor", svg)
    label = re.sub(r"[<>&\"]", " ", label)
    opening = f'<svg role="img" aria-label="{label}" style="max-width:100%;height:auto"'
    return svg.replace("<svg", opening, 1)
