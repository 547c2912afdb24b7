"""Relative errors of gradients against float64, down to tiny losses."""

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np

from jaxcl.labs.benchmarks._children import Tell
from jaxcl.labs.benchmarks._losses import _oracle
from jaxcl.labs.benchmarks._losses._calls import REGIMES, Case, make_case, read_result
from jaxcl.labs.benchmarks._losses._contenders import (
    DENSE,
    OURS,
    find_contender,
    prepare,
)
from jaxcl.labs.benchmarks._losses._options import LossesBenchmark
from jaxcl.labs.benchmarks._measurement import Measurement, attempt

_TEMPERATURES = (0.5, 0.1, 0.05, 0.02, 0.01)
# Loss, contender, type, and instances of a label. SupCon has three positives a row
# where rows are random or aligned, a whole cluster where they are clustered.
_JUDGED = (
    ("nt_xent", OURS, "float32", 1),
    ("nt_xent", OURS, "bfloat16", 1),
    ("nt_xent", DENSE, "float32", 1),
    ("nt_xent", "torch cross-entropy", "float32", 1),
    ("supcon", OURS, "float32", 2),
    ("supcon", DENSE, "float32", 2),
)


def measure_accuracy(
    blank: Measurement,
    options: LossesBenchmark,
    *,
    tell: Tell = lambda text: None,
    temperatures: tuple[float, ...] = _TEMPERATURES,
) -> Iterator[Measurement]:
    """Errors in every regime, at every temperature, of every implementation."""
    chosen = [one for one in _JUDGED if options.peers or one[1] in (OURS, DENSE)]
    for regime, temperature, (loss, name, dtype, instances) in itertools.product(
        REGIMES, temperatures, chosen
    ):
        tell(f"{regime}, t = {temperature}: {loss}, {name}")
        case = make_case(
            blank.size,
            options.dim[0],
            temperature=temperature,
            dtype=dtype,
            regime=regime,
            instances_per_label=instances,
            seed=options.seed,
        )
        row = dataclasses.replace(blank, contender=name).but(
            regime=regime, temperature=temperature, loss=loss, dtype=dtype
        )
        yield from _judge(row, case)


def _judge(row: Measurement, case: Case) -> Iterator[Measurement]:
    entry = find_contender(row.setting["loss"], row.contender)
    found, row = attempt(row, lambda: read_result(prepare(entry, case).call()))
    if found is None:
        yield row
        return
    value, gradient = found
    if entry.loss == "supcon":
        _, truth = _oracle.supcon(case.u, case.v, case.labels, case.temperature)
    else:
        _, truth = _oracle.nt_xent(case.u, case.v, case.temperature)
    error = np.linalg.norm(gradient - truth) / np.linalg.norm(truth)
    yield row.of("gradient error", float(error))
    yield row.of("value", value)
