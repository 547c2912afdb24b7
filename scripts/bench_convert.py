"""Converts results of the three old formats to the one table; every number stays.

python scripts/bench_convert.py docs/benchmarks/losses/losses.json ...
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxcl.labs.benchmarks import Measurement, Results

REQUIRED = {
    "jaxcl",
    "dense jnp",
    "jaxcl: JAX",
    "jaxcl: tf.data",
    "grain + JAX views",
}


def of_timing(old: dict[str, Any]) -> Iterator[Measurement]:
    setting = {name: old[name] for name in ("loss", "dim", "dtype", "threads")}
    row = blank("losses", old["rows"], setting, old, old["contender"] in REQUIRED)
    if old["status"] != "measured":
        yield row.of("wall", None)
        return
    for clock in ("wall", "cpu"):
        yield row.of(clock, old[f"{clock}_ms"], "ms", old[f"{clock}_samples_ms"])
        if old[f"{clock}_ratio"] is not None:
            yield row.of(f"{clock} ratio", old[f"{clock}_ratio"])
    yield row.of("temporaries", old["temporaries_mib"], "MiB")
    for name in ("peak_share", "value", "value_difference", "gradient_difference"):
        if old[name] is not None:
            yield row.of(name.replace("_", " "), old[name])


def of_peak(old: dict[str, Any]) -> Iterator[Measurement]:
    setting = {name: old[name] for name in ("dim", "dtype", "threads")}
    row = Measurement("matmul", "square matmul", old["rows"], setting)
    yield row.of("speed", old["gflops"], "GFLOP/s")


def of_memory(what: str, old: dict[str, Any]) -> Iterator[Measurement]:
    setting = {name: old[name] for name in ("dim", "dtype", "threads")}
    row = blank(what, old["rows"], {"loss": old["name"], **setting}, old, False)
    if old["status"] != "measured":
        yield row.of("growth", None)
        return
    yield row.of("growth", old["growth_mib"], "MiB")
    yield row.of("temporaries", old["temporaries_mib"], "MiB")
    yield row.of("seconds", old["seconds"], "s")
    yield row.of("cpu seconds", old["cpu_seconds"], "s")


def of_accuracy(rows: int, old: dict[str, Any]) -> Iterator[Measurement]:
    setting = {name: old[name] for name in ("regime", "temperature", "loss", "dtype")}
    row = blank("accuracy", rows, setting, old, False)
    yield row.of("gradient error", old["gradient_error"])
    if old["value"] is not None:
        yield row.of("value", old["value"])


def of_speed(old: dict[str, Any]) -> Iterator[Measurement]:
    setting = {name: old[name] for name in ("source", "threads", "batch_size")}
    row = blank(old["part"], old["size"], setting, old, old["ours"])
    samples = old["wall_samples_us"]
    yield row.of("wall", 1e6 / old["images_per_second"], "µs", samples)
    yield row.of("wall ratio", old["wall_ratio"])
    yield row.of("cpu", old["cpu_us"], "µs", old["cpu_samples_us"])
    yield row.of("cpu ratio", old["cpu_ratio"])
    yield row.of("images per second", old["images_per_second"])


def of_stall(old: dict[str, Any]) -> Iterator[Measurement]:
    setting = {name: old[name] for name in ("source", "threads")}
    row = Measurement("operations", old["path"], old["size"], setting)
    for name, value in old["operations_us"].items():
        yield row.of(name, value, "µs")
        yield row.of(f"{name} cpu", old["operations_cpu_us"][name], "µs")
    yield row.of("together", sum(old["operations_us"].values()), "µs")
    for clock in ("wall", "cpu"):
        yield row.of(clock, old[f"{clock}_us"], "µs")
        yield row.of(f"{clock} ratio", old[f"{clock}_ratio"])
    yield row.of("busy", old["busy"])


def of_breakdown(old: dict[str, Any]) -> Iterator[Measurement]:
    size, setting = split(old["setting"])
    row = Measurement("step", "whole step", size, setting)
    samples = old["samples_ms"]
    yield row.of("wall", old["wall_ms"], "ms", samples["whole step"])
    yield row.of("wall share", 1.0)
    yield row.of("cpu", old["cpu_ms"], "ms")
    yield row.of("cpu share", 1.0)
    yield row.of("images per second", old["images_per_second"])
    for name, value in old["parts_ms"].items():
        reason = "whole − pieces" if name == "rest" else ""
        row = Measurement("step", name, size, setting, reason=reason)
        yield row.of("wall", value, "ms", samples.get(name, ()))
        yield row.of("wall share", old["shares"][name])
        yield row.of("cpu", old["parts_cpu_ms"][name], "ms")
        yield row.of("cpu share", old["cpu_shares"][name])


def of_overhead(old: dict[str, Any]) -> Iterator[Measurement]:
    size, setting = split(old["setting"])
    row = Measurement("loop", "trainer's loop", size, setting).but(steps=old["steps"])
    loop, bare = old["loop_samples_ms"], old["bare_samples_ms"]
    yield row.of("loop", old["loop_ms"], "ms", loop)
    yield row.of("bare", old["bare_ms"], "ms", bare)
    yield row.of("loop cpu", old["loop_cpu_ms"], "ms")
    yield row.of("bare cpu", old["bare_cpu_ms"], "ms")
    ratios = [mine / other for mine, other in zip(loop, bare, strict=True)]
    row = row.of("ratio", old["ratio"], "", ratios)
    assert row.spread == (old["low"], old["high"])
    yield row


def of_rival(old: dict[str, Any]) -> Iterator[Measurement]:
    size, setting = split(old["setting"])
    row = blank("peers", size, setting, old, old["ours"])
    if old["status"] != "measured":
        yield row.of("wall", None)
        return
    yield row.of("wall", old["wall_ms"], "ms", old["samples_ms"])
    yield row.of("wall ratio", old["wall_ratio"])
    yield row.of("cpu", old["cpu_ms"], "ms")
    yield row.of("cpu ratio", old["cpu_ratio"])
    yield row.of("images per second", old["images_per_second"])
    yield row.of("parameters", old["parameters"])


def split(setting: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return setting["batch_size"], {
        k: v for k, v in setting.items() if k != "batch_size"
    }


def blank(
    what: str, size: int, setting: dict[str, Any], old: dict[str, Any], required: bool
) -> Measurement:
    return Measurement(
        what,
        old["contender"],
        size,
        setting,
        status=old["status"],
        reason=old["reason"],
        required=required,
    )


def convert(name: str, old: dict[str, Any]) -> Results:
    rows: list[Measurement] = []
    rows += [row for one in old.get("timings", ()) for row in of_timing(one)]
    rows += [row for one in old.get("peaks", ()) for row in of_peak(one)]
    for what in ("memory", "large", "largest"):
        rows += [row for one in old.get(what, ()) for row in of_memory(what, one)]
    for one in old.get("accuracy", ()):
        rows += of_accuracy(old["record"]["options"]["accuracy_rows"], one)
    rows += [row for one in old.get("speeds", ()) for row in of_speed(one)]
    rows += [row for one in old.get("stalls", ()) for row in of_stall(one)]
    rows += [row for one in old.get("breakdowns", ()) for row in of_breakdown(one)]
    rows += [row for one in old.get("overheads", ()) for row in of_overhead(one)]
    rows += [row for one in old.get("rivals", ()) for row in of_rival(one)]
    return Results(name, old["record"], tuple(rows))


def leaves(tree: Any) -> set[Any]:
    """Every number and text of a file."""
    if isinstance(tree, dict):
        return set().union(*map(leaves, tree.values()))
    if isinstance(tree, list):
        return set().union(*map(leaves, tree))
    return {tree}


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        old = json.loads(path.read_text())
        results = convert(path.stem, old)
        new = json.loads(results.to_json())
        # The quartiles of a ratio follow from its samples, which is asserted above.
        implied = {one[k] for one in old.get("overheads", ()) for k in ("low", "high")}
        assert leaves(old) - implied <= leaves(new), leaves(old) - leaves(new)
        path.write_text(results.to_json())
        print(path, len(results.measurements))
