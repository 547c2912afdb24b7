#!/usr/bin/env bash
#SBATCH --job-name=jaxcl
#SBATCH --ntasks-per-node=1
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=USR1@120
# Trains on the nodes of a SLURM job, one process a node, and asks for the job again when
# its time is over or a host has died; it then continues from its last checkpoint.
#
#   sbatch --nodes=2 --gpus-per-node=4 --time=8:00:00 scripts/launch_slurm.sh \
#     CONFIG --workdir DIR [ARGUMENTS of jaxcl train]
#
# DIR must be one directory that all nodes share. JAXCL names the command (default:
# jaxcl on PATH), JAXCL_RESTARTS how often a job may start again after a death (20).
# USR1 comes 120 s before the end of the time: more than a checkpoint takes.
set -euo pipefail

fail() {
  printf 'error: %s\n' "$1" >&2
  exit 2
}

[[ ${SLURM_JOB_ID:-} ]] || fail "to be started by sbatch; see the head of this file"
[[ $# -ge 1 && $1 != --* ]] || fail "a CONFIG must come first, got ${1:-nothing}"
[[ " $* " =~ \ --workdir[\ =] ]] || fail "--workdir must be given"

# JAX shows a task one GPU, as if there were a task for each. This one has them all.
if [[ ${SLURM_GPUS_ON_NODE:-} =~ ^[1-9][0-9]*$ ]]; then
  JAX_LOCAL_DEVICE_IDS=$(seq -s, 0 $((SLURM_GPUS_ON_NODE - 1)))
  export JAX_LOCAL_DEVICE_IDS
fi

# The signal is for the tasks; where SLURM sends it to this shell too, it must live.
trap : USR1
status=0
# Tasks that notice a death have something to say before they leave.
srun --kill-on-bad-exit=0 "${JAXCL:-jaxcl}" train "$@" --distributed.enabled || status=$?

again=''
case $status in
  138) again="its time is over" ;; # 128 + USR1: stopped after a checkpoint
  # srun reports the highest of its tasks: 75 of those that noticed the death, or
  # 128 + ABRT or KILL of the one that died.
  75 | 134 | 137) again="a host died" ;;
esac
if [[ $status -ne 138 && ${SLURM_RESTART_COUNT:-0} -ge ${JAXCL_RESTARTS:-20} ]]; then
  again=''
fi
if [[ $again ]]; then
  echo "$again (status $status): asking for the job again" >&2
  scontrol requeue "$SLURM_JOB_ID" || true # it says why not
fi
exit "$status"
