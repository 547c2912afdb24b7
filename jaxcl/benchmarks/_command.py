"""The command: measures with a line of progress, writes, prints, and judges."""

import json
import sys

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from jaxcl.benchmarks._files import write_results
from jaxcl.benchmarks._options import LossesBenchmark
from jaxcl.benchmarks._run import find_faults, run_losses
from jaxcl.benchmarks._tables import render_results

# Off a terminal there is no edge to wrap at.
_WIDTH = 150


def show_losses(options: LossesBenchmark) -> bool:
    """Runs the benchmark and shows it; False when something of ours is wrong.

    Files go to `options.out`, tables or JSON to standard output, progress and faults to
    standard error.
    """
    options.check()
    errors = Console(stderr=True)
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    progress = Progress(*columns, console=errors, transient=True)
    progress.disable = options.quiet or not errors.is_terminal
    with progress:
        task = progress.add_task("starting", total=None)
        results = run_losses(
            options, tell=lambda text: progress.update(task, description=text)
        )
    written = write_results(results, options.out) if options.out is not None else []
    if options.json:
        print(json.dumps(results.to_json(), indent=1))
    elif not options.quiet:
        console = Console()
        width = None if console.is_terminal else _WIDTH
        Console(width=width).print(render_results(results))
        for path in written:
            print(path)
    faults = find_faults(results)
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    return not faults
