"""Small trainings on latents whose law is known; all seeds in one program."""

import dataclasses
import functools
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float

from jaxcl.labs.identifiability._encoders import RowEncoder
from jaxcl.labs.identifiability._exact import FiberSetting
from jaxcl.labs.identifiability._fibers import (
    sample_fiber,
    sample_negatives,
    sample_positives,
)
from jaxcl.labs.identifiability._generators import Generator, identity_generator
from jaxcl.labs.identifiability._sphere import sample_sphere
from jaxcl.losses import support_corrected_info_nce_loss
from jaxcl.metrics import affine_r2, angle_error, fiber_gram_error, orthogonality_error

Negatives = Literal["shared", "fiber", "augmented", "weighted"]

_LAST = 100  # steps over which the last loss is averaged
_HEIGHTS = 7  # fibers on which the Gram matrices are compared


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A training of a small encoder on latents of the sphere.

    Args:
        setting: Law of positives, temperature, and the share of negatives that lie on
            the anchor's fiber.
        negatives: "shared": fresh ones of the whole sphere, the same for all anchors.
            "fiber": by the setting's `constraint_ratio`, shared by the anchors of a
            fiber. "augmented": positives of the anchor, as the paper's proxy (Alg. 14)
            has it, which collapses. "weighted": those, with the importance weights that
            make them negatives again.
        repair_temperature: Divide by t · r² instead of t, each anchor its own r: makes
            orthogonal maps optimal for positives of the "sub_sphere" conditional.
        anchors: Anchors a step.
        fibers: Fibers a step that they lie on, with "fiber".
        num_negatives: M, negatives of an anchor.
        num_steps: Steps of Adam, the rate falling by a cosine.
        learning_rate: Of the first step.
        evaluated: Latents on which recovery is measured.
    """

    setting: FiberSetting
    negatives: Negatives = "shared"
    repair_temperature: bool = False
    anchors: int = 512
    fibers: int = 32
    num_negatives: int = 512
    num_steps: int = 2000
    learning_rate: float = 1e-3
    evaluated: int = 4096

    def __post_init__(self):
        if self.negatives not in get_args(Negatives):
            raise ValueError(
                f"`negatives` must be one of {get_args(Negatives)}, got "
                f"{self.negatives!r}"
            )
        for name in ("anchors", "fibers", "num_negatives", "num_steps", "evaluated"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"`{name}` must be at least 1, got {getattr(self, name)}"
                )
        if self.negatives == "fiber" and self.anchors % self.fibers:
            raise ValueError(
                f"`fibers` must divide anchors = {self.anchors}, got {self.fibers}"
            )
        if self.negatives != "fiber" and self.setting.constraint_ratio:
            raise ValueError(
                "`setting.constraint_ratio` must be 0 unless `negatives` is 'fiber', "
                f"got {self.setting.constraint_ratio} with {self.negatives!r}"
            )
        if self.negatives != "shared" and self.setting.num_fixed == 0:
            raise ValueError(
                f"`negatives` must be 'shared' without fixed coordinates, got "
                f"{self.negatives!r}"
            )
        if self.negatives != "shared" or self.setting.num_fixed == 0:
            self.setting.check_matched()


class Recovery(NamedTuple):
    """What the seeds of an experiment ended with; the first axis is the seed's."""

    loss: Float[Array, " seeds"]
    """Mean of the last steps, less log M."""
    r2: Float[Array, "seeds dim"]
    """`affine_r2` of each coordinate."""
    angle_error: Float[Array, " seeds"]
    """Half, as the paper's tables have it."""
    fiber_gram_error: Float[Array, " seeds"]
    orthogonality_error: Float[Array, " seeds"]
    losses: Float[Array, "seeds steps"]
    """Of every step, less log M."""
    embeddings: Float[Array, "seeds rows dim"]
    latents: Float[Array, "rows dim"]
    params: Any
    """Of the encoder, after training; the first axis of every leaf is the seed's."""


def run_experiment(
    experiment: Experiment,
    encoder: RowEncoder,
    generator: Generator | None = None,
    seeds: tuple[int, ...] = (0,),
) -> Recovery:
    """Trains one encoder a seed, all in one program, and measures what it recovers.

    Args:
        experiment: What to train on.
        encoder: From observations to as many dimensions as the latents have.
        generator: From latents to observations; None shows the latents.
        seeds: Of the initial parameters and all samples.

    Returns:
        The measures of every seed.

    Example:
        >>> from jaxcl.labs.identifiability import linear_encoder
        >>> found = run_experiment(
        ...     Experiment(FiberSetting(num_fixed=0), num_steps=20), linear_encoder(3)
        ... )
        >>> found.losses.shape
        (1, 20)
    """
    if not seeds:
        raise ValueError("`seeds` must not be empty")
    generator = identity_generator() if generator is None else generator
    run = functools.partial(_run, experiment, encoder, generator)
    keys = jax.vmap(jax.random.key)(jnp.array(seeds, jnp.uint32))
    # All have an axis of seeds but the latents, which are the same.
    axes: Any = Recovery._make([0, 0, 0, 0, 0, 0, 0, None, 0])
    found = jax.jit(jax.vmap(run, out_axes=axes))(keys)
    return jax.tree.map(np.asarray, found)


