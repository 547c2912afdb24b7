"""Renders results: the same cells for a terminal and for a Markdown page."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from jaxcl.labs.benchmarks._figure import draw_losses
from jaxcl.labs.benchmarks._measurement import Measurement, Results
from jaxcl.labs.benchmarks._rows import to_rows
from jaxcl.labs.benchmarks._sheets import SHEETS, Sheet

_PAGES = {
    "losses": "Benchmark of the losses",
    "data": "Benchmark of the input paths",
    "train": "Benchmark of training",
}
# What the others are compared with.
_BOLD = {"jaxcl", "jaxcl: JAX", "grain + JAX views"}
_WORDS = ("implementation", "path", "piece", "run", "source", "note", "rows are")


class Grid(NamedTuple):
    """A table of cells."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str


def make_grids(measurements: Iterable[Measurement]) -> Iterator[Grid]:
    """Every table that has something to show, in the order of `SHEETS`."""
    rows = to_rows(measurements)
    for what, sheet in SHEETS.items():
        tables: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            if row["what"] == what:
                tables.setdefault(sheet.title.format(**row), []).append(row)
        for title, found in tables.items():
            yield _make_grid(title, sheet, found)


def _make_grid(title: str, sheet: Sheet, rows: list[dict[str, Any]]) -> Grid:
    if sheet.across is None:
        columns, rows = dict(sheet.columns), _merge_unmeasured(rows)
    else:
        columns, rows = _spread(sheet, rows)
    cells = tuple(
        tuple(form(row.get(key)) for key, form in columns.values()) for row in rows
    )
    return Grid(title, tuple(columns), cells, sheet.caption)


def _merge_unmeasured(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Measured rows first; what kept a contender out, once for all sizes."""
    merged: dict[Any, dict[str, Any]] = {}
    for i, row in enumerate(rows):
        key = i if row["measured"] else (row["contender"], row["note"], row["title"])
        first = merged.setdefault(key, {**row, "sizes": ""})
        first["sizes"] += ", " * bool(first["sizes"]) + f"{row['size']:,}"
    return sorted(
        merged.values(),
        key=lambda row: (not row["measured"], row.get("threads") or 0, row["size"]),
    )


def _spread(sheet: Sheet, rows: list[dict[str, Any]]) -> tuple[dict, list[dict]]:
    """Columns and rows of a table with a column for each contender."""
    assert sheet.across is not None
    words, quantity, form = sheet.across
    columns, lines = dict(sheet.columns), {}
    for row in rows:
        heading = words.format(**row)
        columns[heading] = heading, lambda cell: "–" if cell is None else cell
        line = lines.setdefault(tuple(row[k] for k, _ in sheet.columns.values()), {})
        line |= {key: row[key] for key, _ in sheet.columns.values()}
        line[heading] = form(row.get(quantity)) if row["measured"] else row["status"]
    return columns, list(lines.values())


def render_results(results: Results) -> Group:
    """The tables for a terminal."""
    tables = []
    for grid in make_grids(results.measurements):
        table = Table(title=grid.title, caption=grid.caption)
        for heading in grid.headings:
            table.add_column(
                heading,
                justify="left" if heading in _WORDS else "right",
                overflow="fold",
                # Long headings wrap; a number or a name never does.
                no_wrap=len(heading) < 20 and heading not in ("note", "implementation"),
            )
        for row in grid.rows:
            style = "bold" if _BOLD.intersection(row) else None
            table.add_row(*map(escape, row), style=style)
        tables.append(table)
    return Group(*tables)


def render_page(results: Results) -> str:
    """A Markdown page of the tables, with machine, versions and command above them."""
    lines = [f"# {_PAGES[results.name]}", "", *_describe_origin(results.origin)]
    for grid in make_grids(results.measurements):
        lines += ["", f"## {grid.title}", "", _line(grid.headings)]
        lines += ["|" + "---|" * len(grid.headings), *map(_line, grid.rows)]
        lines += ["", grid.caption]
    return "\n".join(lines) + "\n"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _describe_origin(origin: Mapping[str, Any]) -> list[str]:
    device, machine = origin["device"], origin["machine"]
    versions = {k: v for k, v in origin["versions"].items() if v != "–"}
    load = f", load {machine['load']} at the end" if "load" in machine else ""
    return [
        f"{machine['processor']}, {machine['cores']} cores{load}; {device['count']} × "
        f"{device['kind']} ({device['platform']}); commit `{origin['commit']}`, "
        f"{origin['date']}, seed {origin['options']['seed']}.",
        "Versions: " + ", ".join(f"{k} {v}" for k, v in versions.items()) + ".",
        "",
        "```bash",
        origin["command"],
        "```",
    ]


def write_results(results: Results, directory: Path) -> list[Path]:
    """The table as JSON, a page of it and, of the losses, a picture."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = [directory / f"{results.name}.{suffix}" for suffix in ("json", "md")]
    paths[0].write_text(results.to_json())
    paths[1].write_text(render_page(results))
    if results.name == "losses":
        paths.append(directory / "losses.png")
        draw_losses(results, paths[-1])
    return paths
