"""A page on which the embeddings of images are looked at, found and selected."""

import json
from collections.abc import Mapping
from typing import Any

from jaxcl.reports._page import render_page

_PLACE = "<!-- {} -->"


def render_explore(page: Mapping[str, Any]) -> str:
    """One page in one file, drawn by Bokeh; it needs no network and no other file.

    Args:
        page: `title`; `origin`, texts to stand below it; and of as many images, each a
            list: `maps`, two coordinates by the name of a map; `columns`, with `name`,
            `kind` ("category", "number" or "text") and `values`, None where one is
            unknown; `images`, data URIs or None; `neighbors`, the nearest ones of each
            by position. A category has `levels`, and its values are positions there.

    Returns:
        The text of an HTML file.
    """
    library, plot, script = _bokeh()
    title, origin = str(page["title"]), [str(line) for line in page["origin"]]
    told = {"title": title, "origin": origin, "data": _in_script(page)}
    text = render_page("explore", **told)
    # Added last: the names of strangers, already escaped, cannot be these places, and
    # the code of the library stays as it is.
    for name, part in (("library", library), ("plot", plot), ("script", script)):
        text = text.replace(_PLACE.format(name), part, 1)
    return text


def _in_script(page: Mapping[str, Any]) -> str:
    """JSON that no browser takes for the end of the script around it."""
    text = json.dumps(page, separators=(",", ":"), allow_nan=False)
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def _bokeh() -> tuple[str, str, str]:
    """Its library, the place of an empty plot, and the script that draws it.

    The script of the page fills the plot: so no name of a stranger passes here.
    """
    from bokeh.embed import components
    from bokeh.resources import Resources

    script, place = components(_plot())
    library = Resources(mode="inline", components=["bokeh"]).render_js()
    return library, place, script


def _plot() -> Any:
    from bokeh.models import (
        BoxSelectTool,
        ColumnDataSource,
        HoverTool,
        LassoSelectTool,
        PanTool,
        Range1d,
        ResetTool,
        TapTool,
        WheelZoomTool,
    )
    from bokeh.plotting import figure

    plot: Any = figure(
        name="plot",
        tools=[],
        x_range=Range1d(start=0, end=1),
        y_range=Range1d(start=0, end=1),
        sizing_mode="stretch_both",
        min_border=0,
        background_fill_alpha=0,
        border_fill_alpha=0,
        outline_line_alpha=0.3,
    )
    plot.axis.visible = plot.grid.visible = False
    empty: Any = {"x": [], "y": [], "color": [], "marker": []}
    points = ColumnDataSource(empty, name="points")
    thumbs = ColumnDataSource({"x": [], "y": [], "color": [], "url": []}, name="thumbs")
    style = {"fill_color": "color", "line_color": None, "fill_alpha": 0.75}
    dots = plot.scatter(
        "x", "y", size=7, marker="marker", source=points, name="dots", **style,
        nonselection_fill_alpha=0.12,
    )  # fmt: skip
    side = {"value": 40, "units": "screen"}
    plot.image_url(
        "url", "x", "y", w=side, h=side, anchor="center", source=thumbs, name="images"
    )
    frames = plot.scatter(
        "x", "y", size=42, marker="square", fill_alpha=0, line_color="color",
        line_width=3, nonselection_line_alpha=1, source=thumbs, name="frames",
    )  # fmt: skip
    pan, zoom = PanTool(), WheelZoomTool()
    hover = HoverTool(tooltips=None, renderers=[dots, frames], visible=False)
    select = [BoxSelectTool(renderers=[dots]), LassoSelectTool(renderers=[dots])]
    tap = TapTool(renderers=[dots, frames], visible=False)
    plot.add_tools(pan, zoom, *select, tap, ResetTool(), hover)
    plot.toolbar.active_scroll, plot.toolbar.active_drag = zoom, pan
    plot.toolbar.logo = None
    return plot