def _run(experiment, encoder, generator, key):
    setting = experiment.setting
    start_key, train_key = jax.random.split(key)
    shown = jax.eval_shape(generator, jnp.zeros((1, setting.dim)))
    params = encoder.init(start_key, shown.shape[-1])
    optimizer = optax.adam(
        optax.cosine_decay_schedule(experiment.learning_rate, experiment.num_steps)
    )

    def recover(params, latents):
        return encoder.apply(params, generator(latents))

    def step(carry, step_key):
        params, opt_state = carry
        loss, gradient = jax.value_and_grad(_loss)(
            params, recover, experiment, step_key
        )
        update, opt_state = optimizer.update(gradient, opt_state)
        return (optax.apply_updates(params, update), opt_state), loss

    carry = (params, optimizer.init(params))
    keys = jax.random.split(train_key, experiment.num_steps)
    (params, _), losses = lax.scan(step, carry, keys)
    return _measure(params, recover, losses, experiment)


def _loss(params, recover, experiment, key):
    """The loss of fresh samples, less log M."""
    setting, count = experiment.setting, experiment.num_negatives
    recover = functools.partial(recover, params)
    keys = jax.random.split(key, 4)
    law = {
        "num_fixed": setting.num_fixed,
        "concentration": setting.kappa,
        "conditional": setting.conditional,
    }
    latents = sample_sphere(keys[0], (experiment.anchors,), setting.dim)
    log_weights = None
    if experiment.negatives == "shared":
        negatives = sample_sphere(keys[2], (count,), setting.dim)
    elif experiment.negatives == "fiber":
        rows = experiment.anchors // experiment.fibers
        bases = latents[: experiment.fibers]
        latents = sample_fiber(keys[3], bases, rows, num_fixed=setting.num_fixed)
        negatives = sample_negatives(
            keys[2],
            bases,
            count,
            num_fixed=setting.num_fixed,
            constraint_ratio=setting.constraint_ratio,
        )
    else:
        many = jnp.repeat(latents[:, None], count, axis=1)
        negatives = sample_positives(keys[2], many, **law)
        if experiment.negatives == "weighted":
            log_weights = _log_weights(latents, negatives, setting)
    positives = sample_positives(keys[1], latents, **law)
    said = recover(latents), recover(positives), recover(negatives)
    losses = _contrast(said, latents, log_weights, experiment)
    return jnp.mean(losses) - jnp.log(float(count))


def _contrast(said, latents, log_weights, experiment):
    setting = experiment.setting
    temperature = jnp.full(latents.shape[:-1], setting.temperature)
    if experiment.repair_temperature:
        temperature *= jnp.sum(latents[..., setting.num_fixed :] ** 2, axis=-1)
        by_anchor: Any = _with_temperatures
    else:
        by_anchor = _with_one_temperature
    if said[0].ndim == 3:  # fiber by fiber
        by_anchor = jax.vmap(by_anchor, in_axes=(0, 0, 0, 0, None))
    return by_anchor(*said, temperature, log_weights)


def _with_one_temperature(anchors, positives, negatives, temperature, log_weights):
    return support_corrected_info_nce_loss(
        anchors,
        positives,
        negatives,
        temperature=temperature[0],
        log_weights=log_weights,
        reduction="none",
    )


def _with_temperatures(anchors, positives, negatives, temperature, log_weights):
    own, weighted = negatives.ndim == 3, log_weights is not None

    def of_anchor(anchor, positive, negatives, temperature, log_weights):
        return _with_one_temperature(
            anchor[None],
            positive[None],
            negatives,
            temperature[None],
            log_weights,
        )[0]

    axes = (0, 0, 0 if own else None, 0, 0 if weighted else None)
    by_row = jax.vmap(of_anchor, in_axes=axes)
    return by_row(anchors, positives, negatives, temperature, log_weights)


def _log_weights(latents, negatives, setting):
    """Of negatives that follow the law of positives: one over its density."""
    cosines = jnp.einsum("bd,bmd->bm", latents, negatives)
    if setting.conditional == "restricted":
        return -setting.kappa * cosines
    free = jnp.sum(latents[:, setting.num_fixed :] ** 2, axis=1, keepdims=True)
    kept = 1.0 - free
    return -setting.kappa * (cosines - kept) / free


def _measure(params, recover, losses, experiment):
    setting, recover = experiment.setting, functools.partial(recover, params)
    latents = sample_sphere(jax.random.key(7), (experiment.evaluated,), setting.dim)
    found = recover(latents)
    few = latents[:1024], found[:1024]
    fixed = setting.num_fixed
    if fixed == 1:
        # Heights as far as 0.9, so that no fiber is almost a point.
        heights = jnp.linspace(-0.9, 0.9, _HEIGHTS)[:, None]
        bases = jnp.concatenate(
            [heights, jnp.sqrt(1 - heights**2), jnp.zeros((_HEIGHTS, setting.dim - 2))],
            axis=1,
        )
    else:
        bases = latents[:_HEIGHTS]
    fibers = sample_fiber(jax.random.key(8), bases, 64, num_fixed=fixed)
    return Recovery(
        jnp.mean(losses[-_LAST:]),
        affine_r2(found, latents),
        angle_error(found[:2048], latents[:2048], half=True),
        fiber_gram_error(recover(fibers), fibers),
        orthogonality_error(found, latents),
        losses,
        few[1],
        few[0],
        params,
    )


def scaling_of(params: Any, num_fixed: int) -> np.ndarray:
    """The λ of h_λ of linear encoders of the latents, one a seed.

    The ratio of the lengths of what a free and a fixed coordinate are mapped to, before
    normalizing.
    """
    lengths = np.linalg.norm(params["weights"], axis=-1)
    return lengths[..., num_fixed:].mean(axis=-1) / lengths[..., :num_fixed].mean(
        axis=-1
    )
