"""Labels learned on the encoder of a run: frozen, and fine-tuned."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxcl.config import FineTuneConfig, LinearConfig
from jaxcl.data import Split
from jaxcl.evaluation import accuracy_by_domain, draw_labeled, draw_share
from jaxcl.experiment._classifiers import (
    Settings,
    Start,
    logits_of,
    train_classifiers,
)
from jaxcl.experiment._experiment import Experiment
from jaxcl.runtime import in_words

_HELD_OUT = 0.1
_TITLES = {
    "linear": "linear classifier on augmented images",
    "fine_tuned": "fine-tuned classifier",
}


def judge_classifiers(start: Start, splits: dict[str, Any]) -> dict[str, Any]:
    """How the chosen classifiers were trained; `splits` gets their accuracies.

    None for what was not asked for, or has no labels to learn from.
    """
    chosen = start.experiment.config.evaluation
    found: dict[str, Any] = {"linear": None, "fine_tuned": None}
    for method, settings, wanted in (
        ("linear", chosen.linear, chosen.linear.epochs),
        ("fine_tuned", chosen.fine_tune, chosen.fine_tune.steps),
    ):
        begun = time.monotonic()
        judged = judge_classifier(start, settings) if wanted and splits else None
        if judged is None:
            continue
        found[method], by_split = judged
        for name, accuracies in by_split.items():
            splits[name][method] = accuracies
        seconds = in_words(time.monotonic() - begun)
        start.progress.say(f"{_TITLES[method]}: {seconds}")
    return found


def notes_on(experiment: Experiment, after: Mapping[str, Any]) -> list[str]:
    """What was asked of the evaluation and cannot be told."""
    chosen, notes = experiment.config.evaluation, []
    unseen = after["unseen_domains"]
    if chosen.unseen_domains and unseen is None:
        notes.append("no probe on unseen domains: it needs labels and domains")
    for name, why in (unseen or {}).get("left_out", {}).items():
        notes.append(f"no probe on the unseen domain {name}: {why}")
    for method, wanted in (
        ("linear", chosen.linear.epochs),
        ("fine_tuned", chosen.fine_tune.steps),
    ):
        if wanted and after[method] is None:
            notes.append(f"no {_TITLES[method]}: it needs labeled images")
    return notes


def judge_classifier(
    start: Start, settings: Settings
) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Trains a classifier on labeled training images, and tests it on every split.

    With several learning rates, each is tried without a tenth of these images, and the
    one that is best on that tenth is used for all of them. Test images are seen last.

    Returns:
        ``{"learning_rate", "images", "steps"}``, and by split the accuracies as of
        `accuracy_by_domain`. None with fewer than two classes, or fewer images than
        devices.
    """
    experiment, limits = start.experiment, start.experiment.config.evaluation
    if "label" not in experiment.data.train.roles:
        return None
    labels = np.asarray(experiment.data.train.values("label"))[: limits.max_train]
    rows = _chosen_rows(labels, settings, experiment.config.seed)
    classes, ids = np.unique(labels[rows], return_inverse=True)
    if len(classes) < 2 or len(rows) < start.devices.size:
        return None
    split = experiment.data.train.take(rows).replace("label", ids.astype(np.int32))
    rate = _best_rate(start, settings, split, ids)
    trained = train_classifiers(start, settings, split, len(classes), (rate,))
    names = experiment.data.train.names.get("domain")
    judged = {}
    for name, test in experiment.data.tests.items():
        if "label" not in test.roles:
            continue
        found = logits_of(start, trained, test, limits.max_test)
        known = found.label != -1
        if known.any():
            right = classes[found.embeddings.argmax(1)] == found.label
            domain = None if found.domain is None else found.domain[known]
            judged[name] = accuracy_by_domain(right[known], domain, names)
    return {"learning_rate": rate, "images": len(rows), "steps": trained.steps}, judged


def _chosen_rows(labels: np.ndarray, settings: Settings, seed: int) -> np.ndarray:
    """Positions of the labeled training images to train on."""
    if not isinstance(settings, FineTuneConfig):
        return np.flatnonzero(labels != -1)
    rows = draw_share(labels, settings.label_share, seed=seed)
    return rows[draw_labeled(labels[rows], settings.labels_per_class, seed=seed)]


def _best_rate(
    start: Start, settings: Settings, split: Split, ids: np.ndarray
) -> float:
    """The rate that is best on a tenth of the images, trained on the others."""
    rates = settings.learning_rates
    held = draw_share(ids, _HELD_OUT, seed=start.experiment.config.seed)
    # A class with a single image keeps it to learn from.
    held = held[np.bincount(ids)[ids[held]] > 1]
    rest = np.setdiff1d(np.arange(len(ids)), held)
    if len(rates) == 1 or len(held) == 0 or len(rest) < start.devices.size:
        return rates[len(rates) // 2]
    number = int(ids.max()) + 1
    # Classifiers on one frozen encoder do not disturb each other.
    together = [rates] if isinstance(settings, LinearConfig) else [(r,) for r in rates]
    right = []
    for some in together:
        trained = train_classifiers(start, settings, split.take(rest), number, some)
        found = logits_of(start, trained, split.take(held), len(held))
        logits = np.asarray(found.embeddings).reshape(-1, len(some), number)
        label = np.asarray(found.label)[:, None]
        right += np.mean(logits.argmax(2) == label, axis=0).tolist()
    return rates[int(np.argmax(right))]
