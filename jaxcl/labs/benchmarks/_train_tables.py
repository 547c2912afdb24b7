"""The results of training as tables, for a terminal and for Markdown."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.console import Group

from jaxcl.labs.benchmarks._tables import Grid, render_grids, render_page, write_page
from jaxcl.labs.benchmarks._train_records import (
    REST,
    WHOLE,
    Breakdown,
    Overhead,
    Rival,
    Setting,
    TrainResults,
)

_STEP_CAPTION = (
    "Milliseconds of a step; medians of runs in turn. The whole step takes its batch "
    "from the files; a piece alone is a program of its own, on inputs that are on the "
    "device. Rest: the whole less the pieces. It is negative where pieces overlap, as "
    "input does with the step, or cost more alone."
)
_LOOP_CAPTION = (
    "Milliseconds of a step on a batch that is there: the trainer's loop with its log, "
    "and a bare loop that waits as seldom, in turn. Ratio of the medians; quartiles of "
    "the ratio by round. On a busy machine CPU time says more."
)
_RIVAL_CAPTION = (
    "A step on two views that are there: no input and no augmentation on either side; "
    "float32, SGD, both views in one batch. Ours computes the statistics of its log "
    "too. × ours: time over ours, median over rounds (above 1 = slower than ours)."
)


def write_training(results: TrainResults, directory: Path) -> list[Path]:
    """train.json and train.md."""
    return write_page(results, render_markdown(results), directory, "train")


def render_training(results: TrainResults) -> Group:
    """The tables for a terminal."""
    return render_grids(make_grids(results))


def render_markdown(results: TrainResults) -> str:
    """A page with the tables, and with where they come from."""
    return render_page("Benchmark of training", results.record, make_grids(results))


def make_grids(results: TrainResults) -> list[Grid]:
    """All tables that have something to show."""
    grids = [
        *map(_step_grid, results.breakdowns),
        _loop_grid(results.overheads),
        *_rival_grids(results.rivals),
    ]
    return [grid for grid in grids if grid.rows]


def _step_grid(one: Breakdown) -> Grid:
    headings = ("piece", "wall ms", "share", "CPU ms", "share (CPU)", "images/s")
    headings += ("note",)
    note = f"{one.status}: {one.reason}" if one.status != "measured" else ""
    whole = (
        WHOLE,
        _number(one.wall_ms),
        "100.0 %" if one.wall_ms else "–",
        _number(one.cpu_ms),
        "100.0 %" if one.cpu_ms else "–",
        _number(one.images_per_second),
        note,
    )
    pieces = [
        (
            name,
            _number(ms),
            f"{100 * one.shares[name]:.1f} %",
            _number(one.parts_cpu_ms[name]),
            f"{100 * one.cpu_shares[name]:.1f} %",
            "",
            "whole − pieces" if name == REST else "",
        )
        for name, ms in one.parts_ms.items()
    ]
    title = f"Where a step's time goes: {one.setting.title()}"
    return Grid(title, headings, (whole, *pieces), _STEP_CAPTION)


def _loop_grid(overheads: Iterable[Overhead]) -> Grid:
    headings = ("run", "steps", "loop ms", "bare ms", "ratio", "quartiles")
    headings += ("loop CPU ms", "bare CPU ms")
    rows = tuple(
        (
            one.setting.title(),
            str(one.steps),
            _number(one.loop_ms, 2),
            _number(one.bare_ms, 2),
            f"{one.ratio:.3f}",
            f"{one.low:.3f} to {one.high:.3f}",
            _number(one.loop_cpu_ms, 2),
            _number(one.bare_cpu_ms, 2),
        )
        for one in overheads
    )
    return Grid("The trainer's loop over a bare loop", headings, rows, _LOOP_CAPTION)


def _rival_grids(rivals: Iterable[Rival]) -> Iterator[Grid]:
    rivals = list(rivals)
    headings = ("implementation", "images/s", "wall ms", "× ours", "CPU ms")
    headings += ("× ours (CPU)", "parameters", "note")
    settings: dict[Setting, None] = {one.setting: None for one in rivals}
    for setting in settings:
        rows = tuple(_rival_row(one) for one in rivals if one.setting == setting)
        title = f"Beside another library: {setting.title()}"
        yield Grid(title, headings, rows, _RIVAL_CAPTION)


def _rival_row(one: Rival) -> tuple[str, ...]:
    note = f"{one.status}: {one.reason}" if one.status != "measured" else ""
    return (
        one.contender,
        _number(one.images_per_second),
        _number(one.wall_ms),
        _number(one.wall_ratio, 2),
        _number(one.cpu_ms),
        _number(one.cpu_ratio, 2),
        _number(one.parameters, 0),
        note,
    )


def _number(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"
