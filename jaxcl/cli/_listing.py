"""What the registry says about data sets, and which of them are built."""

from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table

from jaxcl.config import DataConfig, nearest
from jaxcl.data import (
    REGISTRY,
    DataError,
    DatasetEntry,
    data_directory,
    describe_folder,
)
from jaxcl.reports import literal, to_json


def list_data(data_dir: str = "", *, as_json: bool = False) -> Table | str:
    """Lists the data sets that are known by name, with their columns."""
    directory = data_directory(data_dir)
    rows = [_row(entry, directory) for entry in REGISTRY.values()]
    if as_json:
        return to_json({"data_dir": str(directory), "data_sets": rows})
    table = Table(
        title=literal(f"data sets in {directory}", style="table.title"),
        caption="for details: jaxcl data show NAME. Other data sets of "
        "tensorflow-datasets work too",
    )
    for heading in ("name", "what it is", "columns", "how to get it", "built"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        built = ", ".join(row["built"]) or "–"
        how = REGISTRY[row["name"]].how_to_get
        how += ", jaxcl[tf]" * row["needs_tensorflow"]
        cells = (row["name"], row["summary"], ", ".join(row["columns"]), how, built)
        table.add_row(*map(literal, cells))
    return table


def describe_data(
    name: str, data_dir: str = "", *, as_json: bool = False
) -> Group | str:
    """Describes one data set from the registry."""
    base = name.split("/")[0].split(":")[0]
    if base not in REGISTRY:
        raise DataError(
            f"no entry for {name!r} in the registry; {nearest(base, REGISTRY)}"
        )
    row = _row(REGISTRY[base], data_directory(data_dir))
    if as_json:
        return to_json(row)
    table = Table(title=f"{base}: {row['summary']}", show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for heading, text in _card(row):
        if text:
            table.add_row(heading, literal(*text.split("\n")))
    return Group(table, literal(*row["citation"].strip().split("\n")))


def is_folder(source: str) -> bool:
    """Whether a source is a folder of images and not the name of a data set."""
    return source.split("/")[0].split(":")[0] not in REGISTRY and Path(source).is_dir()


def describe_images(config: DataConfig, *, as_json: bool = False) -> Table | str:
    """Describes a folder of the user's own images."""
    found = describe_folder(config)
    if as_json:
        return to_json(found)
    title = literal(f"images of {config.path}", style="table.title")
    table = Table(title=title, show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    unreadable = [f"{path}: {why}" for path, why in found["unreadable"].items()]
    cells = {
        "splits": _counts(found["splits"]),
        "classes": _counts(found["classes"]) or [_NO_CLASSES],
        "domains": _counts(found["domains"]),
        "columns": [", ".join(found["columns"])],
        "notes": found["notes"],
        "cannot be read": _first(unreadable),
        "built": [found["built"]],
    }
    for heading, lines in cells.items():
        if any(lines):
            table.add_row(heading, literal(*lines))
    return table


def _counts(counts: dict[str, int]) -> list[str]:
    parts = [f"{name} {count:,}" for name, count in counts.items()]
    return [f"{len(parts)}: {', '.join(_first(parts))}"] if parts else []


def _first(parts: list[str]) -> list[str]:
    more = [f"and {len(parts) - _MOST:,} more"] if len(parts) > _MOST else []
    return parts[:_MOST] + more


def _card(row: dict[str, Any]) -> list[tuple[str, str]]:
    roles = [f"{role} = {row[role]}" for role in _ROLES if row[role]]
    columns = [f"{column}: {meaning}" for column, meaning in row["columns"].items()]
    splits = [f"{split}: {count:,}" for split, count in row["splits"].items()]
    return [
        ("image", row["image"]),
        ("splits", "\n".join(splits)),
        ("columns", "\n".join(columns)),
        ("roles", "\n".join(roles)),
        ("domains", ", ".join(row["domains"])),
        ("how to get it", row["manual"].strip() or REGISTRY[row["name"]].how_to_get),
        ("to build it", "needs TensorFlow once: jaxcl[tf]" * row["needs_tensorflow"]),
        ("size", row["size"]),
        ("terms", row["terms"]),
        ("homepage", row["homepage"]),
        ("checked", row["checked"]),
        ("built", ", ".join(row["built"])),
    ]


_MOST = 20
_NO_CLASSES = "none: every loss without labels works"
_ROLES = ("label", "domain", "bias", "instance")


def _row(entry: DatasetEntry, directory: Path) -> dict[str, Any]:
    return {**entry._asdict(), "built": _find_built(directory / entry.name)}


def _find_built(folder: Path) -> list[str]:
    """Finds the configs and versions that were built completely."""
    infos = folder.glob("**/dataset_info.json")
    found = (info.parent.relative_to(folder).as_posix() for info in infos)
    return sorted(name for name in found if "incomplete" not in name)
