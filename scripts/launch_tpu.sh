#!/usr/bin/env bash
# Trains on all hosts of a TPU VM slice that is there already.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: bash scripts/launch_tpu.sh [OPTIONS] TPU CONFIG --workdir DIR [ARGUMENTS]

Installs jaxcl on every host of the slice TPU, copies CONFIG there, and starts
  jaxcl train CONFIG --distributed.enabled --workdir DIR ARGUMENTS
on all of them at once. DIR must be one directory that all hosts share (Filestore or
another NFS, a mounted bucket), by the same absolute path. Started again with the same
arguments, the run continues from its last checkpoint. Nothing is created or deleted.

  --zone ZONE        of the slice; gcloud's own default when left out
  --project PROJECT  of the slice; gcloud's own default when left out
  --from SOURCE      checkout (default): this one, with what is not committed;
                     pypi: the released package; nothing: what is there already
  --dry-run          print the commands, run none
TEXT
}

fail() {
  printf 'error: %s\n\n' "$1" >&2
  usage >&2
  exit 2
}

source=checkout dry_run='' where=(--worker=all) # never empty: bash 3 needs that
while [[ ${1:-} == --* ]]; do
  case $1 in
    --help) usage && exit ;;
    --dry-run) dry_run=yes && shift && continue ;;
  esac
  [[ $# -ge 2 ]] || fail "$1 must be followed by a value"
  case $1 in
    --zone | --project) where+=("$1=$2") ;;
    --from) source=$2 ;;
    *) fail "unknown option $1" ;;
  esac
  shift 2
done
[[ $# -ge 2 ]] || fail "TPU and CONFIG must be given"
tpu=$1 config=$2
shift 2
[[ $source =~ ^(checkout|pypi|nothing)$ ]] ||
  fail "--from must be checkout, pypi or nothing, got $source"
[[ -f $config ]] || fail "CONFIG must be a file, got $config"
[[ " $* " =~ \ --workdir[\ =]/ ]] ||
  fail "--workdir must be an absolute path that all hosts share"

run() {
  if [[ $dry_run ]]; then
    printf '%q ' "$@" && echo
  else
    "$@"
  fi
}
on_all_hosts() {
  run gcloud compute tpus tpu-vm ssh "$tpu" "${where[@]}" --command="$1"
}
copy_to_all_hosts() {
  run gcloud compute tpus tpu-vm scp "$1" "$tpu:jaxcl-run/$2" "${where[@]}"
}

# The images of TPU VMs come with a Python that is too old; uv fetches one.
uv="curl -LsSf https://astral.sh/uv/install.sh | sh"
install="cd jaxcl-run && export PATH=\$HOME/.local/bin:\$PATH"
install+=" && { command -v uv >/dev/null || $uv; }"
install+=" && { test -d venv || uv venv -q --python 3.12 venv; }"
install+=" && uv pip install -q -p venv"
unpack="rm -rf jaxcl-run/source && mkdir jaxcl-run/source"
unpack+=" && tar -xzf jaxcl-run/jaxcl.tar.gz -C jaxcl-run/source"

on_all_hosts "mkdir -p jaxcl-run"
case $source in
  checkout)
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
    git -C "$root" ls-files -z --cached --others --exclude-standard |
      while IFS= read -r -d '' file; do
        if [[ -e $root/$file ]]; then printf '%s\0' "$file"; fi # not deleted
      done | tar -czf "$folder/jaxcl.tar.gz" -C "$root" --null -T -
    copy_to_all_hosts "$folder/jaxcl.tar.gz" jaxcl.tar.gz
    on_all_hosts "$unpack && $install './source[train,tpu]'"
    ;;
  pypi) on_all_hosts "$install -U 'jaxcl[train,tpu]'" ;;
esac
copy_to_all_hosts "$config" "$(basename "$config")"
printf -v arguments ' %q' "$(basename "$config")" --distributed.enabled "$@"
on_all_hosts "cd jaxcl-run && venv/bin/jaxcl train$arguments"
