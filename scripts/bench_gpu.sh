#!/usr/bin/env bash
# The losses on one GPU (H100 or H200): bfloat16, 65,536 rows, dim 512 and 128, and the
# largest batch that fits, by doubling. Needs jax[cuda12] or jax[cuda13] in the
# environment named by PYTHON; the peers need a torch that sees the GPU.
#
#   bash scripts/bench_gpu.sh [OUT]          # default docs/benchmarks/gpu
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-.venv/bin/python}
out=${1:-docs/benchmarks/gpu}
# Only what is used is taken; three quarters of the memory is where JAX would stop.
export XLA_PYTHON_CLIENT_PREALLOCATE=false XLA_PYTHON_CLIENT_MEM_FRACTION=0.95

"$python" -c '
import jax
if jax.default_backend() != "gpu":
    raise SystemExit(f"error: JAX computes on {jax.default_backend()!r}, not on a GPU")
print(jax.devices()[0].device_kind)
'
"$(dirname "$python")/jaxcl" bench losses \
  --rows 4096 16384 65536 --dim 512 128 --dtype bfloat16 \
  --rounds 15 --seconds 10 --accuracy --large --largest --out "$out"
