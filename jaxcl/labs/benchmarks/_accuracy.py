"""How right gradients are: relative error against float64, down to tiny losses."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from jaxcl.labs.benchmarks import _oracle
from jaxcl.labs.benchmarks._calls import read_result
from jaxcl.labs.benchmarks._cases import REGIMES, Case, make_case
from jaxcl.labs.benchmarks._contenders import BASELINE, OURS, find_contender, why_not
from jaxcl.labs.benchmarks._memory import free_memory
from jaxcl.labs.benchmarks._ours import PendingError
from jaxcl.labs.benchmarks._records import Accuracy


class _Judged(NamedTuple):
    loss: str
    name: str
    dtype: str
    instances_per_label: int


# SupCon has three positives a row where rows are random or aligned, a whole cluster
# where they are clustered.
_JUDGED = (
    _Judged("nt_xent", OURS, "float32", 1),
    _Judged("nt_xent", OURS, "bfloat16", 1),
    _Judged("nt_xent", BASELINE, "float32", 1),
    _Judged("nt_xent", "torch cross-entropy", "float32", 1),
    _Judged("supcon", OURS, "float32", 2),
    _Judged("supcon", BASELINE, "float32", 2),
)


def measure_accuracy(
    *,
    tell: Callable[[str], None],
    rows: int,
    dim: int,
    temperatures: list[float],
    peers: bool,
    seed: int,
) -> Iterator[Accuracy]:
    """Errors in every regime, at every temperature, of every implementation."""
    for regime in REGIMES:
        for temperature in temperatures:
            truths: dict[tuple[str, str], tuple[float, np.ndarray]] = {}
            for judged in _JUDGED:
                if judged.name not in (OURS, BASELINE) and not peers:
                    continue
                tell(f"{regime}, t = {temperature}: {judged.loss}, {judged.name}")
                case = make_case(
                    rows,
                    dim,
                    temperature=temperature,
                    dtype=judged.dtype,
                    regime=regime,
                    instances_per_label=judged.instances_per_label,
                    seed=seed,
                )
                key = (judged.loss, judged.dtype)
                if key not in truths:
                    truths[key] = _find_truth(judged.loss, case)
                blank = Accuracy(
                    regime, temperature, judged.loss, judged.name, judged.dtype
                )
                yield _judge(blank, case, truths[key])


def _find_truth(loss: str, case: Case) -> tuple[float, np.ndarray]:
    if loss == "supcon":
        return _oracle.supcon(case.u, case.v, case.labels, case.temperature)
    return _oracle.nt_xent(case.u, case.v, case.temperature)


def _judge(record: Accuracy, case: Case, truth: tuple[float, np.ndarray]) -> Accuracy:
    entry = find_contender(record.loss, record.contender)
    excuse = why_not(entry, 2 * len(case.u), free_memory())
    if excuse is not None:
        return dataclasses.replace(record, status=excuse[0], reason=excuse[1])
    try:
        value, gradient = read_result(entry.prepare(case).call())
    except PendingError as error:
        return dataclasses.replace(record, status="pending", reason=str(error))
    error = np.linalg.norm(gradient - truth[1]) / np.linalg.norm(truth[1])
    return dataclasses.replace(record, value=value, gradient_error=float(error))
