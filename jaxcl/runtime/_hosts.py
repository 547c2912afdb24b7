"""Ends all processes of a run when one of them dies or fails.

JAX notices a dead process only after 100 s, and then calls abort(); it does not notice
an exception in one process at all. Here, every process has a file in the work
directory, which all hosts share. Every few seconds it writes a counter to its own file
and reads those of the others. Files need no port and outlive process 0, unlike JAX's
key-value store. A process is alive if its counter changes; clocks of different hosts
are never compared.
"""

import atexit
import ctypes
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import jax

from jaxcl.files import read_regular
from jaxcl.reports import printable

# EX_TEMPFAIL of sysexits.h: the same command may well succeed.
HOST_LOST = 75
# The same command would fail again.
_FAILED = 1
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK
# How a process ended, and the status with which the others then exit.
_ENDED = {
    "done": None,
    "failed": _FAILED,  # by an exception
    "followed": _FAILED,  # after another one failed
    "aborted": HOST_LOST,  # by C++
    "left": HOST_LOST,  # because another one stopped responding
}


@contextmanager
def watch_hosts(directory: str | Path, timeout: float) -> Iterator[None]:
    """Ends this process if another process of the run dies or fails.

    If another process shows no sign of life for `timeout` seconds, this process names
    it in one line on standard error and exits with status `HOST_LOST`, whatever its
    main thread is doing. If another process raises an exception, this process exits
    soon afterwards with status 1, as the other one does.

    An exception in this process is reported to the others. It is raised once all of
    them are known to be alive; otherwise it is a consequence of the death of another
    process, which is reported instead. With one process, nothing is watched.

    Args:
        directory: The work directory, which all hosts share.
        timeout: Seconds, more than storage or a library can block a whole process.
    """
    if jax.process_count() == 1:
        yield
        return
    watch = _Watch(Path(directory) / ".hosts", timeout)
    with watch.running(), _before_abort(watch.abort):
        try:
            yield
        except Exception as error:
            watch.fail("failed", f"{type(error).__name__}: {error}")
            raise
        except BaseException as error:  # stopped on request, like the others
            watch.say("stopped", type(error).__name__)
            raise
        watch.say("done")


class _Peer:
    """The known state of another process.

    Attributes:
        state: "alive", "failing" (an error occurred, and its cause is not known yet),
            "stopped" on request, or how it ended.
        text: The reason.
        beats: How often its file has changed.
        silence: Seconds since the last change.
    """

    def __init__(self, path: Path):
        self._path, self._content = path, _read(path)
        self.state, self.text, self.beats, self.silence = "alive", "", 0, 0.0

    def look(self, elapsed: float) -> None:
        """Reads its file, and ignores content that an earlier run left there."""
        content = _read(self._path)
        if content in (self._content, ""):
            self.silence += elapsed
            return
        with suppress(ValueError, LookupError, TypeError):  # an incomplete write
            said = json.loads(content)
            self.state, self.text = said["state"], said["text"]
            self._content, self.silence = content, 0.0
            self.beats += 1


