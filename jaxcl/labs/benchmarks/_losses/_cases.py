"""The rows a benchmark compares: seeded, the same for every implementation."""

from typing import Literal, NamedTuple

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
    import jax.numpy as jnp

    return rows.astype(np.float32).astype(jnp.dtype(dtype)).astype(np.float32)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)
