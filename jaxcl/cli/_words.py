"""Arguments and output, which all commands share."""

import json
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import tyro

from jaxcl.config import nearest

Arguments = Sequence[str]
Commands = dict[str, Callable[[Arguments], None]]
Switch = Annotated[bool, tyro.conf.FlagCreatePairsOff]


def dispatch(
    commands: Commands,
    program: str,
    name: str,
    rest: Arguments,
) -> None:
    """Calls the command of that name, or suggests the nearest name."""
    if name not in commands:
        print(
            f"error: unknown command {name!r}; {nearest(name, commands)}\n\n"
            f"{usage(commands, program)}",
            file=sys.stderr,
        )
        raise SystemExit(2)
    commands[name](rest)


def usage(commands: Commands, program: str) -> str:
    """Lists the commands, one per line."""
    lines = [f"usage: {program} COMMAND ... [--help]", ""]
    for name, command in commands.items():
        lines.append(f"  {name:10}{(command.__doc__ or '').splitlines()[0]}")
    return "\n".join(lines)


def to_json(value: Any) -> str:
    """Formats the output of `--json`."""
    return json.dumps(value, indent=1)


def show(renderable: Any) -> None:
    """Prints a text or a rich renderable."""
    if isinstance(renderable, str):
        print(renderable)
        return
    from rich.console import Console

    console = Console()
    # Outside a terminal, use a fixed width.
    Console(width=None if console.is_terminal else 120).print(renderable)


def parse(kind: Any, arguments: Arguments, program: str, **options: Any) -> Any:
    """Parses arguments by the types of a dataclass or a function."""
    return tyro.cli(kind, args=list(arguments), prog=program, **options)
