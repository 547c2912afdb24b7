"""The long table of results as wide rows: a key for each quantity, and words."""

from collections.abc import Iterable
from typing import Any

from jaxcl.labs.benchmarks._losses._names import LOSSES
from jaxcl.labs.benchmarks._measurement import Measurement


def to_rows(measurements: Iterable[Measurement]) -> list[dict[str, Any]]:
    """One row for each contender, size and setting, with a key for each quantity."""
    rows: dict[Any, dict[str, Any]] = {}
    for one in measurements:
        key = one.what, one.contender, one.size, *one.setting.items()
        row = rows.setdefault(key, _describe(one))
        row[one.quantity] = one.value
        if one.spread is not None:
            row[f"{one.quantity} spread"] = "{:.3f} to {:.3f}".format(*one.spread)
        status = one.status if one.status != "measured" else ""
        if status or one.reason:
            row["note"] = ": ".join(filter(None, [status, one.reason]))
    return list(rows.values())


def _describe(one: Measurement) -> dict[str, Any]:
    threads, loss = one.setting.get("threads"), one.setting.get("loss", "")
    cores = "all cores" if threads is None else f"{threads} core(s)"
    if "encoder" in one.setting:
        title = _describe_run(one.size, cores, **one.setting)
    else:
        title = LOSSES.get(loss, loss)
    return {
        **one.setting,
        "what": one.what,
        "contender": one.contender,
        "size": one.size,
        "measured": one.status == "measured",
        "status": one.status,
        "note": "",
        "cores": cores,
        "title": title,
        "implementation": f"{title}: {one.contender}",
    }


def _describe_run(batch_size: int, cores: str, **run: Any) -> str:
    """A line that says which training run was measured."""
    words = [f"{run['encoder']}, {run['objective']}, {run['optimizer']}"]
    words.append(f"{batch_size} images a step")
    # 0 = not known, since the data could not be opened.
    words += [f"{run['image_size']} pixels"] * bool(run["image_size"])
    words.append(run["dtype"])
    if run["steps_per_dispatch"] > 1:
        words.append(f"{run['steps_per_dispatch']} steps a dispatch")
    words += ["images on the device"] * run["keep_on_device"]
    words += [f"{run['devices']} devices"] * (run["devices"] > 1)
    return ", ".join([*words, cores])
