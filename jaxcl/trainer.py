"""The loop: from a config and a directory to a trained encoder and a report."""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from jaxcl.assessment import (
    evaluate_states,
    make_report,
    quick_evaluation,
    renew_report,
    write_report,
)
from jaxcl.build import Experiment, make_experiment
from jaxcl.config import ConfigError, TrainConfig
from jaxcl.training import (
    CheckpointError,
    Checkpoints,
    Clock,
    Devices,
    MetricsLog,
    NonFiniteError,
    Progress,
    StopRequest,
    TrainState,
    Workdir,
    append_timings,
    claim_workdir,
    find_workdir,
    host_copy,
    leave_by,
    make_devices,
    open_workdir,
    parallelize,
    stop_requests,
    timestamp,
)

__all__ = ["evaluate", "train"]

# XLA's collectives between CPU devices can lock up in loops that never wait (jax 0.10
# and 0.11): there, the host waits for its metrics at least this often.
_CPU_STEPS_IN_FLIGHT = 10


class Session(NamedTuple):
    """What one process of a run works with."""

    experiment: Experiment
    devices: Devices
    run: Workdir
    checkpoints: Checkpoints
    progress: Progress
    clock: Clock


def train(
    config: TrainConfig, workdir: str | Path, *, quiet: bool = False
) -> dict[str, Any]:
    """Trains an encoder, evaluates it and writes the report.

    Called again with the same config and directory, it continues from the last
    checkpoint, and the result equals that of a run that was never stopped.

    Args:
        config: The run.
        workdir: Receives `config.toml`, `metrics.jsonl`, `checkpoints/`, `report.json`
            and `report.html`.
        quiet: Show no progress.

    Returns:
        The report, as written to `report.json`.

    Raises:
        ConfigError: The config breaks rules; each is named.
        DataError: The data is not there, or not what the config says.
        WorkdirError: The directory belongs to another run, or cannot be written.
        CheckpointError: No checkpoint of the directory can be read or written.
        NonFiniteError: The loss became NaN; the last good checkpoint is kept.
        KeyboardInterrupt: SIGINT; a checkpoint was written first.
        SystemExit: SIGTERM; a checkpoint was written first.
    """
    started, clock = timestamp(), Clock()
    config.check()
    if config.distributed and not jax.distributed.is_initialized():
        _join_hosts()
    run = open_workdir(workdir, config)
    devices = make_devices(config.parallel)
    with clock("data"):
        experiment = make_experiment(config, devices)
    with (
        claim_workdir(run, config),
        Checkpoints(run.checkpoints) as checkpoints,
        stop_requests() as stop,
    ):
        if jax.process_index() == 0:
            experiment.data.keep_selection(run.path / "selection.json")
        initial = experiment.init()
        state = checkpoints.restore(initial) or initial
        progress = Progress(
            config.num_steps,
            step=int(state.step),
            quiet=quiet or jax.process_index() != 0,
        )
        session = Session(experiment, devices, run, checkpoints, progress, clock)
        progress.say(_opening(session, int(state.step)))
        first = int(state.step)
        try:
            with progress:
                state = _run_steps(session, state, stop)
            if signal := _agree(stop):
                progress.say(
                    f"stopped after step {int(state.step)}; it is saved, and the same "
                    "command continues"
                )
                leave_by(signal)
            progress.say("evaluating")
            with clock("evaluate"):
                evaluation = evaluate_states(experiment, initial, state)
        finally:
            # Looking at a finished run again is no part of it.
            if jax.process_index() == 0 and first < config.num_steps:
                append_timings(run.timings, clock)
        report = None
        if first >= config.num_steps:
            report = renew_report(run, evaluation)
        if report is None:
            report = make_report(experiment, devices, run, started, evaluation)
        if jax.process_index() == 0:
            write_report(run, report)
            progress.say(f"report: {run.report_html}")
        # A signal that came during the evaluation: all is saved now.
        leave_by(_agree(stop))
    return report


def _join_hosts() -> None:
    try:
        jax.distributed.initialize()
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            f"`distributed` found no cluster to join: {error} (TPU pods, SLURM and "
            "MPI are found; elsewhere call jax.distributed.initialize yourself)"
        ) from error


