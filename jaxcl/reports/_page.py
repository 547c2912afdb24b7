"""Templates and values to one page."""

from collections.abc import Sequence
from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined

from jaxcl.reports._comparison import comparison_page
from jaxcl.reports._numbers import number, percent
from jaxcl.reports._reading import Report
from jaxcl.reports._run import run_page


def render_html(reports: Sequence[Report]) -> str:
    """One page in one file: it needs no network, no script and no other file.

    Args:
        reports: The contents of one `report.json` a run. Of one run the page tells
            all; of several it compares the key numbers, the curves and the settings.

    Returns:
        The text of an HTML file. Whatever a report does not have is left out.
    """
    if not reports:
        raise ValueError("`reports` must hold at least one report, got none")
    templates = Environment(
        loader=FunctionLoader(_template),
        # Names of domains come from strangers' data, and must never become markup.
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"percent": percent, "number": number}
    if len(reports) == 1:
        page = templates.get_template("report.html.jinja")
        return page.render(run_page(reports[0]))
    page = templates.get_template("comparison.html.jinja")
    return page.render(comparison_page(reports))


def _template(name: str) -> str:
    return resources.files("jaxcl.reports").joinpath(name).read_text("utf-8")
