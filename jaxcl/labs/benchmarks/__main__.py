"""A child process of a benchmark: `python -m jaxcl.labs.benchmarks` < request."""

from jaxcl.labs.benchmarks._children import serve

if __name__ == "__main__":
    serve()
