"""Makes sure that the processes of a run do the same work."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxcl.config import ConfigError, TrainConfig, as_dict, flatten
from jaxcl.runtime._record import describe_settings, describe_versions

# Fields that every process may set by itself.
_OWN = ("data.data_dir", "data.workers", "distributed.", "tensorboard")


def describe_process(config: TrainConfig) -> dict[str, Any]:
    """What must be the same in all processes of a run before they do any work."""
    fields = flatten(as_dict(config))
    packages = {f"version of {k}": v for k, v in describe_versions().items()}
    return {
        **{name: value for name, value in fields.items() if not name.startswith(_OWN)},
        **packages,
        **describe_settings(),
    }


def check_same_on_all(facts: Mapping[str, Any]) -> None:
    """Raises a `ConfigError` if a fact differs between the processes of a run.

    Args:
        facts: JSON by names that finish the sentence "the processes differ in".
    """
    if jax.process_count() == 1:
        return
    text = json.dumps(facts, sort_keys=True).encode()
    digest = np.frombuffer(hashlib.sha256(text).digest(), np.uint8)
    digests = multihost_utils.process_allgather(digest)
    if (digests == digests[0]).all():
        return
    sizes = multihost_utils.process_allgather(np.array(len(text)))
    padded = np.zeros(int(np.max(sizes)), np.uint8)
    padded[: len(text)] = np.frombuffer(text, np.uint8)
    gathered = multihost_utils.process_allgather(padded)
    everyone = [
        json.loads(row[:size].tobytes())
        for row, size in zip(gathered, sizes, strict=True)
    ]
    raise ConfigError(
        f"the {len(everyone)} processes of a run must have the same config, packages "
        f"and data, and share the work directory; they differ in\n"
        + "\n".join(_differences(everyone))
    )


def _differences(everyone: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each name whose value differs: process 0 and the first other."""
    lines = []
    for name in dict.fromkeys(name for facts in everyone for name in facts):
        values = [facts.get(name) for facts in everyone]
        others = [i for i, value in enumerate(values) if value != values[0]]
        if others:
            lines.append(
                f"  {name}: {values[0]!r} in process 0, {values[others[0]]!r} in "
                f"process {others[0]}"
            )
    return lines
