"""The process of a run: its directory, checkpoints, logs and other processes."""

from jaxcl.runtime._agreement import (
    check_same_on_all as check_same_on_all,
    describe_process as describe_process,
)
from jaxcl.runtime._audit import Audit as Audit, AuditError as AuditError
from jaxcl.runtime._checkpoints import (
    CheckpointError as CheckpointError,
    Checkpoints as Checkpoints,
    MismatchError as MismatchError,
)
from jaxcl.runtime._claim import (
    Claim as Claim,
    check_same_data as check_same_data,
    check_same_settings as check_same_settings,
    claim_workdir as claim_workdir,
)
from jaxcl.runtime._clock import (
    Clock as Clock,
    append_timings as append_timings,
    total_timings as total_timings,
)
from jaxcl.runtime._cluster import join_cluster as join_cluster
from jaxcl.runtime._hosts import HOST_LOST as HOST_LOST, watch_hosts as watch_hosts
from jaxcl.runtime._jsonl import (
    EMPTY as EMPTY,
    JsonLines as JsonLines,
    append_line as append_line,
    find_digest as find_digest,
    read_lines as read_lines,
    read_logged as read_logged,
)
from jaxcl.runtime._progress import (
    Progress as Progress,
    in_words as in_words,
    time_left as time_left,
)
from jaxcl.runtime._record import (
    describe_devices as describe_devices,
    describe_settings as describe_settings,
    describe_versions as describe_versions,
    find_command as find_command,
    find_commit as find_commit,
    peak_memory_mib as peak_memory_mib,
    timestamp as timestamp,
)
from jaxcl.runtime._signals import (
    StopRequest as StopRequest,
    leave_by as leave_by,
    stop_requests as stop_requests,
)
from jaxcl.runtime._tensorboard import TensorBoard as TensorBoard
from jaxcl.runtime._workdir import (
    Workdir as Workdir,
    WorkdirError as WorkdirError,
    find_workdir as find_workdir,
    open_workdir as open_workdir,
    unlike_fields as unlike_fields,
)
from jaxcl.runtime._writers import (
    MetricsLog as MetricsLog,
    NonFiniteError as NonFiniteError,
    Sink as Sink,
)

__all__ = [
    "EMPTY",
    "HOST_LOST",
    "Audit",
    "AuditError",
    "CheckpointError",
    "Checkpoints",
    "Claim",
    "Clock",
    "JsonLines",
    "MetricsLog",
    "MismatchError",
    "NonFiniteError",
    "Progress",
    "Sink",
    "StopRequest",
    "TensorBoard",
    "Workdir",
    "WorkdirError",
    "append_line",
    "append_timings",
    "check_same_data",
    "check_same_on_all",
    "check_same_settings",
    "claim_workdir",
    "describe_devices",
    "describe_process",
    "describe_settings",
    "describe_versions",
    "find_command",
    "find_commit",
    "find_digest",
    "find_workdir",
    "in_words",
    "join_cluster",
    "leave_by",
    "open_workdir",
    "peak_memory_mib",
    "read_lines",
    "read_logged",
    "stop_requests",
    "time_left",
    "timestamp",
    "total_timings",
    "unlike_fields",
    "watch_hosts",
]
