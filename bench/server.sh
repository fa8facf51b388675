#!/usr/bin/env bash
# A real server beside the embedded engine: P(yes) of the packaged judge by both, over documents of the demo corpus.
#
#   bench/server.sh [DOCUMENTS]        120 by default; fails when fewer than 50 were judged by both, or a P(yes) differs
#                                      by more than 5e-3
#
# The server is llama-cpp-python's, on the loopback alone, with the packaged GGUF. BENCH_VENV names a Python environment
# that has `llama-cpp-python[server]` and `duckdb`; without it one is made below the target folder (a C++ compiler builds
# llama.cpp there, some minutes).
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
port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$python" -m llama_cpp.server --model "$gguf" --model_alias judge --host 127.0.0.1 --port "$port" --n_ctx 2048 \
    > "$work/server.log" 2>&1 &
server=$!
trap 'kill $server 2> /dev/null || true' EXIT
for _ in $(seq 120); do
    "$python" -c "import urllib.request as u; u.urlopen('http://127.0.0.1:$port/v1/models')" 2> /dev/null && break
    kill -0 $server || { tail -20 "$work/server.log"; exit 1; }
    sleep 1
done

bench() {
    echo "# $(date -u +%Y-%m-%dT%H:%MZ)  commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
    echo "# $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | xargs), $(nproc) cores"
    "$python" -c 'import llama_cpp; print("# llama-cpp-python", llama_cpp.__version__)'
    "$tamis" -q score ask-llm "$work/corpus" --run "$work/run" --prompt few-shot --model smollm2 --dtype f32
    mv "$work"/run/signals/ask-llm@*/documents.parquet "$work/here.parquet"
    # One request at a time: the server has one model and a lock around it.
    "$tamis" -q score ask-llm "$work/corpus" --run "$work/run-server" --prompt few-shot --concurrency 1 \
        --model "http://127.0.0.1:$port/v1#judge"
    mv "$work"/run-server/signals/ask-llm@*/documents.parquet "$work/server.parquet"
    "$python" - "$work/here.parquet" "$work/server.parquet" <<'PYTHON'
import sys
import duckdb
here, server = sys.argv[1:]
both = f"'{here}' h join '{server}' s using (row)"
columns = [row[0] for row in duckdb.sql(f"describe select * from '{server}'").fetchall()]
print("columns of the server's sidecar:", ", ".join(columns))
print("documents, truncated here, truncated there, failed there, bounded there:", *duckdb.sql(
    f"select count(*), sum(h.truncated::int), sum(s.truncated::int), count(s.failed), sum(s.bounded::int) from {both}").fetchone())
worst = None
for name in ["p_yes", "p_no", "score"]:
    largest, mean, n = duckdb.sql(
        f"select max(abs(h.{name} - s.{name})), avg(abs(h.{name} - s.{name})), count(s.{name}) from {both}").fetchone()
    print(f"{name}: {n} documents, largest difference {largest:.2e}, mean {mean:.2e}")
    worst = worst or (n, largest)
outside = duckdb.sql(
    f"select count(*) from {both} where h.p_yes > s.p_yes_at_most + 5e-3 or h.p_no > s.p_no_at_most + 5e-3").fetchone()[0]
print("rows whose probability here is above the bound there (by more than 5e-3):", outside)
sys.exit(0 if worst[0] >= 50 and worst[1] <= 5e-3 and outside == 0 else 1)
PYTHON
}

bench 2>&1 | tee "$result"
echo "kept in $result"
