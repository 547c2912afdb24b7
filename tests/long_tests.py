"""More of the same, which JAXCL_LONG_TESTS=1 runs: CI has quarter of an hour."""

import os

LONG = bool(os.environ.get("JAXCL_LONG_TESTS"))


def long_only(*values):
    """The parameters, or none of them in the short form."""
    return values if LONG else ()
