"""Checks that another library's loss, transformed, is ours: value and gradient."""

import importlib.util
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.labs.benchmarks._losses._calls import load_torch, read_result

VALUE_TOLERANCE = 1e-5
GRADIENT_TOLERANCE = 1e-4
_TEMPERATURES = (0.5, 0.1)
_SEEDS = (0, 1, 2)
_BATCH, _DIM, _QUEUE = 24, 16, 40


class Sample(NamedTuple):
    """Two views, labels of their rows, and a queue; arrays of NumPy, JAX or torch."""

    u: Any
    v: Any
    labels: Any
    queue: Any


Loss = Callable[[Any, Any, Sample, float], Any]


class Ours(NamedTuple):
    """A loss here."""

    name: str
    call: str
    loss: Loss


class Library(NamedTuple):
    """Where a loss comes from."""

    name: str
    package: str
    """What must be installed; jax = the definition as read is checked."""
    in_torch: bool = False


class Migration(NamedTuple):
    """A loss elsewhere, and what it is here."""

    ours: Ours
    library: Library
    their_call: str
    difference: str
    their_loss: Loss
    """Transformed so that it should be ours."""
    lonely_row: bool = True
    """Whether the batches have a row that is alone with its label."""


def check_migration(
    migration: Migration, seeds: tuple[int, ...] = _SEEDS
) -> dict[str, Any]:
    """The row of the table, with the largest differences over all batches."""
    library = migration.library
    as_read = library.package == "jax"
    row = {
        "ours": migration.ours.name,
        "our_call": migration.ours.call,
        "library": library.name,
        "their_call": migration.their_call,
        "difference": migration.difference,
        "checked_against": "definition as read, package not run"
        if as_read
        else "package",
    }
    package = find_missing(library)
    if package is not None:
        return row | {"status": "not installed", "reason": f"no {package}"}
    value_error = gradient_error = 0.0
    for temperature in _TEMPERATURES:
        for seed in seeds:
            sample = make_sample(seed, lonely_row=migration.lonely_row)
            errors = _compare(migration, sample, temperature)
            value_error = max(value_error, errors[0])
            gradient_error = max(gradient_error, errors[1])
    equal = value_error <= VALUE_TOLERANCE and gradient_error <= GRADIENT_TOLERANCE
    return row | {
        "status": "equal" if equal else "different",
        "value_error": value_error,
        "gradient_error": gradient_error,
        "batches": len(_TEMPERATURES) * len(seeds),
    }


def find_missing(library: Library) -> str | None:
    """A package that is needed and not installed."""
    needed = ("torch", library.package) if library.in_torch else (library.package,)
    missing = (one for one in needed if importlib.util.find_spec(one) is None)
    return next(missing, None)


def make_sample(seed: int, *, lonely_row: bool) -> Sample:
    """Rows of unequal norms, labels of unequal sizes: 2, 5, 9, 13 and the rest."""
    generator = np.random.default_rng(seed)
    lengths = generator.uniform(0.5, 3.0, size=(2, _BATCH, 1))
    u, v = (generator.normal(size=(2, _BATCH, _DIM)) * lengths).astype(np.float32)
    # Alignment of a trained encoder, so that no loss is near log(rows).
    v = v + u
    labels = np.repeat([0, 1, 2, 3, 4], [2, 5, 9, 13, 2 * _BATCH - 29])
    if lonely_row:
        labels[-1] = 5
    queue = generator.normal(size=(_QUEUE, _DIM)).astype(np.float32)
    queue /= np.linalg.norm(queue, axis=1, keepdims=True)
    return Sample(u, v, generator.permutation(labels), queue)


def _compare(
    migration: Migration, sample: Sample, temperature: float
) -> tuple[float, float]:
    ours = _run_jax(migration.ours.loss, sample, temperature)
    run = _run_torch if migration.library.in_torch else _run_jax
    value, gradient = run(migration.their_loss, sample, temperature)
    size = np.linalg.norm(ours[1])
    return (
        _finite(abs(value - ours[0]) / max(abs(ours[0]), 1.0)),
        _finite(float(np.linalg.norm(gradient - ours[1]) / max(size, 1e-12))),
    )


def _finite(error: float) -> float:
    """A NaN would win no comparison, and so pass."""
    return error if np.isfinite(error) else float("inf")


def _run_jax(loss: Loss, sample: Sample, temperature: float):
    arrays = Sample(*map(jnp.asarray, sample))
    result = jax.value_and_grad(
        lambda u, v: loss(u, v, arrays._replace(u=u, v=v), temperature), argnums=(0, 1)
    )(arrays.u, arrays.v)
    return read_result(result)


def _run_torch(loss: Loss, sample: Sample, temperature: float):
    torch = load_torch()
    u, v = (torch.tensor(rows).requires_grad_() for rows in (sample.u, sample.v))
    tensors = Sample(u, v, torch.tensor(sample.labels), torch.tensor(sample.queue))
    value = loss(u, v, tensors, temperature)
    gradients = torch.autograd.grad(value, (u, v), allow_unused=True)
    filled = [
        torch.zeros_like(rows) if gradient is None else gradient
        for rows, gradient in zip((u, v), gradients, strict=True)
    ]
    return read_result((value.detach(), filled))
