"""The rows that are compared, and implementations that are ready to be called."""

import functools
import importlib
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.labs.benchmarks._timing import count_cores

Regime = Literal["random", "clustered", "aligned"]

REGIMES: tuple[Regime, ...] = ("random", "clustered", "aligned")
_DOMAINS, _CLUSTERS = 4, 16
# Length of the noise on a unit row: positive cosines of about 0.8 and 0.99.
_NOISE = {"clustered": 0.5, "aligned": 0.1}


class Case(NamedTuple):
    """Inputs of a loss: two views of some instances, and what is known of them."""

    u: np.ndarray
    v: np.ndarray
    labels: np.ndarray
    domains: np.ndarray
    temperature: float
    dtype: str


class Prepared(NamedTuple):
    """An implementation that is ready to be timed."""

    call: Callable[[], Any]
    """Computes value and gradient and waits for them."""
    temporaries: int | None = None
    """Bytes XLA takes beside inputs and outputs; None where it is not known."""


def prepare_jax(loss_fn: Callable[..., Any], case: Case) -> Prepared:
    """Compiles a loss in JAX ahead of time."""
    u, v = (jnp.asarray(rows, case.dtype) for rows in (case.u, case.v))
    # Labels are arguments: XLA folds constants, and would fold masks of all pairs.
    arguments = u, v, jnp.asarray(case.labels), jnp.asarray(case.domains)
    bound = functools.partial(loss_fn, temperature=case.temperature)
    return prepare_compiled(jax.value_and_grad(bound, argnums=(0, 1)), *arguments)


def prepare_compiled(function: Callable[..., Any], *arguments: Any) -> Prepared:
    """Compiles any function of arrays."""
    compiled = jax.jit(function).lower(*arguments).compile()
    temporaries = getattr(compiled.memory_analysis(), "temp_size_in_bytes", None)
    return Prepared(lambda: jax.block_until_ready(compiled(*arguments)), temporaries)


def prepare_torch(loss_fn: Callable[..., Any], case: Case) -> Prepared:
    """Binds a loss in torch to rows on the device that JAX uses."""
    torch = load_torch()
    device = "cuda" if on_accelerator() else "cpu"
    u, v = (
        torch.tensor(rows).to(device, getattr(torch, case.dtype)).requires_grad_()
        for rows in (case.u, case.v)
    )
    labels = torch.tensor(case.labels, dtype=torch.long, device=device)

    def call() -> Any:
        value = loss_fn(u, v, labels, None, case.temperature)
        gradients = torch.autograd.grad(value, (u, v))
        if device == "cuda":
            torch.cuda.synchronize()
        return value.detach(), gradients

    return Prepared(call)


@functools.cache
def load_torch() -> Any:
    """The torch module, set to use the cores and the tensor cores that JAX uses."""
    torch = importlib.import_module("torch")
    torch.set_num_threads(count_cores())
    if on_accelerator():
        torch.set_float32_matmul_precision("high")
    return torch


def on_accelerator() -> bool:
    """Whether JAX computes on something other than the CPU."""
    return jax.default_backend() != "cpu"


def read_result(result: Any) -> tuple[float, np.ndarray]:
    """Value and gradient of a call, from JAX or torch, in float64."""
    value, gradients = result
    if hasattr(gradients[0], "detach"):
        gradients = [one.detach().cpu().double().numpy() for one in gradients]
    return float(value), np.stack(gradients).astype(np.float64)


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
    """Draws unit rows of two views, `rows` in all, that `dtype` can hold.

    They are random, clustered around 16 centers, or aligned: rows of one label have a
    cosine of about 0.99. Without `instances_per_label` there are ten labels.
    """
    generator = np.random.default_rng(seed)
    batch = rows // 2
    if instances_per_label is None:
        labels = generator.integers(0, 10, batch)
    else:
        labels = np.arange(batch) // instances_per_label
    if regime == "random":
        views = generator.normal(size=(2, batch, dim))
    else:
        if regime == "clustered":
            labels = generator.integers(0, _CLUSTERS, batch)
        centers = _unit(generator.normal(size=(int(labels.max()) + 1, dim)))
        noise = generator.normal(size=(2, batch, dim)) * _NOISE[regime] / dim**0.5
        views = centers[labels] + noise
    domains = generator.integers(0, _DOMAINS, batch)
    rounded = _unit(views).astype(np.float32).astype(jnp.dtype(dtype))
    u, v = rounded.astype(np.float32)
    ids = labels.astype(np.int32), domains.astype(np.int32)
    return Case(u, v, *ids, temperature, dtype)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)
