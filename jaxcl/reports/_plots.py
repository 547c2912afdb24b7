"""Figures of matplotlib as SVG for a page in one file, in a light or a dark theme."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from markupsafe import Markup

GRAY = "#5a6472"
COLORS = ("#2563a8", "#c2570c", "#5f8f3c", "#8a4fa3", "#0f8a8a", "#b03a5b", "#8a6d1c")
STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GRAY,
    "xtick.color": GRAY,
    "ytick.color": GRAY,
    "legend.frameon": False,
    # The same picture has the same names in every run.
    "svg.hashsalt": "jaxcl",
    # A dollar in a name is a dollar.
    "text.parse_math": False,
}
# The style sheet gives each color a lighter one in the dark theme.
_THEMED = {color: f"var(--c{i})" for i, color in enumerate((*COLORS, GRAY))}


@contextmanager
def drawing() -> Iterator[None]:
    """Draws all figures of the block in the style of the pages."""
    # Matplotlib takes a third of a second to load, which only figures should cost.
    import matplotlib

    # Not the settings of a file in the working directory: they can start LaTeX.
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **STYLE}):
        yield


def one_plot(width: float = 5.2, height: float = 3.3) -> tuple[Any, Any]:
    """A figure and its axes, for use inside of `drawing`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def as_svg(figure: Any, label: str) -> Markup:
    """The figure as an element of a page, for use inside of `drawing`.

    Args:
        figure: A figure; its background becomes clear.
        label: The description that a screen reader reads out.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    figure.patch.set_alpha(0)
    for axes in figure.axes:
        axes.patch.set_alpha(0)
    text = io.StringIO()
    FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    # What only a file of its own needs; the style would apply to the whole page.
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.S)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)
    svg = re.sub(r"#000000|\bblack\b", "currentColor", svg)
    for color, themed in _THEMED.items():
        svg = svg.replace(color, themed)
    opening = Markup('<svg role="img" aria-label="{}"').format(label)
    return Markup(svg.replace("<svg", opening, 1))
