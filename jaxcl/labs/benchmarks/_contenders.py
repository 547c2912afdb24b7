"""The table of what is compared, and why one of them may have to stand aside."""

import importlib.util
from collections.abc import Callable
from typing import Literal, NamedTuple

from jaxcl.labs.benchmarks import _baselines, _ours, _peers
from jaxcl.labs.benchmarks._calls import (
    Prepared,
    load_torch,
    on_accelerator,
    prepare_jax,
)
from jaxcl.labs.benchmarks._cases import Case

LossName = Literal["nt_xent", "info_nce", "supcon", "combined"]

LOSSES: dict[str, str] = {
    "nt_xent": "NT-Xent (SimCLR)",
    "info_nce": "InfoNCE of two views (CLIP)",
    "supcon": "SupCon, ten labels",
    "combined": "SupCon with domain weights + 30 · negative variance",
}
OURS, BASELINE = "jaxcl", "dense jnp"


class Contender(NamedTuple):
    """One implementation of one loss."""

    loss: LossName
    name: str
    prepare: Callable[[Case], Prepared]
    package: str = "jax"
    bytes_per_pair: float = 0.0
    """Memory of a call for every pair of rows; 0 = its compiler says beforehand."""
    max_rows: int | None = None
    """Larger cases are left out, because of memory."""


def _ours_of(loss: LossName, make: Callable[[Case], Callable]) -> Contender:
    def prepare(case: Case) -> Prepared:
        prepared = prepare_jax(make(case), case)
        return prepared._replace(flops=count_flops(loss, case))

    return Contender(loss, OURS, prepare)


def _dense_of(loss: LossName, make: Callable[[Case], Callable]) -> Contender:
    def prepare(case: Case) -> Prepared:
        return prepare_jax(make(case), case)

    return Contender(loss, BASELINE, prepare)


def count_flops(loss: LossName, case: Case) -> float:
    """Matmul work of our tiles: 4 N²D for one set of N rows, 8 B²D for two of B."""
    batch, dim = case.u.shape
    return 8.0 * batch**2 * dim if loss == "info_nce" else 16.0 * batch**2 * dim


# Bytes a pair: resident memory as measured in float32 at 16,384 rows and more. optax
# keeps [rows, rows, dim] and PML's NTXentLoss [positive pairs, negative pairs].
CONTENDERS: tuple[Contender, ...] = (
    _ours_of("nt_xent", _ours.our_nt_xent),
    _dense_of("nt_xent", _baselines.dense_nt_xent),
    Contender(
        "nt_xent", "optax ntxent", _peers.optax_ntxent, "optax", 1600, max_rows=1024
    ),
    Contender(
        "nt_xent", "torch cross-entropy", _peers.torch_cross_entropy, "torch", 14
    ),
    Contender("nt_xent", "lightly NTXentLoss", _peers.lightly_nt_xent, "lightly", 18),
    Contender(
        "nt_xent",
        "PML NTXentLoss",
        _peers.metric_learning_nt_xent,
        "pytorch_metric_learning",
        10_000,
        max_rows=512,
    ),
    Contender(
        "nt_xent",
        "PML SupConLoss",
        _peers.metric_learning_one_positive,
        "pytorch_metric_learning",
        47,
    ),
    Contender(
        "nt_xent", "SupContrast (definition)", _peers.supcontrast_nt_xent, "torch", 34
    ),
    _ours_of("info_nce", _ours.our_info_nce),
    _dense_of("info_nce", _baselines.dense_info_nce),
    Contender("info_nce", "torch cross-entropy", _peers.torch_clip, "torch", 8),
    _ours_of("supcon", _ours.our_supcon),
    _dense_of("supcon", _baselines.dense_supcon),
    Contender(
        "supcon",
        "PML SupConLoss",
        _peers.metric_learning_supcon,
        "pytorch_metric_learning",
        47,
    ),
    Contender(
        "supcon", "SupContrast (definition)", _peers.supcontrast_supcon, "torch", 34
    ),
    _ours_of("combined", _ours.our_combined),
    _dense_of("combined", _baselines.dense_combined),
)


def find_contenders(losses: tuple[str, ...], *, peers: bool) -> list[Contender]:
    """The rows of the table for these losses; ours and the dense code come first."""
    return [
        contender
        for contender in CONTENDERS
        if contender.loss in losses and (peers or contender.name in (OURS, BASELINE))
    ]


def find_contender(loss: str, name: str) -> Contender:
    """One row of the table."""
    return next(row for row in CONTENDERS if (row.loss, row.name) == (loss, name))


def why_not(
    contender: Contender, rows: int, free_bytes: float
) -> tuple[Literal["not installed", "skipped"], str] | None:
    """Status and reason of a contender that cannot take part; None when it can."""
    package = contender.package
    if importlib.util.find_spec(package) is None:
        return "not installed", f"pip install {package.replace('_', '-')}"
    if package not in ("jax", "optax") and on_accelerator():
        if importlib.util.find_spec("torch") is None:
            return "not installed", "pip install torch"
        if not load_torch().cuda.is_available():
            return "skipped", "this torch has no GPU"
    if contender.max_rows is not None and rows > contender.max_rows:
        return "skipped", f"up to {contender.max_rows:,} rows only, because of memory"
    needed = contender.bytes_per_pair * rows**2
    if needed > free_bytes:
        return "skipped", (
            f"would need about {needed / 2**30:.0f} GiB, "
            f"{free_bytes / 2**30:.0f} GiB are free"
        )
    return None
