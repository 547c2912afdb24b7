"""Outcomes in the terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from jaxcl.labs.reproduce._claim import Check, Claim, Outcome
from jaxcl.reports import number, printable

_STYLES = {
    "confirmed": "green",
    "refuted": "red",
    "inconclusive": "yellow",
    "skipped": "dim",
    "failed": "bold red",
}


def print_outcome(outcome: Outcome, console: Console) -> None:
    """A claim, its checks as a table, and the verdict."""
    claim, style = outcome.claim, _STYLES[outcome.verdict]
    took = f" ({outcome.seconds:.1f} s)" if outcome.seconds else ""
    console.print(f"[bold]{claim.name}[/]  {claim.source}{took}", highlight=False)
    console.print(f"  {claim.statement}", style="italic", highlight=False)
    if _why(outcome):
        console.print(
            f"  [{style}]{outcome.verdict}[/]: {_why(outcome)}\n", highlight=False
        )
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("", "published", "exact", "found", "claim", ""):
        justify = "left" if column in ("", "claim") else "right"
        table.add_column(column, justify=justify, overflow="fold")
    for check in outcome.checks:
        table.add_row(*cells(check), f"[{_STYLES[check.verdict]}]{check.verdict}[/]")
    console.print(table)
    console.print(f"  [{style}]{outcome.verdict}[/]", highlight=False)
    if claim.remark:
        console.print(f"  {claim.remark}", highlight=False)
    console.print()


def print_summary(outcomes: Sequence[Outcome], console: Console) -> None:
    """One line for each claim, and how many of each verdict."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("claim", "verdict", "checks", "seconds"):
        justify = "right" if column == "seconds" else "left"
        table.add_column(column, justify=justify, no_wrap=column == "claim")
    for outcome in outcomes:
        verdict = outcome.verdict
        agreed = sum(check.verdict == "confirmed" for check in outcome.checks)
        table.add_row(
            outcome.claim.name,
            f"[{_STYLES[verdict]}]{verdict}[/]",
            f"{agreed} of {len(outcome.checks)}" if outcome.checks else _why(outcome),
            f"{outcome.seconds:.1f}" if outcome.seconds else "",
        )
    console.print(table)
    found = [outcome.verdict for outcome in outcomes]
    counts = ((verdict, found.count(verdict)) for verdict in _STYLES)
    line = ", ".join(f"{count} {verdict}" for verdict, count in counts if count)
    total = sum(outcome.seconds for outcome in outcomes)
    console.print(f"{line}; {total:.0f} s", highlight=False)


def _why(outcome: Outcome) -> str:
    return escape(printable(outcome.skipped or outcome.failed, lines=True))


def print_claims(claims: Sequence[Claim], console: Console) -> None:
    """What can be judged."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("claim", "source", "budget", "seconds", "seeds"):
        table.add_column(column, overflow="fold", no_wrap=column == "claim")
    for claim in claims:
        seeds = str(claim.seeds or "–")
        row = claim.name, claim.source, claim.budget, f"{claim.seconds:g}", seeds
        table.add_row(*row)
    console.print(table)


def cells(check: Check) -> tuple[str, str, str, str, str]:
    """A check as text: its name, three numbers, and what the claim says.

    >>> cells(Check("R²", (0.5, 0.6), 0.9, relation="above", random=True))[3:]
    ('0.55 ± 0.6353', 'above 0.9')
    """
    _, low, high = check.interval
    found = number(check.interval.mean, 4)
    if check.random and len(check.values) > 1:
        found += f" ± {number((high - low) / 2, 4)}"
    elif check.random:
        found += " (one seed)"
    says = f"{check.relation} {number(check.expected, 4)}"
    if check.relation == "near":
        says = f"{number(check.expected, 4)} ± {number(check.tolerance, 4)}"
    published = "" if check.published is None else number(check.published, 4)
    exact = "" if check.exact is None else number(check.exact, 4)
    return check.name, published, exact, found, says
