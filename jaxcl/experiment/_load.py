"""The encoder of a run, without its data set and without its objective."""

import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.config import TrainConfig
from jaxcl.experiment._adapt import find_lora
from jaxcl.experiment._choose import check_encoder, choosing_step
from jaxcl.experiment._experiment import Experiment
from jaxcl.experiment._models import find_architecture
from jaxcl.experiment._trained import Shape, TrainedEncoder
from jaxcl.models import Architecture, Encoder, merge_lora
from jaxcl.runtime import CheckpointError, Checkpoints, find_workdir
from jaxcl.training import Normalization

Leaves = Mapping[str, np.ndarray]


def load(
    run: str | Path, *, step: int | None = None, encoder: Encoder | None = None
) -> TrainedEncoder:
    """Loads the encoder of a run.

    It needs neither the data set nor the objective, and of the checkpoint it reads
    nothing but the arrays of the encoder: their moving average if `model.average` is
    on. They are compared with their digests.

    Args:
        run: The directory of a run.
        step: The step of an older checkpoint; None = the newest.
        encoder: The encoder that was passed to `train`, if any.

    Returns:
        The encoder. Its `encode` maps uint8 images to float32 rows.

    Raises:
        WorkdirError: It is not a run directory.
        CheckpointError: There is no such checkpoint, or it is damaged.
    """
    workdir, config = find_workdir(run)
    check_encoder(config, encoder)
    with (
        Checkpoints(workdir.checkpoints) as checkpoints,
        choosing_step(checkpoints, step) as chosen,
    ):
        manifest = checkpoints.read_manifest(chosen)
        where = f"step {chosen} in {str(checkpoints.directory)!r}"
        found = _understand(where, config, manifest.extra, encoder)
        averaged = any(name.startswith(".average[") for name in manifest.leaves)
        places = {
            part: f".average['{part}']" if averaged else f".{part}['encoder']"
            for part in ("params", "model_state")
        }
        prefixes = tuple(places.values())
        leaves = checkpoints.read_part(chosen, lambda name: name.startswith(prefixes))
    hashes = {name: manifest.leaves[name].sha256 for name in leaves}
    params, model_state = _fill(
        where,
        _shapes(found.stored, found.weights_shape),
        {part: _strip(leaves, place) for part, place in places.items()},
    )
    if config.model.train == "lora":
        params = merge_lora(params, config.model.lora_alpha)
    return TrainedEncoder(
        run=workdir.path,
        step=chosen,
        config=config,
        extra=manifest.extra,
        encoder=found.encoder,
        params=jax.device_put(params),
        model_state=jax.device_put(model_state),
        image_shape=found.image_shape,
        channels=found.weights_shape[-1],
        normalization=found.normalization,
        digest=hashlib.sha256(json.dumps(hashes).encode()).hexdigest(),
    )


def describe_encoder(experiment: Experiment) -> dict[str, Any]:
    """What `load` must know beside the arrays of an encoder, as JSON."""
    model, shape = experiment.config.model, experiment.data.train.image_shape
    normalization, start = experiment.normalization, experiment.start
    described: dict[str, Any] = {
        "architecture": None,
        "image_shape": list(shape),
        "channels": shape[-1],
    }
    if start is not None:
        described["architecture"] = start.architecture.as_dict()
        described["source"] = start.source
        described["channels"] = start.image_shape[-1]
        if start.mean or start.std:
            channels = described["channels"]
            described["mean"] = [*(start.mean or (0.0,) * channels)]
            described["std"] = [*(start.std or (1.0,) * channels)]
    elif model.encoder != "custom":
        described["architecture"] = find_architecture(model).as_dict()
    if normalization is not None:
        # A constant channel is not scaled.
        scale = np.where(normalization.deviation > 0, normalization.deviation, 1.0)
        described["mean"] = normalization.mean.tolist()
        described["std"] = scale.tolist()
    return described


class _Described(NamedTuple):
    """An encoder as a checkpoint describes it."""

    image_shape: Shape
    weights_shape: Shape
    """The same with the channels that the weights take."""
    normalization: Normalization | None
    encoder: Encoder
    stored: Encoder
    """The encoder whose arrays are stored: with those of LoRA, if there are any."""


def _understand(
    where: str, config: TrainConfig, extra: Mapping[str, Any], encoder: Encoder | None
) -> _Described:
    """Shapes of the images, normalization and encoder, as a checkpoint has them."""
    described = extra.get("encoder")
    if not described:
        raise CheckpointError(
            f"{where} does not describe its encoder: an older version of jaxcl wrote "
            "it; train the run again"
        )
    try:
        height, width, last = map(int, described["image_shape"])
        channels = int(described["channels"])
        shape: Shape = (height, width, channels)
        normalization = None
        if "mean" in described:
            mean, std = (np.array(described[n], np.float64) for n in ("mean", "std"))
            if mean.shape != (channels,) or std.shape != (channels,):
                raise ValueError("`mean` and `std` must have one value a channel")
            normalization = Normalization(mean, std)
        stored = encoder
        if encoder is None or stored is None:
            architecture = Architecture.from_dict(described["architecture"])
            make = functools.partial(
                architecture.make_encoder, shape, dtype=jnp.dtype(config.model.dtype)
            )
            encoder, stored = make(), make(lora=find_lora(config.model))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{where} describes no encoder: {error}") from error
    return _Described((height, width, last), shape, normalization, encoder, stored)


def _shapes(encoder: Encoder, image_shape: Shape) -> Any:
    """Parameters and state of an encoder, as shapes and types."""
    images = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    return jax.eval_shape(encoder.init, key, images)


def _strip(leaves: Leaves, prefix: str) -> dict[str, np.ndarray]:
    return {
        name.removeprefix(prefix): leaf
        for name, leaf in leaves.items()
        if name.startswith(prefix)
    }


def _fill(where: str, shapes: Any, found: Mapping[str, Leaves]) -> tuple[Any, Any]:
    """Trees of arrays in the structure of an encoder.

    Raises:
        CheckpointError: The arrays are not those of this encoder.
    """
    filled = []
    for (part, leaves), tree in zip(found.items(), shapes, strict=True):
        wanted = {
            jax.tree_util.keystr(path): leaf
            for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
        }
        differing = [
            name
            for name in {**wanted, **leaves}
            if name not in wanted
            or name not in leaves
            or wanted[name].shape != leaves[name].shape
            or wanted[name].dtype != leaves[name].dtype
        ]
        if differing:
            raise CheckpointError(
                f"{where}: `{part}` must be those of the encoder, got others, first "
                f"{differing[0]}"
            )
        values = [leaves[name] for name in wanted]
        filled.append(jax.tree.unflatten(jax.tree.structure(tree), values))
    return filled[0], filled[1]
