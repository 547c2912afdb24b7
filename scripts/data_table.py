"""Writes docs/data.md from the registry.

python scripts/data_table.py           # writes it
python scripts/data_table.py --check   # fails when it is not what the registry says
"""

import sys
from pathlib import Path

from jaxcl.data import REGISTRY, DatasetEntry

PAGE = Path(__file__).parents[1] / "docs" / "data.md"
HEAD = """# Data sets

Made from `jaxcl/data/registry.toml` by `python scripts/data_table.py`; `jaxcl data show
NAME` says the same of one set, with its terms, its citation, and what has to be fetched
by hand. Every column can be named in a config: as `data.label`, `data.domain`,
`data.bias` (`a * b` for each pair of values), or it stays in the batch as metadata.

**Checked** says what was seen working, and no more: *real files*: built from the
original archives, counts compared with the source; *JPEG copies*, *64 px copies*: built
from copies of all the images, counts and labels exact, pixels not; *made archives*: its
builder was tested on small archives of the layout that the source describes, never on
the real files; *not built here*: an official builder of tensorflow-datasets, whose
columns were compared with its source, and which was never built.

| name | splits | columns | domains | size | how to get it | checked |
|---|---|---|---|---|---|---|
"""
HOW = {
    "embedded": "built on first use",
    "automatic": "downloads itself",
    "manual": "by hand",
}


def render() -> str:
    """The page."""
    rows = [_row(name, entry) for name, entry in REGISTRY.items()]
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _row(name: str, entry: DatasetEntry) -> list[str]:
    splits = [f"{split} {count:,}" for split, count in entry.splits.items()]
    how = HOW[entry.download] + (", `jaxcl[tf]`" if entry.needs_tensorflow else "")
    domains = ", ".join(entry.domains[:6]) + (" …" if len(entry.domains) > 6 else "")
    cells = [
        f"`{name}`",
        "; ".join(splits) or "yours",
        ", ".join(f"`{column}`" for column in entry.columns) or "yours",
        domains or "–",
        entry.size,
        how,
        entry.checked,
    ]
    return [" ".join(cell.replace("|", "/").split()) for cell in cells]


def main() -> int:
    if "--check" in sys.argv[1:]:
        return 0 if PAGE.read_text() == render() else 1
    PAGE.write_text(render())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
