"""Renders results as Markdown, for a page and for a terminal."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.markdown import Markdown

from jaxcl.labs.benchmarks._figure import draw_losses
from jaxcl.labs.benchmarks._measurement import Results
from jaxcl.reports import number, printable

if TYPE_CHECKING:
    import pandas as pd

_VALUES = ("what", "quantity", "value", "unit", "low", "high", "status", "reason")
_VALUES += ("required",)
_HIDDEN = ("value", "value difference", "cpu seconds", "tile")


class Kind(NamedTuple):
    """How measurements of one kind are shown."""

    title: str
    caption: str
    split: tuple[str, ...] = ()
    """The settings that get a table for each of their values."""


_CALL = (
    "One call of value and gradient in a process of its own. growth: of resident "
    "memory after compilation (on an accelerator, memory beside inputs and outputs); "
    "temporaries: those that XLA's compiler plans; seconds: of that call, the first of "
    "its process."
)
_SPEED = (
    "Two views of every image, float32; times are for one image, which counts once. "
    "Medians of runs in turn. Ratios: to “{}”, by round (above 1 = slower)."
)
_ESTIMATES = (
    "ESTIMATES of a compiler for one device: nothing was run, nothing was measured. "
    "estimate: its cycles, bodies of loops by their trips, over the nominal clock; it "
    "leaves out collectives and waits for memory, and is about three times too high "
    "where exponentials are fused. compute bound: the products at the chip's peak, "
    "six passes for float32 at full precision. "
)
_CHIP = ("generation", "dim", "dtype")
_RUN = ("encoder", "objective", "optimizer", "image_size", "dtype", "threads")
_RUN += ("steps_per_dispatch", "keep_on_device", "devices")

KINDS: dict[str, Kind] = {
    "losses": Kind(
        "Time",
        "Value and gradient; medians of calls in turn, in one process. Ratios: to the "
        "dense jnp code, by round (below 1 = faster). Peak share: of the fastest "
        "matmul, counting 4 N²D (InfoNCE: 8 B²D for two views of B rows).",
        ("loss", "dim", "dtype", "threads"),
    ),
    "matmul": Kind("Fastest matmul", "Of each process that timed losses."),
    "memory": Kind("Memory of one call", _CALL),
    "accuracy": Kind(
        "Relative error of the gradient against float64",
        "Aligned: positive cosines of about 0.99. bfloat16 is compared with float64 at "
        "the rows as bfloat16 rounds them.",
        ("loss", "dtype"),
    ),
    "large": Kind("Large cases", _CALL),
    "largest": Kind("Largest batch, by doubling", _CALL),
    "views": Kind(
        "Views of images in memory", _SPEED.format("jaxcl: JAX"), ("source", "threads")
    ),
    "pipeline": Kind(
        "From files to views", _SPEED.format("grain + JAX views"), ("source", "threads")
    ),
    "operations": Kind(
        "A path beside the sum of its operations",
        "Times are for one image. Each operation alone, and the path that overlaps "
        "them. Ratios: of the path to the sum of its operations. Busy: CPU time over "
        "wall time of the cores.",
        ("threads",),
    ),
    "step": Kind(
        "Where a step's time goes",
        "Times of a step; medians of runs in turn. The whole step takes its batch from "
        "the files; each piece is a program of its own, with its inputs on the device. "
        "Rest: the whole less the pieces. It is negative where pieces overlap, as "
        "input does with the step, or cost more alone.",
        _RUN,
    ),
    "loop": Kind(
        "The trainer's loop over a bare loop",
        "Times of a step on one batch that is in memory: the trainer's loop with its "
        "log, and a bare loop that waits for the device as often, in turn. Ratio of "
        "the medians. On a busy machine CPU time is the better measure.",
    ),
    "peers": Kind(
        "Beside another library",
        "A step on two views that are in memory: no input and no augmentation on "
        "either side; float32, SGD, both views in one batch. Ours computes the "
        "statistics of its log too. Ratios: to ours, by round (above 1 = slower).",
        _RUN,
    ),
    "aot losses": Kind(
        "Losses: what their compiler expects (estimates)",
        _ESTIMATES + "Value and gradient; size: rows of both views on all chips. "
        "trips, tiles: how often a tile of logits is formed, and its size.",
        _CHIP,
    ),
    "aot memory": Kind(
        "Losses: memory and exchange as compiled",
        "As the compiler planned them for one device; nothing was run. temporaries: "
        "memory beside arguments and results. received: bytes of all collectives; "
        "collectives: how often they run, bodies of loops by their trips. share of "
        "pairs: of a device's pairs in one buffer; near 1, there is a matrix of all.",
        _CHIP,
    ),
    "aot steps": Kind(
        "Train steps, by their compiler (estimates)",
        _ESTIMATES + "bandwidth bound: the bytes that the compiler counts, at the "
        "bandwidth of the chip's memory. temporaries: memory beside arguments and "
        "results. received: bytes of all collectives. size: images on all chips.",
        ("generation",),
    ),
}


def render_page(results: Results) -> str:
    """A Markdown page: machine, versions and command, then the tables."""
    frame = results.to_frame()
    lines = [f"# Benchmark: {results.name}", "", *_describe_origin(results.origin)]
    for what, kind in KINDS.items():
        rows = frame[frame["what"] == what].dropna(axis="columns", how="all")
        rows = rows.reindex(columns=[*dict.fromkeys([*rows.columns, *_VALUES])])
        if rows.empty:
            continue
        lines += ["", f"## {kind.title}"]
        for _, part in rows.groupby(list(kind.split or ("what",)), sort=False):
            lines += ["", *_render_table(part)]
        lines += ["", kind.caption]
    return "\n".join(lines) + "\n"


def render_results(results: Results) -> Markdown:
    """The same for a terminal."""
    return Markdown(render_page(results))


def _render_table(rows: "pd.DataFrame") -> Iterator[str]:
    """The shared settings; a line for each contender, a column for each quantity."""
    heads = (rows["quantity"] + " " + rows.get("unit", "")).str.strip()
    rows = rows.assign(quantity=heads).sort_values("size", kind="stable")
    keys = [str(name) for name in rows if name not in _VALUES]
    shared = [
        name for name in keys if name != "contender" and rows[name].nunique() == 1
    ]
    yield ", ".join(f"{name} {_number(rows[name].iloc[0])}" for name in shared)
    yield ""
    keys = [name for name in keys if name not in shared]
    quantities = heads[rows["value"].notna() & ~rows["quantity"].isin(_HIDDEN)].unique()
    yield _line([*keys, *quantities, "note"])
    yield _line(["---"] * len(keys) + ["---:"] * len(quantities) + ["---"])
    for values, part in rows.groupby(keys, sort=False):
        found: list[Any] = part.to_dict("records")
        cells = {one["quantity"]: _cell(one) for one in found}
        notes = dict.fromkeys(filter(None, map(_note, found)))
        words = [*map(_number, values), *(cells.get(name, "–") for name in quantities)]
        yield _line([*words, "; ".join(notes)])


def _cell(row: Mapping[str, Any]) -> str:
    """A value; with its quartiles where it is a ratio by round."""
    numbers = [_number(row.get(name)) for name in ("value", "low", "high")]
    if row.get("unit") or numbers[1] == "–":
        return numbers[0]
    return "{} ({} to {})".format(*numbers)


def _note(row: Mapping[str, Any]) -> str:
    status = [row["status"]] * (row["status"] not in ("measured", "estimated"))
    return ": ".join([*status, *filter(None, [row.get("reason")])])


def _number(value: Any) -> str:
    if hasattr(value, "item"):
        value = value.item()  # of NumPy, which `number` does not know
    return str(value) if isinstance(value, str | bool) else number(value)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(printable(c).replace("|", "\\|") for c in cells) + " |"


def _describe_origin(origin: Mapping[str, Any]) -> list[str]:
    device, machine = origin["device"], origin["machine"]
    versions = {k: v for k, v in origin["versions"].items() if v != "–"}
    load = f", load {machine['load']} at the end" if "load" in machine else ""
    return [
        f"{machine['processor']}, {machine['cores']} cores{load}; {device['count']} × "
        f"{device['kind']} ({device['platform']}); commit `{origin['commit']}`, "
        f"{origin['date']}, seed {origin['options']['seed']}.",
        "Versions: " + ", ".join(f"{k} {v}" for k, v in versions.items()) + ".",
        "",
        "```bash",
        origin["command"],
        "```",
    ]


def write_results(results: Results, directory: Path) -> list[Path]:
    """The table as JSON, a page of it and, of the losses, a picture."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = [directory / f"{results.name}.{suffix}" for suffix in ("json", "md")]
    paths[0].write_text(results.to_json())
    paths[1].write_text(render_page(results))
    if results.name == "losses":
        paths.append(directory / "losses.png")
        draw_losses(results, paths[-1])
    return paths
