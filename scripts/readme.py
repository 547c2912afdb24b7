"""Prints a command of the README: `readme.py train` or `readme.py test`."""

import re
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def read_command(name: str) -> str:
    """The shell block behind the comment `<!-- command: name -->`."""
    pattern = rf"<!-- command: {re.escape(name)} -->\s*```bash\n(.*?)```"
    found = re.search(pattern, README.read_text(), re.DOTALL)
    if found is None:
        raise SystemExit(f"README.md has no command {name!r}")
    return found.group(1).strip()


if __name__ == "__main__":
    print(read_command(sys.argv[1]))
