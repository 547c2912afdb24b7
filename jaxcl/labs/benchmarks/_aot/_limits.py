"""A few programs whose loops, buffers and collectives are on record."""

import dataclasses
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from jaxcl.labs.benchmarks._aot._jobs import estimate_loss
from jaxcl.labs.benchmarks._aot._options import AotBenchmark
from jaxcl.labs.benchmarks._aot._targets import ENVIRONMENT
from jaxcl.labs.benchmarks._children import Tell, run_child
from jaxcl.labs.benchmarks._measurement import Measurement

# Whether more of it is worse (1) or less (-1). `share of pairs` is near 1 where a
# buffer holds a matrix of all pairs.
LIMITED = {
    "trips": 1,
    "tile": -1,
    "largest buffer": 1,
    "share of pairs": 1,
    "collectives": 1,
}
_SLICE = AotBenchmark(chips=(256,), dtype=("float32",))
_PATIENCE = 300.0
_DIGITS = 4

Limits = Mapping[str, Mapping[str, float]]


def recorded_rows() -> Iterator[Measurement]:
    """The programs on record: they compile in seconds."""
    for fields in (
        {"losses": ("nt_xent",), "rows": (16_384,), "exchange": ("gather",)},
        {"losses": ("nt_xent",), "exchange": ("ring",)},
        {"losses": ("supcon",), "exchange": ("gather",)},
    ):
        yield from dataclasses.replace(_SLICE, **fields).loss_rows()


def measure_limits(tell: Tell = lambda text: None) -> Limits:
    """Compiles the programs on record in a child process.

    Raises:
        RuntimeError: One of them does not compile.
    """
    name = f"{__name__}:estimate_recorded"
    environment, patience = ENVIRONMENT, _PATIENCE
    rows, death = run_child(name, tell=tell, environment=environment, patience=patience)
    if death:
        raise RuntimeError(f"the programs on record do not compile: {death}")
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        if row.value is None:
            raise RuntimeError(f"{_title(row)}: {row.status}: {row.reason}")
        if row.quantity in LIMITED:
            found.setdefault(_title(row), {})[row.quantity] = round(row.value, _DIGITS)
    return found


def estimate_recorded(*, tell: Tell) -> Iterator[Measurement]:
    """The child's side."""
    for row in recorded_rows():
        yield from estimate_loss(row, None, tell=tell)


def _title(row: Measurement) -> str:
    setting = row.setting
    words = [row.contender, f"{row.size:,} rows", setting["dtype"]]
    words += [f"{setting['chips']} × {setting['generation']}"]
    return ", ".join([*words, setting["exchange"]])


def read_limits(path: Path) -> Limits:
    """What is on record."""
    return tomllib.loads(path.read_text())["limits"]


def find_changes(recorded: Limits, found: Limits, *, worse: bool = False) -> list[str]:
    """What differs from the record, one line each; with `worse`, only what got worse.

    A program without a record, or on record alone, differs and is worse.
    """
    lines = [f"{name}: not compiled" for name in recorded if name not in found]
    for name, quantities in found.items():
        if name not in recorded:
            lines.append(f"{name}: not on record")
            continue
        for quantity, sign in LIMITED.items():
            before, now = recorded[name].get(quantity, 0), quantities.get(quantity, 0)
            changed = sign * (now - before) > 0 if worse else now != before
            if changed:
                lines.append(f"{name}: {quantity} {before:g} -> {now:g}")
    return lines
