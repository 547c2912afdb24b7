"""The answer of a study, in sentences and as plain numbers."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd

from jaxcl.config import StudyConfig, as_dict
from jaxcl.labs.studies._analysis import Block, Comparison, find_blocks
from jaxcl.labs.studies._caveats import name_effect, what_would_change
from jaxcl.labs.studies._trends import (
    Trend,
    find_efficiency,
    find_labels_needed,
    find_robustness,
    find_trends,
)
from jaxcl.reports import difference
from jaxcl.runtime import describe_versions, find_command, find_commit, timestamp

VERDICTS = ("improves", "harms", "no meaningful effect", "inconclusive")


def analyze(
    config: StudyConfig,
    frame: pd.DataFrame,
    comparisons: Sequence[Comparison],
    missing: int,
) -> dict[str, Any]:
    """Verdicts, trends and sentences, as in `results.json`.

    Numbers that are not finite or not known are None, since JSON has no NaN.
    """
    blocks = find_blocks(config, frame)
    beside = {
        "effective_robustness": find_robustness(config, frame),
        "label_efficiency": find_efficiency(config, frame),
        "labels_needed": find_labels_needed(config, frame),
    }
    results = {
        "question": config.question,
        "answer": say(blocks, comparisons, missing),
        "would_change": what_would_change(config, blocks, comparisons),
        "blocks": [block._asdict() for block in blocks],
        "comparisons": [
            {
                **_plain(one),
                **{name: found.get(_cell(one)) for name, found in beside.items()},
            }
            for one in comparisons
        ],
        "trends": [_plain(trend) for trend in find_trends(config, frame)],
        "missing_runs": missing,
        "config": as_dict(config),
        "command": find_command(),
        "commit": find_commit(),
        "date": timestamp(),
        "versions": describe_versions(),
    }
    return json.loads(json.dumps(_finite(results), allow_nan=False))


def say(
    blocks: Sequence[Block], comparisons: Sequence[Comparison], missing: int
) -> list[str]:
    """The answer in three sentences with numbers."""
    counted = [one for one in comparisons if one.counted]
    asked = [one for one in counted if one.contrast == "information"]
    what = "true with shuffled metadata"
    if not asked:
        asked = [one for one in counted if one.contrast == "method"]
        what = "an arm with the baseline"
    if not asked:
        why = [f"{one.shift}: {one.left_out}" for one in blocks if one.left_out]
        return ["No comparison counts. " + "; ".join(why or ["There is no run"]) + "."]
    counts = Counter(one.verdict for one in asked)
    shifts = len({one.shift for one in asked})
    counted_verdicts = ", ".join(f"{counts[v]} {v}" for v in VERDICTS if counts[v])
    first = (
        f"Of {len(asked)} comparisons of {what} under {shifts} "
        f"{'shift' if shifts == 1 else 'shifts'}: {counted_verdicts}."
    )
    ordered = sorted(asked, key=lambda one: one.effect.difference)
    best, worst = ordered[-1], ordered[0]
    second = f"The largest difference is that of {name_effect(best)}"
    second += f", the smallest that of {name_effect(worst)}." if worst != best else "."
    return [first, second, _cost(asked) + _left_out(blocks, missing)]


def _cost(asked: Sequence[Comparison]) -> str:
    known = [one.id_effect.difference for one in asked if one.id_effect is not None]
    if not known:
        return "Accuracy without shift was not measured."
    return (
        f"Without shift the same comparisons differ by {difference(min(known))} to "
        f"{difference(max(known))} points."
    )


def _left_out(blocks: Sequence[Block], missing: int) -> str:
    out = sorted({block.shift for block in blocks if block.left_out})
    text = f" Left out by the rules: {', '.join(out)}." if out else ""
    return text + (f" {missing} runs are missing." if missing else "")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cell(one: Comparison) -> tuple:
    return one.shift, one.unlabeled, one.arm, one.mode, one.rate


def _plain(value: Comparison | Trend) -> dict[str, Any]:
    return {
        name: part._asdict() if hasattr(part, "_asdict") else part
        for name, part in value._asdict().items()
    }
