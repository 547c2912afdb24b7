"""The directory of a run's checkpoints: what a kill or a full disk can do to it.

A checkpoint is the directory ``<step>/`` with ``state/``, which Orbax writes, and
``manifest.json``. It is made as ``<step>.unfinished/`` and gets its name by one rename,
when its state was read back and its manifest lies beside it; it loses its name by one
rename, before its files are removed. So a kill at any moment leaves whole checkpoints,
and leftovers whose names say that they are none.
"""

import itertools
import logging
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from jaxcl.training._manifest import (
    CheckpointError,
    Leaves,
    check_files,
    check_fits,
    check_values,
    flush,
    make_manifest,
    read_manifest,
    write_manifest,
)

_LOG = logging.getLogger(__name__)

# The last is what Orbax leaves behind where it writes a checkpoint's own directory.
_LEFTOVERS = ("*.unfinished", "*.removed", "*.orbax-checkpoint-tmp*")
# What files need beyond the arrays, at most: names, metadata, blocks.
_MARGIN, _MARGIN_BYTES = 1.1, 2**20


class Storage:
    """Reads and writes checkpoints as one process, whatever the others do.

    Args:
        directory: Where they are; made by the first `write`.
    """

    def __init__(self, directory: Path):
        self.directory = directory
        alone = ocp.options.MultiprocessingOptions(
            primary_host=jax.process_index(), active_processes={jax.process_index()}
        )
        self._orbax = ocp.Checkpointer(
            ocp.StandardCheckpointHandler(multiprocessing_options=alone),
            multiprocessing_options=alone,
        )

    def steps(self) -> list[int]:
        """Whatever has the name of a checkpoint, newest first."""
        try:
            names = [path.name for path in self.directory.iterdir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise CheckpointError(
                f"checkpoints in {str(self.directory)!r} cannot be listed: {error}"
            ) from error
        steps = [int(name) for name in names if name.isdecimal()]
        # "007" is the name of none.
        return sorted((step for step in steps if str(step) in names), reverse=True)

    def path(self, step: int) -> Path:
        """Where the checkpoint of a step is."""
        return self.directory / str(step)

    def read(self, step: int, wanted: Leaves) -> Leaves:
        """The arrays of a step, compared with its manifest.

        Args:
            step: One of `steps`.
            wanted: Arrays of the same names, shapes and types.

        Raises:
            MismatchError: The checkpoint is in order, but not what is wanted.
            Exception: Anything else that a damaged file makes a reader raise.
        """
        manifest = read_manifest(self.path(step))
        if manifest.step != step:
            raise CheckpointError(f"its manifest is of step {manifest.step}")
        check_fits(manifest, wanted)
        check_files(manifest, self.path(step))
        found = self._load(self.path(step), wanted)
        check_values(manifest, found)
        return found

    def write(self, step: int, leaves: Leaves, extra: Mapping[str, Any]) -> None:
        """Makes a checkpoint; it has its name when it is on the disk and verified."""
        _check_space(self.directory, leaves)
        unfinished = self.directory / f"{step}.unfinished"
        try:
            unfinished.mkdir()
            arguments = ocp.args.StandardSave(_storable(leaves))
            self._orbax.save(unfinished / "state", args=arguments)
            for path in [unfinished, *unfinished.rglob("*")]:
                flush(path)
            manifest = make_manifest(unfinished, step, leaves, extra)
            check_values(manifest, self._load(unfinished, leaves))
            write_manifest(unfinished, manifest)
            unfinished.rename(self.path(step))
        except BaseException:
            _remove_while_written(unfinished)
            raise
        flush(self.directory)

    def _load(self, path: Path, wanted: Leaves) -> Leaves:
        found = {n: np.empty(leaf.shape, leaf.dtype) for n, leaf in wanted.items()}
        arguments = ocp.args.StandardRestore(_storable(found))
        found.update(self._orbax.restore(path / "state", args=arguments))
        return {name: np.asarray(leaf) for name, leaf in found.items()}

    def set_aside(self, step: int) -> None:
        """Renames what could not be read, so that its step can be written again."""
        places = (self.directory / f"damaged-{step}-{n}" for n in itertools.count())
        aside = next(place for place in places if not place.exists())
        self.path(step).rename(aside)
        _LOG.warning("damaged checkpoint kept as %s", aside)

    def remove_older(self, oldest: int) -> None:
        """Removes the checkpoints before a step; that some stay is no error."""
        try:
            for step in self.steps():
                if step < oldest:
                    # Without its name first: a kill while files are removed must not
                    # leave a checkpoint that is half there.
                    self.path(step).rename(self.directory / f"{step}.removed")
            flush(self.directory)
        except OSError as error:
            _LOG.warning("old checkpoints could not be removed: %s", error)
        self.remove_leftovers()

    def remove_leftovers(self) -> None:
        """Removes what a kill during a save or a removal has left."""
        for pattern in _LEFTOVERS:
            for path in self.directory.glob(pattern):
                try:
                    if path.is_dir() and not path.is_symlink():
                        shutil.rmtree(path)
                    else:
                        path.unlink()
                except OSError as error:
                    _LOG.warning("leftover could not be removed: %s", error)

    def close(self) -> None:
        """Ends what Orbax has running."""
        self._orbax.close()


def _remove_while_written(path: Path) -> None:
    """Removes a directory into which a save that failed may still be writing.

    Orbax writes arrays side by side and raises when the first of them fails; what the
    others write meanwhile can fill the directory again. What stays after a second is
    removed by the next save.
    """
    for _ in range(20):
        shutil.rmtree(path, ignore_errors=True)
        time.sleep(0.05)
        if not path.exists():
            return


def _storable(leaves: Leaves) -> dict[str, np.ndarray]:
    # Orbax refuses arrays without elements; their shape in the manifest says it all.
    return {name: leaf for name, leaf in leaves.items() if leaf.size}


def _check_space(directory: Path, leaves: Leaves) -> None:
    size = sum(leaf.nbytes for leaf in leaves.values())
    needed = int(_MARGIN * size) + _MARGIN_BYTES
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise CheckpointError(
            f"it needs {_readable(needed)}, {_readable(free)} are free"
        )


def _readable(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
