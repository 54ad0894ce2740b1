#!/usr/bin/env bash
# Compares llmpress with transformers and compressed-tensors, and its wasm engine with the others: npm run conformance
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

# The webgpu engine runs on SwiftShader, which computes on the CPU: Chromium and Chrome carry it with a Vulkan loader. Where neither is
# installed, the files are taken out of Debian's package, and nothing is installed.
vulkan=
for folder in /usr/lib/chromium /opt/google/chrome "$cache/swiftshader"; do
  if [ -f "$folder/vk_swiftshader_icd.json" ] && [ -f "$folder/libvulkan.so.1" ]; then vulkan=$folder; fi
done
if [ -z "$vulkan" ]; then
  scratch=$(mktemp -d)
  if (cd "$scratch" && { apt-get download -qq chromium-common || { apt-get update -qq && apt-get download -qq chromium-common; }; } >&2); then
    dpkg-deb --extract "$scratch"/chromium-common_*.deb "$scratch/all"
    mkdir -p "$cache"
    files=$(mktemp -d "$cache/.swiftshader-XXXXXX")
    cp "$scratch"/all/usr/lib/chromium/{libvk_swiftshader.so,libvulkan.so.1,vk_swiftshader_icd.json} "$files"
    rm -rf "$cache/swiftshader"
    mv "$files" "$cache/swiftshader"
    vulkan=$cache/swiftshader
  fi
  rm -rf "$scratch"
fi

# The reports are looked at in a browser, and the progress bar in a terminal: chromium and tmux of the system (.ci/run installs them).
chromium="${LLMPRESS_CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}"

[ -f dist/index.js ] || npm run --silent build
CONFORMANCE_PYTHON="$python" CONFORMANCE_VULKAN="$vulkan" CONFORMANCE_CHROMIUM="$chromium" CONFORMANCE_CACHE="$cache/conformance" exec node test/conformance/conformance.js
