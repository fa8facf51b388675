#!/usr/bin/env bash
# Makes the Python environment of the peers in BENCH_VENV (target/bench/venv by default), or leaves one as it is that
# has all of requirements.txt. llama.cpp is compiled for this machine, which takes some minutes.
set -euo pipefail
cd "$(dirname "$0")"
venv="${BENCH_VENV:-../../target/bench/venv}"
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
export CMAKE_ARGS="${CMAKE_ARGS:--DGGML_NATIVE=ON -DGGML_LLAMAFILE=ON -DLLAVA_BUILD=OFF -DLLAMA_BUILD_COMMON=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_TESTS=OFF}"
export CMAKE_BUILD_PARALLEL_LEVEL="${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}"
# kenlm asks for a CMake that is no more.
export CMAKE_POLICY_VERSION_MINIMUM="${CMAKE_POLICY_VERSION_MINIMUM:-3.5}"
missing=$("$venv/bin/python" - <<'PYTHON'
from importlib.metadata import PackageNotFoundError, version
for line in open("requirements.txt", encoding="utf-8"):
    wanted = line.split("#")[0].strip()
    if not wanted:
        continue
    name, _, pinned = wanted.partition("==")
    try:
        found = version(name)
    except PackageNotFoundError:
        found = None
    if found is None or (pinned and found.split("+")[0] != pinned):
        print(wanted)
PYTHON
)
[ -z "$missing" ] || "$venv/bin/pip" install --quiet --no-cache-dir $missing
