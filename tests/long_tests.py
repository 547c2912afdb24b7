"""Tests and parameters that not every run of the tests takes."""

import os

import pytest

LONG = bool(os.environ.get("JAXCL_LONG_TESTS"))
long = pytest.mark.skipif(not LONG, reason="JAXCL_LONG_TESTS=1 runs it")


def slow(*values):
    """Parameters of the slow tier; a tuple holds several."""
    return [
        pytest.param(
            *(value if isinstance(value, tuple) else (value,)), marks=pytest.mark.slow
        )
        for value in values
    ]


def long_only(*values):
    """Parameters that run only with JAXCL_LONG_TESTS=1."""
    return values if LONG else ()
