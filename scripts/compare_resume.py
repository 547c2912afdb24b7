"""Harms a small run of jaxcl or of a peer, resumes it, and says what came of it.

    python scripts/compare_resume.py jaxcl bit_flip
    python scripts/compare_resume.py table --scratch resumes

PEER is lightning, orbax, levanter or jaxcl; FAULT is a family of faults. All runs on
CPUs, in programs of its own (scripts/resume_peers). `table` runs everything that the
scratch directory does not know yet, and prints a table as Markdown. Lightning comes
with `.[bench]`; levanter (`pip install marin-levanter gitpython`) has an environment of
its own: `--python levanter=DIRECTORY/bin/python`.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from resume_peers.families import FAMILIES
from resume_peers.runs import Lab

PEERS = ("lightning", "orbax", "levanter", "jaxcl")


def parse(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("peer", choices=[*PEERS, "table"])
    parser.add_argument("fault", choices=FAMILIES, nargs="?")
    parser.add_argument("--scratch", type=Path, help="keep runs and outcomes there")
    parser.add_argument("--python", action="append", default=[], help="PEER=PYTHON")
    arguments = parser.parse_args(words)
    if (arguments.peer == "table") == bool(arguments.fault):
        parser.error("give PEER FAULT, or table alone")
    return arguments


def outcome(peer: str, fault: str, arguments: argparse.Namespace) -> str:
    """What came of a fault; read from the scratch directory if it is known there."""
    kept = arguments.scratch / "outcomes" / f"{peer}-{fault}.json"
    if kept.exists() and arguments.peer == "table":
        return json.loads(kept.read_text())
    pythons = dict(choice.split("=", 1) for choice in arguments.python)
    lab = Lab(peer, pythons.get(peer, sys.executable), arguments.scratch.absolute())
    if missing := lab.missing():
        return f"not known: {missing}"
    found = FAMILIES[fault].try_it(lab)
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(found, ensure_ascii=False))
    return found


def print_table(arguments: argparse.Namespace) -> None:
    rows = [["", *PEERS]]
    rows.append(["---"] * len(rows[0]))
    for number, (fault, family) in enumerate(FAMILIES.items(), 1):
        cells = [outcome(peer, fault, arguments) for peer in PEERS]
        print(fault, *cells, sep="\n  ", file=sys.stderr, flush=True)
        rows.append([f"{number} {family.title}", *cells])
    for row in rows:
        print("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")


def main() -> None:
    arguments = parse()
    with tempfile.TemporaryDirectory() as directory:
        arguments.scratch = arguments.scratch or Path(directory)
        if arguments.peer == "table":
            print_table(arguments)
        else:
            print(outcome(arguments.peer, arguments.fault, arguments))


if __name__ == "__main__":
    main()
