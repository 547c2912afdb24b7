"""What a study found, in sentences and as plain numbers."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd

from jaxcl.config import StudyConfig, as_dict
from jaxcl.labs.studies._analysis import Block, Comparison, find_blocks
from jaxcl.labs.studies._plan import name_with_mode
from jaxcl.labs.studies._slopes import (
    Trend,
    find_efficiency,
    find_labels_needed,
    find_robustness,
    find_trends,
)
from jaxcl.training import describe_versions, find_command, find_commit, timestamp

VERDICTS = ("improves", "harms", "no meaningful effect", "inconclusive")


def analyze(
    config: StudyConfig,
    frame: pd.DataFrame,
    comparisons: Sequence[Comparison],
    missing: int,
) -> dict[str, Any]:
    """Verdicts, trends and sentences, as `results.json` has them.

    What is not finite, or not known, is None: JSON has no other word for it.
    """
    blocks = find_blocks(config, frame)
    trends = find_trends(config, frame)
    robustness = find_robustness(config, frame)
    efficiency = find_efficiency(config, frame)
    needed = find_labels_needed(config, frame)
    results = {
        "question": config.question,
        "answer": say(config, blocks, comparisons, missing),
        "would_change": what_would_change(config, blocks, comparisons),
        "blocks": [block._asdict() for block in blocks],
        "comparisons": [
            {
                **_plain(one),
                "effective_robustness": robustness.get(_key(one)),
                "label_efficiency": efficiency.get(_key(one)),
                "labels_needed": needed.get(_key(one)),
            }
            for one in comparisons
        ],
        "trends": [_plain(trend) for trend in trends],
        "missing_runs": missing,
        "config": as_dict(config),
        "command": find_command(),
        "commit": find_commit(),
        "date": timestamp(),
        "versions": describe_versions(),
    }
    return json.loads(json.dumps(_finite(results), allow_nan=False))


def say(
    config: StudyConfig,
    blocks: Sequence[Block],
    comparisons: Sequence[Comparison],
    missing: int,
) -> list[str]:
    """The answer, in three sentences with numbers."""
    counted = [one for one in comparisons if one.counted]
    asked = [one for one in counted if one.contrast == "information"]
    what = "true with shuffled metadata"
    if not asked:
        asked = [one for one in counted if one.contrast == "method"]
        what = "an arm with the baseline"
    if not asked:
        why = [f"{one.shift}: {one.left_out}" for one in blocks if one.left_out]
        return ["No comparison counts. " + "; ".join(why or ["No run is there"]) + "."]
    counts = Counter(one.verdict for one in asked)
    shifts = len({one.shift for one in asked})
    told = ", ".join(f"{counts[v]} {v}" for v in VERDICTS if counts[v])
    first = (
        f"Of {len(asked)} comparisons of {what} under {shifts} "
        f"{'shift' if shifts == 1 else 'shifts'}: {told}."
    )
    ordered = sorted(asked, key=lambda one: one.effect.difference)
    best, worst = ordered[-1], ordered[0]
    second = f"The largest difference is that of {_effect(best)}"
    second += f", the smallest that of {_effect(worst)}." if worst != best else "."
    return [first, second, _cost(asked) + _left_out(config, blocks, missing)]


def what_would_change(
    config: StudyConfig, blocks: Sequence[Block], comparisons: Sequence[Comparison]
) -> list[str]:
    """Why the conclusion could be another one."""
    points = []
    # A placebo is there to be compared with; nobody concludes from it alone.
    asked = [one for one in comparisons if one.counted and one.mode != "shuffled"]
    flips = [
        one
        for one in asked
        if one.other_effect is not None
        and one.verdict in ("improves", "harms")
        and (one.other_effect.difference > 0) != (one.effect.difference > 0)
    ]
    if flips:
        names = ", ".join(_named(one) for one in flips[:4])
        points.append(f"The other kind of head has the other sign for {names}.")
    open_ = [one for one in asked if one.verdict == "inconclusive"]
    if open_:
        needed = sorted(one.seeds_for_margin or 0 for one in open_)
        points.append(
            f"{len(open_)} comparisons are undecided; to see an effect of "
            f"{_points(config.analysis.margin)} four times of five they need "
            f"{needed[0]} to {needed[-1]} seeds, not {config.seeds}."
            if needed[0]
            else f"{len(open_)} comparisons are undecided; with fewer than two paired "
            "seeds it is not known how many would decide."
        )
    controls = {shift.name for shift in config.shifts if shift.control}
    false = [
        one
        for one in comparisons
        if one.shift in controls
        and one.contrast == "information"
        and one.verdict in ("improves", "harms")
    ]
    if false:
        points.append(
            "Where there is no shift, metadata moved the accuracy too: "
            + ", ".join(f"{one.arm} {_signed(one.effect.difference)}" for one in false)
            + " points; part of an effect under shift may be of that kind."
        )
    points += [
        f"{block.shift} is left out ({block.left_out})."
        for block in blocks
        if block.left_out
    ]
    if not any(arm.oracle for arm in config.arms):
        points.append("There is no oracle: whether a shift can be learned is unknown.")
    points.append(
        "Temperatures and weights were set beforehand and not tuned for each arm; "
        "encoders and data of another size may answer otherwise."
    )
    return points


def _effect(one: Comparison) -> str:
    effect, interval = one.effect, ""
    if math.isfinite(effect.low):
        interval = f" [{_signed(effect.low)}, {_signed(effect.high)}]"
    return f"{_named(one)}, {_signed(effect.difference)}{interval} points"


def _named(one: Comparison) -> str:
    samples = f" with {one.unlabeled} samples" if one.unlabeled else ""
    return f"{name_with_mode(one.arm, one.mode, one.rate)} under {one.shift}{samples}"


def _points(number: float) -> str:
    return f"{number:g} point" + ("" if number == 1 else "s")


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "\N{MINUS SIGN}")


def _cost(asked: Sequence[Comparison]) -> str:
    known = [one.id_effect.difference for one in asked if one.id_effect is not None]
    if not known:
        return "What it does without shift was not measured."
    return (
        f"Without shift the same comparisons differ by {_signed(min(known))} to "
        f"{_signed(max(known))} points."
    )


def _left_out(config: StudyConfig, blocks: Sequence[Block], missing: int) -> str:
    out = sorted({block.shift for block in blocks if block.left_out})
    said = f" Left out by the rules: {', '.join(out)}." if out else ""
    if missing:
        said += f" {missing} runs are missing."
    return said


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _key(one: Comparison) -> tuple:
    return one.shift, one.unlabeled, one.arm, one.mode, one.rate


def _plain(record: Comparison | Trend) -> dict[str, Any]:
    return {
        name: value._asdict() if hasattr(value, "_asdict") else value
        for name, value in record._asdict().items()
    }
