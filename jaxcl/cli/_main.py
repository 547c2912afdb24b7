"""The command `jaxcl`."""

import dataclasses
import logging
import os
import signal
import sys
import traceback
import warnings
from pathlib import Path
from typing import Annotated, Any

import tyro

from jaxcl.cli._bench import run_bench
from jaxcl.cli._data import run_data
from jaxcl.cli._explore import run_explore
from jaxcl.cli._help import EXAMPLES, TRAIN
from jaxcl.cli._runs import (
    run_embed,
    run_evaluate,
    run_export,
    run_report,
    show_report,
)
from jaxcl.cli._words import (
    Arguments,
    Commands,
    Switch,
    dispatch,
    fail,
    parse,
    show,
    usage,
)
from jaxcl.config import ConfigError, TrainConfig, read_toml

# Only errors of these libraries are shown, not their advice.
_QUIET_LIBRARIES = ("absl", "asyncio", "orbax", "grain")

_FORMAT_WARNING = warnings.formatwarning

_ERRORS = {
    "jaxcl.data": ("DataError",),
    "jaxcl.experiment": ("ExportError",),
    "jaxcl.reports": ("ReportError",),
    "jaxcl.labs.reproduce": ("ClaimError",),
    "jaxcl.labs.studies": ("StudyError",),
    "jaxcl.runtime": (
        "AuditError",
        "CheckpointError",
        "NonFiniteError",
        "WorkdirError",
    ),
}


# Packages of other extras than `train`.
_EXTRAS = {
    "jax2onnx": "onnx",
    "bokeh": "explore",
    "lightly": "bench",
    "onnxruntime": "onnx",
    "pytorch_metric_learning": "bench",
    "tensorflow": "tf",
    "torch": "bench",
}


@dataclasses.dataclass(frozen=True)
class _TrainArguments:
    """Trains an encoder and writes its report."""

    config: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CONFIG")]
    """A TOML file; every field below overrides one of its values."""
    workdir: Path | None = None
    """Directory of the run; by default runs/<name of the config>."""
    quiet: Switch = False
    """Print errors only."""
    json: Switch = False
    """Print the report as JSON on standard output."""
    fields: Annotated[TrainConfig, tyro.conf.arg(name="", prefix_name=False)] = (
        dataclasses.field(default_factory=TrainConfig)
    )


def main(arguments: Arguments | None = None) -> None:
    """Runs the command line; exits with 0 only if the job was done."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    _quiet_libraries()
    name, *rest = arguments or ["--help"]
    if name in ("-h", "--help"):
        print(usage(_COMMANDS, "jaxcl") + "\n" + EXAMPLES)
        if rest == ["all"]:
            _train(["--help", "all"])
        return
    if name == "--version":
        from jaxcl import __version__

        print(__version__)
        return
    try:
        dispatch(_COMMANDS, "jaxcl", name, rest)
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None
    except BrokenPipeError:
        # The reader of our output has closed it; keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except Exception as error:
        text = _explain(error)
        if not text:
            sys.excepthook = _print_traceback
            raise
        fail(text, 1)


def _train(arguments: Arguments) -> None:
    """Trains an encoder and writes its report."""
    if {"-h", "--help"} & {*arguments}:
        if arguments[-1] != "all":
            print(TRAIN)
            return
        arguments = ["--help"]
    # Parsed twice: the first pass finds the file with the defaults of the second.
    first = parse(_TrainArguments, arguments, "jaxcl train")
    recipe = first.fields.augmentation.recipe
    fields = read_toml(first.config, recipe=recipe)
    from_file = _TrainArguments(first.config, fields=fields)
    parsed = parse(_TrainArguments, arguments, "jaxcl train", default=from_file)
    parsed.fields.check()
    if parsed.quiet:
        logging.getLogger("jaxcl").setLevel(logging.WARNING)
    import jaxcl

    workdir = parsed.workdir or Path("runs") / parsed.config.stem
    report = jaxcl.train(parsed.fields, workdir, quiet=parsed.quiet)
    show_report(report, quiet=parsed.quiet, json=parsed.json)


def _doctor(arguments: Arguments) -> None:
    """Checks that this machine can train, and describes it."""

    def command(data_dir: str = "", json: Switch = False) -> None:
        """Checks that this machine can train; exits with 1 if it cannot.

        Args:
            data_dir: Directory of the data sets; empty = TFDS_DATA_DIR or a user cache.
            json: Print JSON.
        """
        from jaxcl.cli._doctor import examine

        table, healthy = examine(data_dir, as_json=json)
        show(table)
        if not healthy:
            raise SystemExit(1)

    parse(command, arguments, "jaxcl doctor")


def _study(arguments: Arguments) -> None:
    """Compares losses with and without metadata under distribution shift."""
    from jaxcl.labs.studies import StudyOptions, show_study

    options = parse(
        StudyOptions, arguments, "jaxcl study", config=(tyro.conf.FlagCreatePairsOff,)
    )
    if not show_study(options):
        raise SystemExit(1)


def _reproduce(arguments: Arguments) -> None:
    """Checks claims of papers by running them; `reproduce list` shows them."""
    from jaxcl.labs.reproduce import ReproduceOptions, show_claims

    options = parse(
        ReproduceOptions,
        arguments,
        "jaxcl reproduce",
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    if not show_claims(options):
        raise SystemExit(1)


class _Printable(logging.Formatter):
    """Messages as they are, but for what a terminal would obey."""

    def format(self, record: logging.LogRecord) -> str:
        return _printable(super().format(record))


def _format_warning(*arguments: Any) -> str:
    return _printable(_FORMAT_WARNING(*arguments))


def _print_traceback(*error: Any) -> None:
    lines = "".join(traceback.format_exception(*error))
    print(_printable(lines), end="", file=sys.stderr)


def _printable(text: str) -> str:
    from jaxcl.reports import printable

    return printable(text, lines=True)


def _quiet_libraries() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_Printable())
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    # Warnings quote names too, such as those that a font cannot draw.
    warnings.formatwarning = _format_warning
    logging.getLogger("jaxcl").setLevel(logging.INFO)
    for library in _QUIET_LIBRARIES:
        logging.getLogger(library).setLevel(logging.ERROR)


def _explain(error: Exception) -> str:
    """What to say of an error in place of a traceback; empty if it is a bug."""
    if isinstance(error, _expected_errors()):
        return str(error)
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        return (
            "out of memory: a smaller data.batch_size, data.image_size or "
            "evaluation.batch_size needs less, and so does optimizer.accumulate = 4"
        )
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "jaxcl").split(".")[0]
        if package != "jaxcl":
            extra = _EXTRAS.get(package, "train")
            return f"this needs {package}: pip install 'jaxcl[{extra}]'"
    return ""


def _expected_errors() -> tuple[type[Exception], ...]:
    """Errors whose message says enough."""
    # Only rooms that were imported can have raised.
    named = [
        getattr(sys.modules[room], name)
        for room, names in _ERRORS.items()
        if room in sys.modules
        for name in names
    ]
    return (ConfigError, OSError, *named)


_COMMANDS: Commands = {
    "train": _train,
    "evaluate": run_evaluate,
    "embed": run_embed,
    "export": run_export,
    "explore": run_explore,
    "report": run_report,
    "data": run_data,
    "study": _study,
    "reproduce": _reproduce,
    "bench": run_bench,
    "doctor": _doctor,
}
