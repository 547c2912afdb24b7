"""Stores checkpoints on disk, safe against kills and full disks.

A checkpoint is the directory ``<step>/`` with ``state/``, which Orbax writes, and
``manifest.json``. It is written as ``<step>.unfinished/``, and renamed to ``<step>/``
once its state was read back and its manifest is written. To remove it, it is renamed
first. So a kill at any moment leaves complete checkpoints, and leftovers whose names
show that they are not checkpoints.
"""

import itertools
import logging
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from jaxcl.runtime._manifest import (
    CheckpointError,
    Leaves,
    Manifest,
    check_files,
    check_fits,
    check_values,
    flush,
    list_steps,
    make_manifest,
    read_manifest,
    write_manifest,
)
from jaxcl.runtime._orbax_errors import told_once

_LOG = logging.getLogger(__name__)

# The last pattern is that of the temporary directories of Orbax.
_LEFTOVERS = ("*.unfinished", "*.removed", "*.orbax-checkpoint-tmp*")
# Upper bound of the space that files need beyond the arrays: names, metadata, blocks.
_MARGIN, _MARGIN_BYTES = 1.1, 2**20


class Storage:
    """Reads and writes checkpoints in one process, independently of the others.

    Args:
        directory: The directory of the checkpoints, which must exist before a `write`.
    """

    def __init__(self, directory: Path):
        self.directory = directory
        alone = ocp.options.MultiprocessingOptions(
            primary_host=jax.process_index(), active_processes={jax.process_index()}
        )
        self._orbax, self._orbax_of_parts = (
            ocp.Checkpointer(
                handler(multiprocessing_options=alone), multiprocessing_options=alone
            )
            for handler in (ocp.StandardCheckpointHandler, ocp.PyTreeCheckpointHandler)
        )

    def steps(self) -> list[int]:
        """The steps of all entries that are named like a checkpoint, newest first."""
        return list_steps(self.directory)

    def path(self, step: int) -> Path:
        """The path of the checkpoint of a step."""
        return self.directory / str(step)

    def read(self, step: int, wanted: Leaves) -> Leaves:
        """Reads the arrays of a step, and compares them with its manifest.

        Args:
            step: One of `steps`.
            wanted: Arrays of the same names, shapes and types.

        Raises:
            MismatchError: The checkpoint is intact, but does not match `wanted`.
            Exception: Damaged files can make the reader raise any type.
        """
        manifest = self._manifest(step)
        check_fits(manifest, wanted)
        check_files(manifest, self.path(step))
        found = self._load(self.path(step), wanted)
        check_values(manifest, found)
        return found

    def read_part(self, step: int, choose: Callable[[str], bool]) -> Leaves:
        """Reads some arrays of a step alone, and compares them with its manifest.

        Args:
            step: One of `steps`.
            choose: Whether to read the array at a path.
        """
        manifest = self._manifest(step)
        leaves = {name: leaf for name, leaf in manifest.leaves.items() if choose(name)}
        check_files(manifest, self.path(step))
        found = {
            name: np.empty(leaf.shape, jnp.dtype(leaf.dtype))
            for name, leaf in leaves.items()
        }
        item = _storable(found)
        arguments = ocp.args.PyTreeRestore(
            item=item,
            restore_args=dict.fromkeys(item, ocp.RestoreArgs(restore_type=np.ndarray)),
            partial_restore=True,
        )
        with told_once():
            path = self.path(step) / "state"
            found.update(self._orbax_of_parts.restore(path, args=arguments))
        check_values(manifest._replace(leaves=leaves), found)
        return found

    def _manifest(self, step: int) -> Manifest:
        manifest = read_manifest(self.path(step))
        if manifest.step != step:
            raise CheckpointError(f"its manifest is of step {manifest.step}")
        return manifest

    def write(self, step: int, leaves: Leaves, extra: Mapping[str, Any]) -> None:
        """Writes a checkpoint; it gets its name once it is on disk and verified."""
        _check_space(self.directory, leaves)
        unfinished = self.directory / f"{step}.unfinished"
        try:
            unfinished.mkdir()
            arguments = ocp.args.StandardSave(_storable(leaves))
            with told_once():
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
        with told_once():
            found.update(self._orbax.restore(path / "state", args=arguments))
        return {name: np.asarray(leaf) for name, leaf in found.items()}

    def set_aside(self, step: int) -> None:
        """Renames a damaged checkpoint, so that its step can be written again."""
        places = (self.directory / f"damaged-{step}-{n}" for n in itertools.count())
        aside = next(place for place in places if not place.exists())
        self.path(step).rename(aside)
        _LOG.warning("damaged checkpoint kept as %s", aside)

    def remove_older(self, oldest: int) -> None:
        """Removes the checkpoints before a step; a failure is only a warning."""
        try:
            for step in self.steps():
                if step < oldest:
                    # Renamed first: a kill while its files are removed must not leave
                    # an incomplete checkpoint.
                    self.path(step).rename(self.directory / f"{step}.removed")
            flush(self.directory)
        except OSError as error:
            _LOG.warning("old checkpoints could not be removed: %s", error)
        self.remove_leftovers()

    def remove_leftovers(self) -> None:
        """Removes the leftovers of interrupted saves and removals."""
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
        """Closes Orbax, and ends its threads."""
        self._orbax.close()
        self._orbax_of_parts.close()


def _remove_while_written(path: Path) -> None:
    """Removes a directory into which a failed save may still be writing.

    Orbax writes arrays concurrently and raises when the first one fails; the other
    writes can fill the directory again. The next save removes what is left after a
    second.
    """
    for _ in range(20):
        shutil.rmtree(path, ignore_errors=True)
        time.sleep(0.05)
        if not path.exists():
            return


def _storable(leaves: Leaves) -> dict[str, np.ndarray]:
    # Orbax rejects arrays without elements; the manifest has their shape.
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
