"""Checkpoints that are verified when they are written and when they are read.

Orbax writes and reads the arrays, but restores flipped bits without an error. So a
manifest records a digest of every array, and everything that is read is compared with
it.
"""

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from jaxcl.runtime._agreement import check_same_on_all
from jaxcl.runtime._manifest import (
    CheckpointError as CheckpointError,
    Leaves,
    Manifest,
    MismatchError as MismatchError,
    name_leaves,
    read_manifest,
)
from jaxcl.runtime._storage import Storage
from jaxcl.runtime._workdir import WorkdirError
from jaxcl.runtime._writers import NonFiniteError
from jaxcl.training._devices import host_copy
from jaxcl.training._state import TrainState

_LOG = logging.getLogger(__name__)

# Outcomes of a read; the largest over all processes of a run applies.
_READ, _GONE, _DAMAGED = range(3)


class Checkpoints:
    """The checkpoints of one run.

    Every process of a run must call every method; the first process writes. Restoring
    changes no files: only saving creates directories, and removes leftovers and old
    checkpoints.

    Args:
        directory: The directory of the checkpoints.
        describe: Called at every save: JSON to store with the state, such as the
            config.
        keep: How many to keep; older ones are removed once a new one is verified.
    """

    def __init__(
        self,
        directory: str | Path,
        describe: Callable[[], Mapping[str, Any]] = dict,
        *,
        keep: int = 3,
    ):
        if keep < 1:
            raise ValueError(f"`keep` must be at least 1, got {keep}")
        self.directory = Path(directory).absolute()
        self._describe, self._keep = describe, keep
        self._storage = Storage(self.directory)
        self._verified: set[int] = set()
        self._damaged: set[int] = set()

    def save(self, state: TrainState) -> None:
        """Saves a state under its step; returns once it is on disk and verified.

        Does nothing if an intact checkpoint of that step exists. An error leaves the
        existing checkpoints unchanged.

        Raises:
            NonFiniteError: The state contains NaN or infinity.
            CheckpointError: The state could not be saved.
        """
        copied = host_copy(state)
        step, leaves = int(copied.step), name_leaves(copied)
        _check_finite(step, leaves)
        problem = None
        if jax.process_index() == 0:
            try:
                self._save(step, leaves)
            except CheckpointError as error:
                problem = error
        failed = _largest_of_all(int(problem is not None))
        if problem is not None:
            raise problem
        if failed:
            raise CheckpointError(f"the first process could not save step {step}")
        self._damaged.discard(step)
        self._verified.add(step)

    def _save(self, step: int, leaves: Leaves) -> None:
        try:
            extra = _as_json(self._describe())
            self.directory.mkdir(parents=True, exist_ok=True)
            self._storage.remove_leftovers()
            if step in self._storage.steps():
                if self._is_sound(step, leaves):
                    return
                self._storage.set_aside(step)
            self._storage.write(step, leaves, extra)
        except MismatchError:
            raise
        except WorkdirError as error:
            raise CheckpointError(f"step {step} could not be saved: {error}") from error
        except Exception as error:  # a full or broken disk can raise any type
            where = f"step {step} could not be saved in {str(self.directory)!r}"
            raise CheckpointError(f"{where}: {_first_line(error)}") from error
        # Only once the new checkpoint is verified, and never that checkpoint itself.
        sound = self._sound_steps()
        if len(sound) >= self._keep:
            self._storage.remove_older(min(step, sound[self._keep - 1]))

    def _is_sound(self, step: int, wanted: Leaves) -> bool:
        if step in self._verified or step in self._damaged:
            return step in self._verified
        return self._read(step, lambda: self._storage.read(step, wanted))[0] == _READ

    def restore(
        self, template: TrainState, step: int | None = None
    ) -> TrainState | None:
        """Restores the newest state that can be read; None if there is no checkpoint.

        Damaged checkpoints are skipped with a warning.

        Args:
            template: A state of the same shapes and types.
            step: The step to restore; no other is tried.

        Raises:
            CheckpointError: There are checkpoints, but none can be read: starting over
                would lose the run. Or the newest intact one does not match `template`.
        """
        wanted, faults = name_leaves(host_copy(template)), []

        def read() -> Leaves:
            return self._storage.read(tried, wanted)

        for tried in self._steps_of_all() if step is None else [step]:
            outcome, leaves, fault = self._read(tried, read)
            outcome = _largest_of_all(outcome)
            if outcome == _READ:
                self._verified.add(tried)
                values = [leaves[name] for name in wanted]
                return jax.tree.unflatten(jax.tree.structure(template), values)
            if outcome == _GONE and step is None:
                # The first process has removed it meanwhile, so there are newer ones.
                return self.restore(template)
            faults.append(
                f"step {tried}: {fault or 'another process could not read it'}"
            )
            self._damaged.add(tried)
            self._verified.discard(tried)
            if step is None:
                _LOG.warning("checkpoint skipped, %s", faults[-1])
        if faults:
            raise CheckpointError(
                f"no checkpoint in {str(self.directory)!r} can be read; "
                + "; ".join(faults)
            )
        return None

    def read_part(self, step: int, choose: Callable[[str], bool]) -> Leaves:
        """Reads some arrays of a step by path, with all checks of `restore`.

        This process reads them, whatever the others do, and no other arrays.

        Args:
            step: One of `steps`; no other is tried.
            choose: Whether to read the array at a path, such as
                ``.params['encoder']['kernel']``.

        Raises:
            CheckpointError: The checkpoint is damaged.
        """
        _, leaves, fault = self._read(
            step, lambda: self._storage.read_part(step, choose)
        )
        if fault:
            where = f"no checkpoint in {str(self.directory)!r} can be read"
            raise CheckpointError(f"{where}; step {step}: {fault}")
        return leaves

    def _read(self, step: int, read: Callable[[], Leaves]) -> tuple[int, Leaves, str]:
        """The outcome of reading a step, its arrays, and its fault."""
        try:
            return _READ, read(), ""
        except MismatchError as error:
            where = f"step {step} in {str(self.directory)!r}"
            raise MismatchError(
                f"{where} does not match the expected state: {error}"
            ) from error
        except (MemoryError, PermissionError) as error:
            # The files may be intact: another machine or user might read them.
            where = f"step {step} in {str(self.directory)!r}"
            raise CheckpointError(f"{where} cannot be read: {error!r}") from error
        except Exception as error:  # a damaged file can raise any type
            gone = step not in self._storage.steps()
            return _GONE if gone else _DAMAGED, {}, _first_line(error)

    def steps(self) -> list[int]:
        """The steps of all checkpoints, also of damaged ones, newest first."""
        return self._storage.steps()

    def _steps_of_all(self) -> list[int]:
        steps = self.steps()
        check_same_on_all({f"the checkpoints in {str(self.directory)!r}": steps})
        return steps

    def read_manifest(self, step: int) -> Manifest:
        """The manifest of the checkpoint of a step, which includes `extra`.

        Raises:
            CheckpointError: There is no such checkpoint, or its manifest is damaged.
        """
        try:
            return read_manifest(self._storage.path(step))
        except (CheckpointError, OSError) as error:
            where = f"step {step} in {str(self.directory)!r}"
            raise CheckpointError(f"{where}: {error}") from error

    def latest_step(self) -> int | None:
        """Step of the newest checkpoint that is not known to be damaged, or None."""
        return max(self._sound_steps(), default=None)

    def _sound_steps(self) -> list[int]:
        """The steps with a manifest that are not known to be damaged, newest first."""
        sound = []
        for step in self._storage.steps():
            try:
                self.read_manifest(step)
            except CheckpointError:
                continue
            if step not in self._damaged:
                sound.append(step)
        return sound

    def close(self) -> None:
        """Closes Orbax, and ends its threads."""
        self._storage.close()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _largest_of_all(number: int) -> int:
    """The largest of the numbers that the processes of a run pass."""
    if jax.process_count() == 1:
        return number
    return int(np.max(multihost_utils.process_allgather(np.array(number))))


def _check_finite(step: int, leaves: Leaves) -> None:
    for name, leaf in leaves.items():
        if jnp.issubdtype(leaf.dtype, jnp.inexact):
            wrong = leaf.size - np.count_nonzero(np.isfinite(leaf))
            if wrong:
                raise NonFiniteError(
                    f"`{name}` must be finite to be saved at step {step}, got {wrong} "
                    f"of {leaf.size} values NaN or infinite",
                    step,
                )


def _first_line(error: Exception) -> str:
    line = str(error).strip().split("\n")[0] or repr(error)
    # TensorStore messages start with the place and end with the cause.
    return line if len(line) <= 300 else f"{line[:100]} … {line[-200:]}"


def _as_json(extra: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return json.loads(json.dumps(dict(extra), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(f"`describe` must return JSON, got {extra!r}") from error
