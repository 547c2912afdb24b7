"""One implementation on one case, ready to be called: value and gradient, completed."""

import importlib
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.labs.benchmarks._losses._cases import Case


class Prepared(NamedTuple):
    """What is timed, and what is known of it before it runs."""

    call: Callable[[], Any]
    """Computes value and gradient and returns when they are there."""
    temporaries: int | None = None
    """Bytes XLA takes beside inputs and outputs; None where it is not known."""


def prepare_jax(loss_fn: Callable[..., Any], case: Case) -> Prepared:
    """Compiles a loss of (u, v, labels, domains) in JAX ahead of time."""
    u, v = (jnp.asarray(rows, case.dtype) for rows in (case.u, case.v))
    # Labels are arguments: XLA folds constants, and would fold masks of all pairs.
    arguments = u, v, jnp.asarray(case.labels), jnp.asarray(case.domains)
    return prepare_compiled(jax.value_and_grad(loss_fn, argnums=(0, 1)), *arguments)


def prepare_compiled(function: Callable[..., Any], *arguments: Any) -> Prepared:
    """Compiles any function of arrays."""
    compiled = jax.jit(function).lower(*arguments).compile()
    analysis = compiled.memory_analysis()
    temporaries = getattr(analysis, "temp_size_in_bytes", None)

    def call() -> Any:
        return jax.block_until_ready(compiled(*arguments))

    return Prepared(call, temporaries)


def prepare_torch(loss_fn: Callable[..., Any], case: Case) -> Prepared:
    """Binds a loss of (u, v, labels) in torch to rows on the device JAX uses."""
    torch = load_torch()
    device = "cuda" if on_accelerator() else "cpu"
    dtype = getattr(torch, case.dtype)
    u, v = (
        torch.tensor(rows).to(device, dtype).requires_grad_()
        for rows in (case.u, case.v)
    )
    labels = torch.tensor(case.labels, dtype=torch.long, device=device)

    def call() -> Any:
        value = loss_fn(u, v, labels)
        gradients = torch.autograd.grad(value, (u, v))
        if device == "cuda":
            torch.cuda.synchronize()
        return value.detach(), gradients

    return Prepared(call)


def load_torch() -> Any:
    """The torch module, with the cores and the tensor cores that JAX uses."""
    torch = importlib.import_module("torch")
    if hasattr(os, "sched_getaffinity"):
        torch.set_num_threads(len(os.sched_getaffinity(0)))
    if on_accelerator():
        torch.set_float32_matmul_precision("high")
    return torch


def on_accelerator() -> bool:
    """Whether JAX computes on something other than the CPU."""
    return jax.default_backend() != "cpu"


def read_result(result: Any) -> tuple[float, np.ndarray]:
    """Value and gradient of a call as numbers, whichever library made them."""
    value, gradients = result
    return float(value), np.stack([_to_numpy(gradient) for gradient in gradients])


def _to_numpy(array: Any) -> np.ndarray:
    if hasattr(array, "detach"):
        array = array.detach().cpu().double().numpy()
    return np.asarray(array, dtype=np.float64)
