"""How the laboratories draw: Matplotlib's figures inside a page of one file."""

from jaxcl.plots._figures import (
    COLORS as COLORS,
    GRAY as GRAY,
    STYLE as STYLE,
    as_svg as as_svg,
    one_plot as one_plot,
)

__all__ = ["COLORS", "GRAY", "STYLE", "as_svg", "one_plot"]
