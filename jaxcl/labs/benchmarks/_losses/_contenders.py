"""The implementations that are compared, and the reasons to leave one out."""

import importlib.util
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from jaxcl.labs.benchmarks._losses import _jax, _peers
from jaxcl.labs.benchmarks._losses._calls import (
    Case,
    Prepared,
    load_torch,
    on_accelerator,
    prepare_jax,
    prepare_torch,
)
from jaxcl.labs.benchmarks._losses._memory import free_memory
from jaxcl.labs.benchmarks._measurement import Excuse

LossName = Literal["nt_xent", "info_nce", "supcon", "combined"]

LOSSES: dict[str, str] = {
    "nt_xent": "NT-Xent (SimCLR)",
    "info_nce": "InfoNCE of two views (CLIP)",
    "supcon": "SupCon, ten labels",
    "combined": "SupCon with domain weights + 30 · negative variance",
}
OURS, DENSE = "jaxcl", "dense jnp"
_PML, _SUPCONTRAST = "pytorch_metric_learning", "SupContrast (definition)"


class Contender(NamedTuple):
    """One implementation of one loss."""

    loss: LossName
    name: str
    function: Callable[..., Any]
    """The loss, of u, v, labels, domains and temperature."""
    package: str = "jax"
    bytes_per_pair: float = 0.0
    """Memory of a call for every pair of rows; 0 = its compiler says beforehand."""
    max_rows: int | None = None
    """Larger cases are left out, because of memory."""

    @property
    def in_torch(self) -> bool:
        """Whether it computes in torch; otherwise in JAX."""
        return self.package not in ("jax", "optax")


# Bytes a pair: resident memory as measured in float32 at 16,384 rows and more. optax
# keeps [rows, rows, dim] and PML's NTXentLoss [positive pairs, negative pairs].
CONTENDERS: tuple[Contender, ...] = (
    Contender("nt_xent", OURS, _jax.our_nt_xent),
    Contender("nt_xent", DENSE, _jax.dense_nt_xent),
    Contender("nt_xent", "optax ntxent", _peers.optax_ntxent, "optax", 1600, 1024),
    Contender("nt_xent", "torch cross-entropy", _peers.torch_nt_xent, "torch", 14),
    Contender("nt_xent", "lightly NTXentLoss", _peers.lightly_nt_xent, "lightly", 18),
    Contender("nt_xent", "PML NTXentLoss", _peers.pml_nt_xent, _PML, 10_000, 512),
    Contender("nt_xent", "PML SupConLoss", _peers.pml_one_positive, _PML, 47),
    Contender("nt_xent", _SUPCONTRAST, _peers.supcontrast_nt_xent, "torch", 34),
    Contender("info_nce", OURS, _jax.our_info_nce),
    Contender("info_nce", DENSE, _jax.dense_info_nce),
    Contender("info_nce", "torch cross-entropy", _peers.torch_clip, "torch", 8),
    Contender("supcon", OURS, _jax.our_supcon),
    Contender("supcon", DENSE, _jax.dense_supcon),
    Contender("supcon", "PML SupConLoss", _peers.pml_supcon, _PML, 47),
    Contender("supcon", _SUPCONTRAST, _peers.supcontrast_supcon, "torch", 34),
    Contender("combined", OURS, _jax.our_combined),
    Contender("combined", DENSE, _jax.dense_combined),
)


def find_contenders(losses: tuple[str, ...], *, peers: bool) -> list[Contender]:
    """The rows of the table for these losses; ours and the dense code come first."""
    return [
        one
        for one in CONTENDERS
        if one.loss in losses and (peers or one.name in (OURS, DENSE))
    ]


def find_contender(loss: str, name: str) -> Contender:
    """One row of the table."""
    return next(row for row in CONTENDERS if (row.loss, row.name) == (loss, name))


def prepare(contender: Contender, case: Case) -> Prepared:
    """Makes an implementation ready to be called; raises `Excuse` if it cannot."""
    # Rows and gradients need memory too, and other programs where there are some.
    free = free_memory() * (0.9 if on_accelerator() else 0.7)
    check_contender(contender, 2 * len(case.u), free)
    prepare_call = prepare_torch if contender.in_torch else prepare_jax
    prepared = prepare_call(contender.function, case)
    needed = prepared.temporaries or 0
    if needed > free:
        sizes = f"{needed / 2**30:.0f} GiB, {free / 2**30:.0f} are free"
        raise Excuse("skipped", f"its temporaries are {sizes}")
    return prepared


def check_contender(contender: Contender, rows: int, free_bytes: float) -> None:
    """Raises `Excuse` where a contender is not installed or would need too much."""
    for package in (contender.package, *["torch"] * contender.in_torch):
        if importlib.util.find_spec(package) is None:
            raise Excuse("not installed", f"pip install {package.replace('_', '-')}")
    if contender.in_torch and on_accelerator() and not load_torch().cuda.is_available():
        raise Excuse("skipped", "this torch has no GPU")
    if contender.max_rows is not None and rows > contender.max_rows:
        reason = f"up to {contender.max_rows:,} rows only, because of memory"
        raise Excuse("skipped", reason)
    needed = contender.bytes_per_pair * rows**2
    if needed > free_bytes:
        sizes = f"{needed / 2**30:.0f} GiB, {free_bytes / 2**30:.0f} GiB are free"
        raise Excuse("skipped", f"would need about {sizes}")
