"""Checkpoints that are checked when they are read.

Orbax writes and reads; a digest of every leaf is stored beside the state, because
Orbax restores flipped bits without a word.
"""

import hashlib
import logging
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from jaxcl.training._devices import check_same_on_all, host_copy, wait_for_all
from jaxcl.training._state import TrainState

_LOG = logging.getLogger(__name__)
_KEEP = 3


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be written, or none that can be read."""


class Checkpoints:
    """The checkpoints of one run, newest last; the three newest are kept.

    Args:
        directory: Where they are; made when missing.
    """

    def __init__(self, directory: str | Path):
        self.directory = Path(directory).absolute()
        self._damaged: list[int] = []
        self._manager = ocp.CheckpointManager(
            self.directory,
            options=ocp.CheckpointManagerOptions(
                max_to_keep=_KEEP, enable_async_checkpointing=False
            ),
            item_names=("state", "digests"),
        )

    def save(self, state: TrainState) -> None:
        """Writes a state under its step; returns when it is on disk."""
        tree = vars(host_copy(state))
        step = int(tree["step"])
        self._set_damaged_aside()
        if step in self._manager.all_steps():
            return
        arguments = ocp.args.Composite(
            state=ocp.args.StandardSave(tree),
            digests=ocp.args.JsonSave(_digests(tree)),
        )
        try:
            self._manager.save(step, args=arguments, force=True)
            self._manager.wait_until_finished()
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"step {step} could not be saved in {str(self.directory)!r}: {error}"
            ) from error

    def restore(self, template: TrainState) -> TrainState | None:
        """The newest state that can be read, or None when there is no checkpoint.

        A checkpoint that is damaged is named in a warning and passed over. When there
        are checkpoints but none can be read, a `CheckpointError` says why: starting
        again from nothing would lose the run.

        Args:
            template: A state of the same shapes and types.
        """
        self._manager.reload()  # others may have written
        check_same_on_all(
            self._manager.latest_step() or 0,
            f"the newest checkpoint in {str(self.directory)!r}; the work directory "
            "must be one that all hosts share",
        )
        steps = sorted(self._manager.all_steps(), reverse=True)
        faults = []
        for step in steps:
            try:
                return self._read(step, template)
            except Exception as error:  # whatever a damaged file makes a reader raise
                reason = str(error).strip().split("\n")[0][:200]
                faults.append(f"step {step}: {reason}")
                self._damaged.append(step)
                _LOG.warning("checkpoint passed over, %s", faults[-1])
        if faults:
            raise CheckpointError(
                f"no checkpoint in {str(self.directory)!r} can be read; "
                + "; ".join(faults)
            )
        return None

    def _set_damaged_aside(self) -> None:
        """Renames what could not be read, so that its step can be written again."""
        if jax.process_index() == 0:
            for step in self._damaged:
                number = sum(1 for _ in self.directory.glob(f"damaged-{step}-*"))
                aside = self.directory / f"damaged-{step}-{number}"
                (self.directory / str(step)).rename(aside)
        if self._damaged:
            wait_for_all("damaged checkpoints set aside")
            self._manager.reload()
        self._damaged = []

    def _read(self, step: int, template: TrainState) -> TrainState:
        tree = vars(host_copy(template))
        arguments = ocp.args.Composite(
            state=ocp.args.StandardRestore(tree), digests=ocp.args.JsonRestore()
        )
        restored = self._manager.restore(step, args=arguments)
        state = jax.tree.map(np.asarray, restored["state"])
        digests = _digests(state)
        wrong = [
            name
            for name, digest in restored["digests"].items()
            if digests.get(name) != digest
        ]
        if wrong or len(digests) != len(restored["digests"]):
            raise CheckpointError(
                f"{len(wrong)} arrays were changed, first {wrong[:1]}"
            )
        return TrainState(**state)

    def latest_step(self) -> int | None:
        """Step of the newest checkpoint not known to be damaged, None without one."""
        return max(set(self._manager.all_steps()) - set(self._damaged), default=None)

    def close(self) -> None:
        """Ends the threads of the manager."""
        self._manager.close()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _digests(tree: Any) -> dict[str, str]:
    """SHA-256 of every leaf with its shape and type, by its path."""
    digests = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        leaf = np.asarray(leaf)
        described = f"{leaf.dtype}{leaf.shape}".encode()
        digest = hashlib.sha256(described + np.ascontiguousarray(leaf).tobytes())
        digests[jax.tree_util.keystr(path)] = digest.hexdigest()
    return digests
