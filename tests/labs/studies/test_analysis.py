"""Verdicts on a made table, whose accuracies and differences are known."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from long_tests import long
from scipy import stats

from jaxcl.config import study_from_dict
from jaxcl.labs.studies._analysis import compare, find_blocks
from jaxcl.labs.studies._answer import analyze, say
from jaxcl.labs.studies._caveats import what_would_change
from jaxcl.labs.studies._trends import (
    find_efficiency,
    find_labels_needed,
    find_robustness,
    find_trends,
)

# Of ten seeds; their mean is zero.
WOBBLE = np.array([-2, -1.5, -1, -0.5, -0.25, 0.25, 0.5, 1, 1.5, 2]) / 100
ARMS = [
    {"name": "plain"},
    {"name": "within", "modes": ["true", "shuffled", "noisy"]},
    {"name": "CAD", "modes": ["true", "shuffled"]},
    {"name": "ceiling", "modes": ["true", "shuffled"], "oracle": True},
]
SHIFTS = [
    {"name": "color"},
    {"name": "none", "control": True},
    {"name": "floor"},
]
STUDY = study_from_dict(
    {
        "question": "Does it help?",
        "seeds": 10,
        "noise": [0.2, 0.4],
        "arms": ARMS,
        "shifts": SHIFTS,
        "analysis": {"labels": [1, 4], "primary_labels": 4, "ood_labels": [50]},
    }
)
# Accuracy under shift, without it, and of a head on shifted samples.
ACCURACY = {
    ("plain", "none", 0.0): (0.30, 0.80, 0.40),
    ("within", "true", 0.0): (0.38, 0.81, 0.60),
    ("within", "shuffled", 0.0): (0.31, 0.79, 0.41),
    ("within", "noisy", 0.2): (0.36, 0.81, 0.55),
    ("within", "noisy", 0.4): (0.34, 0.81, 0.50),
    ("CAD", "true", 0.0): (0.302, 0.80, 0.42),
    ("CAD", "shuffled", 0.0): (0.301, 0.80, 0.41),
    ("ceiling", "true", 0.0): (0.70, 0.90, 0.75),
    ("ceiling", "shuffled", 0.0): (0.30, 0.90, 0.40),
}


def row(cell, shift, seed, metric, split, labels, value):
    arm, mode, rate = cell
    return {
        **{"shift": shift, "target": "", "arm": arm, "mode": mode, "rate": rate},
        **{"unlabeled": 0, "seed": seed, "metric": metric, "split": split},
        **{"labels": labels, "value": value},
    }


def made_frame(wobble=WOBBLE):
    """A seed moves all arms alike, and an arm with true metadata a little besides."""
    rows = []
    for shift in ("color", "none", "floor"):
        for cell, (ood, id_, head) in ACCURACY.items():
            if shift == "floor":
                ood = 0.11
            for seed, w in enumerate(wobble):
                own = w + (0.2 * wobble[::-1][seed] if cell[1] == "true" else 0.0)
                here = cell, shift, seed
                rows += [
                    row(*here, "source_head", "ood", 4, ood + own),
                    # Half of what metadata are worth, with a quarter of the labels.
                    row(*here, "source_head", "ood", 1, 0.2 + (ood - 0.3) / 2 + own),
                    row(*here, "source_head", "id", 4, id_ + own),
                    row(*here, "source_head", "id", 1, id_ - 0.1 + own),
                    row(*here, "ood_head", "ood", 50, head + own),
                    row(*here, "chance", "ood", 0, 0.1),
                    row(*here, "seconds_train", "", 0, 2.0 if "CAD" in cell else 1.0),
                ]
    return pd.DataFrame(rows)


FRAME = made_frame()
FOUND = compare(STUDY, FRAME)


def one(contrast, arm, mode="true", rate=0.0, shift="color", found=FOUND):
    (chosen,) = [
        c
        for c in found
        if (c.contrast, c.arm, c.mode, c.shift) == (contrast, arm, mode, shift)
        and math.isclose(c.rate, rate)
    ]
    return chosen


def test_information_subtracts_the_placebo_and_method_the_baseline():
    assert one("information", "within").effect.difference == pytest.approx(7.0)
    assert one("method", "within").effect.difference == pytest.approx(8.0)
    assert one("method", "within", "shuffled").effect.difference == pytest.approx(1.0)
    assert one("method", "within", "noisy", 0.4).effect.difference == pytest.approx(4.0)


def test_pairs_are_of_one_seed():
    """What a seed does to all arms is no part of the deviation."""
    deviation = one("information", "within").effect.deviation
    assert deviation == pytest.approx(np.std(20 * WOBBLE, ddof=1))
    # Of no arm with true metadata: the wobble is the same on both sides.
    assert one("method", "CAD", "shuffled").effect.deviation == pytest.approx(
        0, abs=1e-9
    )


def test_what_is_measured_beside_the_primary_accuracy():
    found = one("information", "within")
    assert found.id_effect.difference == pytest.approx(2.0)
    assert found.other_effect.difference == pytest.approx(19.0)
    assert one("method", "CAD").seconds == 2.0


def test_p_values_are_adjusted_over_the_arms_of_a_contrast():
    names = ["within", "CAD", "ceiling"]
    raw = []
    for name in names:
        ood = [ACCURACY[name, mode, 0.0][0] for mode in ("true", "shuffled")]
        paired = 100 * (ood[0] - ood[1]) + 20 * WOBBLE[::-1]
        raw.append(stats.ttest_1samp(paired, 0.0).pvalue)
    order = np.argsort(raw)
    holm, least = {}, 0.0
    for place, i in enumerate(order):
        least = max(least, min(1.0, (3 - place) * raw[i]))
        holm[names[i]] = least
    for name in names:
        assert one("information", name).adjusted_p == pytest.approx(
            holm[name], rel=1e-6, abs=0.0
        )


def test_verdicts():
    assert one("information", "within").verdict == "improves"
    assert one("information", "CAD").verdict == "no meaningful effect"
    assert one("method", "ceiling", "shuffled").verdict == "no meaningful effect"


def test_oracles_controls_and_blocks_without_room_are_compared_and_not_counted():
    counted = {(c.shift, c.arm) for c in FOUND if c.counted}
    assert counted == {("color", "within"), ("color", "CAD")}
    assert one("information", "within", shift="none").effect.difference > 6
    blocks = {block.shift: block for block in find_blocks(STUDY, FRAME)}
    assert blocks["color"].left_out == ""
    assert "floor: the oracle has 11.0%" in blocks["floor"].left_out
    assert blocks["color"].oracle == pytest.approx(0.70)
    assert blocks["color"].baseline == pytest.approx(0.30)


def test_a_baseline_at_the_ceiling_is_left_out():
    frame = FRAME.copy()
    frame.loc[
        (frame["metric"] == "source_head") & (frame["split"] == "ood"), "value"
    ] = 0.99
    assert "ceiling" in find_blocks(STUDY, frame)[0].left_out


@long
def test_a_missing_run_leaves_its_pair_out():
    lost = (FRAME["arm"] == "within") & (FRAME["mode"] == "true") & (FRAME["seed"] == 9)
    found = compare(STUDY, FRAME[~lost])
    assert one("information", "within", found=found).effect.seeds == 9
    assert one("information", "CAD", found=found).effect.seeds == 10


def test_trends_have_the_slopes_of_the_table():
    trends = {(t.shift, t.arm, t.axis): t.slope for t in find_trends(STUDY, FRAME)}
    # 3.5 points with one label, 7 with four: two doublings.
    assert trends["color", "within", "labels"].slope == pytest.approx(1.75, abs=0.01)
    # 38, 36, 34 % with 0, 2, 4 tenths wrong.
    assert trends["color", "within", "noise"].slope == pytest.approx(-1.0, abs=0.05)
    assert ("color", "CAD", "noise") not in trends
    assert ("color", "within", "samples") not in trends


def test_the_gain_by_metadata_can_change_with_the_training_samples():
    study = dataclasses.replace(STUDY, unlabeled=(100, 400))
    few = FRAME.assign(unlabeled=100)
    many = FRAME.assign(unlabeled=400)
    ood = (many["metric"] == "source_head") & (many["split"] == "ood")
    better = ood & (many["arm"] == "within") & (many["mode"] == "true")
    many.loc[better, "value"] += 0.03
    found = {
        (t.arm, t.axis, t.unlabeled): t.slope.slope
        for t in find_trends(study, pd.concat([few, many]))
        if t.shift == "color"
    }
    # Three points more with four times the samples: two doublings.
    assert found["within", "samples", 0] == pytest.approx(1.5, abs=0.01)
    assert found["CAD", "samples", 0] == pytest.approx(0.0, abs=0.01)
    assert found["within", "labels", 100] == pytest.approx(1.75, abs=0.01)


def test_robustness_is_beside_the_line_of_the_baseline():
    beyond = find_robustness(STUDY, FRAME)
    base = FRAME[(FRAME["arm"] == "plain") & (FRAME["metric"] == "source_head")]
    base = base[base["shift"] == "color"]
    x, y = (
        base[base["split"] == s].sort_values(["labels", "seed"])["value"].to_numpy()
        for s in ("id", "ood")
    )
    slope, intercept = np.polyfit(np.log(x / (1 - x)), np.log(y / (1 - y)), 1)
    mine = FRAME[(FRAME["arm"] == "within") & (FRAME["mode"] == "true")]
    mine = mine[(mine["metric"] == "source_head") & (mine["shift"] == "color")]
    x, y = (
        mine[mine["split"] == s].sort_values(["labels", "seed"])["value"].to_numpy()
        for s in ("id", "ood")
    )
    line = 1 / (1 + np.exp(-(slope * np.log(x / (1 - x)) + intercept)))
    expected = 100 * np.mean(y - line)
    assert beyond["color", 0, "within", "true", 0.0] == pytest.approx(expected)
    # A line of least squares on logits: the baseline lies about on it.
    assert abs(beyond["color", 0, "plain", "none", 0.0]) < 0.1


def test_label_efficiency_is_a_mean_over_two_budgets():
    found = find_efficiency(STUDY, FRAME)
    assert found["color", 0, "plain", "none", 0.0] == pytest.approx((0.30 + 0.20) / 2)


def test_labels_needed_reach_the_best_accuracy_of_the_baseline():
    found = find_labels_needed(STUDY, FRAME)
    # From 0.24 to 0.38 with one to four labels; the baseline has 0.30 with four.
    share = (0.30 - 0.24) / (0.38 - 0.24)
    assert found["color", 0, "within", "true", 0.0] == pytest.approx(4**share)
    assert found["color", 0, "plain", "none", 0.0] == 4
    noisy = FRAME.copy()
    noisy.loc[noisy["arm"] == "CAD", "value"] -= 0.2
    assert math.isinf(find_labels_needed(STUDY, noisy)["color", 0, "CAD", "true", 0.0])


def test_the_answer_counts_verdicts_and_names_the_extremes():
    first, second, third = say(find_blocks(STUDY, FRAME), FOUND, 3)
    assert first.startswith("Of 2 comparisons of true with shuffled metadata under 1 ")
    assert "1 improves, 1 no meaningful effect" in first
    assert "within under color, +7.0 [" in second and "CAD under color" in second
    assert "Without shift the same comparisons differ by +0.0 to +2.0" in third
    assert "floor" in third and "3 runs are missing" in third


def test_an_effect_without_shift_is_reported():
    points = " ".join(what_would_change(STUDY, find_blocks(STUDY, FRAME), FOUND))
    assert "Where there is no shift" in points and "within +7.0" in points
    assert "floor is left out" in points


def test_what_could_change_the_answer_is_reported():
    sure = one("information", "within")
    other = sure.other_effect._replace(difference=-5.0)
    open_ = sure._replace(verdict="inconclusive", seeds_for_margin=7)
    asked = [sure, sure._replace(other_effect=other), open_]
    points = what_would_change(STUDY, [], asked)
    assert points[0] == (
        "With the other kind of head the sign is reversed for within under color."
    )
    assert points[1].endswith("with 80 % power they need 7 to 7 seeds, not 10.")


def test_one_seed_is_inconclusive_and_results_are_strict_json():
    study = study_from_dict({**{"arms": ARMS, "shifts": SHIFTS[:1], "seeds": 1}})
    frame = FRAME[(FRAME["seed"] == 0) & (FRAME["shift"] == "color")].copy()
    frame.loc[frame["labels"] == 4, "labels"] = 10
    comparisons = compare(study, frame)
    assert {c.verdict for c in comparisons} == {"inconclusive"}
    results = analyze(study, frame, comparisons, 0)
    (mine,) = [
        c
        for c in results["comparisons"]
        if (c["contrast"], c["arm"]) == ("information", "within")
    ]
    assert mine["effect"]["low"] is None and mine["seeds_for_margin"] is None
    assert any("not known how many" in point for point in results["would_change"])
