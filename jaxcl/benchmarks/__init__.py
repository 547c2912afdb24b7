"""What the losses cost and how right they are, beside dense code and other libraries.

Every number is made in a process of its own (`python -m jaxcl.benchmarks`), so that
threads are set before JAX starts and a call that runs out of memory ends nothing else.
"""

from jaxcl.benchmarks._command import show_losses as show_losses
from jaxcl.benchmarks._files import write_results as write_results
from jaxcl.benchmarks._migrations import check_migrations as check_migrations
from jaxcl.benchmarks._options import LossesBenchmark as LossesBenchmark
from jaxcl.benchmarks._records import Results as Results
from jaxcl.benchmarks._run import find_faults as find_faults, run_losses as run_losses
from jaxcl.benchmarks._tables import render_results as render_results

__all__ = [
    "LossesBenchmark",
    "Results",
    "check_migrations",
    "find_faults",
    "render_results",
    "run_losses",
    "show_losses",
    "write_results",
]
