"""What a check found: a verdict for each mapping, and a table of them."""

from dataclasses import dataclass
from typing import NamedTuple

_HEADINGS = (
    *("mapping", "value error", "spread", "gradient error", "times", "work"),
    "verdict",
)
_RIGHT = ("exact", "a device's own mean")


class Finding(NamedTuple):
    """How one mapping compares with one device."""

    mapping: str
    verdict: str
    value_error: float = float("nan")
    """Relative error of the mean of the devices' losses."""
    spread: float = float("nan")
    """How far the losses of the devices lie apart, relative to that of one device."""
    gradient_error: float = float("nan")
    """Relative error of the gradient, of the worst parameter."""
    times: float = float("nan")
    """The gradient is this many times that of one device."""
    work: float = float("nan")
    """Multiplications of each device, relative to one device with all rows."""

    @property
    def ok(self) -> bool:
        """Whether averaging over devices gives what one device gives."""
        return self.verdict in _RIGHT


@dataclass(frozen=True)
class DeviceReport:
    """The findings of `check_devices`. It prints as a table."""

    devices: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether every mapping gives what one device gives."""
        return all(finding.ok for finding in self.findings)

    def verdicts(self) -> dict[str, str]:
        """The verdict of each mapping."""
        return {finding.mapping: finding.verdict for finding in self.findings}

    def __str__(self) -> str:
        rows = [_HEADINGS, *(self._cells(finding) for finding in self.findings)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        rows.insert(1, tuple("-" * width for width in widths))
        lines = [
            "  ".join(f"{cell:<{n}}" for cell, n in zip(row, widths, strict=True))
            for row in rows
        ]
        return "\n".join(line.rstrip() for line in lines)

    def _cells(self, finding: Finding) -> tuple[str, ...]:
        errors = (finding.value_error, finding.spread, finding.gradient_error)
        return (
            finding.mapping,
            *(_number(error, ".0e") for error in errors),
            _number(finding.times, ".3g"),
            self._work_in_words(finding.work),
            finding.verdict,
        )

    def _work_in_words(self, work: float) -> str:
        if work != work:
            return ""
        # Rows that are gathered meet every pair twice, once on either device.
        shared = work <= min(2.5 / self.devices, 0.9)
        words = "shared" if shared else "everything" if work > 0.75 else "partly shared"
        return f"{work:.2f} {words}"


def _number(number: float, form: str) -> str:
    return "" if number != number else format(number, form) if number else "0"
