"""Writes the tables of verdicts in docs/findings.md from docs/claims/**/claims.json.

jaxcl reproduce --all --budget cpu --out docs/claims && python scripts/findings.py
"""

import json
import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def render_table(record: dict) -> str:
    """Where the verdicts are from, and one line a claim."""
    versions = record["versions"]
    lines = [
        f"`{record['command']}`: {record['device']['kind']}, two cores, Python "
        f"{versions['python']}, jax {versions['jax']}, commit `{record['commit']}`, "
        f"{record['date'][:10]}.",
        "",
        "| claim | the paper says | checks | verdict | s |",
        "|---|---|---|---|---|",
    ]
    for claim in record["claims"]:
        found = [check["verdict"] for check in claim["checks"]]
        checks = f"{found.count('confirmed')} of {len(found)}" if found else ""
        seconds = f"{claim['seconds']:.0f}" if found else ""
        cells = [claim["claim"], claim["statement"], checks, claim["verdict"], seconds]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Replaces what is between the marks."""
    # Claims that were measured apart have a folder of their own.
    found = sorted((DOCS / "claims").rglob("claims.json"), key=lambda p: len(p.parts))
    tables = [render_table(json.loads(path.read_text())) for path in found]
    page = DOCS / "findings.md"
    filled = re.sub(
        r"(?<=<!-- verdicts -->\n).*?(?=<!-- end of verdicts -->)",
        lambda _: "\n\n".join(tables) + "\n",
        page.read_text(),
        flags=re.DOTALL,
    )
    page.write_text(filled)


if __name__ == "__main__":
    main()
