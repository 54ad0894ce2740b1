#!/usr/bin/env bash
# Compares llmpress with transformers and compressed-tensors, and its wasm engine with the native one: npm run conformance
# Python's side is installed once, into the cache folder (about 4 minutes); LLMPRESS_CONFORMANCE_PYTHON names an interpreter that has it.
set -euo pipefail
cd "$(dirname "$0")/.."

requirements=test/oracles/requirements.txt
cache="${LLMPRESS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/llmpress}"

python="${LLMPRESS_CONFORMANCE_PYTHON:-}"
if [ -z "$python" ]; then
  venv="$cache/conformance-venv"
  python="$venv/bin/python"
  if ! cmp -s "$requirements" "$venv/requirements.txt"; then
    echo "Installing $(grep -c . "$requirements") Python packages with what they need into $venv" >&2
    mkdir -p "$cache"
    python3 -m venv --clear "$venv"
    "$python" -m pip install --quiet --disable-pip-version-check -r "$requirements"
    # Last, so that an interrupted installation is made again.
    cp "$requirements" "$venv/requirements.txt"
  fi
fi

[ -f dist/index.js ] || npm run --silent build
CONFORMANCE_PYTHON="$python" exec node test/conformance/conformance.js
