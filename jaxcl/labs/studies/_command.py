"""The command `jaxcl study`."""

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from jaxcl.config import StudyConfig, read_study
from jaxcl.files import replacing, write_whole
from jaxcl.labs.studies._analysis import compare
from jaxcl.labs.studies._answer import analyze
from jaxcl.labs.studies._collect import collect, collect_histograms
from jaxcl.labs.studies._directory import StudyDirectory, StudyError
from jaxcl.labs.studies._figures import draw_study
from jaxcl.labs.studies._jobs import print_line, run_part, run_study
from jaxcl.labs.studies._own_data import OwnData, write_own_study
from jaxcl.labs.studies._plan import Cell, plan_study
from jaxcl.labs.studies._report import comparison_rows, render_study
from jaxcl.reports import literal, printable, to_json


@dataclasses.dataclass(frozen=True)
class StudyOptions:
    """Runs a study and writes its report; finished runs are kept."""

    config: Annotated[
        Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="CONFIG")
    ] = None
    """A TOML file. Not needed with --data, which writes one."""
    workdir: Path | None = None
    """Directory of the study; by default studies/<name of the config>."""
    seeds: int | None = None
    """Number of runs of each cell; by default as in the config."""
    jobs: int = 1
    """Number of processes; each gets its share of the cores."""
    part: str = ""
    """For cluster jobs that share the directory. 2/8: run the third eighth of the
    missing runs, then those that nobody has started, and write no report."""
    report_only: bool = False
    """Only make the report of the finished runs."""
    data: Path | None = None
    """A folder of your own images: writes a study of them and runs it."""
    metadata: Path | None = None
    """With --data: CSV, Parquet or JSONL file with a column `path`."""
    label: str = "label"
    """With --data: the column of class labels."""
    domain: str = "domain"
    """With --data: the column of domains, the sources of the images."""
    json: bool = False
    """Print the results as JSON on standard output."""
    quiet: bool = False
    """Print errors only."""


def show_study(options: StudyOptions) -> bool:
    """Runs a study and prints its results; returns False if runs failed."""
    source, workdir = _source(options)
    config = read_study(source)
    if options.seeds is not None:
        config = dataclasses.replace(config, seeds=options.seeds)
    config.check()
    directory = StudyDirectory(workdir)
    if options.report_only:
        config = directory.read_config()
    else:
        directory.claim(config)
    cells = plan_study(config)
    if options.part:
        part, parts = _read_part(options.part)
        run_part(directory, part, parts, Console(stderr=True, quiet=options.quiet))
        return not directory.failed(cells, config.seeds)
    if not options.report_only:
        run_study(config, directory, jobs=options.jobs, quiet=options.quiet)
    _check_any(directory, cells, config.seeds)
    results = write_report(config, directory)
    failed = directory.failed(cells, config.seeds)
    if options.json:
        print(to_json(results))
    elif not options.quiet:
        _print_results(results, directory, failed)
    for name, reason in failed.items():
        print(printable(f"failed: {name}: {reason}"), file=sys.stderr)
    return not failed


def write_report(config: StudyConfig, directory: StudyDirectory) -> dict[str, Any]:
    """Writes `raw.parquet`, `results.json` and `report.html` of the finished runs.

    Returns:
        The content of `results.json`.
    """
    frame = collect(config, directory)
    missing = len(directory.missing(plan_study(config), config.seeds))
    comparisons = compare(config, frame)
    results = analyze(config, frame, comparisons, missing)
    histograms = collect_histograms(config, directory)
    drawings = draw_study(config, frame, comparisons, histograms)
    with replacing(directory.raw) as unfinished:
        frame.to_parquet(unfinished, index=False)
    write_whole(directory.results, json.dumps(results, indent=1))
    write_whole(directory.report, render_study(config, results, frame, drawings))
    return results


def _check_any(directory: StudyDirectory, cells: Sequence[Cell], seeds: int) -> None:
    """Raises a `StudyError` with the first error if all runs failed."""
    failed = directory.failed(cells, seeds)
    if failed and len(failed) == len(cells) * seeds:
        name, reason = next(iter(failed.items()))
        raise StudyError(f"all {len(failed)} runs failed; {name}: {reason}")


def _source(options: StudyOptions) -> tuple[Path, Path]:
    """The config file and the directory of the study."""
    if options.data is not None:
        if options.config is not None:
            raise StudyError("`--data` writes a config: name none beside it")
        own = OwnData(options.data, options.metadata, options.label, options.domain)
        workdir = options.workdir or Path("studies") / options.data.name
        file = workdir / "study.toml"
        # Users may edit the file after it was written.
        if not file.exists():
            write_own_study(own, file)
        return file, workdir
    if options.config is None:
        raise StudyError("name the config of a study, or a folder with --data")
    workdir = options.workdir or Path("studies") / options.config.stem
    return options.config, workdir


def _read_part(text: str) -> tuple[int, int]:
    try:
        part, parts = (int(number) for number in text.split("/"))
    except ValueError:
        part, parts = 0, 0
    if not 0 <= part < parts:
        raise StudyError(f"`--part` must be like 0/8 to 7/8, got {text!r}")
    return part, parts


def _print_results(
    results: dict[str, Any], directory: StudyDirectory, failed: dict[str, str]
) -> None:
    console = Console()
    console = Console(width=None if console.is_terminal else 130)
    for contrast in ("information", "method"):
        rows = comparison_rows(results, contrast)
        if not rows:
            continue
        titles = {
            "information": "true minus shuffled metadata",
            "method": "minus the baseline",
        }
        table = Table(title=f"accuracy under shift, points: {titles[contrast]}")
        for name in ("shift", "arm", "Δ", "interval", "p", "pairs", "verdict"):
            # Long names take more lines, so that numbers need none.
            is_name = name in ("shift", "arm", "verdict")
            table.add_column(name, overflow="fold", no_wrap=not is_name)
        for row in rows:
            aside = "" if row["counted"] else " (not counted)"
            cells = (row["where"], row["arm"], *map(str, row["cells"][:4]))
            table.add_row(*map(literal, (*cells, row["verdict"] + aside)))
        console.print(table)
    for sentence in results["answer"]:
        console.print(literal(sentence))
    if failed:
        console.print(f"{len(failed)} runs failed; the same command tries them again")
    print_line(console, f"report: {directory.report}")
