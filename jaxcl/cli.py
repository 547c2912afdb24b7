"""The command `jaxcl`."""

import dataclasses
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

try:
    import tyro
except ModuleNotFoundError as error:
    raise SystemExit(
        f"the command `jaxcl` needs {error.name}: pip install 'jaxcl[train]'"
    ) from None

from jaxcl.config import ConfigError, TrainConfig, nearest, read_toml

__all__ = ["main"]

# Nobody asked for the advice of the libraries below; errors still come through.
_QUIET_LIBRARIES = ("absl", "asyncio", "orbax", "grain")

_ERRORS = {
    "jaxcl.data": ("DataError",),
    "jaxcl.reports": ("ReportError",),
    "jaxcl.reproduce": ("ClaimError",),
    "jaxcl.training": ("CheckpointError", "NonFiniteError", "WorkdirError"),
}

_Arguments = Sequence[str]
_Switch = Annotated[bool, tyro.conf.FlagCreatePairsOff]


@dataclasses.dataclass(frozen=True)
class _TrainArguments:
    """Trains an encoder and writes its report."""

    config: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CONFIG")]
    """A TOML file; every field below overrides one of its values."""
    workdir: Path | None = None
    """Directory of the run; runs/<name of the config> when left out."""
    quiet: _Switch = False
    """Print errors only."""
    json: _Switch = False
    """Print the report as JSON on standard output."""
    fields: Annotated[TrainConfig, tyro.conf.arg(name="", prefix_name=False)] = (
        dataclasses.field(default_factory=TrainConfig)
    )


