"""Samples of the whole step and of its pieces to what each of them takes."""

import statistics
from collections.abc import Mapping

from jaxcl.labs.benchmarks._timing import Samples
from jaxcl.labs.benchmarks._train_records import REST, WHOLE, Breakdown, Setting


def break_down(setting: Setting, found: Mapping[str, Samples]) -> Breakdown:
    """Medians, and the share of every piece in the whole; the rest fills up to 1.

    Args:
        setting: What was measured.
        found: Seconds of a step, of the whole and of every piece, by round.

    Example:
        >>> found = {WHOLE: Samples((4.0,), (4.0,)), "loss": Samples((1.0,), (1.0,))}
        >>> setting = Setting("mlp", "nt_xent", "sgd", batch_size=8)
        >>> break_down(setting, found).shares
        {'loss': 0.25, 'rest': 0.75}
    """
    wall = {name: 1000 * statistics.median(one.wall) for name, one in found.items()}
    cpu = {name: 1000 * statistics.median(one.cpu) for name, one in found.items()}
    return Breakdown(
        setting=setting,
        images_per_second=1000 * setting.batch_size / wall[WHOLE],
        wall_ms=wall[WHOLE],
        cpu_ms=cpu[WHOLE],
        parts_ms=_with_rest(wall),
        parts_cpu_ms=_with_rest(cpu),
        shares=_with_rest({name: ms / wall[WHOLE] for name, ms in wall.items()}),
        cpu_shares=_with_rest({name: ms / cpu[WHOLE] for name, ms in cpu.items()}),
        samples_ms={
            name: tuple(1000 * sample for sample in one.wall)
            for name, one in found.items()
        },
    )


def _with_rest(found: Mapping[str, float]) -> dict[str, float]:
    """The pieces, and what is missing of the whole."""
    parts = {name: value for name, value in found.items() if name != WHOLE}
    return {**parts, REST: found[WHOLE] - sum(parts.values())}
