"""What losses, input paths and training cost, and how right the losses are.

Every number is made in a process of its own (`python -m jaxcl.labs.benchmarks`), so
that threads are set before JAX starts and a call that runs out of memory ends nothing
else.
"""

from jaxcl.labs.benchmarks._command import (
    show_data as show_data,
    show_losses as show_losses,
    show_training as show_training,
)
from jaxcl.labs.benchmarks._data_options import DataBenchmark as DataBenchmark
from jaxcl.labs.benchmarks._data_records import DataResults as DataResults
from jaxcl.labs.benchmarks._files import write_results as write_results
from jaxcl.labs.benchmarks._migrations import check_migrations as check_migrations
from jaxcl.labs.benchmarks._options import LossesBenchmark as LossesBenchmark
from jaxcl.labs.benchmarks._records import Results as Results
from jaxcl.labs.benchmarks._run import (
    find_faults as find_faults,
    run_losses as run_losses,
)
from jaxcl.labs.benchmarks._tables import render_results as render_results
from jaxcl.labs.benchmarks._train_options import TrainBenchmark as TrainBenchmark
from jaxcl.labs.benchmarks._train_records import TrainResults as TrainResults

__all__ = [
    "DataBenchmark",
    "DataResults",
    "LossesBenchmark",
    "Results",
    "TrainBenchmark",
    "TrainResults",
    "check_migrations",
    "find_faults",
    "render_results",
    "run_losses",
    "show_data",
    "show_losses",
    "show_training",
    "write_results",
]
