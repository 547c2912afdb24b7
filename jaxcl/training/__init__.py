"""The train step and its state, devices, checkpoints and logs."""

from jaxcl.training._agreement import (
    check_same_on_all as check_same_on_all,
    describe_process as describe_process,
)
from jaxcl.training._audit import Audit as Audit, AuditError as AuditError
from jaxcl.training._checkpoints import (
    CheckpointError as CheckpointError,
    Checkpoints as Checkpoints,
    MismatchError as MismatchError,
)
from jaxcl.training._claim import (
    Claim as Claim,
    check_same_data as check_same_data,
    claim_workdir as claim_workdir,
)
from jaxcl.training._clock import (
    Clock as Clock,
    append_timings as append_timings,
    total_timings as total_timings,
)
from jaxcl.training._cluster import join_cluster as join_cluster
from jaxcl.training._collapse import CollapseWatch as CollapseWatch
from jaxcl.training._devices import (
    AXIS as AXIS,
    Devices as Devices,
    Parallel as Parallel,
    host_copy as host_copy,
    make_devices as make_devices,
    parallelize as parallelize,
    stack_batches as stack_batches,
    wait_for_all as wait_for_all,
)
from jaxcl.training._hosts import HOST_LOST as HOST_LOST, watch_hosts as watch_hosts
from jaxcl.training._jsonl import (
    EMPTY as EMPTY,
    JsonLines as JsonLines,
    append_line as append_line,
    find_digest as find_digest,
    read_lines as read_lines,
    read_logged as read_logged,
)
from jaxcl.training._optimizers import make_optimizer as make_optimizer
from jaxcl.training._progress import Progress as Progress, time_left as time_left
from jaxcl.training._record import (
    describe_devices as describe_devices,
    describe_versions as describe_versions,
    find_command as find_command,
    find_commit as find_commit,
    peak_memory_mib as peak_memory_mib,
    timestamp as timestamp,
)
from jaxcl.training._signals import (
    StopRequest as StopRequest,
    leave_by as leave_by,
    stop_requests as stop_requests,
)
from jaxcl.training._state import (
    Model as Model,
    TrainState as TrainState,
    state_digest as state_digest,
)
from jaxcl.training._step import (
    Step as Step,
    StepOptions as StepOptions,
    init_state as init_state,
    make_train_step as make_train_step,
)
from jaxcl.training._tensorboard import TensorBoard as TensorBoard
from jaxcl.training._views import (
    Normalization as Normalization,
    normalize as normalize,
)
from jaxcl.training._workdir import (
    Workdir as Workdir,
    WorkdirError as WorkdirError,
    find_workdir as find_workdir,
    open_workdir as open_workdir,
    unlike_fields as unlike_fields,
)
from jaxcl.training._writers import (
    MetricsLog as MetricsLog,
    NonFiniteError as NonFiniteError,
    Sink as Sink,
)

__all__ = [
    "AXIS",
    "EMPTY",
    "HOST_LOST",
    "Audit",
    "AuditError",
    "CheckpointError",
    "Checkpoints",
    "Claim",
    "Clock",
    "CollapseWatch",
    "Devices",
    "JsonLines",
    "MetricsLog",
    "MismatchError",
    "Model",
    "NonFiniteError",
    "Normalization",
    "Parallel",
    "Progress",
    "Sink",
    "Step",
    "StepOptions",
    "StopRequest",
    "TensorBoard",
    "TrainState",
    "Workdir",
    "WorkdirError",
    "append_line",
    "append_timings",
    "check_same_data",
    "check_same_on_all",
    "claim_workdir",
    "describe_devices",
    "describe_process",
    "describe_versions",
    "find_command",
    "find_commit",
    "find_digest",
    "find_workdir",
    "host_copy",
    "init_state",
    "join_cluster",
    "leave_by",
    "make_devices",
    "make_optimizer",
    "make_train_step",
    "normalize",
    "open_workdir",
    "parallelize",
    "peak_memory_mib",
    "read_lines",
    "read_logged",
    "stack_batches",
    "state_digest",
    "stop_requests",
    "time_left",
    "timestamp",
    "total_timings",
    "unlike_fields",
    "wait_for_all",
    "watch_hosts",
]
