"""Is a loss the same on one device and on many?"""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from jaxcl.kernels import floating_leaves
from jaxcl.testing._mappings import (
    MAPPINGS,
    RUNS,
    Outcome,
    Problem,
    run_alone,
    run_apart,
)
from jaxcl.testing._report import DeviceReport, Finding

_TINY = 1e-38


def check_devices(
    loss: Callable[..., Any],
    params: Any,
    *rows: Any,
    axis_name: str = "data",
    devices: Sequence[Any] | None = None,
    tolerance: float = 1e-4,
    mappings: Sequence[str] = MAPPINGS,
) -> DeviceReport:
    """Compares a loss on several devices with the same loss on one.

    Runs ``loss(params, *rows)`` and its gradient on one device, then with the rows
    spread over all devices in every way that people write: in a global-view ``jit``
    with auto and with explicit axes, under ``pmap``, under ``shard_map`` with
    `check_vma` on and off, differentiated outside of ``shard_map``, and by
    `jaxcl.value_and_grad`. Under ``pmap`` and ``shard_map`` the loss and its gradient
    are averaged by ``lax.pmean``, as most train steps do.

    The verdict is one of these:

    - "exact": loss and gradient are those of one device, and the loss is the same on
      every device.
    - "a device's own mean": so are their means, but each device has its own loss.
    - "gradient 8 times too large": its direction is right and its length is not.
    - "own rows only": every device compares its own rows with each other, and with no
      row of other devices.
    - "differs between devices": the losses differ, and their mean is another number.
    - "wrong value" or "wrong gradient": the same on all devices, and not right.
    - "fails: ..." with the first line of the error.

    Args:
        loss: A function of the parameters and the rows to a scalar, of any library. If
            it has an argument `axis_name`, it gets the name of the mapped axis under
            ``pmap`` and ``shard_map``, and an axis of the mesh of ``jax.set_mesh`` in
            the global views called "named".
        params: Any tree; its floating arrays are differentiated.
        rows: Arrays, or trees of arrays, whose first axis is the sample. The number of
            devices must divide it.
        axis_name: The name of the axis of devices.
        devices: At least two; None for all of this process.
        tolerance: The largest relative error of loss and gradient that is "exact".
        mappings: Those of `MAPPINGS` to check. Those called "named" are left out if
            the loss takes no `axis_name`.

    Returns:
        The findings. ``print(report)`` shows a table with the errors and with the work
        of each device, relative to one device with all rows; ``assert report.ok,
        report`` makes it a test.

    Example:
        >>> import jax.numpy as jnp
        >>> def loss(w, x, y):
        ...     return jnp.mean((x @ w - y) ** 2)
        >>> x, y = np.eye(8), np.ones(8)
        >>> report = check_devices(loss, np.ones(8), x, y + x[0],
        ...                        devices=jax.devices()[:4],
        ...                        mappings=["jit, auto axes", "pmap", "shard_map"])
        >>> for mapping, verdict in report.verdicts().items():
        ...     print(f"{mapping}: {verdict}")
        one device: exact
        jit, auto axes: exact
        pmap: a device's own mean
        shard_map: gradient 4 times too large
    """
    chosen = tuple(jax.local_devices() if devices is None else devices)
    _check_arguments(chosen, rows, mappings)
    takes_axis, values, call = _as_called(loss, params)
    problem = Problem(call, values, jax.tree.map(np.asarray, rows), axis_name, chosen)
    first, expected = _run_on_one(problem, takes_axis)
    apart = functools.cache(lambda: _try(run_apart, problem))
    findings = [first]
    for mapping in mappings:
        if takes_axis or "named" not in mapping:
            found = _try(RUNS[mapping], problem)
            findings.append(_judge(mapping, found, expected, apart, tolerance))
    return DeviceReport(len(chosen), tuple(findings))


def _check_arguments(devices: Any, rows: Any, mappings: Sequence[str]) -> None:
    if len(devices) < 2:
        raise ValueError(
            f"`devices` must be two or more, got {len(devices)}. For eight of a CPU, "
            "set XLA_FLAGS=--xla_force_host_platform_device_count=8 before the first "
            "import of JAX"
        )
    for row in jax.tree.leaves(rows):
        shape = np.shape(row)
        if not shape or not shape[0] or shape[0] % len(devices):
            raise ValueError(
                "`rows` must be arrays whose first axis the "
                f"{len(devices)} devices divide, got shape {shape}"
            )
    if not rows:
        raise ValueError("`rows` must be given, so that devices can share them")
    unknown = [name for name in mappings if name not in RUNS]
    if unknown:
        raise ValueError(f"`mappings` must be some of {MAPPINGS}, got {unknown}")


