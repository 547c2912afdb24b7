"""What the tables of results look like: one row of `SHEETS` for each."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Format = Callable[[Any], str]


class Sheet(NamedTuple):
    """How measurements of one kind are laid out."""

    title: str
    """With the words of a row in braces; rows whose titles differ are in different
    tables."""
    columns: Mapping[str, tuple[str, Format]]
    """Heading, and the quantity or word of a row with its format."""
    caption: str
    across: tuple[str, str, Format] | None = None
    """Words that become the heading of a column, the quantity in it, its format."""


def word(value: Any) -> str:
    """Text as it is."""
    return str(value)


def number(digits: int) -> Format:
    """A number with thousands separated."""
    return lambda value: "–" if _missing(value) else f"{value:,.{digits}f}"


def percent(digits: int) -> Format:
    """A share of 1."""
    return lambda value: "–" if _missing(value) else f"{100 * value:.{digits}f} %"


def power(value: float | None) -> str:
    """A small number by its power of ten."""
    if _missing(value):
        return "–"
    return "0" if value == 0 else f"{value:.0e}".replace("e-0", "e-")


def _missing(value: float | None) -> bool:
    return value is None or math.isnan(value)


_NOTE: dict[str, tuple[str, Format]] = {"note": ("note", word)}
_CALL: dict[str, tuple[str, Format]] = {
    "rows": ("sizes", word),
    "implementation": ("implementation", word),
    "dim": ("dim", word),
    "MiB": ("growth", number(1)),
    "XLA MiB": ("temporaries", number(1)),
    "seconds": ("seconds", number(2)),
    **_NOTE,
}
_CALL_CAPTION = (
    "One call of value and gradient in a process of its own. MiB: growth of resident "
    "memory after compilation (on an accelerator, memory beside inputs and outputs); "
    "XLA MiB: the temporaries that its compiler plans; seconds: of that call, the "
    "first of its process."
)
_SPEED: dict[str, tuple[str, Format]] = {
    "size": ("sizes", word),
    "implementation": ("contender", word),
    "images/s": ("images per second", number(0)),
    "× JAX": ("wall ratio", number(2)),
    "CPU µs an image": ("cpu", number(0)),
    "× JAX (CPU)": ("cpu ratio", number(2)),
    **_NOTE,
}
_SPEED_CAPTION = (
    "Two views of every image, float32; an image counts once. Medians of runs in turn. "
    "× JAX: time over that of “{}”, median over rounds (above 1 = slower)."
)

SHEETS: dict[str, Sheet] = {
    "losses": Sheet(
        "{title}, dim {dim}, {dtype}, {cores}",
        {
            "rows": ("sizes", word),
            "implementation": ("contender", word),
            "wall ms": ("wall", number(1)),
            "× dense": ("wall ratio", number(2)),
            "CPU ms": ("cpu", number(1)),
            "× dense (CPU)": ("cpu ratio", number(2)),
            "XLA MiB": ("temporaries", number(1)),
            "peak": ("peak share", percent(0)),
            "gradient vs dense": ("gradient difference", power),
            **_NOTE,
        },
        "Value and gradient; medians of calls in turn, in one process. × dense: time "
        "over that of the dense jnp code, median over rounds (below 1 = faster). Peak: "
        "share of the fastest matmul of these processes, counting 4 N²D (InfoNCE: "
        "8 B²D for two views of B rows).",
    ),
    "matmul": Sheet(
        "Fastest matmul",
        {
            "rows": ("sizes", word),
            "dim": ("dim", word),
            "dtype": ("dtype", word),
            "cores": ("cores", word),
            "GFLOP/s": ("speed", number(0)),
        },
        "The fastest square matmul of each process that timed losses.",
    ),
    "memory": Sheet("Memory of one call", _CALL, _CALL_CAPTION),
    "accuracy": Sheet(
        "Relative error of the gradient against float64",
        {
            "rows are": ("regime", word),
            "temperature": ("temperature", "{:g}".format),
        },
        "Aligned: positive cosines of about 0.99. bfloat16 is compared with float64 at "
        "the rows as bfloat16 rounds them.",
        across=("{loss}, {contender}, {dtype}", "gradient error", power),
    ),
    "large": Sheet("Large cases", _CALL, _CALL_CAPTION),
    "largest": Sheet("Largest batch, by doubling", _CALL, _CALL_CAPTION),
    "views": Sheet(
        "Views of images in memory, {cores}",
        _SPEED,
        _SPEED_CAPTION.format("jaxcl: JAX"),
    ),
    "pipeline": Sheet(
        "From files to views: {source}, {cores}",
        _SPEED,
        _SPEED_CAPTION.format("grain + JAX views"),
    ),
    "operations": Sheet(
        "A path beside the sum of its operations",
        {
            "cores": ("cores", word),
            "path": ("contender", word),
            "source": ("source", word),
            "size": ("sizes", word),
            "read": ("read", number(0)),
            "decode": ("decode", number(0)),
            "views": ("views", number(0)),
            "draw": ("draw", number(0)),
            "together": ("together", number(0)),
            "path takes": ("wall", number(0)),
            "×": ("wall ratio", number(2)),
            "× (CPU)": ("cpu ratio", number(2)),
            "busy": ("busy", percent(0)),
        },
        "Microseconds an image. Each operation alone, and the path that overlaps them. "
        "×: time of the path over the sum. Busy: CPU time over wall time of the cores.",
    ),
    "step": Sheet(
        "Where a step's time goes: {title}",
        {
            "piece": ("contender", word),
            "wall ms": ("wall", number(1)),
            "share": ("wall share", percent(1)),
            "CPU ms": ("cpu", number(1)),
            "share (CPU)": ("cpu share", percent(1)),
            "images/s": ("images per second", number(1)),
            **_NOTE,
        },
        "Milliseconds of a step; medians of runs in turn. The whole step takes its "
        "batch from the files; each piece is a program of its own, with its inputs on "
        "the device. Rest: the whole less the pieces. It is negative where pieces "
        "overlap, as input does with the step, or cost more alone.",
    ),
    "loop": Sheet(
        "The trainer's loop over a bare loop",
        {
            "run": ("title", word),
            "steps": ("steps", word),
            "loop ms": ("loop", number(2)),
            "bare ms": ("bare", number(2)),
            "ratio": ("ratio", number(3)),
            "quartiles": ("ratio spread", word),
            "loop CPU ms": ("loop cpu", number(2)),
            "bare CPU ms": ("bare cpu", number(2)),
        },
        "Milliseconds of a step on one batch that is in memory: the trainer's loop "
        "with its log, and a bare loop that waits for the device as often, in turn. "
        "Ratio of the medians; quartiles of the ratio by round. On a busy machine CPU "
        "time is the better measure.",
    ),
    "peers": Sheet(
        "Beside another library: {title}",
        {
            "implementation": ("contender", word),
            "images/s": ("images per second", number(1)),
            "wall ms": ("wall", number(1)),
            "× ours": ("wall ratio", number(2)),
            "CPU ms": ("cpu", number(1)),
            "× ours (CPU)": ("cpu ratio", number(2)),
            "parameters": ("parameters", number(0)),
            **_NOTE,
        },
        "A step on two views that are in memory: no input and no augmentation on "
        "either side; float32, SGD, both views in one batch. Ours computes the "
        "statistics of its log too. × ours: time over ours, median over rounds (above "
        "1 = slower than ours).",
    ),
}