def evaluate(
    workdir: str | Path, *, data_dir: str = "", quiet: bool = False
) -> dict[str, Any]:
    """Evaluates the last checkpoint of a run and writes its report again.

    Args:
        workdir: The directory of a run.
        data_dir: Where its data are now, when they have moved.
        quiet: Show no progress.

    Returns:
        The report, as written to `report.json`.
    """
    started = timestamp()
    run, config = find_workdir(workdir)
    if data_dir:
        data = dataclasses.replace(config.data, data_dir=data_dir)
        config = dataclasses.replace(config, data=data)
    devices = make_devices(config.parallel)
    experiment = make_experiment(config, devices)
    initial = experiment.init()
    with Checkpoints(run.checkpoints) as checkpoints:
        state = checkpoints.restore(initial)
    if state is None:
        raise CheckpointError(f"no checkpoint in {str(run.checkpoints)!r}")
    progress = Progress(config.num_steps, quiet=quiet)
    progress.say(f"evaluating step {int(state.step)} of {run.path}")
    evaluation = evaluate_states(experiment, initial, state)
    report = renew_report(run, evaluation)
    if report is None:
        report = make_report(experiment, devices, run, started, evaluation)
    write_report(run, report)
    return report


def _run_steps(session: Session, state: TrainState, stop: StopRequest) -> TrainState:
    """Steps from the state's own to the last, or to a request to stop."""
    experiment, clock, checkpoints = (
        session.experiment,
        session.clock,
        session.checkpoints,
    )
    config, first = experiment.config, int(state.step)
    log = MetricsLog(
        session.run.metrics,
        step=first,
        every=config.log_every,
        in_flight=_steps_in_flight(session),
        active=jax.process_index() == 0,
    )
    parallel = parallelize(
        experiment.step, session.devices, *experiment.resident_images()
    )
    state = parallel.place_state(state)
    batches = experiment.batches(first)
    step = first
    try:
        while step < config.num_steps and not _all_stop(stop, step, config):
            step += 1
            # The first step compiles; the others are what throughput is made of.
            with clock("compile" if step == first + 1 else "train"):
                batch = parallel.place_batch(next(batches))
                state, metrics = parallel.step(state, batch)
                metrics["learning_rate"] = jnp.asarray(experiment.schedule(step - 1))
                log.add(step, metrics)
                if step == first + 1 or _is_pause(step, config):
                    log.wait()
            session.progress.show(log.step, log.loss, _images_per_second(session))
            if config.eval_every and step % config.eval_every == 0:
                with clock("evaluate"):
                    log.write(step, quick_evaluation(experiment, state))
            if step % config.checkpoint_every == 0:
                with clock("checkpoint"):
                    checkpoints.save(state)
        with clock("train"):
            log.wait()
        with clock("checkpoint"):
            checkpoints.save(state)
    except NonFiniteError as error:
        kept = checkpoints.latest_step()
        last = "there is no checkpoint" if kept is None else f"step {kept} is kept"
        raise NonFiniteError(f"{error}; {last} in {checkpoints.directory}") from error
    return host_copy(state)


def _is_pause(step: int, config: TrainConfig) -> bool:
    """Whether something after this step needs its result."""
    due = [config.checkpoint_every, config.eval_every or config.checkpoint_every]
    return step == config.num_steps or any(step % every == 0 for every in due)


def _steps_in_flight(session: Session) -> int:
    on_cpu = session.devices.mesh.devices.flat[0].platform == "cpu"
    every = session.experiment.config.log_every
    return min(every, _CPU_STEPS_IN_FLIGHT) if on_cpu else every


def _all_stop(stop: StopRequest, step: int, config: TrainConfig) -> bool:
    """Whether to stop here; several hosts ask each other now and then only."""
    if jax.process_count() > 1 and step % config.log_every:
        return False
    return _agree(stop) > 0


def _agree(stop: StopRequest) -> int:
    """The signal that asked some host to stop, the same number on all; 0 = none."""
    number = 0 if stop.signal is None else int(stop.signal)
    if jax.process_count() == 1:
        return number
    return int(np.max(multihost_utils.process_allgather(np.array(number))))


def _images_per_second(session: Session) -> float | None:
    seconds, steps = session.clock.seconds["train"], session.clock.counts["train"]
    if not seconds:
        return None
    return steps * session.experiment.config.data.batch_size / seconds


def _opening(session: Session, step: int) -> str:
    experiment, devices = session.experiment, session.devices
    config = experiment.config
    where = f"{devices.size} {devices.mesh.devices.flat[0].platform} device(s)"
    verb = "continuing from step" if step else "starting at step"
    if step >= config.num_steps:
        verb = "already trained to step"
    return (
        f"{config.objective.name} on {config.data.path or config.data.name}: "
        f"{len(experiment.train_split)} training images, {where} by "
        f"{devices.parallel}, {verb} {step} in {session.run.path}"
    )
