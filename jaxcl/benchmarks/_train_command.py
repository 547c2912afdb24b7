"""The command: measures training, writes, prints, and judges."""

from collections.abc import Callable

from jaxcl.benchmarks._command import _judge, _measure, _print
from jaxcl.benchmarks._train_options import TrainBenchmark
from jaxcl.benchmarks._train_records import TrainResults
from jaxcl.benchmarks._train_run import find_training_faults, run_training
from jaxcl.benchmarks._train_tables import render_training, write_training


def show_training(options: TrainBenchmark, *others: TrainBenchmark) -> bool:
    """Runs the benchmark and shows it; False when something of ours is wrong.

    Files go to `options.out`, tables or JSON to standard output, progress and faults to
    standard error. What the others ask is answered on the same page.
    """
    for asked in (options, *others):
        asked.check()

    def run(options: TrainBenchmark, tell: Callable[[str], None]) -> TrainResults:
        return run_training(options, *others, tell=tell)

    results = _measure(options, run)
    written = write_training(results, options.out) if options.out is not None else []
    _print(options, results, render_training, written)
    return _judge(find_training_faults(results))
