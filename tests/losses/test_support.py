"""Negatives of each anchor: any finite length, and one copy of them in memory."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import references

from jaxcl.losses import support_corrected_info_nce_loss

loss = functools.partial(support_corrected_info_nce_loss, temperature=0.2)


def test_negatives_of_any_length_give_the_double_loop():
    """From 1e-30 to 1e30, and rows of zeros."""
    generator = np.random.default_rng(0)
    anchors, positives = generator.normal(size=(2, 5, 4)).astype(np.float32)
    negatives = generator.normal(size=(5, 7, 4)).astype(np.float32)
    lengths = np.float32([1e-30, 1e-18, 1e-3, 1.0, 1e18, 1e30, 0.0])
    scaled = negatives * lengths[None, :, None]
    step = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2)))
    value, gradients = step(anchors, positives, scaled)
    expected = references.support_corrected_info_nce_loss(
        *np.float64([anchors, positives]), np.float64(scaled), temperature=0.2
    )
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    assert not np.any(gradients[2][:, 6])
    # Among ordinary rows a row's gradient is that of its unit row over its length.
    plain = step(anchors, positives, negatives * np.float32(lengths > 0)[:, None])[1]
    by_rows = np.float64(gradients[2]) * np.float64(lengths)[None, :, None]
    np.testing.assert_allclose(by_rows[:, 1:5], plain[2][:, 1:5], rtol=1e-4, atol=1e-7)


def test_negatives_are_copied_once():
    shape = jax.ShapeDtypeStruct((64, 64, 64), jnp.float32)
    rows = jax.ShapeDtypeStruct((64, 64), jnp.float32)
    step = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2)))
    memory = step.lower(rows, rows, shape).compile().memory_analysis()
    assert memory.temp_size_in_bytes <= 1.25 * 4 * 64**3