def main(arguments: _Arguments | None = None) -> None:
    """Runs the command line; exits with 0 only when the job was done."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    _quiet_libraries()
    name, *rest = arguments or ["--help"]
    if name in ("-h", "--help"):
        print(_usage(_COMMANDS, "jaxcl"))
        return
    if name == "--version":
        from jaxcl import __version__

        print(__version__)
        return
    try:
        _dispatch(_COMMANDS, "jaxcl", name, rest)
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None
    except BrokenPipeError:
        # Whoever read our output has left; Python must not complain at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except _expected_errors() as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None


def _dispatch(
    commands: dict[str, Callable[[_Arguments], None]],
    program: str,
    name: str,
    rest: _Arguments,
) -> None:
    if name not in commands:
        print(
            f"error: unknown command {name!r}; {nearest(name, commands)}\n\n"
            f"{_usage(commands, program)}",
            file=sys.stderr,
        )
        raise SystemExit(2)
    commands[name](rest)


def _usage(commands: dict[str, Callable[[_Arguments], None]], program: str) -> str:
    lines = [f"usage: {program} COMMAND ... [--help]", ""]
    for name, command in commands.items():
        lines.append(f"  {name:10}{(command.__doc__ or '').splitlines()[0]}")
    return "\n".join(lines)


def _train(arguments: _Arguments) -> None:
    """Trains an encoder and writes its report."""
    # Parsed twice: the file named by the first pass gives the defaults of the second.
    first = _parse(_TrainArguments, arguments, "jaxcl train")
    recipe = first.fields.augmentation.recipe
    fields = read_toml(first.config, recipe=recipe)
    from_file = _TrainArguments(first.config, fields=fields)
    parsed = _parse(_TrainArguments, arguments, "jaxcl train", default=from_file)
    parsed.fields.check()
    if parsed.quiet:
        logging.getLogger("jaxcl").setLevel(logging.WARNING)
    import jaxcl

    workdir = parsed.workdir or Path("runs") / parsed.config.stem
    _show(jaxcl.train(parsed.fields, workdir, quiet=parsed.quiet), parsed)


def _evaluate(arguments: _Arguments) -> None:
    """Evaluates the last checkpoint of a run again."""

    def command(
        run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")],
        data_dir: str = "",
        quiet: _Switch = False,
        json: _Switch = False,
    ) -> None:
        """Evaluates the last checkpoint of a run and writes its report again.

        Args:
            run: Directory of a run.
            data_dir: Where its data are now, when they have moved.
            quiet: Print errors only.
            json: Print the report as JSON on standard output.
        """
        import jaxcl

        _show(jaxcl.evaluate(run, data_dir=data_dir, quiet=quiet), _Output(quiet, json))

    _parse(command, arguments, "jaxcl evaluate")


def _report(arguments: _Arguments) -> None:
    """Writes the report of one run, or compares several."""

    def command(
        runs: tyro.conf.Positional[tuple[Path, ...]],
        out: Path | None = None,
        quiet: _Switch = False,
        json: _Switch = False,
    ) -> None:
        """Writes the report of one run, or a page that compares several.

        Args:
            runs: Directories of runs.
            out: The HTML file; report.html in the run, comparison.html for several.
            quiet: Print errors only.
            json: Print the reports as JSON on standard output.
        """
        from jaxcl.reports import ReportError, read_reports, render_html, render_table

        if not runs:
            raise ReportError("name at least one directory of a run")
        reports = read_reports(runs)
        one = runs[0] / "report.html" if len(runs) == 1 else Path("comparison.html")
        target = out or one
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(render_html(reports))
        if json:
            print(_to_json(reports))
        elif not quiet:
            _print(render_table(reports))
            print(f"report: {target}")

    _parse(command, arguments, "jaxcl report")


def _data(arguments: _Arguments) -> None:
    """Lists, builds and shows data sets."""
    name, *rest = arguments or ["--help"]
    if name in ("-h", "--help"):
        print(_usage(_DATA_COMMANDS, "jaxcl data"))
        return
    _dispatch(_DATA_COMMANDS, "jaxcl data", name, rest)


def _data_list(arguments: _Arguments) -> None:
    """Lists the data sets known by name."""

    def command(data_dir: str = "", json: _Switch = False) -> None:
        """Lists the data sets known by name, and where they are.

        Args:
            data_dir: Where data sets are; TFDS_DATA_DIR or a user cache when empty.
            json: Print JSON.
        """
        from jaxcl.inspection import list_data

        _print(list_data(data_dir, as_json=json))

    _parse(command, arguments, "jaxcl data list")


def _data_build(arguments: _Arguments) -> None:
    """Builds a data set, readable without TensorFlow."""

    def command(
        name: tyro.conf.Positional[str], data_dir: str = "", manual_dir: str = ""
    ) -> None:
        """Builds a data set as array_record files, readable without TensorFlow.

        Args:
            name: A data set, or name/config.
            data_dir: Where to; TFDS_DATA_DIR or a user cache when empty.
            manual_dir: Where files lie that were fetched by hand; downloads/manual in
                the data directory when empty.
        """
        from jaxcl.data import build

        print(build(name, data_dir, manual_dir=manual_dir))

    _parse(command, arguments, "jaxcl data build")


def _data_show(arguments: _Arguments) -> None:
    """Says all that is known of a data set, and saves a picture of samples."""

    def command(
        source: tyro.conf.Positional[str],
        out: Path | None = None,
        split: str = "",
        count: int = 8,
        seed: int = 0,
        data_dir: str = "",
        json: _Switch = False,
    ) -> None:
        """Says all that is known of a data set, and saves a picture of samples.

        The picture shows images, their augmented views and their metadata.

        Args:
            source: A config, whose data and augmentation are shown, or a data set.
            out: The PNG file; no picture of a data set when left out, and views.png for
                a config.
            split: The split to show; the training split when empty.
            count: Number of samples.
            seed: Which samples, and which views of them.
            data_dir: Where data sets are; the config's value when empty.
            json: Print JSON.
        """
        from jaxcl.inspection import describe_data, show_data

        if source.endswith(".toml"):
            out = out or Path("views.png")
        else:
            _print(describe_data(source, data_dir, as_json=json))
        if out is not None:
            show_data(
                source, out, split=split, count=count, seed=seed, data_dir=data_dir
            )
            if not json:
                print(out)

    _parse(command, arguments, "jaxcl data show")


def _doctor(arguments: _Arguments) -> None:
    """Checks that this machine can train, and says what it has."""

    def command(data_dir: str = "", json: _Switch = False) -> None:
        """Checks that this machine can train; exits with 1 when it cannot.

        Args:
            data_dir: Where data sets are; TFDS_DATA_DIR or a user cache when empty.
            json: Print JSON.
        """
        from jaxcl.inspection import examine

        table, healthy = examine(data_dir, as_json=json)
        _print(table)
        if not healthy:
            raise SystemExit(1)

    _parse(command, arguments, "jaxcl doctor")


def _reproduce(arguments: _Arguments) -> None:
    """Judges claims of the papers by running them; `reproduce list` shows them."""
    from jaxcl.reproduce import ReproduceOptions, show_claims

    options = _parse(
        ReproduceOptions,
        arguments,
        "jaxcl reproduce",
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    if not show_claims(options):
        raise SystemExit(1)


def _bench(arguments: _Arguments) -> None:
    """Times losses and input paths against other code."""
    name, *rest = arguments or ["--help"]
    if name in ("-h", "--help"):
        print(_usage(_BENCH_COMMANDS, "jaxcl bench"))
        return
    _dispatch(_BENCH_COMMANDS, "jaxcl bench", name, rest)


def _bench_losses(arguments: _Arguments) -> None:
    """Time, memory and accuracy of the losses; --quick takes less than a minute."""
    from jaxcl.benchmarks import LossesBenchmark, show_losses

    options = _parse(LossesBenchmark, arguments, "jaxcl bench losses")
    if not show_losses(options):
        raise SystemExit(1)


def _bench_data(arguments: _Arguments) -> None:
    """Throughput of the input paths; --quick takes less than half a minute."""
    from jaxcl.benchmarks import DataBenchmark, show_data

    options = _parse(DataBenchmark, arguments, "jaxcl bench data")
    if not show_data(options):
        raise SystemExit(1)


def _bench_train(arguments: _Arguments) -> None:
    """Where the time of a training step goes; --quick takes about half a minute."""
    from jaxcl.benchmarks import TrainBenchmark, show_training

    options = _parse(TrainBenchmark, arguments, "jaxcl bench train")
    if not show_training(options):
        raise SystemExit(1)


@dataclasses.dataclass(frozen=True)
class _Output:
    quiet: bool
    json: bool


def _show(report: dict[str, Any], output: Any) -> None:
    import jax

    if jax.process_index() != 0:
        return  # the first host prints it
    if output.json:
        print(_to_json(report))
    elif not output.quiet:
        from jaxcl.reports import render_table

        _print(render_table([report]))


def _to_json(value: Any) -> str:
    return json.dumps(value, indent=1)


def _print(renderable: Any) -> None:
    if isinstance(renderable, str):
        print(renderable)
        return
    from rich.console import Console

    console = Console()
    # Off a terminal there is no edge to wrap at.
    Console(width=None if console.is_terminal else 120).print(renderable)


def _parse(kind: Any, arguments: _Arguments, program: str, **options: Any) -> Any:
    return tyro.cli(
        kind,
        args=list(arguments),
        prog=program,
        **options,
    )


def _quiet_libraries() -> None:
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("jaxcl").setLevel(logging.INFO)
    for library in _QUIET_LIBRARIES:
        logging.getLogger(library).setLevel(logging.ERROR)


def _expected_errors() -> tuple[type[Exception], ...]:
    """Errors whose message is all a user needs; others show where they came from."""
    # Only rooms that were entered can have raised.
    named = [
        getattr(sys.modules[room], name)
        for room, names in _ERRORS.items()
        if room in sys.modules
        for name in names
    ]
    return (ConfigError, OSError, *named)


_COMMANDS = {
    "train": _train,
    "evaluate": _evaluate,
    "report": _report,
    "data": _data,
    "reproduce": _reproduce,
    "bench": _bench,
    "doctor": _doctor,
}
_DATA_COMMANDS = {"list": _data_list, "build": _data_build, "show": _data_show}
_BENCH_COMMANDS = {
    "losses": _bench_losses,
    "data": _bench_data,
    "train": _bench_train,
}
