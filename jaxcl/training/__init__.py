"""The train step and its state, and how it is mapped over devices."""

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
from jaxcl.training._optimizers import make_optimizer as make_optimizer
from jaxcl.training._state import (
    Model as Model,
    TrainState as TrainState,
    state_digest as state_digest,
    with_encoder as with_encoder,
)
from jaxcl.training._step import (
    Step as Step,
    StepOptions as StepOptions,
    init_state as init_state,
    make_train_step as make_train_step,
)
from jaxcl.training._trained import (
    ALL as ALL,
    HEAD as HEAD,
    LORA as LORA,
    Trained as Trained,
    split_params as split_params,
    train_last as train_last,
)
from jaxcl.training._views import (
    Normalization as Normalization,
    normalize as normalize,
    with_views as with_views,
)

__all__ = [
    "ALL",
    "AXIS",
    "HEAD",
    "LORA",
    "CollapseWatch",
    "Devices",
    "Model",
    "Normalization",
    "Parallel",
    "Step",
    "StepOptions",
    "TrainState",
    "Trained",
    "host_copy",
    "init_state",
    "make_devices",
    "make_optimizer",
    "make_train_step",
    "normalize",
    "parallelize",
    "split_params",
    "stack_batches",
    "state_digest",
    "train_last",
    "wait_for_all",
    "with_encoder",
    "with_views",
]
