"""Trains and evaluates an encoder, and writes the report."""

import dataclasses
from pathlib import Path
from typing import Any

import jax

from jaxcl.config import EvaluationConfig, TrainConfig, check_bounds
from jaxcl.experiment._choose import check_encoder
from jaxcl.experiment._load import describe_encoder
from jaxcl.experiment._loop import Session, agree_on_stop, run_steps
from jaxcl.experiment._make import make_experiment
from jaxcl.experiment._open_run import open_run
from jaxcl.experiment._report import (
    check_newest,
    evaluate_states,
    make_report,
    renew_report,
    write_report,
)
from jaxcl.models import Encoder
from jaxcl.runtime import (
    Checkpoints,
    Clock,
    Progress,
    Workdir,
    append_timings,
    check_same_on_all,
    claim_workdir,
    describe_devices,
    describe_process,
    join_cluster,
    leave_by,
    open_workdir,
    stop_requests,
    timestamp,
    watch_hosts,
)
from jaxcl.training import make_devices

__all__ = ["evaluate", "train"]


def train(
    config: TrainConfig,
    workdir: str | Path,
    *,
    encoder: Encoder | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Trains an encoder, evaluates it and writes the report.

    Called again with the same config and directory, it resumes from the last
    checkpoint, and the result equals that of an uninterrupted run. `num_steps` may then
    be larger, if the learning rate is constant after its warm-up.

    Args:
        config: The config of the run.
        workdir: Receives `config.toml`, `metrics.jsonl`, `checkpoints/`, `report.json`,
            `looks.json` (images) and `report.html`.
        encoder: An encoder of your own; `model.encoder` must then be "custom". See
            `jaxcl.models.from_linen` and `from_nnx`.
        quiet: Whether to hide the progress.

    Returns:
        The report, as written to `report.json`.

    Raises:
        ConfigError: The config is invalid, or cannot work on this data; the message
            lists all faults.
        DataError: The data is missing, or does not match the config.
        WorkdirError: The directory belongs to another run, or cannot be written.
        CheckpointError: No checkpoint of the directory can be read, or a new one cannot
            be written.
        NonFiniteError: The loss became NaN or infinite; the last checkpoint is kept.
        AuditError: A step and its replay on other devices differ (`audit_every`).
        KeyboardInterrupt: SIGINT was received; a checkpoint was saved first.
        SystemExit: SIGTERM or SIGUSR1 was received; a checkpoint was saved first.
    """
    config.check()
    check_encoder(config, encoder)
    join_cluster(config.distributed)
    run = Workdir(workdir)
    with watch_hosts(run.path, config.distributed.timeout):
        check_same_on_all(describe_process(config))
        open_workdir(run, config)
        return _train(config, run, encoder, quiet or jax.process_index() != 0)


def _train(
    config: TrainConfig, run: Workdir, encoder: Encoder | None, quiet: bool
) -> dict[str, Any]:
    started, clock = timestamp(), Clock()
    devices = make_devices(config.parallel)
    with clock("data"):
        experiment = make_experiment(config, devices, encoder=encoder)
    check_same_on_all(experiment.facts)
    described = describe_encoder(experiment)
    with (
        claim_workdir(run, config, experiment.facts, described) as claim,
        Checkpoints(run.checkpoints, claim.describe) as checkpoints,
        stop_requests() as stop,
    ):
        claim.origin["devices"] = describe_devices(devices)
        if jax.process_index() == 0:
            experiment.data.keep_selection(run.selection)
        initial = experiment.init()
        state = checkpoints.restore(initial) or initial
        first = int(state.step)
        progress = Progress(config.num_steps, step=first, quiet=quiet)
        session = Session(
            experiment, devices, run, claim, checkpoints, progress, clock, stop
        )
        progress.say(_opening(session, first))
        for note in (*experiment.notes, *claim.history):
            progress.say(f"note: {note}")
        try:
            with progress:
                state = run_steps(session, initial, state)
            if signal := agree_on_stop(stop):
                progress.say(
                    f"stopped after step {int(state.step)}; it is saved, and the same "
                    "command resumes the run"
                )
                leave_by(signal)
            with clock("evaluate"):
                evaluation, looks = evaluate_states(
                    experiment, devices, initial, state, progress
                )
        finally:
            # Evaluating a finished run again adds nothing to its timings.
            if jax.process_index() == 0 and first < config.num_steps:
                append_timings(run.timings, clock)
        renewed = first >= config.num_steps
        report = renew_report(run, experiment, evaluation) if renewed else None
        if report is None:
            extra = checkpoints.read_manifest(int(state.step)).extra
            report = make_report(experiment, devices, run, extra, started, evaluation)
        if jax.process_index() == 0:
            write_report(run, report, looks)
            progress.say(f"report: {run.report_html}")
        # A signal during the evaluation takes effect here, when all is saved.
        leave_by(agree_on_stop(stop))
    return report


def evaluate(
    workdir: str | Path,
    *,
    step: int | None = None,
    settings: EvaluationConfig | None = None,
    data_dir: str = "",
    encoder: Encoder | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Evaluates the last checkpoint of a run and rewrites its report.

    Args:
        workdir: The directory of a run.
        step: The step of an older checkpoint to evaluate instead.
        settings: How to evaluate; by default as the config of the run says. The report
            has both.
        data_dir: The new directory of its data, if it has moved.
        encoder: The encoder that was passed to `train`, if any.
        quiet: Whether to hide the progress.

    Returns:
        The report, as written to `report.json`.
    """
    started = timestamp()
    opened = open_run(workdir, step=step, data_dir=data_dir, encoder=encoder)
    run, experiment, devices, initial, state, extra, notes = opened
    if step is None:
        check_newest(run, int(state.step))
    if settings is not None:
        check_bounds(settings)
        experiment = experiment._replace(
            config=dataclasses.replace(experiment.config, evaluation=settings)
        )
    progress = Progress(experiment.config.num_steps, quiet=quiet)
    progress.say(f"evaluating step {int(state.step)} of {run.path}")
    for note in (*experiment.notes, *notes):
        progress.say(f"note: {note}")
    evaluation, looks = evaluate_states(experiment, devices, initial, state, progress)
    evaluation["notes"] += notes
    # The report is of the run, whose config is that of its training.
    trained = opened.experiment
    report = renew_report(run, trained, evaluation)
    if report is None:
        report = make_report(trained, devices, run, extra, started, evaluation)
    write_report(run, report, looks, replace_newer=step is not None)
    return report


def _opening(session: Session, step: int) -> str:
    experiment, devices = session.experiment, session.devices
    config = experiment.config
    where = f"{devices.size} {devices.mesh.devices.flat[0].platform} device(s)"
    verb = "resuming from step" if step else "starting at step"
    if step >= config.num_steps:
        verb = "already trained to step"
    return (
        f"{config.objective.name} on {config.data.path or config.data.name}: "
        f"{len(experiment.data.train)} training images, {where} by "
        f"{devices.parallel}, {verb} {step} in {session.run.path}"
    )
