"""Leaves an error of Orbax to who called it, where its threads print it too."""

import asyncio
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def told_once() -> Iterator[None]:
    """Hides the tracebacks that Orbax prints of an error that the block raises.

    Orbax logs the error in each of its threads. It also ends its event loop at the
    first failed write, and each of the other writes complains that the loop is closed.
    """
    logger, before = logging.getLogger("absl"), sys.unraisablehook

    def hook(found: Any) -> None:
        if not _is_late_write(found):
            before(found)

    logger.addFilter(_keeps)
    sys.unraisablehook = hook
    try:
        yield
        # After an error the hook stays: the other writes end when they end.
        if sys.unraisablehook is hook:
            sys.unraisablehook = before
    finally:
        logger.removeFilter(_keeps)


def _keeps(record: logging.LogRecord) -> bool:
    return not (record.exc_info and "orbax" in Path(record.pathname).parts)


def _is_late_write(found: Any) -> bool:
    """Whether a writer in C++ has called an event loop that is closed."""
    # Of a call from Python, the first frame would be that of the caller.
    first = found.exc_traceback and found.exc_traceback.tb_frame.f_code
    called = asyncio.BaseEventLoop.call_soon_threadsafe.__code__
    return found.exc_type is RuntimeError and first is called
