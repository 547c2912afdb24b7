"""Time, memory and accuracy of the losses, measured in a child process."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from jaxcl.labs.benchmarks._children import Tell
from jaxcl.labs.benchmarks._losses import _oracle
from jaxcl.labs.benchmarks._losses._calls import (
    REGIMES,
    Case,
    Prepared,
    make_case,
    on_accelerator,
    prepare_compiled,
    read_result,
)
from jaxcl.labs.benchmarks._losses._contenders import (
    DENSE,
    OURS,
    find_contender,
    find_contenders,
    prepare,
)
from jaxcl.labs.benchmarks._losses._memory import measure_call, per_mib
from jaxcl.labs.benchmarks._losses._options import LossesBenchmark
from jaxcl.labs.benchmarks._measurement import Measurement, attempt
from jaxcl.labs.benchmarks._timing import Samples, summarize, take_turns, time_once

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
_LEAST_ROUNDS = 3
# Largest difference from the dense code, relative, that is still the same loss.
_TOLERANCES = {"float32": 1e-3, "bfloat16": 5e-2}


def time_losses(
    row: Measurement, options: LossesBenchmark, *, tell: Tell
) -> Iterator[Measurement]:
    """Times every implementation of some losses at one size."""
    tell("matmul peak")
    # The peak is the better of two measurements, before and after.
    peak = matmul_peak(options.dtype)
    case = _make_case(row, options)
    found: list[Measurement] = []
    for loss in options.losses:
        found += _time_loss(row.but(loss=loss), case, options, tell)
    peak = max(peak, matmul_peak(options.dtype))
    for one in found:
        yield one
        if one.quantity == "wall" and one.contender == OURS and one.value is not None:
            # Matmuls of our tiles: 4 N²D for one set of N rows, 8 B²D for two of B.
            batch, dim = case.u.shape
            flops = (8 if one.setting["loss"] == "info_nce" else 16) * batch**2 * dim
            share = flops / (one.value / 1000) / peak
            yield one.of("peak share", round(share, 4))
    setting = {name: row.setting[name] for name in ("dim", "dtype", "threads")}
    row = Measurement("matmul", "square matmul", row.size, setting)
    yield row.of("speed", round(peak / 1e9, 1), "GFLOP/s")


def _make_case(row: Measurement, options: LossesBenchmark) -> Case:
    return make_case(
        row.size,
        row.setting["dim"],
        temperature=options.temperature,
        dtype=options.dtype,
        seed=options.seed,
    )


def _time_loss(
    blank: Measurement, case: Case, options: LossesBenchmark, tell: Tell
) -> Iterator[Measurement]:
    prepared: dict[str, Prepared] = {}
    results: dict[str, tuple[float, np.ndarray]] = {}
    rows: dict[str, Measurement] = {}
    for entry in find_contenders((blank.setting["loss"],), peers=options.peers):
        name, required = entry.name, entry.name in (OURS, DENSE)
        tell(f"{entry.loss}, {blank.size} rows: {name}")
        row = dataclasses.replace(blank, contender=name, required=required)

        def start(entry=entry) -> tuple[Prepared, tuple[float, np.ndarray]]:
            ready = prepare(entry, case)
            return ready, read_result(ready.call())

        started, rows[name] = attempt(row, start)
        if started is not None:
            prepared[name], results[name] = started
    samples = interleave_calls(prepared, options.rounds, options.seconds, tell)
    for name, row in rows.items():
        if name not in prepared:
            yield row
            continue
        yield from summarize(row, samples[name], "ms", samples.get(DENSE))
        yield row.of("temporaries", per_mib(prepared[name].temporaries), "MiB")
        yield from compare(row, results[name], results.get(DENSE))


def interleave_calls(
    prepared: Mapping[str, Prepared],
    rounds: int,
    seconds: float,
    tell: Tell = lambda text: None,
) -> dict[str, Samples]:
    """Single calls in turn, after one unmeasured call of each.

    An implementation of which `rounds` calls would take more than `seconds` is called
    less often, but at least three times.
    """
    planned, calls = {}, {}
    for name, one in prepared.items():
        tell(f"{name}: warm-up")
        once, _ = time_once(one.call)
        planned[name] = max(_LEAST_ROUNDS, min(rounds, int(seconds / max(once, 1e-9))))
        calls[name] = lambda one=one: time_once(one.call)
    return take_turns(calls, planned, tell)


def matmul_peak(dtype: str) -> float:
    """FLOP/s of the fastest of five square matmuls."""
    size = 8192 if on_accelerator() else 2048
    x = jax.random.normal(jax.random.key(0), (size, size), jnp.dtype(dtype))
    product = prepare_compiled(jnp.matmul, x, x)
    product.call()
    return 2.0 * size**3 / min(time_once(product.call)[0] for _ in range(5))


def compare(
    row: Measurement,
    result: tuple[float, np.ndarray],
    baseline: tuple[float, np.ndarray] | None,
) -> Iterator[Measurement]:
    """The value, and how far value and gradient are from those of the dense code."""
    value, gradient = result
    yield row.of("value", value)
    if baseline is None:
        return
    other_value, other = baseline
    apart = abs(value - other_value) / max(abs(other_value), 1e-30)
    yield row.of("value difference", apart)
    norm = max(np.linalg.norm(other), 1e-300)
    apart = float(np.linalg.norm(gradient - other) / norm)
    row = row.of("gradient difference", apart)
    # A comparison with NaN is false.
    if row.contender == OURS and not apart <= _TOLERANCES[row.setting["dtype"]]:
        reason = f"gradient differs from the dense one by {apart:.1e}"
        row = dataclasses.replace(row, status="failed", reason=reason)
    yield row


def measure_memory(
    row: Measurement, options: LossesBenchmark, *, tell: Tell
) -> Iterator[Measurement]:
    """Memory of one call of one implementation."""
    entry = find_contender(row.setting["loss"], row.contender)
    tell(f"memory of {entry.loss}, {row.size} rows: {row.contender}")

    def make() -> Prepared:
        prepared = prepare(entry, _make_case(row, options))
        if entry.in_torch:
            # The first call loads libraries; JAX loaded its own to compile.
            small = dataclasses.replace(row, size=32)
            prepare(entry, _make_case(small, options)).call()
        return prepared

    yield from measure_call(row, make, uses_torch=entry.in_torch)


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
