"""Makes sure that the processes of a run do the same work."""

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import jax
from jax._src import distributed  # nothing public sends texts

from jaxcl.config import ConfigError, TrainConfig, as_dict, flatten
from jaxcl.runtime._record import describe_settings, describe_versions

# `watch_hosts` ends a process that waits for one that has died.
_PATIENCE_MS = 600_000
# All processes make the same calls in the same order.
_CALLS = itertools.count()
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
        "number of its devices": jax.local_device_count(),
    }


def check_same_on_all(facts: Mapping[str, Any]) -> None:
    """Raises a `ConfigError` if a fact differs between the processes of a run.

    Args:
        facts: JSON by names that finish the sentence "the processes differ in".
    """
    if jax.process_count() == 1:
        return
    everyone = _exchange(facts)
    if everyone:
        raise ConfigError(
            f"the {jax.process_count()} processes of a run must have the same config, "
            "packages and data, and share the work directory; they differ in\n"
            + "\n".join(_differences(everyone))
        )


def _exchange(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The facts of every process; none if they are those of process 0 everywhere."""
    # Through JAX's own service, not by a collective: processes of other versions or
    # other settings would run other programs, and wait or abort.
    client: Any = distributed.global_state.client
    text = json.dumps(facts, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    call, me = next(_CALLS), jax.process_index()
    client.key_value_set(f"jaxcl/{call}/text/{me}", text)
    client.key_value_set(f"jaxcl/{call}/digest/{me}", digest)

    def read(what: str) -> list[str]:
        return [
            client.blocking_key_value_get(f"jaxcl/{call}/{what}/{i}", _PATIENCE_MS)
            for i in range(jax.process_count())
        ]

    same = set(read("digest")) == {digest}
    return [] if same else [json.loads(one) for one in read("text")]


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
