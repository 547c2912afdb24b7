"""Compares the definitions of losses with those of other libraries, by numbers.

python scripts/compare_definitions.py --out docs/migration.json

Writes the table as JSON and, beside it, as Markdown. Needs `.[bench]` to check all of
it; a library that is not installed is named as such. Exits with 1 when a loss is not
what the table says.
"""

import argparse
import importlib
import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
check_migrations = importlib.import_module("peers.migrations").check_migrations

COLUMNS = ("library", "their call", "here", "difference", "checked")


def describe_check(row: dict[str, Any]) -> str:
    if row["status"] != "equal":
        return f"{row['status']}: {row['reason']}" if "reason" in row else row["status"]
    worst = max(row["value_error"], row["gradient_error"])
    return f"equal to {worst:.0e} ({row['checked_against']})"


def to_markdown(rows: list[dict[str, Any]]) -> str:
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    for row in rows:
        library = f"{row['library']} {row['version']}"
        calls = (f"`{row['their_call']}`", f"`{row['our_call']}`")
        cells = (library, *calls, row["difference"], describe_check(row))
        lines.append("| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="JSON file; a .md beside it")
    arguments = parser.parse_args()
    rows = []
    for row in check_migrations():
        rows.append(row)
        print(f"{row['ours']:28}{row['library']:26}{describe_check(row)}", flush=True)
    if arguments.out is not None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        found = {"jaxcl": importlib.metadata.version("jaxcl"), "migrations": rows}
        text = json.dumps(found, indent=1, ensure_ascii=False)
        arguments.out.write_text(text + "\n")
        arguments.out.with_suffix(".md").write_text(to_markdown(rows))
    different = [row for row in rows if row["status"] == "different"]
    for row in different:
        print(
            f"error: {row['ours']} is not {row['library']}'s {row['their_call']}: "
            f"value {row['value_error']:.1e}, gradient {row['gradient_error']:.1e}",
            file=sys.stderr,
        )
    return 1 if different else 0


if __name__ == "__main__":
    raise SystemExit(main())
