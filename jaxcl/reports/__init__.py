"""What a run leaves for its readers: a page in one file, and a table in the terminal.

Both read the plain values of `report.json` and nothing else, so a report of last year
renders today, on a machine without an accelerator and without the data.
"""

from ._page import render_html
from ._table import render_table

__all__ = ["render_html", "render_table"]
