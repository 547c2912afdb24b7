"""Makes the notebooks from their scripts: notebooks/NAME.py to notebooks/NAME.ipynb.

python scripts/notebooks.py           # writes them
python scripts/notebooks.py --check   # exits with 1 when one is out of date

A script has cells that begin with ``# %%``, or ``# %% [markdown]`` for text.
"""

import json
import re
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "notebooks"


def cells_of(script: str) -> list[tuple[str, str]]:
    """Kind and text of each cell."""
    parts = re.split(r"^# %%(.*)\n", script, flags=re.MULTILINE)
    found = []
    for kind, text in zip(parts[1::2], parts[2::2], strict=True):
        text = text.strip("\n")
        if "[markdown]" in kind:
            lines = (
                line.removeprefix("#").removeprefix(" ") for line in text.split("\n")
            )
            found.append(("markdown", "\n".join(lines)))
        else:
            found.append(("code", text))
    return found


def notebook_of(script: str) -> str:
    """The notebook as JSON, without outputs."""
    cells = []
    for number, (kind, text) in enumerate(cells_of(script)):
        cell = {
            "cell_type": kind,
            "id": f"cell-{number}",
            "metadata": {},
            "source": text.splitlines(keepends=True),
        }
        if kind == "code":
            cell |= {"execution_count": None, "outputs": []}
        cells.append(cell)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Writes or checks all of them."""
    stale = []
    for script in sorted(FOLDER.glob("*.py")):
        target, text = script.with_suffix(".ipynb"), notebook_of(script.read_text())
        if target.exists() and target.read_text() == text:
            continue
        stale.append(target.name)
        if "--check" not in sys.argv:
            target.write_text(text)
    print("\n".join(stale) or "all up to date")
    if stale and "--check" in sys.argv:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
