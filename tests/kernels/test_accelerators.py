"""What a program for an accelerator says, read where there is none."""

import re

import jax
import jax.numpy as jnp
import pytest

from jaxcl import losses

ROWS = 2048


def lowered(*platforms, block_size=None, precision=None):
    """NT-Xent with its gradient, lowered for platforms that need not be here."""

    def fn(u, v):
        return losses.nt_xent_loss(u, v, block_size=block_size)

    view = jax.ShapeDtypeStruct((ROWS, 8), jnp.float32)
    with jax.default_matmul_precision(precision):
        traced = jax.jit(jax.value_and_grad(fn, (0, 1))).trace(view, view)
        return traced.lower(lowering_platforms=platforms).as_text()


def tiles(text):
    """Shapes of the products of two blocks of rows."""
    found = re.findall(r"dot_general.*-> tensor<(\d+)x(\d+)xf32>", text)
    return {tuple(map(int, shape)) for shape in found if "8" not in shape}


def test_tiles_are_those_of_the_platform_that_is_compiled_for():
    assert tiles(lowered("cpu")) == {(512, 512)}
    assert tiles(lowered("tpu")) == tiles(lowered("cuda")) == {(ROWS, ROWS)}


def test_one_program_for_two_platforms_has_the_tiles_of_both():
    assert tiles(lowered("cpu", "tpu")) == {(512, 512), (ROWS, ROWS)}


def test_a_block_size_overrides_the_platform():
    assert tiles(lowered("tpu", block_size=256)) == {(256, 256)}


@pytest.mark.parametrize(
    ("precision", "expected"),
    [(None, "HIGHEST"), ("highest", "HIGHEST"), ("high", "HIGH"), ("default", None)],
)
def test_products_follow_the_switch_of_jax_and_are_full_without_it(precision, expected):
    text = lowered("tpu", precision=precision)
    found = set()
    for line in text.splitlines():
        if "dot_general" in line:
            match = re.search(r"precision = \[(\w+), \w+\]", line)
            found.add(match[1] if match and match[1] != "DEFAULT" else None)
    assert found == {expected}


def test_the_switch_around_a_loss_reaches_its_backward_pass():
    def fn(u):
        with jax.default_matmul_precision("default"):
            return losses.nt_xent_loss(u, u[::-1], block_size=256)

    view = jax.ShapeDtypeStruct((ROWS, 8), jnp.float32)
    text = (
        jax.jit(jax.grad(fn)).trace(view).lower(lowering_platforms=("tpu",)).as_text()
    )
    assert "HIGHEST" not in text
