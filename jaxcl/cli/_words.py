"""Arguments and output, which all commands share."""

import contextlib
import functools
import io
import re
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NoReturn

import tyro

from jaxcl.config import nearest

Arguments = Sequence[str]
Commands = dict[str, Callable[[Arguments], None]]
# What Python says of a word that is no number.
_PLAINER = {
    "Error parsing ": "",
    "invalid literal for int() with base 10:": "must be a whole number, got",
    "could not convert string to float:": "must be a number, got",
    "Unrecognized options:": "unknown options",
    "Missing value": "missing value",
}
Switch = Annotated[bool, tyro.conf.FlagCreatePairsOff]


def dispatch(
    commands: Commands,
    program: str,
    name: str,
    rest: Arguments,
) -> None:
    """Calls the command of that name, or suggests the nearest name."""
    if name not in commands:
        fail(f"unknown command {name!r}; {nearest(name, commands)}")
    commands[name](rest)


def usage(commands: Commands, program: str) -> str:
    """Lists the commands, one per line."""
    lines = [f"usage: {program} COMMAND ... [--help]", ""]
    for name, command in commands.items():
        lines.append(f"  {name:10}{(command.__doc__ or '').splitlines()[0]}")
    return "\n".join(lines)


def show(renderable: Any) -> None:
    """Prints a text or a rich renderable; a text shows what it must not do."""
    from jaxcl.reports import printable

    if isinstance(renderable, str):
        print(printable(renderable, lines=True))
        return
    from rich.console import Console

    console = Console()
    # Outside a terminal, use a fixed width.
    Console(width=None if console.is_terminal else 120).print(renderable)


def parse(kind: Any, arguments: Arguments, program: str, **options: Any) -> Any:
    """Parses arguments by the types of a dataclass or a function, and calls it."""
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
            found = tyro.cli(_late(kind), args=list(arguments), prog=program, **options)
    except SystemExit as leave:
        if leave.code == 0:
            raise
        fail(f"{_in_one_line(told.getvalue())}; see `{program} --help`")
    return found if isinstance(kind, type) else found()


def _late(kind: Any) -> Any:
    """A function that binds the arguments of another; a type as it is."""
    if isinstance(kind, type):
        return kind

    @functools.wraps(kind)
    def bind(*positional: Any, **named: Any) -> Any:
        return functools.partial(kind, *positional, **named)

    return bind


def _in_one_line(box: str) -> str:
    """What a box of tyro says: its first part, and the nearest right words."""
    lines = [line.strip("│|╭╮╰╯+ ") for line in box.splitlines()]
    # The title, what is wrong, and advice, with rules between them.
    parts = re.split(r" *[─-]{5,} *", " ".join(line for line in lines if line))
    text, advice = [*filter(None, parts[1:]), box, ""][:2]
    options = re.findall(r"(--[\w.-]+) ", advice)
    if missing := re.match(r"Missing from .*?: (\S+)", text):
        return f"{missing[1]} is missing"
    if "invalid choice" in text:
        text, choices = text.split(". Expected one of ")
        wrong = re.findall(r"'([^']*)'", text)[0]
        text += "; " + nearest(wrong, re.findall(r"'([^']*)'", choices))
    if text.startswith("Unrecognized") and options:
        text += f"; did you mean `{options[0]}`?"
    for old, new in _PLAINER.items():
        text = text.replace(old, new)
    return text.rstrip(".?")


def fail(message: str, status: int = 2) -> NoReturn:
    """Ends the program; by default because its arguments are wrong."""
    from jaxcl.reports import printable

    print(f"error: {printable(message, lines=True)}", file=sys.stderr)
    raise SystemExit(status) from None
