"""The rows that are compared, and implementations that are ready to be called."""

import importlib
import os
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Regime = Literal["random", "clustered", "aligned"]

REGIMES: tuple[Regime, ...] = ("random", "clustered", "aligned")
NUM_DOMAINS = 4
_CLUSTERS = 16
# Length of the noise on a unit row: positive cosines of about 0.8 and 0.99.
_NOISE = {"clustered": 0.5, "aligned": 0.1}


class Case(NamedTuple):
    """Two views of some instances with all a loss may ask of them."""

    u: np.ndarray
    v: np.ndarray
    labels: np.ndarray
    domains: np.ndarray
    temperature: float
    dtype: str


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


def make_case(
    rows: int,
    dim: int,
    *,
    temperature: float = 0.1,
    dtype: str = "float32",
    regime: Regime = "random",
    instances_per_label: int | None = None,
    seed: int = 0,
) -> Case:
    """Unit rows of two views, `rows` of both together.

    Args:
        rows: N, the rows of both views together: an even number.
        dim: Length of a row.
        temperature: Divides the similarities.
        dtype: What the implementations compute in; the rows are rounded to it.
        regime: "random", "clustered" around 16 centers, or "aligned": rows of one label
            have a cosine of about 0.99.
        instances_per_label: Instances of a label; None = ten labels in all, as many
            as CIFAR-10 has.
        seed: Of the rows, labels and domains.
    """
    generator = np.random.default_rng(seed)
    batch = rows // 2
    if instances_per_label is None:
        labels = generator.integers(0, 10, batch)
    else:
        labels = np.arange(batch) // instances_per_label
    if regime == "random":
        u, v = generator.normal(size=(2, batch, dim))
    else:
        groups = labels
        if regime == "clustered":
            groups = labels = generator.integers(0, _CLUSTERS, batch)
        centers = _unit(generator.normal(size=(int(groups.max()) + 1, dim)))
        noise = generator.normal(size=(2, batch, dim)) * _NOISE[regime] / dim**0.5
        u, v = centers[groups] + noise
    domains = generator.integers(0, NUM_DOMAINS, batch)
    return Case(
        round_rows(_unit(u), dtype),
        round_rows(_unit(v), dtype),
        labels.astype(np.int32),
        domains.astype(np.int32),
        temperature,
        dtype,
    )


def round_rows(rows: np.ndarray, dtype: str) -> np.ndarray:
    """The rows as float32 that hold only what `dtype` can."""
    return rows.astype(np.float32).astype(jnp.dtype(dtype)).astype(np.float32)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)
