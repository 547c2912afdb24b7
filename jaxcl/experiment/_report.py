"""Evaluates the states of a run and writes its report."""

import json
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from filelock import FileLock

from jaxcl.config import ConfigError, as_dict, from_dict
from jaxcl.data import Split
from jaxcl.evaluation import (
    Embedded,
    embed,
    evaluate_embeddings,
    knn_accuracies,
    statistics_of_views,
)
from jaxcl.experiment._classifiers import start_from
from jaxcl.experiment._experiment import Experiment
from jaxcl.experiment._looks import Found, find_neighbors, make_looks
from jaxcl.experiment._supervised import judge_classifiers, notes_on
from jaxcl.files import read_regular, write_whole
from jaxcl.reports import look, render_html
from jaxcl.runtime import (
    NonFiniteError,
    Progress,
    Workdir,
    WorkdirError,
    describe_versions,
    find_digest,
    peak_memory_mib,
    read_logged,
    time_left,
    total_timings,
    unlike_fields,
)
from jaxcl.training import Devices, TrainState, host_copy

__all__ = [
    "check_newest",
    "evaluate_states",
    "make_report",
    "quick_evaluation",
    "renew_report",
    "write_report",
]

_MOST_LEFT_OUT = 100


def _embed_all(
    experiment: Experiment, state: TrainState, progress: Progress
) -> tuple[Embedded, dict[str, Embedded]]:
    limits = experiment.config.evaluation

    def embed_split(split: Split, most: int) -> Embedded:
        batches = experiment.evaluation_batches(split, most)
        total = -(-min(len(split), most) // limits.batch_size)
        what = f"embedding {split.name}, batches of {limits.batch_size}"
        return embed(
            lambda images: experiment.encode(state, images),
            progress.follow(batches, total, what),
        )

    train = embed_split(experiment.data.train, limits.max_train)
    tests = {
        name: embed_split(split, limits.max_test)
        for name, split in experiment.data.tests.items()
    }
    return train, tests


def _not_finite(embedded: Mapping[str, Embedded]) -> str:
    """Which embeddings are NaN or infinite, in words; empty if none are."""
    for name, split in embedded.items():
        finite = np.isfinite(np.asarray(split.embeddings)).all(axis=1)
        if not np.all(finite):
            bad = np.size(finite) - np.sum(finite)
            return f"{bad} of {np.size(finite)} embeddings of {name} are not finite"
    return ""


def quick_evaluation(
    experiment: Experiment, state: TrainState, progress: Progress
) -> dict[str, float]:
    """Accuracy of kNN on every test split, named as in the metrics log."""
    if "label" not in experiment.data.train.roles:
        return {}
    train, tests = _embed_all(experiment, host_copy(state), progress)
    if _not_finite({"train": train, **tests}):
        return {}  # the next step ends the run
    neighbors = experiment.config.evaluation.neighbors
    accuracies = knn_accuracies(train, tests, neighbors)
    return {f"knn_accuracy/{name}": value for name, value in accuracies.items()}


def evaluate_states(
    experiment: Experiment,
    devices: Devices,
    initial: TrainState,
    state: TrainState,
    progress: Progress,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Evaluates the first and the last state of a run.

    Returns:
        The evaluation, and the images to look at.
    """
    start = time.monotonic()
    progress.say("evaluating the encoder before training")
    before, old = _evaluate_state(experiment, devices, initial, progress)
    left = time_left(time.monotonic() - start)
    progress.say(f"evaluating the encoder after training: {left}")
    after, new = _evaluate_state(experiment, devices, state, progress)
    evaluation = {
        "before": before,
        "after": after,
        "notes": notes_on(experiment, after),
        "settings": as_dict(experiment.config.evaluation),
        "versions": describe_versions(),
    }
    return evaluation, make_looks(experiment, after["step"], old, new)


def _evaluate_state(
    experiment: Experiment, devices: Devices, state: TrainState, progress: Progress
) -> tuple[dict[str, Any], Found]:
    config = experiment.config
    train, tests = _embed_all(experiment, state, progress)
    if wrong := _not_finite({"train": train, **tests}):
        cause = "the weights are damaged, or the last update was too large"
        raise NonFiniteError(f"{wrong}: {cause}")
    statistics = statistics_of_views(
        lambda images: experiment.project(state, images),
        experiment.evaluation_batches(
            experiment.data.train, config.evaluation.max_pairs
        ),
        config.augmentation,
        config.seed,
    )
    accuracies = evaluate_embeddings(
        train,
        tests,
        neighbors=config.evaluation.neighbors,
        unseen_domains=config.evaluation.unseen_domains,
        domain_names=experiment.data.train.names.get("domain"),
    )
    start = start_from(experiment, devices, state, train.embeddings, progress)
    evaluation = {
        "step": int(state.step),
        **accuracies,
        **judge_classifiers(start, accuracies["splits"]),
        "similarity_statistics": statistics,
    }
    return evaluation, find_neighbors(experiment, train, tests)


def make_report(
    experiment: Experiment,
    devices: Devices,
    run: Workdir,
    extra: Mapping[str, Any],
    started: str,
    evaluation: dict[str, Any],
) -> dict[str, Any]:
    """The report of a run, as written to `report.json`.

    `extra` is what is stored with the checkpoint.
    """
    config, split = experiment.config, experiment.data.train
    seconds, timed_steps = total_timings(run.timings)
    speed = None
    if seconds.get("train"):
        speed = timed_steps * config.data.batch_size / seconds["train"]
    # Another machine may write the report than has trained.
    origin = extra.get("origin") or {}
    lines = read_logged(run.metrics, find_digest(extra))
    notes = [*experiment.notes, *extra.get("history", [])]
    if lines is None:
        notes.append(f"{run.metrics.name} was changed or lost: there are no curves")
        lines = []
    return {
        "name": run.path.name,
        "run": {
            "workdir": str(run.path),
            "command": origin.get("command"),
            "commit": origin.get("commit"),
            "started": started,
            "seconds": {**seconds, "total": sum(seconds.values())},
            "steps": evaluation["after"]["step"],
            "images_per_second": speed,
            "peak_memory_mib": peak_memory_mib(),
        },
        "notes": notes,
        "versions": extra.get("versions") or describe_versions(),
        "devices": origin.get("devices"),
        "config": as_dict(config),
        "data": {
            "name": config.data.path or config.data.name,
            "labels": list(split.names.get("label", ())),
            "domains": list(split.names.get("domain", ())) or None,
            "splits": {
                config.data.train_split: len(split),
                **{name: len(test) for name, test in experiment.data.tests.items()},
            },
            "left_out": _left_out(experiment.data.bad.reasons),
        },
        "curves": _columns([line for line in lines if "loss" in line]),
        "evaluation_curves": _columns(
            [line for line in lines if "loss" not in line], prefix="knn_accuracy/"
        ),
        "evaluation": evaluation,
    }


def _left_out(reasons: dict[str, str]) -> dict[str, Any]:
    """How many samples could not be read, and why the first of them could not."""
    first = dict(list(reasons.items())[:_MOST_LEFT_OUT])
    return {"count": len(reasons), "first": first}


def _columns(lines: list[dict[str, Any]], prefix: str = "") -> dict[str, list[Any]]:
    """The columns of the lines of a log, with `prefix` removed from their names."""
    if not lines:
        return {}
    names = lines[0]
    return {
        name.removeprefix(prefix): [line.get(name) for line in lines] for name in names
    }


def renew_report(
    run: Workdir, experiment: Experiment, evaluation: dict[str, Any]
) -> dict[str, Any] | None:
    """The stored report with a new evaluation, and all else unchanged.

    None if no report of that step and config exists.
    """
    report = _stored_report(run)
    try:
        config = from_dict(report["config"])
        same = report["run"]["steps"] == evaluation["after"]["step"]
    except (ConfigError, LookupError, TypeError):
        return None
    if not same or unlike_fields(config, experiment.config):
        return None
    return {**report, "evaluation": evaluation}


def check_newest(run: Workdir, step: int) -> None:
    """Raises a `WorkdirError` if the stored report is of a later step."""
    reported = look(_stored_report(run), "run", "steps")
    if isinstance(reported, int) and reported > step:
        raise WorkdirError(
            f"{str(run.report_json)!r} is of step {reported}, and the newest "
            f"checkpoint of step {step}: `--step {step}` replaces that report"
        )


def _stored_report(run: Workdir) -> dict[str, Any]:
    try:
        report = json.loads(read_regular(run.report_json))
    except (OSError, ValueError, RecursionError):
        return {}
    return report if isinstance(report, dict) else {}


def write_report(
    run: Workdir,
    report: dict[str, Any],
    looks: dict[str, Any],
    *,
    replace_newer: bool = False,
) -> None:
    """Writes `report.json`, `looks.json` and `report.html`, all by the same process.

    Raises:
        WorkdirError: A report of a later step was written meanwhile.
    """
    page = render_html([report], [looks])
    with FileLock(run.report_lock):
        if not replace_newer:
            check_newest(run, report["run"]["steps"])
        write_whole(run.looks, json.dumps(looks, indent=1))
        write_whole(run.report_json, json.dumps(report, indent=1))
        write_whole(run.report_html, page)
