"""The results of the input paths as tables, for a terminal and for Markdown."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.console import Group

from jaxcl.labs.benchmarks._data_records import BASELINES, DataResults, Speed, Stall
from jaxcl.labs.benchmarks._tables import Grid, render_grids, render_page, write_page

_TITLES = {"views": "Views of images in memory", "pipeline": "From files to views"}
_CAPTION = (
    "Two views of every image, float32; an image counts once. Medians of runs in turn. "
    "× JAX: time over that of “{baseline}”, median over rounds (above 1 = slower)."
)
_STALL_CAPTION = (
    "Microseconds for an image. Each operation alone, and the path that overlaps them: "
    "×: time of the path over the sum. Busy: CPU time over wall time of the cores."
)


def write_data(results: DataResults, directory: Path) -> list[Path]:
    """data.json and data.md."""
    return write_page(results, render_markdown(results), directory, "data")


def render_data(results: DataResults) -> Group:
    """The tables for a terminal."""
    return render_grids(make_grids(results), ours=BASELINES.values(), names=0)


def render_markdown(results: DataResults) -> str:
    """A page with the tables, and with where they come from."""
    grids = make_grids(results)
    return render_page("Benchmark of the input paths", results.record, grids)


def make_grids(results: DataResults) -> list[Grid]:
    """All tables that have something to show."""
    grids = [*_speed_grids(results.speeds), *_stall_grids(results.stalls)]
    return [grid for grid in grids if grid.rows]


def _speed_grids(speeds: Iterable[Speed]) -> Iterator[Grid]:
    speeds = list(speeds)
    headings = ("size", "implementation", "images/s", "× JAX", "CPU µs an image")
    headings += ("× JAX (CPU)", "note")
    settings = {(one.part, one.source, one.threads): None for one in speeds}
    for part, source, threads in settings:
        mine = [
            one
            for one in speeds
            if (one.part, one.source, one.threads) == (part, source, threads)
        ]
        mine.sort(key=lambda one: one.size)
        title = f"{_TITLES[part]}, {_cores(threads)}"
        if part == "pipeline":
            title = f"{_TITLES[part]}: {source}, {_cores(threads)}"
        caption = _CAPTION.format(baseline=BASELINES[part])  # type: ignore[index]
        yield Grid(title, headings, tuple(map(_speed_row, mine)), caption)


def _speed_row(one: Speed) -> tuple[str, ...]:
    note = f"{one.status}: {one.reason}" if one.status != "measured" else ""
    return (
        str(one.size),
        one.contender,
        _number(one.images_per_second),
        _number(one.wall_ratio, 2),
        _number(one.cpu_us),
        _number(one.cpu_ratio, 2),
        note,
    )


def _stall_grids(stalls: Iterable[Stall]) -> Iterator[Grid]:
    stalls = list(stalls)
    names = dict.fromkeys(name for one in stalls for name in one.operations_us)
    headings = ("cores", "path", "source", "size", *names)
    headings += ("together", "path takes", "×", "× (CPU)", "busy")
    rows = tuple(
        (
            _cores(one.threads),
            one.path,
            one.source,
            str(one.size),
            *(_number(one.operations_us.get(name)) for name in names),
            _number(sum(one.operations_us.values())),
            _number(one.wall_us),
            _number(one.wall_ratio, 2),
            _number(one.cpu_ratio, 2),
            f"{100 * one.busy:.0f} %",
        )
        for one in stalls
    )
    yield Grid(
        "A path beside the sum of its operations", headings, rows, _STALL_CAPTION
    )


def _cores(threads: int | None) -> str:
    return "all cores" if threads is None else f"{threads} core(s)"


def _number(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"
