"""`jaxcl bench`."""

from jaxcl.cli._words import Arguments, Commands, dispatch, parse, usage


def run_bench(arguments: Arguments) -> None:
    """Times losses, input paths and training, or asks compilers about them."""
    name, *rest = arguments or ["--help"]
    if name in ("-h", "--help"):
        print(usage(_COMMANDS, "jaxcl bench"))
        return
    dispatch(_COMMANDS, "jaxcl bench", name, rest)


def _bench_losses(arguments: Arguments) -> None:
    """Time, memory and accuracy of the losses; --quick takes less than a minute."""
    _bench("LossesBenchmark", arguments, "losses")


def _bench_data(arguments: Arguments) -> None:
    """Throughput of the input paths; --quick takes less than half a minute."""
    _bench("DataBenchmark", arguments, "data")


def _bench_train(arguments: Arguments) -> None:
    """Where the time of a training step goes; --quick takes about half a minute."""
    _bench("TrainBenchmark", arguments, "train")


def _bench_aot(arguments: Arguments) -> None:
    """What compilers say for TPUs that are not there; --quick takes under a minute."""
    _bench("AotBenchmark", arguments, "aot")


def _bench(options: str, arguments: Arguments, name: str) -> None:
    from jaxcl.labs import benchmarks

    asked = parse(getattr(benchmarks, options), arguments, f"jaxcl bench {name}")
    if not benchmarks.show_benchmark(asked):
        raise SystemExit(1)


_COMMANDS: Commands = {
    "losses": _bench_losses,
    "data": _bench_data,
    "train": _bench_train,
    "aot": _bench_aot,
}
