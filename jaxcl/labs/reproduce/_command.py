"""The command: claims one by one, with a verdict each."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from jaxcl.labs.reproduce._files import make_record, write_files
from jaxcl.labs.reproduce._run import (
    ClaimError,
    find_claims,
    measure_claims,
    read_budget,
)
from jaxcl.labs.reproduce._table import print_claims, print_outcome, print_summary

_WIDTH = 110


@dataclasses.dataclass(frozen=True)
class ReproduceOptions:
    """Judges claims of the papers, by running them."""

    claims: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Groups or names; none = all. `list` before them shows what there is."""
    all: bool = False
    """All claims, as without a name."""
    budget: str = "seconds"
    """seconds, cpu, gpu: what a claim may need. Or minutes for all of them."""
    seeds: int | None = None
    """How many for every random claim; its own number when left out."""
    out: Path | None = None
    """Directory for claims.json and claims.html."""
    json: bool = False
    """Print the record as JSON; tables go to standard error."""
    quiet: bool = False
    """Print the summary alone."""


def show_claims(options: ReproduceOptions) -> bool:
    """Runs the claims and shows them; False when one of them could not be judged."""
    if options.all and options.claims:
        raise ClaimError("`--all` must come without names of claims")
    if options.claims[:1] == ("list",):
        print_claims(find_claims(options.claims[1:]), _console(sys.stdout))
        return True
    claims, budget = find_claims(options.claims), read_budget(options.budget)
    console = _console(sys.stderr if options.json else sys.stdout)

    def tell(outcome):
        if not options.quiet and not outcome.skipped:
            print_outcome(outcome, console)

    outcomes = measure_claims(claims, budget, seeds=options.seeds, tell=tell)
    print_summary(outcomes, console)
    record = make_record(outcomes)
    if options.out is not None:
        for path in write_files(outcomes, record, options.out):
            print(f"written: {path}", file=sys.stderr)
    if options.json:
        print(json.dumps(record, indent=1, ensure_ascii=False))
    failed = [outcome.claim.name for outcome in outcomes if outcome.failed]
    if failed:
        print(f"error: could not be judged: {', '.join(failed)}", file=sys.stderr)
    return not failed


def _console(file) -> Console:
    # Off a terminal there is no edge to wrap at.
    return Console(file=file, width=None if file.isatty() else _WIDTH)
