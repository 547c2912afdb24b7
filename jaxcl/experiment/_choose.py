"""Which checkpoint of a run is read, and with which encoder."""

from collections.abc import Iterator
from contextlib import contextmanager

from jaxcl.config import ConfigError, TrainConfig
from jaxcl.models import Encoder
from jaxcl.runtime import CheckpointError, Checkpoints, MismatchError


@contextmanager
def choosing_step(checkpoints: Checkpoints, step: int | None) -> Iterator[int]:
    """The step to read: by default the newest, and no older one if it is damaged.

    Raises:
        CheckpointError: There is no such step, or the block cannot read it; the message
            then says which others there are.
    """
    known = checkpoints.steps()
    if not known:
        raise CheckpointError(f"no checkpoint in {str(checkpoints.directory)!r}")
    chosen = known[0] if step is None else step
    if chosen not in known:
        raise CheckpointError(f"`step` must be one of {known}, got {chosen}")
    try:
        yield chosen
    except MismatchError:
        raise
    except CheckpointError as error:
        others = ", ".join(f"`--step {other}`" for other in known if other != chosen)
        advice = f"; an older one can be chosen with {others}" if others else ""
        raise CheckpointError(f"{error}{advice}") from error


def check_encoder(config: TrainConfig, encoder: Encoder | None) -> None:
    """Checks that an encoder is passed if and only if the config says so."""
    if (encoder is not None) != (config.model.encoder == "custom"):
        given = "no encoder" if encoder is None else "an encoder"
        raise ConfigError(
            "`model.encoder` must be 'custom' if and only if an encoder is passed, got "
            f"{config.model.encoder!r} and {given}"
        )
