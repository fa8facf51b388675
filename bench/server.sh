#!/usr/bin/env bash
# A real server beside the embedded engine: P(yes) of the packaged judge by both, over documents of the demo corpus.
#
#   bench/server.sh [DOCUMENTS]        120 by default
#
# The server is llama-cpp-python's, on the loopback alone. It serves the packaged GGUF twice: with its weights written out
# as 32-bit floats, the numbers that the embedded engine computes with, and as shipped, where llama.cpp multiplies 4-bit
# weights by activations that it rounds to 8 bits. The first must agree with the embedded engine: fails when fewer than 50
# documents were judged by both, or a P(yes) differs by more than 5e-3. The second says what that rounding costs.
#
# BENCH_VENV names a Python environment that has `llama-cpp-python[server]` and `duckdb`; without it one is made below the
# target folder (a C++ compiler builds llama.cpp there, some minutes).
set -euo pipefail
cd "$(dirname "$0")/.."
documents="${1:-120}"
target="${CARGO_TARGET_DIR:-$PWD/target}"
export TAMIS_CACHE="${TAMIS_CACHE:-$target/models}"
result="bench/results/$(date +%Y-%m-%d)-server.txt"
work="$target/bench/server"
rm -rf "$work"
mkdir -p bench/results "$work/corpus"

cargo build --release --quiet -p tamis-cli
tamis="$target/release/tamis"
if [ -z "${BENCH_VENV:-}" ]; then
    BENCH_VENV="$target/bench/venv"
    [ -d "$BENCH_VENV" ] || python3 -m venv "$BENCH_VENV"
    "$BENCH_VENV/bin/pip" install --quiet 'llama-cpp-python[server]' duckdb
fi
python="$BENCH_VENV/bin/python"

# Of several hundred documents every n-th, none so long that the server's context would cut it.
"$python" - "$documents" crates/tamis/demo/corpus.jsonl "$work/corpus/documents.jsonl" <<'PYTHON'
import json, sys
lines = [line for line in open(sys.argv[2]) if len(json.loads(line)["text"]) < 3500]
step = max(1, len(lines) // int(sys.argv[1]))
open(sys.argv[3], "w").writelines(lines[::step][: int(sys.argv[1])])
PYTHON

"$tamis" -q models pull smollm2 > /dev/null
gguf=$(find "$TAMIS_CACHE" -name '*.gguf' | grep -i smollm2 | head -1)
"$python" - "$gguf" "$work/f32.gguf" > "$work/dequantise.log" 2>&1 <<'PYTHON'
import ctypes, sys
import llama_cpp
parameters = llama_cpp.llama_model_quantize_default_params()
parameters.ftype, parameters.allow_requantize = 0, True
sys.exit(llama_cpp.llama_model_quantize(sys.argv[1].encode(), sys.argv[2].encode(), ctypes.byref(parameters)))
PYTHON

server=
trap '[ -z "$server" ] || kill "$server" 2> /dev/null || true' EXIT
serve() {
    [ -z "$server" ] || { kill "$server"; wait "$server" 2> /dev/null || true; }
    port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    "$python" -m llama_cpp.server --model "$1" --model_alias judge --host 127.0.0.1 --port "$port" --n_ctx 2048 \
        > "$work/server.log" 2>&1 &
    server=$!
    for _ in $(seq 120); do
        "$python" -c "import urllib.request as u; u.urlopen('http://127.0.0.1:$port/v1/models')" 2> /dev/null && return
        kill -0 "$server" || break
        sleep 1
    done
    tail -20 "$work/server.log"
    exit 1
}

# One request at a time: the server has one model and a lock around it.
judge_there() {
    "$tamis" -q score ask-llm "$work/corpus" --run "$work/run-$1" --prompt few-shot --concurrency 1 \
        --model "http://127.0.0.1:$port/v1#judge"
    mv "$work/run-$1"/signals/ask-llm@*/documents.parquet "$work/$1.parquet"
}

compare() {
    "$python" - "$work/here.parquet" "$work/$1.parquet" <<'PYTHON'
import sys
import duckdb
here, server = sys.argv[1:]
both = f"'{here}' h join '{server}' s using (row)"
print("documents, truncated here, truncated there, failed there, bounded there:", *duckdb.sql(
    f"select count(*), sum(h.truncated::int), sum(s.truncated::int), count(s.failed), sum(s.bounded::int) from {both}").fetchall()[0])
worst = None
for name in ["p_yes", "p_no", "score"]:
    largest, mean, n = duckdb.sql(
        f"select max(abs(h.{name} - s.{name})), avg(abs(h.{name} - s.{name})), count(s.{name}) from {both}").fetchall()[0]
    print(f"{name}: {n} documents, largest difference {largest:.2e}, mean {mean:.2e}")
    worst = worst or (n, largest)
outside = duckdb.sql(
    f"select count(*) from {both} where h.p_yes > s.p_yes_at_most + 5e-3 or h.p_no > s.p_no_at_most + 5e-3").fetchall()[0][0]
print("documents whose probability here is above the bound there (by more than 5e-3):", outside)
sys.exit(0 if worst[0] >= 50 and worst[1] <= 5e-3 and outside == 0 else 1)
PYTHON
}

bench() {
    echo "# $(date -u +%Y-%m-%dT%H:%MZ)  commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
    echo "# $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | xargs), $(nproc) cores"
    "$python" -c 'import llama_cpp; print("# llama-cpp-python", llama_cpp.__version__)'
    echo "## embedded, f32"
    "$tamis" -q score ask-llm "$work/corpus" --run "$work/run" --prompt few-shot --model smollm2 --dtype f32
    mv "$work"/run/signals/ask-llm@*/documents.parquet "$work/here.parquet"
    echo "## server, the GGUF as shipped (Q4_1)"
    serve "$gguf"
    judge_there shipped
    compare shipped || true
    echo "## server, the same weights as f32: must agree within 5e-3"
    serve "$work/f32.gguf"
    judge_there f32
    compare f32
}

bench 2>&1 | tee "$result"
echo "kept in $result"
