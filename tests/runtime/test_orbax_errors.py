"""Only what Orbax prints twice is hidden."""

import asyncio
import logging
import sys
from types import SimpleNamespace

import pytest

from jaxcl.runtime._orbax_errors import told_once


@pytest.fixture
def unraised(monkeypatch):
    """What reaches the hook of the user."""
    found = []
    monkeypatch.setattr(sys, "unraisablehook", found.append)
    return found


def closed_loop():
    loop = asyncio.new_event_loop()
    loop.close()
    return loop


def error_of(function):
    """What a writer in C++ passes to the hook after it has called a function."""
    try:
        function()
    except Exception as error:
        # Its caller is this test, and that of a writer is no frame of Python.
        trace = error.__traceback__.tb_next
        return SimpleNamespace(
            exc_type=type(error), exc_value=error, exc_traceback=trace
        )
    raise AssertionError("there was no error")


def test_a_write_that_ends_late_is_not_told_again(unraised):
    loop = closed_loop()
    write = error_of(lambda: loop.call_soon_threadsafe(print))
    write.exc_traceback = write.exc_traceback.tb_next
    with pytest.raises(OSError), told_once():
        sys.unraisablehook(write)
        raise OSError
    sys.unraisablehook(write)  # the others end after the error
    assert unraised == []


def test_errors_of_others_are_told(unraised):
    def own():
        closed_loop().call_soon_threadsafe(print)

    def division():
        raise ZeroDivisionError

    errors = [error_of(own), error_of(division)]
    with pytest.raises(OSError), told_once():
        sys.unraisablehook(errors[0])
        raise OSError
    sys.unraisablehook(errors[1])
    assert unraised == errors


def test_without_an_error_the_hook_of_the_user_is_back(unraised):
    before = sys.unraisablehook
    with told_once():
        pass
    assert sys.unraisablehook is before


def test_logs_of_others_are_kept(caplog):
    logger = logging.getLogger("absl")
    record = logger.makeRecord(
        "absl", logging.ERROR, "/lib/orbax/future.py", 1, "twice", (), sys.exc_info()
    )
    with told_once():
        record.exc_info = (OSError, OSError(), None)
        logger.handle(record)
        logger.error("mine")
    assert caplog.messages == ["mine"]
