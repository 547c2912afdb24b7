"""Classifiers on the encoder of a run: what they see, and what they leave alone."""

import dataclasses

import jax
import numpy as np
import pytest
from long_tests import long
from small_runs import small

import jaxcl
from jaxcl.config import EvaluationConfig, FineTuneConfig, LinearConfig
from jaxcl.experiment import _classifiers, _supervised, make_experiment
from jaxcl.runtime import Progress
from jaxcl.training import make_devices, state_digest

RATES = (1e-4, 0.3, 1.0)
LINEAR = LinearConfig(
    epochs=8, batch_size=32, learning_rates=RATES, crop_scale=(0.6, 1.0), flip=0.0
)
TUNED = FineTuneConfig(
    steps=12,
    batch_size=32,
    learning_rates=(1e-4, 3e-3),
    crop_scale=(0.6, 1.0),
    flip=0.0,
)


@pytest.fixture(scope="module")
def made():
    config = small(data__train_split="train[:160]", evaluation__max_test=60)
    config = dataclasses.replace(config, parallel="pmap")
    devices = make_devices("pmap", jax.devices()[:2])
    return make_experiment(config, devices), devices


def start(made, state=None):
    experiment, devices = made
    state = experiment.init() if state is None else state
    train = experiment.data.train
    batches = list(experiment.evaluation_batches(train, 80))
    rows = [
        experiment.encode(state, batch.image / np.float32(255)) for batch in batches
    ]
    progress = Progress(1, quiet=True)
    return _classifiers.start_from(
        experiment, devices, state, np.concatenate(rows), progress
    )


def with_tests(made, change):
    """The same experiment with other test splits."""
    experiment, devices = made
    tests = {name: change(test) for name, test in experiment.data.tests.items()}
    data = dataclasses.replace(experiment.data, tests=tests)
    return experiment._replace(data=data), devices


def watch(monkeypatch):
    """Collects the splits that classifiers are trained on, and their states."""
    seen, train = [], _supervised.train_classifiers

    def watched(start, settings, split, *rest):
        found = train(start, settings, split, *rest)
        seen.append((split, found))
        return found

    monkeypatch.setattr(_supervised, "train_classifiers", watched)
    return seen


@pytest.mark.parametrize("settings", [LINEAR, TUNED], ids=["linear", "fine-tuned"])
def test_nothing_of_a_test_split_reaches_the_training(made, settings, monkeypatch):
    """Other test images and labels give the same rate and the same classifiers."""

    def scrambled(split):
        labels = (np.asarray(split.values("label")) + 1) % 10
        return split.replace("label", labels).take(np.arange(len(split))[::-1])

    seen = watch(monkeypatch)
    before, first = _supervised.judge_classifier(start(made), settings)
    count = len(seen)
    after, other = _supervised.judge_classifier(
        start(with_tests(made, scrambled)), settings
    )
    assert before == after and first != other
    for (_, one), (_, same) in zip(seen[:count], seen[count:], strict=True):
        assert state_digest(one.state) == state_digest(same.state)


def test_the_tenth_that_chooses_the_rate_is_not_trained_on(made, monkeypatch):
    seen, judged = watch(monkeypatch), []
    logits_of = _supervised.logits_of

    def watched(start, classifiers, split, most):
        judged.append(split)
        return logits_of(start, classifiers, split, most)

    monkeypatch.setattr(_supervised, "logits_of", watched)
    found, _ = _supervised.judge_classifier(start(made), LINEAR)
    rest, held, whole = seen[0][0].positions, judged[0].positions, seen[1][0].positions
    assert len(np.intersect1d(rest, held)) == 0
    assert sorted([*rest, *held]) == sorted(whole) and found["images"] == len(whole)
    assert 0.05 < len(held) / len(whole) < 0.2
    # On embeddings without training, the smallest rate learns next to nothing.
    assert found["learning_rate"] in RATES[1:]


def test_a_frozen_encoder_keeps_every_bit(made, monkeypatch):
    experiment, _ = made
    state, seen = experiment.init(), watch(monkeypatch)
    before = state_digest(state)
    begun = start(made, state)
    _supervised.judge_classifier(begun, LINEAR)
    assert state_digest(state) == before
    for _, found in seen:
        encoder = found.state.params["encoder"]
        assert state_digest(encoder) == state_digest(state.params["encoder"])
        found = found.state.model_state["encoder"]
        assert state_digest(found) == state_digest(state.model_state["encoder"])


@pytest.mark.slow
def test_fine_tuning_changes_a_copy_of_the_encoder(made, monkeypatch):
    experiment, _ = made
    state, seen = experiment.init(), watch(monkeypatch)
    before = state_digest(state)
    _supervised.judge_classifier(start(made, state), TUNED)
    assert state_digest(state) == before
    tuned = seen[-1][1].state.params["encoder"]
    assert state_digest(tuned) != state_digest(state.params["encoder"])


