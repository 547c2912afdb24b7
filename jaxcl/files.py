"""Files that are written whole, and read without following links.

The directory of a run can come from a stranger. So a new file gets a random name that
nobody could have prepared, and takes its place once it is complete; and links, devices
and pipes are not read.
"""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
# A pipe that nobody writes to would block.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new empty file beside `path`, which replaces it when the block ends.

    A kill leaves either the old or the new file, and perhaps a hidden file
    ``*.unfinished``. If the block raises, the old file stays.
    """
    unfinished = path.with_name(f".{path.name}-{secrets.token_hex(8)}.unfinished")
    os.close(os.open(unfinished, _NEW, 0o666))
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Replaces a file: a kill leaves either the old or the new one."""
    data = content.encode() if isinstance(content, str) else content
    with replacing(path) as unfinished:
        unfinished.write_bytes(data)


def read_regular(path: Path, most_bytes: int = 2**30) -> bytes:
    """The bytes of a regular file.

    Raises:
        OSError: It is a link, a directory, a device or a pipe, or too large.
    """
    opened = os.open(path, _READ)
    with os.fdopen(opened, "rb") as file:
        found = os.fstat(opened)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(f"{str(path)!r} is not a regular file")
        if found.st_size > most_bytes:
            raise OSError(f"{str(path)!r} holds more than {most_bytes:,} bytes")
        return file.read()
