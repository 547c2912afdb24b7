"""A Parquet file that is written in parts, of which a kill leaves those that are done.

The parts lie in a hidden directory beside the file. Each holds a digest of all that
made it, so that parts of another run, or of other images, are never taken for these.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from filelock import FileLock, Timeout
from pyarrow import parquet

from jaxcl.files import replacing
from jaxcl.runtime import WorkdirError

_DIGEST, _LEFT_OUT = b"jaxcl.parts.digest", b"jaxcl.parts.left_out"


class Parts:
    """The parts of one file; `open_parts` makes it.

    Attributes:
        directory: Where they lie.
        kept: How many of the first parts are done.
        left_out: Why images of those parts could not be read, by name.
        found_others: Whether there were parts that do not belong to these.
    """

    def __init__(self, directory: Path, digest: str):
        self.directory, self._digest = directory, digest.encode()
        self.kept, self.left_out = 0, dict[str, str]()
        while (described := self._describe(self.kept)) is not None:
            self.left_out |= described
            self.kept += 1
        right = {self._path(i) for i in range(self.kept)}
        others = [path for path in directory.glob("*.parquet") if path not in right]
        others += directory.glob("*.unfinished")
        self.found_others = not self.kept and any(
            path.suffix == ".parquet" for path in others
        )
        for path in others:
            path.unlink(missing_ok=True)

    def write(self, number: int, table: pa.Table, left_out: Mapping[str, str]) -> None:
        """Writes a part whole."""
        known = {_DIGEST: self._digest, _LEFT_OUT: json.dumps(dict(left_out)).encode()}
        with replacing(self._path(number)) as unfinished:
            parquet.write_table(table.replace_schema_metadata(known), unfinished)

    def join(self, out: Path, count: int, schema: pa.Schema) -> parquet.FileMetaData:
        """Writes the whole file, with a row group for each part."""
        with replacing(out) as unfinished:
            with parquet.ParquetWriter(unfinished, schema) as writer:
                for number in range(count):
                    part = parquet.read_table(self._path(number))
                    writer.write_table(part.replace_schema_metadata(schema.metadata))
            return parquet.read_metadata(unfinished)

    def _path(self, number: int) -> Path:
        return self.directory / f"{number:07}.parquet"

    def _describe(self, number: int) -> dict[str, str] | None:
        """Images that a part leaves out; None if there is no such part of these."""
        try:
            known = parquet.read_schema(self._path(number)).metadata or {}
            if known.get(_DIGEST) != self._digest:
                return None
            return dict(json.loads(known[_LEFT_OUT]))
        except (OSError, KeyError, TypeError, ValueError, pa.ArrowInvalid):
            return None


@contextmanager
def open_parts(out: Path, digest: str) -> Iterator[Parts]:
    """The parts of a file, which are removed when the block ends without an error.

    Args:
        out: The file.
        digest: Of all that makes it.

    Raises:
        WorkdirError: Another process is writing the file.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    directory = out.with_name(f".{out.name}.parts")
    if directory.is_symlink():
        raise WorkdirError(f"{str(directory)!r} must be a directory and no link")
    directory.mkdir(exist_ok=True)
    lock = FileLock(directory / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise WorkdirError(f"{str(out)!r} is being written by another process") from (
            error
        )
    try:
        yield Parts(directory, digest)
        shutil.rmtree(directory)
    finally:
        lock.release()
