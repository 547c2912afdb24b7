"""The command: measures with a line of progress, writes, prints, and judges."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from jaxcl.labs.benchmarks._data_options import DataBenchmark
from jaxcl.labs.benchmarks._data_run import find_data_faults, run_data
from jaxcl.labs.benchmarks._data_tables import render_data, write_data
from jaxcl.labs.benchmarks._files import write_results
from jaxcl.labs.benchmarks._options import LossesBenchmark
from jaxcl.labs.benchmarks._run import find_faults, run_losses
from jaxcl.labs.benchmarks._tables import render_results
from jaxcl.labs.benchmarks._train_options import TrainBenchmark
from jaxcl.labs.benchmarks._train_records import TrainResults
from jaxcl.labs.benchmarks._train_run import find_training_faults, run_training
from jaxcl.labs.benchmarks._train_tables import render_training, write_training

# Off a terminal there is no edge to wrap at.
_WIDTH = 150


def show_losses(options: LossesBenchmark) -> bool:
    """Runs the benchmark and shows it; False when something of ours is wrong.

    Files go to `options.out`, tables or JSON to standard output, progress and faults to
    standard error.
    """
    options.check()
    results = _measure(options, run_losses)
    written = write_results(results, options.out) if options.out is not None else []
    _print(options, results, render_results, written)
    return _judge(find_faults(results))


def show_data(options: DataBenchmark) -> bool:
    """The same for the input paths."""
    options.check()
    results = _measure(options, run_data)
    written = write_data(results, options.out) if options.out is not None else []
    _print(options, results, render_data, written)
    return _judge(find_data_faults(results))


def show_training(options: TrainBenchmark, *others: TrainBenchmark) -> bool:
    """The same for training; what the others ask is answered on the same page."""
    for asked in (options, *others):
        asked.check()

    def run(options: TrainBenchmark, tell: Callable[[str], None]) -> TrainResults:
        return run_training(options, *others, tell=tell)

    results = _measure(options, run)
    written = write_training(results, options.out) if options.out is not None else []
    _print(options, results, render_training, written)
    return _judge(find_training_faults(results))


def _measure(options: Any, run: Callable[..., Any]) -> Any:
    """Runs a benchmark under a line of progress."""
    errors = Console(stderr=True)
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    progress = Progress(*columns, console=errors, transient=True)
    progress.disable = options.quiet or not errors.is_terminal
    with progress:
        task = progress.add_task("starting", total=None)
        return run(options, tell=lambda text: progress.update(task, description=text))


def _print(
    options: Any, results: Any, render: Callable[[Any], Any], written: Sequence[Path]
) -> None:
    if options.json:
        print(json.dumps(results.to_json(), indent=1))
    elif not options.quiet:
        console = Console()
        width = None if console.is_terminal else _WIDTH
        Console(width=width).print(render(results))
        for path in written:
            print(path)


def _judge(faults: Sequence[str]) -> bool:
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    return not faults
