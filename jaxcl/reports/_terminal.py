"""What may go to a terminal: it shows the texts of strangers and obeys none."""

import json
import re
from typing import Any

from rich.text import Text

# Control characters, the marks that turn the direction of writing, other ends of lines,
# and halves of characters, which no encoding can print. A joiner of emoji is none.
_OBEYED = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str, *, lines: bool = False) -> str:
    r"""Shows the characters that a terminal would obey.

    Args:
        text: Any text, such as the name of a domain.
        lines: Whether its line breaks are meant.

    Example:
        >>> print(printable("sea\x1b[2J\nü 漢字"))
        sea\x1b[2J\nü 漢字
    """
    if lines:
        return "\n".join(map(printable, text.split("\n")))
    return _OBEYED.sub(lambda found: ascii(found[0])[1:-1], text)


def literal(*lines: str, style: str = "") -> Text:
    """Lines for rich, which finds neither markup nor emoji nor controls in them."""
    return Text("\n".join(map(printable, lines)), style=style)


def to_json(value: Any) -> str:
    """Formats the output of `--json`, in ASCII without control characters."""
    # JSON escapes all others by itself.
    return json.dumps(value, indent=1).replace("\x7f", "\\u007f")
