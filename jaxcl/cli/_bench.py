"""`jaxcl bench`."""

from jaxcl.cli._words import Arguments, Commands, dispatch, parse, usage


def run_bench(arguments: Arguments) -> None:
    """Times losses and input paths against other code."""
    name, *rest = arguments or ["--help"]
    if name in ("-h", "--help"):
        print(usage(_COMMANDS, "jaxcl bench"))
        return
    dispatch(_COMMANDS, "jaxcl bench", name, rest)


def _bench_losses(arguments: Arguments) -> None:
    """Time, memory and accuracy of the losses; --quick takes less than a minute."""
    from jaxcl.labs.benchmarks import LossesBenchmark, show_losses

    options = parse(LossesBenchmark, arguments, "jaxcl bench losses")
    if not show_losses(options):
        raise SystemExit(1)


def _bench_data(arguments: Arguments) -> None:
    """Throughput of the input paths; --quick takes less than half a minute."""
    from jaxcl.labs.benchmarks import DataBenchmark, show_data

    options = parse(DataBenchmark, arguments, "jaxcl bench data")
    if not show_data(options):
        raise SystemExit(1)


def _bench_train(arguments: Arguments) -> None:
    """Where the time of a training step goes; --quick takes about half a minute."""
    from jaxcl.labs.benchmarks import TrainBenchmark, show_training

    options = parse(TrainBenchmark, arguments, "jaxcl bench train")
    if not show_training(options):
        raise SystemExit(1)


_COMMANDS: Commands = {
    "losses": _bench_losses,
    "data": _bench_data,
    "train": _bench_train,
}
