"""The training loop: from a state to the last step, or to a request to stop."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxcl.config import TrainConfig
from jaxcl.experiment._experiment import Experiment
from jaxcl.experiment._report import quick_evaluation
from jaxcl.runtime import (
    EMPTY,
    Audit,
    AuditError,
    Checkpoints,
    Claim,
    Clock,
    JsonLines,
    MetricsLog,
    NonFiniteError,
    Progress,
    Sink,
    StopRequest,
    TensorBoard,
    Workdir,
    append_line,
    find_digest,
)
from jaxcl.training import (
    CollapseWatch,
    Devices,
    Parallel,
    TrainState,
    host_copy,
    parallelize,
)

# XLA's collectives between CPU devices can deadlock in loops that never wait (jax 0.10
# and 0.11), so there the host waits for the metrics at least this often.
_CPU_STEPS_IN_FLIGHT = 10


class Session(NamedTuple):
    """All that the training loop of one process uses."""

    experiment: Experiment
    devices: Devices
    run: Workdir
    claim: Claim
    checkpoints: Checkpoints
    progress: Progress
    clock: Clock
    stop: StopRequest

    @property
    def config(self) -> TrainConfig:
        """The config of the run."""
        return self.experiment.config


def run_steps(session: Session, initial: TrainState, state: TrainState) -> TrainState:
    """Trains from a state to the last step, or to a request to stop.

    Returns:
        The last state, which is saved, as NumPy arrays.

    Raises:
        NonFiniteError: Loss or gradient became NaN or infinite more often than the
            config allows.
        AuditError: A step and its replay on other devices differ.
    """
    experiment = session.experiment
    parallel = parallelize(
        experiment.make_step(),
        session.devices,
        *experiment.resident_images(),
        steps=session.config.steps_per_dispatch,
    )
    for _ in range(session.config.max_non_finite + 1):
        try:
            return _run_on(session, parallel, state)
        except NonFiniteError as error:
            state = _answer(session, error, initial, state)
        except AuditError as error:
            raise _explain(session, error) from error
    raise NonFiniteError(
        f"loss or gradient were not finite more than {session.config.max_non_finite} "
        f"times (`max_non_finite`); see {session.run.incidents}"
    )


def _run_on(session: Session, parallel: Parallel, state: TrainState) -> TrainState:
    """Trains until the last step or a request to stop; saves the last state."""
    with _open_log(session, int(state.step), int(state.position)) as log:
        return _run_and_log(session, parallel, state, log)


def _run_and_log(
    session: Session, parallel: Parallel, state: TrainState, log: MetricsLog
) -> TrainState:
    experiment, clock = session.experiment, session.clock
    config, first = session.config, int(state.step)
    every, tolerance = config.audit_every, config.audit_tolerance
    audit = Audit(parallel, session.devices, clock, every=every, tolerance=tolerance)
    batches = _batches(session, state)
    state = parallel.place_state(state)
    step, taken = first, config.steps_per_dispatch
    while step < config.num_steps and not _all_stop(session.stop, step, config):
        # The first call compiles, and does not count towards the throughput.
        compiles, step = step == first, step + taken
        with clock("compile" if compiles else "train"):
            state, metrics = audit.step(step, state, next(batches))
            log.add(step, metrics, taken)
            if compiles or _is_pause(step, config):
                log.wait()
        clock.steps += 0 if compiles else taken
        _check_skipped(session, log)
        session.progress.show(log.step, log.loss, images_per_second(session))
        if config.eval_every and step % config.eval_every == 0:
            with clock("evaluate"):
                found = quick_evaluation(experiment, state, session.progress)
                log.write(step, found)
        if step % config.checkpoint_every == 0:
            with clock("checkpoint"):
                session.checkpoints.save(state)
    with clock("train"):
        log.wait()
    with clock("checkpoint"):
        session.checkpoints.save(state)
    return host_copy(state)


def _batches(session: Session, state: TrainState) -> Iterator[Any]:
    """The remaining training batches, from the position of the state on."""
    start, left = int(state.position), session.config.num_steps - int(state.step)
    return session.experiment.batches(start, start + left)


def _open_log(session: Session, step: int, position: int) -> MetricsLog:
    """A log that resumes at a step and a position; the first process writes it."""
    config, run = session.config, session.run
    sinks: list[Sink] = []
    if jax.process_index() == 0:
        sinks.append(_open_metrics(session, step))
        if config.tensorboard:
            sinks.append(TensorBoard(run.tensorboard, step))
    watch = CollapseWatch(
        session.experiment.uninformed_loss,
        session.progress.say,
        after=config.optimizer.warmup_steps,
    )
    rates = session.experiment.rates
    return MetricsLog(
        *sinks,
        step=step,
        every=config.log_every,
        in_flight=_steps_in_flight(session),
        rate=lambda step: float(rates[step]),
        on_line=watch,
        on_skipped=lambda error: _write_incident(
            session, error, position + error.step - 1 - step
        ),
    )


def _open_metrics(session: Session, step: int) -> JsonLines:
    """The log of metrics, as it was when the state of a step was saved."""
    digest = EMPTY
    if step in session.checkpoints.steps():
        digest = find_digest(session.checkpoints.read_manifest(step).extra)
    log = JsonLines(session.run.metrics, digest)
    if log.digest != digest:
        kept = f"; it is kept as {log.set_aside.name}" if log.set_aside else ""
        session.claim.note(
            f"{session.run.metrics.name} was changed or lost before step {step}: the "
            f"curves begin there{kept}"
        )
        session.progress.say(f"note: {session.claim.history[-1]}")
    session.claim.log = log
    return log


def _answer(
    session: Session, error: NonFiniteError, initial: TrainState, state: TrainState
) -> TrainState:
    """The state to resume from after a non-finite step; raises if the run must end."""
    config, checkpoints = session.config, session.checkpoints
    # Each step draws one batch, starting at the position of the state.
    position = int(state.position) + error.step - 1 - int(state.step)
    _write_incident(session, error, position)
    explained = NonFiniteError(
        f"{error}; {_last_kept(checkpoints)}; the batch and the affected "
        f"parameters are in {session.run.incidents}",
        error.step,
        error.values,
        error.bad_leaves,
    )
    if config.on_non_finite != "rollback":
        raise explained from error
    good = checkpoints.restore(initial) or initial
    session.progress.say(
        f"{error}: returning to step {int(good.step)}, and skipping the batches up to "
        "this one"
    )
    moved = np.asarray(position + 1, np.int32)
    return TrainState(**{**vars(good), "position": moved})


def _explain(session: Session, error: AuditError) -> AuditError:
    """Records an audit that failed, and says where to look."""
    if jax.process_index() == 0:
        incident = {"step": error.step, "reason": str(error), **error.report}
        append_line(session.run.incidents, incident)
    return AuditError(
        f"{error}; {_last_kept(session.checkpoints)}; all copies and differences are "
        f"in {session.run.incidents}",
        error.step,
        error.report,
    )


def _last_kept(checkpoints: Checkpoints) -> str:
    kept = checkpoints.latest_step()
    last = "there is no checkpoint" if kept is None else f"step {kept} is kept"
    return f"{last} in {checkpoints.directory}"


def _write_incident(session: Session, error: NonFiniteError, position: int) -> None:
    """Records what is needed to investigate a non-finite step."""
    if jax.process_index() != 0:
        return
    names = session.experiment.parameter_names
    instances = session.experiment.instances_at(position)
    append_line(
        session.run.incidents,
        {
            "step": error.step,
            "position": position,
            "reason": str(error),
            "loss": str(error.values.get("loss")),
            "gradient_norm": str(error.values.get("gradient_norm")),
            "gradients_not_finite": [names[i] for i in error.bad_leaves],
            "instances": instances.tolist(),
        },
    )


def _check_skipped(session: Session, log: MetricsLog) -> None:
    limit = session.config.max_non_finite
    if log.skipped > limit:
        raise NonFiniteError(
            f"{log.skipped} steps were skipped, more than `max_non_finite` = {limit}",
            log.step,
        )


def _is_pause(step: int, config: TrainConfig) -> bool:
    """Whether the result of this step is needed before the next one."""
    due = [config.checkpoint_every, config.eval_every or config.checkpoint_every]
    return step == config.num_steps or any(step % every == 0 for every in due)


def _steps_in_flight(session: Session) -> int:
    on_cpu = session.devices.mesh.devices.flat[0].platform == "cpu"
    every = session.config.log_every
    return min(every, _CPU_STEPS_IN_FLIGHT) if on_cpu else every


def _all_stop(stop: StopRequest, step: int, config: TrainConfig) -> bool:
    """Whether to stop here; several processes agree on it only at logged steps."""
    if jax.process_count() > 1 and step % config.log_every:
        return False
    return agree_on_stop(stop) > 0


def agree_on_stop(stop: StopRequest) -> int:
    """The signal that asked any process to stop, the same on all; 0 = none."""
    number = 0 if stop.signal is None else int(stop.signal)
    if jax.process_count() == 1:
        return number
    return int(np.max(multihost_utils.process_allgather(np.array(number))))


def images_per_second(session: Session) -> float | None:
    """Training images per second, without compilation; None if not known yet."""
    seconds, steps = session.clock.seconds["train"], session.clock.steps
    if not seconds or not steps:
        return None
    return steps * session.config.data.batch_size / seconds
