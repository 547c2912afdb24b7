"""Downloaded archives, unpacked without trusting their content.

An archive is checked before it is opened, its names before they are used, and its bytes
are counted as they come out. Its folder appears complete, or not at all.
"""

import bz2
import contextlib
import functools
import gzip
import hashlib
import itertools
import lzma
import shutil
import stat
import struct
import tarfile
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from jaxcl.data._errors import DataError

_CHUNK = 1 << 20
# Names, times and rights between two files of a tar. A header of gigabytes would be
# read into memory at once.
_LARGEST_HEADER = 1 << 20
_LONGEST_NAME = 1000
# Categories of Unicode: control, format, line and paragraph.
_UNSEEN = ("Cc", "Cf", "Zl", "Zp")
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_DECOMPRESSORS: dict[bytes, Any] = {
    b"\x1f\x8b": gzip,
    b"\xfd7zXZ\x00": lzma,
    b"BZh": bz2,
}
_UNREADABLE = (
    EOFError,
    NotImplementedError,  # a compression this Python does not know
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


def extract(
    archive: Path, target: Path, *, md5: str = "", max_bytes: int, max_files: int
) -> None:
    """Unpacks a zip or a tar (.gz, .xz, .bz2) into a folder that does not exist yet.

    Args:
        archive: The file; its content tells what it is, not its name.
        target: The folder. It appears when everything is in it: a run that is killed
            leaves a hidden folder beside it, which nothing reads.
        md5: The published checksum of the file, in hexadecimal; empty = unknown.
        max_bytes: Most bytes that may come out.
        max_files: Most files and folders that may come out.

    Raises:
        DataError: The file is not what it should be, names a place outside of the
            folder, or holds links, devices, passwords, one name twice or more than is
            allowed. Nothing is left behind.
    """
    if target.exists():
        raise DataError(f"{str(target)!r} is there already: move it away to unpack")
    _check_sum(archive, md5)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # In the same folder: only within a disk does a rename happen at once.
        partial = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise _refusal(archive, f"cannot be unpacked: {error}") from error
    try:
        whole = partial / "whole"
        whole.mkdir()
        _unpack(archive, whole, _Limit(archive, max_bytes), max_files)
        whole.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _check_sum(archive: Path, md5: str) -> None:
    # It guards against a broken download; MD5 is what authors publish.
    digest = functools.partial(hashlib.md5, usedforsecurity=False)
    try:
        with archive.open("rb") as file:
            found = hashlib.file_digest(file, digest).hexdigest() if md5 else ""
    except OSError as error:
        raise _refusal(archive, f"cannot be read: {error.strerror}") from error
    if found != md5.lower():
        raise _refusal(archive, f"must have MD5 {md5.lower()}, got {found}")


def _unpack(archive: Path, folder: Path, limit: "_Limit", max_files: int) -> None:
    names: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(archive.open("rb"))
        read = _read_zip if _peek(file)[:4] in _ZIP else _read_tar
        members = stack.enter_context(contextlib.closing(read(file, limit)))
        for count in itertools.count():
            with _explained(archive):
                found = next(members, None)
            if found is None:
                return
            if count == max_files:
                raise _refusal(archive, f"holds more than {max_files:,} files")
            name, kind, content = found
            path = _safe_path(archive, name, kind, names)
            if kind == "file":
                _write(folder / path, content, limit)


def _write(path: Path, content: Any, limit: "_Limit") -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            while chunk := limit.read(content):
                file.write(chunk)
    except OSError as error:
        raise _refusal(limit.archive, f"cannot be unpacked: {error}") from error


@contextlib.contextmanager
def _explained(archive: Path) -> Iterator[None]:
    """Turns the errors of readers of broken files into a `DataError`."""
    try:
        yield
    except DataError:
        raise
    except _UNREADABLE as error:
        reason = str(error) or type(error).__name__
        raise _refusal(archive, f"cannot be read as zip or tar: {reason}") from error


def _refusal(archive: Path, reason: str) -> DataError:
    return DataError(f"archive {str(archive)!r} {reason}")


class _Limit:
    """How many bytes may still come out of an archive."""

    def __init__(self, archive: Path, left: int):
        self.archive, self._left, self._all = archive, left, left

    def read(self, content: Any) -> bytes:
        """The next part of a file; counted as it is read, whatever was promised."""
        with _explained(self.archive):
            part = content.read(_CHUNK)
        self._left -= len(part)
        if self._left < 0:
            raise _refusal(self.archive, f"holds more than {self._all:,} bytes")
        return part


def _peek(file: BinaryIO) -> bytes:
    start = file.read(8)
    file.seek(0)
    return start


_Found = tuple[str, str, Any]


def _read_zip(file: BinaryIO, limit: _Limit) -> Generator[_Found, None, None]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if info.flag_bits & 0x1:
                raise _refusal(limit.archive, f"has a password, on {info.filename!r}")
            kind = _kind(info.external_attr >> 16)
            if kind == "file" and info.is_dir():
                kind = "folder"
            # The stored name: zipfile would repair bad ones.
            name = info.orig_filename
            if kind != "file":
                yield name, kind, None
                continue
            with archive.open(info) as content:
                yield name, kind, content


def _kind(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "link"
    known = {0: "file", stat.S_IFREG: "file", stat.S_IFDIR: "folder"}
    return known.get(stat.S_IFMT(mode), "device")


def _read_tar(file: BinaryIO, limit: _Limit) -> Generator[_Found, None, None]:
    start, plain = _peek(file), file
    for magic, decompressor in _DECOMPRESSORS.items():
        if start.startswith(magic):
            plain = decompressor.open(file)
    stream: Any = _HeaderGuard(plain, limit)
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        while True:
            stream.in_header = _LARGEST_HEADER
            info = archive.next()
            if info is None:
                break
            stream.in_header = -1
            kind = "link" if info.issym() or info.islnk() else "device"
            kind = "file" if info.isreg() else "folder" if info.isdir() else kind
            content = archive.extractfile(info) if kind == "file" else None
            yield info.name, kind, content
        position: Any = archive.fileobj
        if position.tell() == archive.offset:
            raise EOFError("its end is missing")
    # The checksum of a compressed file stands after the last byte.
    while limit.read(plain):
        pass


class _HeaderGuard:
    """The bytes of a tar, with a limit on those between two files."""

    def __init__(self, file: Any, limit: _Limit):
        self._file, self._limit = file, limit
        self.in_header = _LARGEST_HEADER

    def read(self, size: int) -> bytes:
        part = self._file.read(size)
        if self.in_header >= 0:
            self.in_header -= len(part)
            if self.in_header < 0:
                raise _refusal(self._limit.archive, "has a header that is too large")
        return part


def _safe_path(archive: Path, name: str, kind: str, names: dict[str, str]) -> str:
    """The name of a member as a relative path, or a `DataError`."""
    if kind not in ("file", "folder"):
        raise _refusal(archive, f"holds a {kind}: {name!r}")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if any(_is_odd(letter) for letter in name):
        raise _refusal(archive, f"holds a name with odd letters: {name!r}")
    if any(_is_git(part) for part in parts):
        raise _refusal(archive, f"holds a folder of git: {name!r}")
    drive = parts[:1] and parts[0][1:2] == ":"
    if name.startswith("/") or drive or ".." in parts:
        raise _refusal(archive, f"names a place outside of its folder: {name!r}")
    if len(name) > _LONGEST_NAME or (kind == "file" and not parts):
        raise _refusal(archive, f"holds a file that cannot be named {name[:50]!r}")
    for depth in range(1, len(parts) + 1):
        path = "/".join(parts[:depth])
        is_file = kind == "file" and depth == len(parts)
        entry = f"{'file' if is_file else 'folder'} {path}"
        # Some disks treat these as one name: a file would overwrite another.
        key = unicodedata.normalize("NFC", path).casefold()
        if key in names and (is_file or names[key] != entry):
            raise _refusal(archive, f"uses a name twice: {names[key]!r}, {entry!r}")
        names[key] = entry
    return "/".join(parts)


def _is_odd(letter: str) -> bool:
    """Whether a letter is not shown, or changes how others are: U+202E turns them."""
    return letter == "\\" or unicodedata.category(letter) in _UNSEEN


def _is_git(part: str) -> bool:
    """Whether some system takes a name for `.git`, whose hooks are programs."""
    plain = unicodedata.normalize("NFKC", part).casefold().split(":")[0].rstrip(" .")
    return plain in (".git", "git~1")
