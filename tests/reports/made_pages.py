"""The four kinds of pages, with names and numbers that are hard to lay out."""

import base64
import io
import itertools

from PIL import Image
from reports.fakes import a_looks, a_report

from jaxcl.reports import as_svg, drawing, one_plot, render_html, render_page

LONG = "a_hospital_with_a_name_that_does_not_end_before_the_margin"
CELLS = (
    *("+9.0", "+7.5 to +10.6", "< 0.001", "10"),
    *("+8.8", "−0.1", "+2.3", "21", "1.02"),
)
VERDICTS = ("improves", "harms", "no effect that matters", "inconclusive")


def make_pages() -> dict[str, str]:
    """The text of each page by its name."""
    report = a_report("red", "green", LONG)
    for when, value in (("before", 0.00026612), ("after", 0.0845)):
        found = report["evaluation"][when]["similarity_statistics"]
        found["negative_variance"] = value
    several = [a_report("red", name=f"{LONG}_{i}") for i in range(3)]
    for i, one in enumerate(several):
        one["config"]["data"]["path"] = f"/data/{LONG}/{i}"
    return {
        "run": render_html([report], [_looks()]),
        "comparison": render_html(several, [_looks()] * 3),
        "claims": render_page("claims", **_claims()),
        "study": render_page("study", **_study()),
    }


def _looks():
    """Real images, under names that are too long for them."""
    file = io.BytesIO()
    Image.new("RGB", (16, 16), (200, 60, 20)).save(file, "webp", lossless=True)
    image = f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
    looks = a_looks()
    one = {"image": image, "label": "a", "domain": LONG}
    looks["views"] = [{**one, "views": [image] * 4}] * 8
    near = [{**one, "label": label, "similarity": 0.5} for label in ("a", LONG) * 3]
    query = {**one, "split": LONG, "before": near[:5], "after": near[1:]}
    looks["queries"] = [query, {**query, "domain": None, "split": "ood"}] * 3
    return looks


def _figure():
    with drawing():
        figure, axes = one_plot()
        axes.plot([0, 1], [0, 1], label="within-domain negatives")
        axes.legend()
        return (
            "color 80 %, 500: true less shuffled",
            as_svg(figure, "A line"),
            "Note.",
        )


def _claims():
    cells = (
        "R² of a linear encoder at ρ = 0.9",
        "1.25e−5",
        "0.0039",
        "0.0039 ± 0.0001",
    )
    claims = [
        {
            "claim": f"identifiability/counterexample-of-theorem-{i}",
            "statement": "Negatives that are augmentations of the anchor can stand for "
            "those of its fiber, whatever the share of constraint.",
            "verdict": verdict,
            "source": "Alg. 14, arXiv 2606.04280",
            "setting": "unit sphere in 3 dimensions, t = 0.3, M = 256",
            "seconds": 7.7,
            "skipped": "",
            "failed": "",
            "checks": [1],
            "rows": [((*cells, "0.17 ± 0.02"), verdict)] * 2,
            "remark": "They follow the law of the positive.",
        }
        for i, verdict in enumerate(("confirmed", "refuted", "inconclusive"))
    ]
    return {
        "title": "What the papers claim, and what comes out",
        "summary": "Of 3 claims: 1 confirmed, 1 refuted, 1 inconclusive.",
        "origin": [
            "jaxcl reproduce --budget cpu --out claims",
            "cpu, cpu",
            "jax 0.10.2",
        ],
        "claims": claims,
        "figures": [_figure()] * 2,
    }


def _study():
    rows = [
        {
            "where": f"{shift}, {count}",
            "arm": f"{arm} (true)",
            "verdict": verdict,
            "counted": shift != "control",
            "cells": CELLS,
        }
        for shift in ("color 80 %", "control")
        for count in ("500", "2,000")
        for arm, verdict in zip(
            ("within-domain", "soft λ = .8", "CORAL", "cross-domain negatives"),
            VERDICTS,
            strict=True,
        )
    ]
    groups = {
        where: list(part)
        for where, part in itertools.groupby(rows, key=lambda row: row["where"])
    }
    columns = [
        f"{head}, {split}" for head in ("own head", "kNN") for split in ("OOD", "ID")
    ]
    return {
        "title": "Does the background color make encoders robust to new ones?",
        "results": {
            "answer": ["Within-domain negatives gain 9.0 points.", "CORAL gains 3.3."],
            "would_change": ["Two more seeds could turn soft λ = .8."],
        },
        "origin": ["jaxcl study configs/studies/founding/color.toml", "jax 0.10.2"],
        "tables": [("Gain from the metadata", "True and shuffled, by seed.", groups)],
        "trends": [["color 80 %", "CORAL", "labels", "+0.3", "−0.1 to +0.7", "0.110"]],
        "figures": [_figure()] * 3,
        "raw": [("color 80 %, 500", columns, [["NT-Xent", *["50.0 ± 1.2"] * 4]] * 3)],
        "methods": ["Every arm has the same seeds."],
        "config": 'question = "Does it?"\n' + f"path = '{LONG * 3}'",
    }
