"""The table at the end of a run, for the terminal."""

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from jaxcl.reports._labels import labels
from jaxcl.reports._numbers import is_number, number, percent
from jaxcl.reports._reading import Report, look, scores
from jaxcl.reports._terminal import literal


def render_table(reports: Sequence[Report]) -> Table:
    """Accuracy per test split and method, before and after training.

    Columns of which no run has a number are left out: those of the worst domain when
    the data has no domain, those before training when only the end was evaluated.

    Args:
        reports: The contents of one `report.json` a run.

    Returns:
        A table for `rich.print`. Several runs stand below one another, by name, and
        only as they are after training.
    """
    if not reports:
        raise ValueError("`reports` must hold at least one report, got none")
    rows = [
        {"run": label, **row}
        for label, report in zip(labels(reports), reports, strict=True)
        for row in scores(report)
    ]
    several = len(reports) > 1
    # Of several runs the question is how they end, and 80 characters are few.
    old = not several and any(is_number(row["before"]) for row in rows)
    worst = any(row["worst_after"] for row in rows)
    columns = [
        ("run", several, False),
        ("split", True, False),
        ("method", True, False),
        ("before", old, True),
        ("after", True, True),
        ("worst domain\nbefore", old and worst, True),
        ("worst domain\nafter", worst, True),
        ("count", True, True),
    ]
    title = "" if several else labels(reports)[0]
    table = Table(
        title=literal(title, style="bold"), box=SIMPLE_HEAD, title_justify="left"
    )
    for title, shown, is_figure in columns:
        if shown:
            side = "right" if is_figure else "left"
            # Long names take more lines, so that every number is shown in full.
            whole = title in ("method", "before", "after", "count")
            table.add_column(title, justify=side, no_wrap=whole, overflow="fold")
    if not rows:
        table.caption = "no split has an accuracy"
    told = ""
    for row in rows:
        cells = _cells(row)
        # A name once a run is easier to scan, and leaves the others' cells free.
        cells["run"] = literal("" if row["run"] == told else row["run"])
        told = row["run"]
        table.add_row(*(cells[title] for title, shown, _ in columns if shown))
    return table


def _cells(row: dict[str, Any]) -> dict[str, Text]:
    return {
        "split": literal(row["split"]),
        "method": Text("linear" if row["method"] == "linear_probe" else row["title"]),
        "before": Text(percent(row["before"])),
        "after": Text(percent(row["after"]), style="bold"),
        "worst domain\nbefore": _worst(row["worst_before"]),
        "worst domain\nafter": _worst(row["worst_after"]),
        "count": Text(number(row["count"])),
    }


def _worst(domain: Any) -> Text:
    name = look(domain, "name")
    return literal((f"{name} " if name else "") + percent(look(domain, "accuracy")))