def _as_called(loss: Any, params: Any) -> tuple[bool, list[Any], Callable[..., Any]]:
    """Whether the loss takes an axis, the values to learn, and a function of them."""
    axis = inspect.signature(loss).parameters.get("axis_name")
    learned, rebuild = floating_leaves(params)
    if not learned:
        raise ValueError("`params` must hold a floating array, got none")

    def call(values, rows, axis_name):
        tree = rebuild(values)
        if axis is None or (axis_name is None and axis.default is not axis.empty):
            return loss(tree, *rows)
        return loss(tree, *rows, axis_name=axis_name)

    return axis is not None, learned, call


def _run_on_one(problem: Problem, takes_axis: bool) -> tuple[Finding, Outcome]:
    """The finding of one device, and what all mappings are compared with."""
    try:
        expected, verdict = run_alone(problem), "exact"
    except Exception as error:
        if not takes_axis:
            raise
        # A loss that always communicates: one device that is mapped can run it.
        alone = problem._replace(devices=problem.devices[:1])
        expected, verdict = RUNS["pmap"](alone), _failure(error)
    slopes = np.concatenate([np.ravel(leaf) for leaf in expected.gradient])
    slopes = np.asarray(slopes, np.float64)
    if not np.all(np.isfinite([*expected.values, *slopes])) or not np.any(slopes):
        raise ValueError(
            "loss and gradient of one device must be finite, and the gradient not zero"
        )
    finding = Finding("one device", verdict, 0.0, 0.0, 0.0, 1.0, 1.0)
    return finding, expected


def _try(run: Callable[[Problem], Outcome], problem: Problem) -> Outcome | str:
    try:
        return run(problem)
    except Exception as error:  # whatever a loss raises is a finding
        return _failure(error)


def _failure(error: Exception) -> str:
    first = str(error).strip().partition("\n")[0]
    return f"fails: {type(error).__name__}: {first}"[:80]


def _judge(
    mapping: str,
    found: Outcome | str,
    expected: Outcome,
    run_own_rows: Callable[[], Outcome | str],
    tolerance: float,
) -> Finding:
    if isinstance(found, str):
        return Finding(mapping, found)
    scale = max(abs(float(expected.values[0])), _TINY)
    spread = float(np.ptp(found.values)) / scale
    value, gradient, times = _compare(found, expected)
    work = found.work / (expected.work or float("nan"))
    verdict = _verdict(found, expected, tolerance)
    if verdict == "wrong value":
        apart = run_own_rows()
        alike = "wrong" if isinstance(apart, str) else _verdict(found, apart, tolerance)
        if not alike.startswith("wrong"):
            verdict = "own rows only" + ("" if alike == "exact" else f", {alike}")
        elif not spread <= tolerance:
            verdict = "differs between devices"
    elif verdict == "exact" and not spread <= tolerance:
        verdict = "a device's own mean"
    return Finding(mapping, verdict, value, spread, gradient, times, work)


def _verdict(found: Outcome, expected: Outcome, tolerance: float) -> str:
    value, gradient, times = _compare(found, expected)
    if not value <= tolerance:
        return "wrong value"
    if gradient <= tolerance:
        return "exact"
    if not times > tolerance:
        return "wrong gradient"
    scaled = [np.asarray(leaf, np.float64) / times for leaf in found.gradient]
    if not _compare(found._replace(gradient=scaled), expected)[1] <= tolerance:
        return "wrong gradient"
    if times > 1:
        return f"gradient {times:.3g} times too large"
    return f"gradient {1 / times:.3g} times too small"


def _compare(found: Outcome, expected: Outcome) -> tuple[float, float, float]:
    """Relative errors of value and gradient, and the ratio of the gradients."""
    old = [np.asarray(leaf, np.float64) for leaf in expected.gradient]
    new = [np.asarray(leaf, np.float64) for leaf in found.gradient]
    largest = max(np.abs(leaf).max() for leaf in old)
    errors = [
        # What cancels in one parameter is rounding of the others.
        np.abs(b - a).max() / max(np.abs(a).max(), 1e-3 * largest, _TINY)
        for a, b in zip(old, new, strict=True)
    ]
    along = sum(np.vdot(a, b) for a, b in zip(old, new, strict=True))
    times = along / max(sum(np.vdot(a, a) for a in old), _TINY)
    value = float(expected.values[0])
    error = abs(float(np.mean(found.values, dtype=np.float64)) - value)
    return error / max(abs(value), _TINY), float(max(errors)), float(times)