@long
@pytest.mark.slow
@pytest.mark.parametrize("settings", [LINEAR, TUNED], ids=["linear", "fine-tuned"])
def test_the_result_is_the_same_every_time(made, settings):
    results = [_supervised.judge_classifier(start(made), settings) for _ in range(2)]
    assert results[0] == results[1]


@long
@pytest.mark.slow
def test_heads_of_several_rates_are_those_trained_alone(made):
    """Trained together on a frozen encoder, they do not disturb each other."""
    begun = start(made)
    split = made[0].data.train.take(np.arange(64))
    both = _classifiers.train_classifiers(begun, LINEAR, split, 10, (0.1, 1.0))
    kernel = both.state.params["classifier"]["kernel"]
    for place, rate in enumerate((0.1, 1.0)):
        alone = _classifiers.train_classifiers(begun, LINEAR, split, 10, (rate,))
        np.testing.assert_allclose(
            kernel[place], alone.state.params["classifier"]["kernel"][0], atol=1e-5
        )


@pytest.mark.slow
def test_labels_for_fine_tuning_can_be_few(made):
    few = dataclasses.replace(
        TUNED, steps=2, labels_per_class=2, learning_rates=(1e-3,), batch_size=8
    )
    found, _ = _supervised.judge_classifier(start(made), few)
    assert found == {"learning_rate": 1e-3, "images": 20, "steps": 2}
    share = dataclasses.replace(few, labels_per_class=0, label_share=0.5)
    found, _ = _supervised.judge_classifier(start(made), share)
    assert 38 <= found["images"] <= 45


def test_without_labels_there_is_no_classifier(made):
    experiment, devices = made
    train = experiment.data.train
    hidden = train.replace("label", np.full(len(train), -1))
    data = dataclasses.replace(experiment.data, train=hidden)
    blind = experiment._replace(data=data), devices
    assert _supervised.judge_classifier(start(blind), LINEAR) is None
    chosen = dataclasses.replace(
        experiment.config.evaluation, linear=LINEAR, unseen_domains=True
    )
    config = dataclasses.replace(experiment.config, evaluation=chosen)
    after = {"unseen_domains": None, "linear": None, "fine_tuned": None}
    notes = _supervised.notes_on(experiment._replace(config=config), after)
    assert len(notes) == 2 and "no linear classifier" in notes[1]


@pytest.mark.slow
def test_fine_tuning_gains_more_from_a_trained_encoder_than_from_a_random_one(made):
    """Two labels of each class, for images that the one encoder tells apart."""
    experiment, devices = made
    seen = experiment.data.train.take(np.arange(80))
    data = dataclasses.replace(experiment.data, tests={"seen": seen})
    random = start((experiment._replace(data=data), devices))
    longer = dataclasses.replace(TUNED, steps=60)
    trained = _classifiers.train_classifiers(random, longer, seen, 10, (1e-2,)).state
    better = random._replace(
        params=trained.params["encoder"], model_state=trained.model_state["encoder"]
    )
    few = dataclasses.replace(
        TUNED, steps=8, labels_per_class=2, learning_rates=(3e-3,), batch_size=16
    )
    results = [_supervised.judge_classifier(each, few) for each in (random, better)]
    before, after = (by_split["seen"]["accuracy"] for _, by_split in results)
    assert after > before + 0.1


@pytest.mark.slow
def test_a_report_has_the_verdicts_before_and_after_training(tmp_path):
    default = jaxcl.train(small(data__views=2), tmp_path, quiet=True)["evaluation"]
    assert default["after"]["linear"] is default["after"]["unseen_domains"] is None
    assert 0 < default["after"]["retrieval"]["id_test"]["map_at_r"] < 1
    assert default["after"]["neighbors"] == 20
    settings = EvaluationConfig(
        neighbors=0,
        max_train=120,
        max_test=60,
        unseen_domains=True,
        linear=dataclasses.replace(LINEAR, epochs=2),
        fine_tune=dataclasses.replace(
            TUNED, steps=3, labels_per_class=3, learning_rates=(1e-3,)
        ),
    )
    report = jaxcl.evaluate(tmp_path, settings=settings, quiet=True)
    before, after = (report["evaluation"][when] for when in ("before", "after"))
    for method in ("linear", "fine_tuned"):
        for found in (before, after):
            domains = found["splits"]["id_test"][method]["domains"]
            assert set(domains) <= set(report["data"]["domains"])
    assert after["fine_tuned"]["steps"] == before["fine_tuned"]["steps"] == 3
    assert after["neighbors"] in (1, 5, 10, 20, 50, 100, 200)
    unseen = after["unseen_domains"]
    judged = set(unseen["domains"]) | set(unseen["left_out"])
    assert judged == set(report["data"]["domains"])
    index = after["domain_structure"]["id_test"]["robustness_index"]["index"]
    assert 0 <= index <= 1
    page = (tmp_path / "report.html").read_text()
    for text in ("MAP@R", "fine-tuned", "unseen domain", "robustness index"):
        assert text in page
