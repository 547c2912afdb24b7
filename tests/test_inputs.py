"""The way images come to the step changes no number of a run."""

import dataclasses
import json

import numpy as np
import pytest
from long_tests import long, long_only
from small_runs import small

import jaxcl
from jaxcl.config import AugmentationConfig, DataConfig, SelectionConfig

pytestmark = pytest.mark.slow


def losses(tmp_path, name, **changes):
    jaxcl.train(small(eval_every=0, **changes), tmp_path / name, quiet=True)
    lines = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("parallel", ["pmap", *long_only("shard_map")])
def test_images_that_stay_on_the_device_give_the_same_run(tmp_path, parallel):
    sent = losses(tmp_path, "sent", parallel=parallel)
    kept = losses(tmp_path, "kept", parallel=parallel, data__keep_on_device=True)
    for line, other in zip(sent, kept, strict=True):
        assert line["loss"] == pytest.approx(other["loss"], rel=1e-6)


@long
def test_a_run_is_normalized_and_augmented_as_its_config_says(tmp_path):
    augmentation = AugmentationConfig(
        blur=0.5, erase=0.5, rotate=10.0, small_views=2, small_size=8
    )
    data = DataConfig(
        name="colored_digits",
        domain="domain",
        batch_size=16,
        train_split="train[:160]",
        test_splits=("validation", "held_out"),
        normalization="train",
        bad_records="count",
        selection=SelectionConfig(
            held_out_domains=("red",), validation_fraction=0.2, labeled_fraction=0.5
        ),
    )
    config = small(num_steps=2, data=data, augmentation=augmentation)
    objective = dataclasses.replace(config.objective, name="within_domain")
    config = dataclasses.replace(config, objective=objective)
    report = jaxcl.train(config, tmp_path / "run", quiet=True)
    assert set(report["evaluation"]["after"]["splits"]) == {"validation", "held_out"}
    stored = json.loads((tmp_path / "run" / "selection.json").read_text())
    assert stored
    first = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0]
    assert json.loads(first)["left_out"] == 0
    assert np.isfinite(json.loads(first)["loss"])
