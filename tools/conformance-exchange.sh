#!/usr/bin/env bash
# Compares GPTQ and AWQ checkpoints with GPTQModel and transformers on the CPU: npm run conformance:exchange [-- case ...]
# Python's side is installed once, into the cache folder (some minutes and 6.4 GB, most of it torch with its CUDA libraries); LLMPRESS_EXCHANGE_PYTHON names an interpreter that has it.
set -euo pipefail
cd "$(dirname "$0")/.."

# The second list without what its packages ask for: GPTQModel asks for newer versions than it needs.
base=test/oracles/requirements.txt
requirements=test/oracles/requirements-gptq.txt
cache="${LLMPRESS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/llmpress}"

python="${LLMPRESS_EXCHANGE_PYTHON:-}"
if [ -z "$python" ]; then
  venv="$cache/exchange-venv"
  python="$venv/bin/python"
  if ! cat "$base" "$requirements" | cmp -s - "$venv/requirements.txt"; then
    echo "Installing $(cat "$base" "$requirements" | grep -c .) Python packages with what they need into $venv" >&2
    mkdir -p "$cache"
    python3 -m venv --clear "$venv"
    "$python" -m pip install --quiet --disable-pip-version-check -r "$base"
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$requirements"
    # Last, so that an interrupted installation is made again.
    cat "$base" "$requirements" > "$venv/requirements.txt"
  fi
fi

[ -f dist/index.js ] || npm run --silent build
CONFORMANCE_PYTHON="$python" exec node test/conformance/exchange.js "$@"
