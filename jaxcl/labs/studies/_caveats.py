"""Why the conclusion of a study could be a different one, in sentences."""

import math
from collections.abc import Iterator, Sequence

from jaxcl.config import StudyConfig
from jaxcl.labs.studies._analysis import Block, Comparison
from jaxcl.labs.studies._plan import PLACEBO, name_with_mode
from jaxcl.reports import difference


def what_would_change(
    config: StudyConfig, blocks: Sequence[Block], comparisons: Sequence[Comparison]
) -> list[str]:
    """Why the conclusion could be a different one."""
    return [
        # A placebo is only there to be compared with.
        *_open_questions(
            config, [one for one in comparisons if one.counted and one.mode != PLACEBO]
        ),
        *_moved_controls(config, comparisons),
        *(
            f"{block.shift} is left out ({block.left_out})."
            for block in blocks
            if block.left_out
        ),
        *(
            []
            if any(arm.oracle for arm in config.arms)
            else ["Without an oracle it is unknown whether a shift can be learned."]
        ),
        "Temperatures and weights were fixed beforehand and not tuned for each arm; "
        "encoders and data of another size may give another answer.",
    ]


def _open_questions(config: StudyConfig, asked: Sequence[Comparison]) -> Iterator[str]:
    flips = [
        one
        for one in asked
        if one.other_effect is not None
        and _decided(one)
        and (one.other_effect.difference > 0) != (one.effect.difference > 0)
    ]
    if flips:
        names = ", ".join(_named(one) for one in flips[:4])
        yield f"With the other kind of head the sign is reversed for {names}."
    needed = sorted(
        one.seeds_for_margin or 0 for one in asked if one.verdict == "inconclusive"
    )
    if needed and needed[0]:
        yield (
            f"{len(needed)} comparisons are inconclusive; to detect an effect of "
            f"{_points(config.analysis.margin)} with 80 % power they need "
            f"{needed[0]} to {needed[-1]} seeds, not {config.seeds}."
        )
    elif needed:
        yield (
            f"{len(needed)} comparisons are inconclusive; with fewer than two paired "
            "seeds it is not known how many would be needed."
        )


def _moved_controls(
    config: StudyConfig, comparisons: Sequence[Comparison]
) -> Iterator[str]:
    controls = {shift.name for shift in config.shifts if shift.control}
    moved = ", ".join(
        f"{one.arm} {difference(one.effect.difference)}"
        for one in comparisons
        if one.shift in controls and one.contrast == "information" and _decided(one)
    )
    if moved:
        yield (
            f"Where there is no shift, metadata changed the accuracy too: {moved} "
            "points; part of an effect under shift may have the same cause."
        )


def _decided(one: Comparison) -> bool:
    return one.verdict in ("improves", "harms")


def name_effect(one: Comparison) -> str:
    """A comparison with its difference and interval, in words."""
    effect, interval = one.effect, ""
    if math.isfinite(effect.low):
        interval = f" [{difference(effect.low)}, {difference(effect.high)}]"
    return f"{_named(one)}, {difference(effect.difference)}{interval} points"


def _named(one: Comparison) -> str:
    samples = f" with {one.unlabeled} samples" if one.unlabeled else ""
    return f"{name_with_mode(one.arm, one.mode, one.rate)} under {one.shift}{samples}"


def _points(number: float) -> str:
    return f"{number:g} point" + ("" if number == 1 else "s")
