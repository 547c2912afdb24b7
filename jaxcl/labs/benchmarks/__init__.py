"""Benchmarks of losses, input paths and training, and estimates of compilers.

`_losses`, `_data` and `_train` define what is timed and compared, `_aot` what is
compiled for accelerators that are not there. Measurements run in
child processes: threads are set before JAX starts, and a call that runs out of memory
ends only its own process. All results are rows of one table, each a `Measurement`.
"""

from jaxcl.labs.benchmarks._aot._limits import (
    find_changes as find_changes,
    measure_limits as measure_limits,
    read_limits as read_limits,
)
from jaxcl.labs.benchmarks._aot._options import AotBenchmark as AotBenchmark
from jaxcl.labs.benchmarks._data._options import DataBenchmark as DataBenchmark
from jaxcl.labs.benchmarks._losses._options import LossesBenchmark as LossesBenchmark
from jaxcl.labs.benchmarks._measurement import (
    Measurement as Measurement,
    Results as Results,
    read_results as read_results,
)
from jaxcl.labs.benchmarks._run import (
    find_faults as find_faults,
    run_benchmark as run_benchmark,
    show_benchmark as show_benchmark,
)
from jaxcl.labs.benchmarks._tables import (
    render_page as render_page,
    render_results as render_results,
    write_results as write_results,
)
from jaxcl.labs.benchmarks._train._options import TrainBenchmark as TrainBenchmark

__all__ = [
    "AotBenchmark",
    "DataBenchmark",
    "LossesBenchmark",
    "Measurement",
    "Results",
    "TrainBenchmark",
    "find_changes",
    "find_faults",
    "measure_limits",
    "read_limits",
    "read_results",
    "render_page",
    "render_results",
    "run_benchmark",
    "show_benchmark",
    "write_results",
]
