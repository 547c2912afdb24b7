"""Pages in one file, and tables for the terminal.

All read plain values, such as those of `report.json`, and nothing else: a report of
last year renders today, on a machine without an accelerator and without the data.
"""

from jaxcl.reports._explore import render_explore as render_explore
from jaxcl.reports._files import (
    ReportError as ReportError,
    read_looks as read_looks,
    read_reports as read_reports,
)
from jaxcl.reports._numbers import (
    difference as difference,
    number as number,
    p_value as p_value,
)
from jaxcl.reports._page import render_html as render_html, render_page as render_page
from jaxcl.reports._plots import (
    COLORS as COLORS,
    GRAY as GRAY,
    as_svg as as_svg,
    drawing as drawing,
    one_plot as one_plot,
)
from jaxcl.reports._reading import look as look
from jaxcl.reports._table import render_table as render_table
from jaxcl.reports._terminal import (
    literal as literal,
    printable as printable,
    to_json as to_json,
)

__all__ = [
    "COLORS",
    "GRAY",
    "ReportError",
    "as_svg",
    "difference",
    "drawing",
    "literal",
    "look",
    "number",
    "one_plot",
    "p_value",
    "printable",
    "read_looks",
    "read_reports",
    "render_explore",
    "render_html",
    "render_page",
    "render_table",
    "to_json",
]
