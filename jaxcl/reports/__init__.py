"""What a run leaves for its readers: a page in one file, and a table in the terminal.

Both read the plain values of `report.json` and nothing else, so a report of last year
renders today, on a machine without an accelerator and without the data.
"""

from jaxcl.reports._files import (
    ReportError as ReportError,
    read_reports as read_reports,
)
from jaxcl.reports._page import render_html as render_html
from jaxcl.reports._plots import (
    COLORS as COLORS,
    GRAY as GRAY,
    STYLE as STYLE,
    as_svg as as_svg,
    one_plot as one_plot,
)
from jaxcl.reports._table import render_table as render_table

__all__ = [
    "COLORS",
    "GRAY",
    "STYLE",
    "ReportError",
    "as_svg",
    "one_plot",
    "read_reports",
    "render_html",
    "render_table",
]
