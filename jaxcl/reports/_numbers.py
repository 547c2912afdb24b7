"""Numbers as a reader wants them; what is absent or not finite is a dash."""

import math
from datetime import UTC, datetime
from typing import Any, TypeGuard

MISSING = "\u2013"
TIMES = "\u00d7"
_MINUS = "\u2212"


def is_number(value: Any) -> TypeGuard[float]:
    """Whether there is something to print: `True` and NaN are no numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    # Compared, because whole numbers can be too large for a float.
    return -math.inf < value < math.inf


def percent(value: Any) -> str:
    """A share of one in percent, with one decimal."""
    return _signed(f"{100 * value:.1f}%") if is_number(value) else MISSING


def fixed(value: Any, decimals: int = 3) -> str:
    """A number with a fixed count of decimals, for columns that line up."""
    return _signed(f"{value:,.{decimals}f}") if is_number(value) else MISSING


def number(value: Any, digits: int = 3) -> str:
    """A number of unknown size, to so many significant digits.

    >>> [number(value) for value in (2103.4, 0.02561, 1.25e-5, None)]
    ['2,103', '0.0256', '1.25e\u22125', '\u2013']
    """
    if not is_number(value):
        return MISSING
    if abs(value) >= 10 ** (digits - 1) or value == int(value):
        return _signed(f"{value:,.0f}")
    mantissa, _, exponent = f"{value:.{digits}g}".partition("e")
    return _signed(f"{mantissa}e{int(exponent)}" if exponent else mantissa)


def difference(value: Any) -> str:
    """A difference in points of percent, with its sign and one decimal.

    >>> difference(-0.26)
    '\u22120.3'
    """
    return _signed(f"{value:+.1f}") if is_number(value) else MISSING


def p_value(value: Any) -> str:
    """The probability of an effect at least as large by chance."""
    if not is_number(value):
        return MISSING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def duration(seconds: Any) -> str:
    """Seconds in the largest unit that leaves a number above one."""
    if not is_number(seconds):
        return MISSING
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def minute(started: Any) -> str:
    """An ISO time to the minute, in UTC; any other text as it is."""
    try:
        moment = datetime.fromisoformat(started)
    except (TypeError, ValueError):
        return str(started or MISSING)
    if moment.tzinfo is None:
        return f"{moment:%Y-%m-%d %H:%M}"
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _signed(text: str) -> str:
    # Zero has no sign. A hyphen is narrower than a digit: columns would not line up.
    text = text if text.strip("-+0.,%") else text.lstrip("-")
    return text.replace("-", _MINUS)
