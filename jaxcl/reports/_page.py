"""Templates and values to one page."""

import functools
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from jaxcl.reports._comparison import comparison_page
from jaxcl.reports._looks import looks_of
from jaxcl.reports._numbers import number, percent
from jaxcl.reports._reading import Report
from jaxcl.reports._run import run_page
from jaxcl.reports._terminal import printable


def render_html(reports: Sequence[Report], looks: Sequence[Any] = ()) -> str:
    """One page in one file: it needs no network, no script and no other file.

    Args:
        reports: The contents of one `report.json` a run. The page of a single run has
            everything; that of several compares key numbers, curves and settings.
        looks: The contents of one `looks.json` a run, in the same order; None where a
            run has none. Empty = no page has images.

    Returns:
        The text of an HTML file. What a report does not have is left out.
    """
    if not reports:
        raise ValueError("`reports` must hold at least one report, got none")
    paired = zip(reports, looks or [None] * len(reports), strict=True)
    images = [looks_of(report, found) for report, found in paired]
    if len(reports) == 1:
        return render_page("report", **run_page(reports[0], images[0]))
    return render_page("comparison", **comparison_page(reports, images))


def render_page(name: str, **values: Any) -> str:
    """The page of a template: "report", "comparison", "claims" or "study"."""
    page = _environment().get_template(f"{name}.html.jinja").render(values)
    # A name must not turn the sentence around it.
    return printable(page, lines=True)


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("jaxcl.reports"),
        # Names of domains come from strangers' data, and must never become markup.
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "number": number}
    return environment
