"""The columns of a split, read once and kept beside the data.

Selections, samplers and controls look at every sample before the first step. Reading
all records for them is slow where images are large.
"""

import contextlib
import io
import logging
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from jaxcl.data._errors import DataError
from jaxcl.data._records import Records
from jaxcl.files import read_regular, write_whole

_LOG = logging.getLogger(__name__)
_READ_AT_ONCE = 4096
_PREFIX = "column "


class Columns:
    """Values of columns for every sample of a split.

    Args:
        records: Where the columns are read from.
        names: The columns to read.
        texts: Those of them that hold texts.
        folder: Where they are kept; None = in memory only.
        split: The name of the split, for the name of the file.
    """

    def __init__(
        self,
        records: Records,
        names: Iterable[str],
        texts: Iterable[str],
        folder: Path | None,
        split: str,
    ):
        self._records, self.names, self.texts = records, tuple(names), tuple(texts)
        safe = re.sub(r"[^\w.%-]", "_", split)
        self._file = None if folder is None else folder / f".columns-{safe}.npz"
        self._values: dict[str, np.ndarray] | None = None

    def __getitem__(self, name: str) -> np.ndarray:
        if self._values is None:
            self._values = self._load() or self._read()
        return self._values[name]

    def _load(self) -> dict[str, np.ndarray] | None:
        if self._file is None:
            return None
        try:
            file = io.BytesIO(read_regular(self._file))
            with np.load(file, allow_pickle=False) as stored:
                values = {key.removeprefix(_PREFIX): stored[key] for key in stored}
        except Exception:  # not there, or cut off: it is read again
            return None
        fits = {len(column) for column in values.values()} <= {len(self._records)}
        return values if fits and set(self.names) <= set(values) else None

    def _read(self) -> dict[str, np.ndarray]:
        total = len(self._records)
        if total > 10 * _READ_AT_ONCE:
            _LOG.info("reading the columns of %d samples, once", total)
        columns: dict[str, list[Any]] = {name: [] for name in self.names}
        for start in range(0, total, _READ_AT_ONCE):
            positions = range(start, min(start + _READ_AT_ONCE, total))
            for position, record in zip(
                positions, self._records.read(positions), strict=True
            ):
                if isinstance(record, Exception):
                    raise DataError(
                        f"record {position} cannot be read, nor its columns: {record}"
                    ) from record
                for name, column in columns.items():
                    column.append(record[name])
        values = {name: _as_array(column) for name, column in columns.items()}
        self._store(values)
        return values

    def _store(self, values: dict[str, np.ndarray]) -> None:
        if self._file is None:
            return
        file = io.BytesIO()
        # Without the prefix, a column `file` would be an argument of this function.
        named: dict[str, Any] = {
            _PREFIX + key: column for key, column in values.items()
        }
        np.savez(file, **named)
        # Without a writable directory the columns are read again by every run.
        with contextlib.suppress(OSError):
            write_whole(self._file, file.getvalue())


def _as_array(column: list[Any]) -> np.ndarray:
    if column and isinstance(column[0], (bytes, str)):
        texts = [v.decode() if isinstance(v, bytes) else v for v in column]
        return np.array(texts, np.str_)
    return np.stack([np.asarray(value) for value in column])
