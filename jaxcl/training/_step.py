"""One parameter update, as one device of an axis sees it."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Float, UInt8

from jaxcl.batch import Batch
from jaxcl.config import AugmentationConfig
from jaxcl.kernels import AxisName
from jaxcl.objectives import Objective
from jaxcl.training._gradients import value_and_grad
from jaxcl.training._state import Model, TrainState
from jaxcl.training._views import Normalization, with_views

Metrics = dict[str, Float[Array, ""]]
Step = Callable[..., tuple[TrainState, Metrics]]


def init_state(
    model: Model, optimizer: optax.GradientTransformation, seed: int, images: Any
) -> TrainState:
    """The state before the first step, a function of the seed alone.

    Args:
        model: Encoder and head.
        optimizer: Whose state is made too.
        seed: Of the initial parameters.
        images: A few images with values in [0, 1], for their shape.
    """

    # As one program: run piece by piece, every initializer would be compiled alone.
    @jax.jit
    def init(images):
        encoder_key, head_key, apply_key = jax.random.split(jax.random.key(seed), 3)
        params, state = model.encoder.init(encoder_key, images)
        embeddings, _ = model.encoder.apply(params, state, images, False, apply_key)
        head_params, head_state = model.head.init(head_key, embeddings)
        params = {"encoder": params, "head": head_params}
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            model_state={"encoder": state, "head": head_state},
            opt_state=optimizer.init(params),
        )

    return init(images)


def make_train_step(
    objective: Objective,
    model: Model,
    optimizer: optax.GradientTransformation,
    *,
    augmentation: AugmentationConfig,
    views: int,
    seed: int,
    normalization: Normalization | None = None,
    count_left_out: bool = False,
    axis_name: AxisName = None,
) -> Step:
    """The update that one device of `axis_name` makes with its rows of the batch.

    Views are drawn inside, from a key for each sample of each epoch: they do not depend
    on how the batch is split. The new state is the same on all devices.

    Args:
        objective: Projections and batch to this device's share of the loss.
        model: Encoder and head.
        optimizer: An Optax transformation.
        augmentation: How views are made.
        views: How many of each sample.
        seed: Of the views and of what the model draws.
        normalization: Mean and deviation of each channel, of the training samples.
        count_left_out: Report how many samples of a batch could not be read.
        axis_name: The mapped axis; None on one device.

    Returns:
        ``step(state, batch) -> (state, metrics)``, to be given to `parallelize`; with a
        third argument, all images of the split, the batch needs their positions only.
    """

    def loss_fn(params, model_state, batch, key):
        encoder_key, head_key = jax.random.split(key)
        embeddings, encoder_state = encode(
            params["encoder"], model_state["encoder"], batch, encoder_key
        )
        projections, head_state = model.head.apply(
            params["head"], model_state["head"], embeddings, True, head_key
        )
        projections = projections.reshape(
            -1, batch.where.shape[0], projections.shape[-1]
        )
        loss, metrics = objective(projections, batch, axis_name)
        state = {"encoder": encoder_state, "head": head_state}
        return loss, (state, metrics)

    def encode(params, state, batch, key):
        """Embeddings of all views, those of the small crops behind the others."""
        parts = []
        for views in (batch.views, batch.small_views):
            if views is not None:
                merged = views.reshape(-1, *views.shape[2:])
                rows, state = model.encoder.apply(params, state, merged, True, key)
                parts.append(rows)
        return jnp.concatenate(parts), state

    def step(
        state: TrainState, batch: Batch, images: UInt8[Array, "all h w c"] | None = None
    ) -> tuple[TrainState, Metrics]:
        if images is not None:
            batch = Batch(**{**vars(batch), "image": images[batch.position]})
        batch = with_views(batch, seed, views, augmentation, normalization)
        # A second stream, apart from the views': what the model itself draws.
        key = jax.random.fold_in(jax.random.key(seed + 1), state.step)
        if axis_name is not None:
            key = jax.random.fold_in(key, lax.axis_index(axis_name))
        grad_fn = value_and_grad(loss_fn, axis_name=axis_name, has_aux=True)
        (loss, (model_state, metrics)), grads = grad_fn(
            state.params, state.model_state, batch, key
        )
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        new_state = TrainState(
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            model_state=model_state,
            opt_state=opt_state,
        )
        metrics |= {"loss": loss, "gradient_norm": optax.tree.norm(grads)}
        if count_left_out:
            left_out = jnp.sum(~batch.where)
            metrics["left_out"] = (
                left_out if axis_name is None else lax.psum(left_out, axis_name)
            ).astype(jnp.float32)
        return new_state, metrics

    return step
