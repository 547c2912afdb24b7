"""The command: measures under a line of progress, writes, prints, and judges."""

import sys

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from jaxcl.labs.benchmarks._measurement import Results
from jaxcl.labs.benchmarks._options import Benchmark
from jaxcl.labs.benchmarks._run import find_faults, run_benchmark
from jaxcl.labs.benchmarks._tables import render_results, write_results

# Off a terminal there is no edge to wrap at.
_WIDTH = 150


def show_benchmark(options: Benchmark, *others: Benchmark) -> bool:
    """Runs a benchmark and shows it; False when something of ours is wrong.

    Files go to `options.out`, tables or JSON to standard output, progress and faults to
    standard error. What the others ask is answered in the same tables.
    """
    results = _measure(options, *others)
    written = [] if options.out is None else write_results(results, options.out)
    if options.json:
        print(results.to_json(), end="")
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


def _measure(options: Benchmark, *others: Benchmark) -> Results:
    errors = Console(stderr=True)
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    progress = Progress(*columns, console=errors, transient=True)
    progress.disable = options.quiet or not errors.is_terminal
    with progress:
        task = progress.add_task("starting", total=None)

        def tell(text: str) -> None:
            progress.update(task, description=text)

        return run_benchmark(options, *others, tell=tell)
