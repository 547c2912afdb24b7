"""`jaxcl evaluate`, `embed`, `export` and `report`: what is done with trained runs."""

import dataclasses
import time
from pathlib import Path
from typing import Annotated, Any

import tyro

from jaxcl.cli._words import Arguments, Switch, parse, show
from jaxcl.config import EvaluationConfig
from jaxcl.files import write_whole


@dataclasses.dataclass(frozen=True)
class _EvaluateArguments:
    """Evaluates the last checkpoint of a run, and rewrites its report."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Directory of a run."""
    step: int | None = None
    """Step of an older checkpoint to evaluate instead."""
    data_dir: str = ""
    """Directory of its data, if they have moved."""
    quiet: Switch = False
    """Print errors only."""
    json: Switch = False
    """Print the report as JSON on standard output."""
    evaluation: EvaluationConfig = dataclasses.field(default_factory=EvaluationConfig)
    """How to evaluate; by default as the run's config says."""


def run_evaluate(arguments: Arguments) -> None:
    """Evaluates the last checkpoint of a run again."""
    # Parsed twice: the first pass finds the run with the defaults of the second.
    first = parse(_EvaluateArguments, arguments, "jaxcl evaluate")
    import jaxcl
    from jaxcl.runtime import find_workdir

    _, config = find_workdir(first.run)
    of_run = _EvaluateArguments(first.run, evaluation=config.evaluation)
    chosen = parse(_EvaluateArguments, arguments, "jaxcl evaluate", default=of_run)
    report = jaxcl.evaluate(
        chosen.run,
        step=chosen.step,
        settings=chosen.evaluation,
        data_dir=chosen.data_dir,
        quiet=chosen.quiet,
    )
    show_report(report, quiet=chosen.quiet, json=chosen.json)


def run_embed(arguments: Arguments) -> None:
    """Writes the embeddings of images as a Parquet file."""

    def command(
        run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")],
        out: Path,
        folder: Annotated[
            str, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")
        ] = "",
        table: str = "",
        data: str = "",
        step: int | None = None,
        data_dir: str = "",
        batch_size: int = 256,
        quiet: Switch = False,
    ) -> None:
        """Writes the embeddings of images, and what is known about each.

        After a kill, the same command continues with what was embedded.

        Args:
            run: Directory of a run.
            out: The file, *.parquet.
            folder: Images to embed; by default those of the run's splits.
            table: Describes the images of FOLDER; by default that of the run.
            data: Name of a data set to embed instead.
            step: Step of an older checkpoint to use.
            data_dir: Directory of the data sets, if they have moved.
            batch_size: Images at once.
            quiet: Print errors only.
        """
        from jaxcl.experiment import embed_run

        start = time.monotonic()
        found = embed_run(
            run,
            out,
            folder=folder,
            table=table,
            data=data,
            step=step,
            data_dir=data_dir,
            batch_size=batch_size,
            quiet=quiet,
        )
        if not quiet:
            seconds = time.monotonic() - start
            show(f"{out}: {found.num_rows:,} rows, {seconds:.0f} s")

    parse(command, arguments, "jaxcl embed")


def run_export(arguments: Arguments) -> None:
    """Writes the encoder of a run for other programs."""

    def command(
        run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")],
        to: str,
        out: Path,
        step: int | None = None,
        quiet: Switch = False,
    ) -> None:
        """Writes the encoder of a run for other programs, and a page about it.

        Its data are not needed. The file is compared with the run before it is kept.

        Args:
            run: Directory of a run.
            to: safetensors (weights), stablehlo (a program for JAX) or onnx.
            out: The file, *.safetensors, *.stablehlo or *.onnx.
            step: Step of an older checkpoint to use.
            quiet: Print errors only.
        """
        from jaxcl.experiment import export_run

        found = export_run(run, out, to=to, step=step)
        if not quiet:
            show(f"{found.file}: differs from the run by {found.difference:.1e}")
            show(f"about it: {found.card}")

    parse(command, arguments, "jaxcl export")


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
            read_looks,
            read_reports,
            render_html,
            render_table,
            to_json,
        )

        if not runs:
            raise ReportError("name at least one run directory")
        reports, looks = read_reports(runs), read_looks(runs)
        one = runs[0] / "report.html" if len(runs) == 1 else Path("comparison.html")
        target = out or one
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            page, table = render_html(reports, looks), render_table(reports)
        except (ArithmeticError, AttributeError, LookupError, TypeError) as error:
            # A stranger's report can hold anything in place of a number.
            raise ReportError(f"a report holds something else: {error!r}") from error
        write_whole(target, page)
        if json:
            show(to_json(reports))
        elif not quiet:
            show(table)
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
