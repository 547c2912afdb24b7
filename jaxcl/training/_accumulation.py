"""Gradient caching: the gradient of a large batch in the memory of a small one.

A contrastive loss compares all samples of a batch, so the gradients of chunks do not
add up to the gradient of the batch. Instead, the networks run on the chunks, the loss
is computed from all outputs at once, and the networks run again to backpropagate its
gradient (Gao et al., arXiv 2101.06983).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from jaxcl.kernels import AxisName, average, differentiate, own, varying_like

Forward = Callable[[Any, Any, Any, Array], tuple[Any, Any]]
"""``forward(params, state, inputs, key) -> (outputs, state)``; samples on axis 0."""
LossOf = Callable[[Any, Any], tuple[Array, tuple[Any, Any]]]
"""``loss_of(outputs, params) -> (loss, (metrics, carry))``."""


def gradient_of_batch(
    forward: Forward, loss_of: LossOf, *, chunks: int = 1, axis_name: AxisName = None
) -> Callable[[Any, Any, Any, Array], tuple[Any, Any]]:
    """Value and gradient of ``loss_of(forward(…))`` with respect to the parameters.

    Args:
        forward: Runs the networks. Inputs and outputs have the samples on their first
            axis.
        loss_of: Maps the outputs for the whole batch, and the parameters, to the loss
            (of all devices, or of this one), the metrics, and the carry, which is the
            same on all devices. The parameters that `forward` uses get their gradient
            through the outputs only.
        chunks: Number of chunks in which `forward` runs. It does not change the
            gradient, unless the outputs for a sample depend on other samples, as with
            BatchNorm.
        axis_name: The mapped axis.

    Returns:
        ``(params, state, inputs, key) -> (loss, state, metrics, carry), gradient``,
        the same on all devices.
    """

    def whole(params, state, inputs, key):
        def loss_fn(params):
            outputs, new_state = forward(params, state, inputs, key)
            loss, (metrics, carry) = loss_of(outputs, params)
            return loss, (new_state, metrics, carry)

        (loss, aux), gradient = differentiate(loss_fn, axis_name=axis_name)(params)
        state, metrics, carry = aux
        state, metrics = average((state, metrics), axis_name)
        return (loss, state, metrics, carry), gradient

    def in_parts(params, state, inputs, key):
        params = own(params, axis_name)
        parts, keys = split_samples(inputs, chunks), jax.random.split(key, chunks)
        outputs, states, last = _look(forward, params, state, parts, keys)

        def loss_fn(outputs, params):
            loss, aux = loss_of(join_samples(outputs), params)
            return own(loss, axis_name), aux

        by_both = jax.value_and_grad(loss_fn, (0, 1), has_aux=True)
        (loss, (metrics, carry)), (by_outputs, by_params) = by_both(outputs, params)

        def go_back(gradient, part):
            state, inputs, key, by_outputs = part
            _, pull = jax.vjp(lambda p: forward(p, state, inputs, key)[0], params)
            return jax.tree.map(jnp.add, gradient, pull(by_outputs)[0]), None

        gradient, _ = lax.scan(go_back, by_params, (states, parts, keys, by_outputs))
        means = average((loss, last, metrics, gradient), axis_name)
        loss, last, metrics, gradient = means
        return (loss, last, metrics, carry), gradient

    return whole if chunks == 1 else in_parts


def run_in_chunks(
    forward: Callable[[Any, Any, Array], tuple[Any, Any]],
    state: Any,
    inputs: Any,
    key: Array,
    chunks: int,
) -> tuple[Any, Any]:
    """Runs `forward` on the inputs chunk by chunk, without a gradient."""
    if chunks == 1:
        return forward(state, inputs, key)
    parts, keys = split_samples(inputs, chunks), jax.random.split(key, chunks)

    def ignoring_params(_, state, inputs, key):
        return forward(state, inputs, key)

    outputs, _, last = _look(ignoring_params, None, state, parts, keys)
    return join_samples(outputs), last


def _look(forward, params, state, parts, keys):
    """The outputs for each chunk, the state before each chunk, and the last state."""

    def embed(state, part):
        inputs, key = part
        outputs, new_state = forward(params, state, inputs, key)
        return varying_like(new_state, parts), (outputs, state)

    start = varying_like(state, parts)
    last, (outputs, states) = lax.scan(embed, start, (parts, keys))
    return outputs, states, last


def split_samples(tree: Any, chunks: int) -> Any:
    """``[samples, …]`` to ``[chunks, samples / chunks, …]``."""

    def split(leaf):
        samples = leaf.shape[0]
        if samples % chunks:
            raise ValueError(
                f"`chunks` must divide the {samples} samples of a device, got {chunks}"
            )
        return leaf.reshape(chunks, samples // chunks, *leaf.shape[1:])

    return jax.tree.map(split, tree)


def join_samples(tree: Any) -> Any:
    """Undoes `split_samples`: joins the chunks again."""
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), tree)
