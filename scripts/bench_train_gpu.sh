#!/usr/bin/env bash
# Training on one GPU (H100 or H200): a step of SimCLR on CIFAR-10 with ResNet-18 in
# bfloat16, images kept on the device, at 256 and 512 images a step (the aims are 18,000
# and 25,000 images/s of two views), one step a dispatch and ten; then 200 epochs at 128
# images a step, with and without the variance penalty (λ = 30, τ = 0.2).
# Needs jax[cuda12] or jax[cuda13] in the environment named by PYTHON, and CIFAR-10:
# jaxcl data build cifar10.
#
#   bash scripts/bench_train_gpu.sh [OUT]      # default docs/benchmarks/train/gpu
#   DRY=1 bash scripts/bench_train_gpu.sh /tmp/b      # every command once, anywhere
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-.venv/bin/python}
out=${1:-docs/benchmarks/train/gpu}
jaxcl=$(dirname "$python")/jaxcl
# Only what is used is taken; three quarters of the memory is where JAX would stop.
export XLA_PYTHON_CLIENT_PREALLOCATE=false XLA_PYTHON_CLIENT_MEM_FRACTION=0.95

config=configs/cifar10.toml
model=(--model.encoder resnet18 --model.dtype bfloat16
  --model.head-hidden 512 --model.head-dim 128)
# 390 steps are an epoch of 50,000 images at 128 a step.
run=(--num-steps 78000 --checkpoint-every 7800 --eval-every 7800 --log-every 100
  --steps-per-dispatch 10 --data.batch-size 128 --data.keep-on-device)
sizes=(256 512)
bench=(--encoder resnet18 --steps 100 --rounds 9)
if [ "${DRY:-}" = 1 ]; then
  config=configs/smoke.toml
  model=(--model.encoder convnet --model.dtype bfloat16)
  run=(--num-steps 20 --checkpoint-every 10 --eval-every 10 --log-every 10
    --steps-per-dispatch 10 --data.batch-size 16 --data.keep-on-device)
  sizes=(16)
  bench=(--encoder convnet --steps 10 --rounds 1 --seconds 0.1)
else
  "$python" -c '
import jax
if jax.default_backend() != "gpu":
    raise SystemExit(f"error: JAX computes on {jax.default_backend()!r}, not on a GPU")
print(jax.devices()[0].device_kind)
'
fi

"$jaxcl" bench train --config "$config" "${bench[@]}" --dtype bfloat16 \
  --batch-size "${sizes[@]}" --keep-on-device --steps-per-dispatch 1 10 \
  --no-peers --trace "$out/trace" --out "$out"

for penalty in 0 30; do
  "$jaxcl" train "$config" --workdir "$out/simclr_variance_$penalty" \
    "${model[@]}" "${run[@]}" \
    --objective.name nt_xent --objective.temperature 0.2 \
    --objective.penalties.negative-variance "$penalty"
done
"$jaxcl" report "$out"/simclr_variance_{0,30} --out "$out/comparison.html"