class _Watch:
    """A thread that shows that this process is alive, and watches the others."""

    def __init__(self, directory: Path, timeout: float):
        self._me, self._count = jax.process_index(), jax.process_count()
        self._timeout, self._interval = timeout, min(max(timeout / 20, 0.1), 5.0)
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / f"{self._me}.json"
        self._peers = {
            number: _Peer(directory / f"{number}.json")
            for number in range(self._count)
            if number != self._me
        }
        self._lock, self._beats = threading.Lock(), 0
        self._state, self._text = "alive", ""
        self._over = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Watches while the block runs."""
        thread = threading.Thread(target=self._run, name="watch_hosts", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def say(self, state: str, text: str = "") -> None:
        """Writes the state of this process for the others to read."""
        with self._lock, suppress(OSError):
            if self._state not in ("followed", "left"):  # these are final
                self._state, self._text = state, text
            self._write()

    def fail(self, state: str, text: str) -> None:
        """Reports an error to the others, once all are known to be alive."""
        text = text.strip().split("\n")[0][:300]
        self.say("failing", text)
        before = {number: peer.beats for number, peer in self._peers.items()}
        # If one of them has died, the thread ends this process meanwhile.
        deadline = time.monotonic() + 2 * self._timeout
        while time.monotonic() < deadline and not all(
            # Two beats, because the first may have been written before the error.
            peer.state in ("failing", "failed", "done")
            or (peer.state == "alive" and peer.beats >= before[number] + 2)
            for number, peer in self._peers.items()
        ):
            time.sleep(0.05)
        if self._state != "failing":
            threading.Event().wait()  # the thread is about to exit
        self.say(state, text)
        # JAX's own exit handler would wait for the others for minutes.
        atexit.register(self._exit, _FAILED)

    def abort(self) -> None:
        """Waits for the cause before C++ ends this process: process 0 may be dead."""
        self.fail("aborted", "SIGABRT")
        self._let_others_end()

    def _write(self) -> None:
        said = {"beat": self._beats, "state": self._state, "text": self._text}
        # Overwritten in place, because NFS shows renamed files to other hosts late.
        opened = os.open(self._path, _WRITE, 0o666)
        with os.fdopen(opened, "w") as file:
            file.write(json.dumps(said))

    def _run(self) -> None:
        before = time.monotonic()
        while not self._over.wait(self._interval):
            with self._lock, suppress(OSError):  # all hosts see a full disk
                self._beats += 1
                self._write()
            now = time.monotonic()
            # Silence does not count while this process itself is suspended.
            elapsed = min(now - before, 2 * self._interval)
            before = now
            for peer in self._peers.values():
                peer.look(elapsed)
            if loss := self._find_loss():
                self._leave(*loss)

    def _find_loss(self) -> tuple[str, int] | None:
        """Why this process must exit, and with which status; None if it need not."""
        if self._state in _ENDED:
            return None  # the others exit because of this one
        for number, peer in self._peers.items():
            who = f"process {number} of {self._count}"
            if status := _ENDED.get(peer.state):
                if peer.state in ("left", "followed"):
                    return peer.text, status
                if peer.state == "aborted" or self._state == "alive":
                    return f"{who} {peer.state}: {peer.text}", status
                # Otherwise this process raises its own exception.
            elif peer.state != "done" and peer.silence >= self._timeout:
                return f"{who} {self._describe_silence(peer)}", HOST_LOST
        return None

    def _describe_silence(self, peer: _Peer) -> str:
        if peer.state == "stopped":
            return f"was stopped ({peer.text})"
        if peer.beats:
            return f"has not answered for {peer.silence:.0f} s"
        return (
            f"did not start within {peer.silence:.0f} s, or does not share the "
            f"directory {str(self._path.parent)!r}"
        )

    def _leave(self, reason: str, status: int) -> None:
        self.say("left" if status == HOST_LOST else "followed", reason)
        line = f"error: {reason}; exiting. The last checkpoint is kept"
        if status == HOST_LOST:
            line += "; start all processes again to resume"
        os.write(2, f"{printable(line)}\n".encode())
        self._exit(status)

    def _exit(self, status: int) -> None:
        self._let_others_end()
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)

    def _let_others_end(self) -> None:
        """Waits for the others to report their end; process 0 waits a second more."""
        # They lose JAX's service if process 0 exits, and connections if any one does.
        deadline = time.monotonic() + 3 * self._interval + 1
        while time.monotonic() < deadline and any(
            peer.state not in _ENDED and peer.silence < 3 * self._interval + 1
            for peer in self._peers.values()
        ):
            time.sleep(0.1)
            for peer in self._peers.values():
                peer.look(0.1)
        if self._me == 0:
            time.sleep(1)  # for the others to print the reason


def _read(path: Path) -> str:
    try:
        return read_regular(path, 2**16).decode()
    except (OSError, ValueError):
        return ""


@contextmanager
def _before_abort(action: Callable[[], None]) -> Iterator[None]:
    """Calls `action` when C++ calls abort(), as JAX does when process 0 dies.

    Python's own handlers run after the interrupted call returns, which abort() never
    does. (jax 0.7.2 calls _exit(1) instead, which cannot be intercepted.)
    """
    libc = ctypes.CDLL(None)
    libc.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
    libc.signal.restype = ctypes.c_void_p

    @ctypes.CFUNCTYPE(None, ctypes.c_int)
    def handle(number: int) -> None:
        action()
        # Only abort() raises the signal a second time; other senders do not.
        libc.signal(number, None)
        signal.raise_signal(number)

    previous = libc.signal(signal.SIGABRT, ctypes.cast(handle, ctypes.c_void_p))
    try:
        yield
    finally:
        libc.signal(signal.SIGABRT, previous)
