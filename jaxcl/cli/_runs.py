"""`jaxcl evaluate`, `embed` and `report`: what is done with trained runs."""

import time
from pathlib import Path
from typing import Annotated, Any

import tyro

from jaxcl.cli._words import Arguments, Switch, parse, show


def run_evaluate(arguments: Arguments) -> None:
    """Evaluates the last checkpoint of a run again."""

    def command(
        run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")],
        data_dir: str = "",
        quiet: Switch = False,
        json: Switch = False,
    ) -> None:
        """Evaluates the last checkpoint of a run, and rewrites its report.

        Args:
            run: Directory of a run.
            data_dir: Directory of its data, if they have moved.
            quiet: Print errors only.
            json: Print the report as JSON on standard output.
        """
        import jaxcl

        show_report(
            jaxcl.evaluate(run, data_dir=data_dir, quiet=quiet), quiet=quiet, json=json
        )

    parse(command, arguments, "jaxcl evaluate")


def run_embed(arguments: Arguments) -> None:
    """Writes the embeddings of images as a Parquet file."""

    def command(
        run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")],
        out: Path,
        folder: Annotated[
            str, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")
        ] = "",
        table: str = "",
        data_dir: str = "",
        quiet: Switch = False,
    ) -> None:
        """Writes the embeddings of images, and what is known about each.

        Args:
            run: Directory of a run.
            out: The file, *.parquet.
            folder: Images to embed; by default those of the run's splits.
            table: Describes the images of FOLDER; by default that of the run.
            data_dir: Directory of the run's data, if they have moved.
            quiet: Print errors only.
        """
        from jaxcl.experiment import embed_run

        start = time.monotonic()
        found = embed_run(
            run, out, folder=folder, table=table, data_dir=data_dir, quiet=quiet
        )
        if not quiet:
            seconds = time.monotonic() - start
            show(f"{out}: {found.num_rows:,} rows, {seconds:.0f} s")

    parse(command, arguments, "jaxcl embed")


def run_report(arguments: Arguments) -> None:
    """Writes the report of one run, or compares several."""

    def command(
        runs: tyro.conf.Positional[tuple[Path, ...]],
        out: Path | None = None,
        quiet: Switch = False,
        json: Switch = False,
    ) -> None:
        """Writes the report of one run, or a page that compares several.

        Args:
            runs: Directories of runs.
            out: HTML file; by default RUN/report.html, or comparison.html for several.
            quiet: Print errors only.
            json: Print the reports as JSON on standard output.
        """
        from jaxcl.reports import (
            ReportError,
            read_reports,
            render_html,
            render_table,
            to_json,
        )

        if not runs:
            raise ReportError("name at least one run directory")
        reports = read_reports(runs)
        one = runs[0] / "report.html" if len(runs) == 1 else Path("comparison.html")
        target = out or one
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(render_html(reports))
        if json:
            show(to_json(reports))
        elif not quiet:
            show(render_table(reports))
            show(f"report: {target}")

    parse(command, arguments, "jaxcl report")


def show_report(report: dict[str, Any], *, quiet: bool, json: bool) -> None:
    """Prints a report as a table, or as JSON."""
    import jax

    if jax.process_index() != 0:
        return  # the first host prints it
    from jaxcl.reports import render_table, to_json

    if json:
        show(to_json(report))
    elif not quiet:
        show(render_table([report]))
