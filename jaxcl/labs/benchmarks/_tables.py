"""The results as tables: the same cells for a terminal and for Markdown."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from jaxcl.labs.benchmarks._contenders import LOSSES, OURS
from jaxcl.labs.benchmarks._records import Accuracy, Memory, Results, Timing

# Columns of words, wherever they stand.
_WORDS = ("implementation", "path", "source", "note")


class Grid(NamedTuple):
    """A table before it has a form."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str


def make_grids(results: Results) -> list[Grid]:
    """All tables that have something to show."""
    grids = [
        *_time_grids(results),
        _memory_grid("Memory of one call", results.memory),
        _accuracy_grid(results.accuracy),
        _memory_grid("Large cases", results.large),
        _memory_grid("Largest batch, by doubling", results.largest),
    ]
    return [grid for grid in grids if grid.rows]


def render_results(results: Results) -> Group:
    """The tables for a terminal."""
    return render_grids(make_grids(results), ours=(OURS,), names=2)


def render_grids(
    grids: Iterable[Grid], *, ours: Iterable[str] = (), names: int = 1
) -> Group:
    """Tables for a terminal.

    Args:
        grids: What they hold.
        ours: A row with one of these is bold.
        names: How many of the first columns hold words; `note` always does.
    """
    ours, tables = set(ours), []
    for grid in grids:
        table = Table(title=grid.title, caption=grid.caption or None)
        for i, heading in enumerate(grid.headings):
            numeric = i >= names and heading not in _WORDS
            table.add_column(
                heading,
                justify="right" if numeric else "left",
                overflow="fold",
                # Long headings wrap; a number or a name never does.
                no_wrap=len(heading) < 20 and heading not in ("note", "implementation"),
            )
        for row in grid.rows:
            style = "bold" if ours.intersection(row) else None
            table.add_row(*map(escape, row), style=style)
        tables.append(table)
    return Group(*tables)


def render_markdown(results: Results) -> str:
    """A page with the tables, and with where they come from."""
    return render_page("Benchmark of the losses", results.record, make_grids(results))


