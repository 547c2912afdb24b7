"""A child process of the benchmark: `python -m jaxcl.benchmarks` < request."""

from jaxcl.benchmarks._children import serve
from jaxcl.benchmarks._jobs import JOBS

if __name__ == "__main__":
    serve(JOBS)
