"""Checkpoints that are verified: when they are written, and when they are read.

Orbax writes and reads the arrays. It restores flipped bits without a word, so a
manifest says what every array was, and everything that is read is compared with it.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from jaxcl.training._devices import check_same_on_all, host_copy
from jaxcl.training._manifest import (
    CheckpointError as CheckpointError,
    Leaves,
    Manifest,
    MismatchError,
    name_leaves,
    read_manifest,
)
from jaxcl.training._state import TrainState
from jaxcl.training._storage import Storage
from jaxcl.training._writers import NonFiniteError

_LOG = logging.getLogger(__name__)

# How reading went; the processes of a run go by the largest.
_READ, _GONE, _DAMAGED = range(3)


class Checkpoints:
    """The checkpoints of one run, newest last.

    Every process of a run calls every method; the first one writes. Restoring changes
    nothing: directories are made, leftovers and old checkpoints removed, when something
    is saved.

    Args:
        directory: Where they are.
        extra: What to keep beside every state, as JSON: the config, say.
        keep: How many; older ones are removed once a new one is verified.
    """

    def __init__(
        self,
        directory: str | Path,
        extra: Mapping[str, Any] | None = None,
        *,
        keep: int = 3,
    ):
        if keep < 1:
            raise ValueError(f"`keep` must be at least 1, got {keep}")
        self.directory = Path(directory).absolute()
        self._extra, self._keep = _as_json(extra or {}), keep
        self._storage = Storage(self.directory)
        self._verified: set[int] = set()
        self._damaged: set[int] = set()

    def save(self, state: TrainState) -> None:
        """Writes a state under its step; returns when it is on disk and verified.

        Nothing is done when that step is there and sound. A `NonFiniteError` refuses a
        state with NaN or infinity, a `CheckpointError` says what failed; either leaves
        the checkpoints as they were.
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
            self.directory.mkdir(parents=True, exist_ok=True)
            self._storage.remove_leftovers()
            if step in self._storage.steps():
                if self._is_sound(step, leaves):
                    return
                self._storage.set_aside(step)
            self._storage.write(step, leaves, self._extra)
        except MismatchError:
            raise
        except Exception as error:  # whatever a full or broken disk makes Orbax raise
            where = f"step {step} could not be saved in {str(self.directory)!r}"
            raise CheckpointError(f"{where}: {_first_line(error)}") from error
        # Never before the new one is verified, and never the new one itself.
        sound = self._sound_steps()
        if len(sound) >= self._keep:
            self._storage.remove_older(min(step, sound[self._keep - 1]))

    def _is_sound(self, step: int, wanted: Leaves) -> bool:
        if step in self._verified or step in self._damaged:
            return step in self._verified
        return self._read(step, wanted)[0] == _READ

    def restore(self, template: TrainState) -> TrainState | None:
        """The newest state that can be read, or None when there is no checkpoint.

        A checkpoint that is damaged is named in a warning and passed over. When there
        are checkpoints but none can be read, a `CheckpointError` says why: starting
        again from nothing would lose the run. One that is sound but of another model
        is such an error at once: nothing is wrong with it, but with who asks.

        Args:
            template: A state of the same shapes and types.
        """
        wanted, faults = name_leaves(host_copy(template)), []
        for step in self._steps_of_all():
            outcome, leaves, fault = self._read(step, wanted)
            outcome = _largest_of_all(outcome)
            if outcome == _READ:
                self._verified.add(step)
                values = [leaves[name] for name in wanted]
                return jax.tree.unflatten(jax.tree.structure(template), values)
            if outcome == _GONE:
                # Whoever writes has removed it meanwhile, so there are newer ones.
                return self.restore(template)
            faults.append(f"step {step}: {fault or 'another process cannot read it'}")
            self._damaged.add(step)
            self._verified.discard(step)
            _LOG.warning("checkpoint passed over, %s", faults[-1])
        if faults:
            raise CheckpointError(
                f"no checkpoint in {str(self.directory)!r} can be read; "
                + "; ".join(faults)
            )
        return None

    def _read(self, step: int, wanted: Leaves) -> tuple[int, Leaves, str]:
        """How reading a step went, its arrays, and what is wrong with it."""
        try:
            return _READ, self._storage.read(step, wanted), ""
        except MismatchError as error:
            where = f"step {step} in {str(self.directory)!r}"
            raise MismatchError(f"{where} is not what is asked for: {error}") from error
        except (MemoryError, PermissionError) as error:
            # Not a word on the files: another machine or user could read them.
            where = f"step {step} in {str(self.directory)!r}"
            raise CheckpointError(f"{where} cannot be read: {error!r}") from error
        except Exception as error:  # whatever a damaged file makes a reader raise
            gone = step not in self._storage.steps()
            return _GONE if gone else _DAMAGED, {}, _first_line(error)

    def _steps_of_all(self) -> list[int]:
        steps = self._storage.steps()
        check_same_on_all(
            steps[0] if steps else 0,
            f"the newest checkpoint in {str(self.directory)!r}; the work directory "
            "must be one that all hosts share",
        )
        return steps

    def read_manifest(self, step: int) -> Manifest:
        """What the checkpoint of a step should hold, `extra` included.

        Raises:
            CheckpointError: There is no such checkpoint, or its manifest is damaged.
        """
        try:
            return read_manifest(self._storage.path(step))
        except (CheckpointError, OSError) as error:
            where = f"step {step} in {str(self.directory)!r}"
            raise CheckpointError(f"{where}: {error}") from error

    def latest_step(self) -> int | None:
        """Step of the newest checkpoint not known to be damaged, None without one."""
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
        """Ends what Orbax has running."""
        self._storage.close()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _largest_of_all(number: int) -> int:
    """The largest of the numbers that the processes of a run come with."""
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
                    f"of {leaf.size} numbers NaN or infinite",
                    step,
                )


def _first_line(error: Exception) -> str:
    line = str(error).strip().split("\n")[0] or repr(error)
    # TensorStore says first where it was, and last what was wrong.
    return line if len(line) <= 300 else f"{line[:100]} … {line[-200:]}"


def _as_json(extra: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return json.loads(json.dumps(dict(extra), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(f"`extra` must be JSON, got {extra!r}: {error}") from error