def write_page(results: Any, page: str, directory: Path, name: str) -> list[Path]:
    """The numbers as JSON and a page of them, both under one name."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = [directory / f"{name}.{suffix}" for suffix in ("json", "md")]
    paths[0].write_text(json.dumps(results.to_json(), indent=1) + "\n")
    paths[1].write_text(page)
    return paths


def render_page(title: str, record: Mapping[str, Any], grids: Iterable[Grid]) -> str:
    """A page of tables, with the machine, the versions and the command behind them."""
    device, machine = record["device"], record["machine"]
    versions = {k: v for k, v in record["versions"].items() if v != "–"}
    load = f", load {machine['load']} at the end" if "load" in machine else ""
    lines = [
        f"# {title}",
        "",
        f"{machine['processor']}, {machine['cores']} cores{load}; {device['count']} × "
        f"{device['kind']} ({device['platform']}); commit `{record['commit']}`, "
        f"{record['date']}, seed {record['options']['seed']}.",
        "Versions: " + ", ".join(f"{k} {v}" for k, v in versions.items()) + ".",
        "",
        "```bash",
        record["command"],
        "```",
    ]
    for grid in grids:
        lines += ["", f"## {grid.title}", ""]
        lines.append("| " + " | ".join(grid.headings) + " |")
        lines.append("|" + "---|" * len(grid.headings))
        for row in grid.rows:
            lines.append("| " + " | ".join(c.replace("|", "\\|") for c in row) + " |")
        if grid.caption:
            lines += ["", grid.caption]
    return "\n".join(lines) + "\n"


_TIME_CAPTION = (
    "Value and gradient; medians of calls in turn, in one process. × dense: time over "
    "that of the dense jnp code, median over rounds (below 1 = faster). Peak: share of "
    "the {best:,.0f} GFLOP/s of the fastest matmul, counting {work}."
)


def _time_grids(results: Results) -> Iterable[Grid]:
    headings = (
        "rows",
        "implementation",
        "wall ms",
        "× dense",
        "CPU ms",
        "× dense (CPU)",
        "XLA MiB",
        "peak",
        "gradient vs dense",
        "note",
    )
    settings = {(t.loss, t.dim, t.threads, t.dtype): None for t in results.timings}
    for loss, dim, threads, dtype in settings:
        cores = "all cores" if threads is None else f"{threads} core(s)"
        mine = [
            timing
            for timing in results.timings
            if (timing.loss, timing.dim, timing.threads, timing.dtype)
            == (loss, dim, threads, dtype)
        ]
        peaks = [p for p in results.peaks if (p.dim, p.threads) == (dim, threads)]
        caption = _TIME_CAPTION.format(
            best=max((peak.gflops for peak in peaks), default=0.0),
            work="8 B²D for two views of B rows" if loss == "info_nce" else "4 N²D",
        )
        title = f"{LOSSES.get(loss, loss)}, dim {dim}, {dtype}, {cores}"
        yield Grid(title, headings, tuple(map(_time_row, _merge(mine))), caption)


def _merge(timings: list[Timing]) -> list[list[Timing]]:
    """Measurements one by one; what kept one out, once for all sizes."""
    rows: dict[tuple[Any, ...], list[Timing]] = {}
    for timing in timings:
        key = (timing.contender, timing.status, timing.reason)
        if timing.status == "measured":
            key = (*key, timing.rows)
        rows.setdefault(key, []).append(timing)
    return sorted(rows.values(), key=lambda row: row[0].status != "measured")


def _time_row(timings: list[Timing]) -> tuple[str, ...]:
    timing = timings[0]
    return (
        ", ".join(f"{one.rows:,}" for one in timings),
        timing.contender,
        _number(timing.wall_ms),
        _number(timing.wall_ratio, 2),
        _number(timing.cpu_ms),
        _number(timing.cpu_ratio, 2),
        _number(timing.temporaries_mib),
        "–" if timing.peak_share is None else f"{100 * timing.peak_share:.0f} %",
        _power(timing.gradient_difference),
        _note(timing),
    )


def _memory_grid(title: str, records: Iterable[Memory]) -> Grid:
    rows = tuple(
        (
            f"{one.rows:,}",
            f"{LOSSES.get(one.name, one.name)}: {one.contender}",
            str(one.dim),
            _number(one.growth_mib),
            _number(one.temporaries_mib),
            _number(one.seconds, 2),
            _note(one),
        )
        for one in records
    )
    headings = ("rows", "implementation", "dim", "MiB", "XLA MiB", "seconds", "note")
    caption = (
        "One call of value and gradient in a process of its own. MiB: growth of "
        "resident memory after compilation (on an accelerator, the memory there beside "
        "inputs and outputs); XLA MiB: the temporaries its compiler plans; seconds: of "
        "that call, the first of its process."
    )
    return Grid(title, headings, rows, caption)


def _accuracy_grid(records: Iterable[Accuracy]) -> Grid:
    records = list(records)
    columns = {(one.loss, one.contender, one.dtype): None for one in records}
    settings = {(one.regime, one.temperature): None for one in records}
    found = {
        (one.regime, one.temperature, one.loss, one.contender, one.dtype): one
        for one in records
    }
    rows = tuple(
        (
            regime,
            f"{temperature:g}",
            *(_error(found.get((regime, temperature, *column))) for column in columns),
        )
        for regime, temperature in settings
    )
    names = (f"{loss}, {name}, {dtype}" for loss, name, dtype in columns)
    return Grid(
        "Relative error of the gradient against float64",
        ("rows are", "temperature", *names),
        rows,
        "Aligned: positive cosines of about 0.99. bfloat16 is judged at its own "
        "rounded rows.",
    )


def _error(one: Accuracy | None) -> str:
    if one is None:
        return "–"
    return one.status if one.status != "measured" else _power(one.gradient_error)


def _note(one: Any) -> str:
    if one.status == "measured":
        return ""
    return f"{one.status}: {one.reason}" if one.reason else one.status


def _number(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _power(value: float | None) -> str:
    if value is None:
        return "–"
    return "0" if value == 0 else f"{value:.0e}".replace("e-0", "e-")
