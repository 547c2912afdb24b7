"""What losses, input paths and training cost, and how right the losses are.

`_losses`, `_data` and `_train` say what is timed and beside whom. Every number is
measured in a process of its own (`python -m jaxcl.labs.benchmarks`), so that threads
are set before JAX starts and a call that runs out of memory ends nothing else. All
results are rows of one table, of `Measurement`.
"""

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
    "DataBenchmark",
    "LossesBenchmark",
    "Measurement",
    "Results",
    "TrainBenchmark",
    "find_faults",
    "read_results",
    "render_page",
    "render_results",
    "run_benchmark",
    "show_benchmark",
    "write_results",
]
