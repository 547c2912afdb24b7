"""Writes the table of docs/data.md from the registry.

python scripts/data_table.py           # writes the page
python scripts/data_table.py --check   # fails when the page is out of date
"""

import sys
from pathlib import Path

from jaxcl.data import REGISTRY, DatasetEntry

PAGE = Path(__file__).parents[1] / "docs" / "data.md"
HEAD = """# Data sets

`python scripts/data_table.py` generates this table from `jaxcl/data/registry.toml`.
`jaxcl data show NAME` prints the entry of one data set, with its terms, its citation
and the files that you must download yourself. A config can use any column as
`data.label`, `data.domain` or `data.bias` (`a * b` for every pair of values); the other
columns stay in the batch as metadata.

**Checked** says how each builder was tested. *Real files*: built from the original
archives, counts compared with the source. *JPEG copies*, *64 px copies*: built from
copies of all images; counts and labels are exact, pixels are not. *Made archives*:
tested on small archives in the layout that the source describes, never on the real
files. *Not built here*: an official builder of tensorflow-datasets, never built; its
columns were compared with its source.

| name | splits | columns | domains | size | how to get it | checked |
|---|---|---|---|---|---|---|
"""


def render() -> str:
    """The page, of which all that follows the first heading is written by hand."""
    rows = [_row(name, entry) for name, entry in REGISTRY.items()]
    by_hand = PAGE.read_text().partition("\n## ")
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    return HEAD + table + "".join(by_hand[1:])


def _row(name: str, entry: DatasetEntry) -> list[str]:
    splits = [f"{split} {count:,}" for split, count in entry.splits.items()]
    how = entry.how_to_get + (", `jaxcl[tf]`" if entry.needs_tensorflow else "")
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
