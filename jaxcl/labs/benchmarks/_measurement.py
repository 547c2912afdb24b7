"""The table of results: each row holds one number and its description."""

import dataclasses
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    import pandas as pd

Status = Literal["measured", "estimated", "not installed", "skipped", "failed"]
T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Measurement:
    """One row of the table of results."""

    what: str
    """The kind of measurement: a key of `_tables.KINDS`."""
    contender: str
    size: int
    """Rows of a loss, pixels of an image, images of a training step."""
    setting: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Everything else that tells two measurements apart, as plain values."""
    quantity: str = ""
    value: float | None = None
    unit: str = ""
    samples: tuple[float, ...] = ()
    """The values of all rounds, where `value` is their median."""
    status: Status = "measured"
    reason: str = ""
    """Why there is no value, or a remark on it."""
    required: bool = True
    """Whether a failure is a fault of this library."""

    def of(
        self, what: str, value: float | None, unit: str = "", samples: Any = ()
    ) -> "Measurement":
        """The same row for one of its quantities."""
        found = {"value": value, "unit": unit, "samples": tuple(samples)}
        return dataclasses.replace(self, quantity=what, **found)

    def but(self, **setting: Any) -> "Measurement":
        """The same row with some of its setting replaced."""
        return dataclasses.replace(self, setting={**self.setting, **setting})

    @property
    def spread(self) -> tuple[float, float] | None:
        """The quartiles of the samples; None without samples."""
        if not self.samples:
            return None
        # `quantiles` needs two samples.
        several = self.samples if len(self.samples) > 1 else 2 * self.samples
        low, _, high = statistics.quantiles(several, n=4, method="inclusive")
        return low, high


class Excuse(Exception):
    """Why a contender is not measured, though nothing is broken."""

    def __init__(self, status: Status, reason: str):
        super().__init__(reason)
        self.status: Status = status


def attempt(
    row: Measurement, make: Callable[[], T]
) -> tuple[T, Measurement] | tuple[None, Measurement]:
    """What `make` returns, or None and the row with the reason of its failure."""
    try:
        return make(), row
    except Excuse as excuse:
        status, reason = excuse.status, str(excuse)
    except Exception as error:  # another library can raise anything
        status, reason = "failed", describe_error(error)
    return None, dataclasses.replace(row, status=status, reason=reason)


def describe_error(error: Exception) -> str:
    """The type of an error and the most telling line of its text."""
    said = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    # TensorFlow begins with "in user code:" and ends with the reason.
    line = said[-1] if said[0].endswith(":") else said[0]
    return f"{type(error).__name__}: {line}"[:300]


@dataclasses.dataclass(frozen=True)
class Results:
    """The measurements of one command, and where they were made."""

    name: str
    """The name of the files: losses, data, train or aot."""
    origin: dict[str, Any]
    measurements: tuple[Measurement, ...] = ()

    def to_json(self) -> str:
        """Text with one measurement a line."""
        rows = [json.dumps(dataclasses.asdict(row)) for row in self.measurements]
        return (
            f'{{"name": {json.dumps(self.name)},\n'
            f'"origin": {json.dumps(self.origin, indent=1)},\n'
            '"measurements": [\n' + ",\n".join(rows) + "\n]}\n"
        )

    def to_frame(self) -> "pd.DataFrame":
        """One row a measurement, a column for each setting, quartiles in low, high."""
        import pandas as pd

        rows = []
        for one in self.measurements:
            low, high = one.spread or (None, None)
            row = {**vars(one), **one.setting, "low": low, "high": high}
            # None would be a missing value.
            if row.get("threads", 0) is None:
                row["threads"] = "all"
            rows.append(row)
        columns = None if rows else [*vars(Measurement("", "", 0))]
        return pd.DataFrame(rows, columns=columns).drop(columns=["setting", "samples"])


def read_results(path: Path) -> Results:
    """What `to_json` wrote."""
    found = json.loads(path.read_text())
    rows = [
        Measurement(**{**row, "samples": tuple(row["samples"])})
        for row in found["measurements"]
    ]
    return Results(found["name"], found["origin"], tuple(rows))
