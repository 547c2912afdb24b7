"""The command `jaxcl reproduce`."""

import dataclasses
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
from jaxcl.reports import printable, to_json

_WIDTH = 110


@dataclasses.dataclass(frozen=True)
class ReproduceOptions:
    """Judges claims of the papers by running them."""

    claims: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Groups or names; all by default. `list` before them prints a table instead."""
    all: bool = False
    """All claims, the default."""
    budget: str = "seconds"
    """Run claims that need at most this: seconds, cpu or gpu. Or minutes in total."""
    seeds: int | None = None
    """Number of seeds of random claims; by default as each claim says."""
    out: Path | None = None
    """Directory to write claims.json and claims.html to."""
    json: bool = False
    """Print the record as JSON; tables go to standard error."""
    quiet: bool = False
    """Print only the summary."""


def show_claims(options: ReproduceOptions) -> bool:
    """Judges claims and prints verdicts; returns False if one could not be judged."""
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
            print(printable(f"written: {path}"), file=sys.stderr)
    if options.json:
        print(to_json(record))
    failed = [outcome.claim.name for outcome in outcomes if outcome.failed]
    if failed:
        print(f"error: could not be judged: {', '.join(failed)}", file=sys.stderr)
    return not failed


def _console(file) -> Console:
    # Outside a terminal there is no width to wrap at.
    return Console(file=file, width=None if file.isatty() else _WIDTH)
