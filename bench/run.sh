#!/usr/bin/env bash
# Figures of this machine, ours and the peers' in one run, kept raw under bench/results/ and written as a table into
# docs/benchmarks.md.
#
#   bench/run.sh [ROUNDS] [PART ...]     five rounds and all parts by default; parts: models t5 data ngram minhash
#                                        clusters rules contamination costs threads
#
# A part is bench/PART.sh; it gets the rounds and the file to which its raw lines are appended:
#   NAME VALUE UNIT ROUND                NAME without spaces; lines that begin with # say the setting
# Peers live in a Python environment that bench/peers/setup.sh makes (BENCH_VENV: one that is there already).
set -euo pipefail
cd "$(dirname "$0")/.."
rounds="${1:-5}"
[ $# -gt 0 ] && shift
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(models t5 data ngram minhash clusters rules contamination costs threads)
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
export TAMIS_CACHE="${TAMIS_CACHE:-$CARGO_TARGET_DIR/models}"
export BENCH_VENV="${BENCH_VENV:-$CARGO_TARGET_DIR/bench/venv}"
mkdir -p bench/results

cargo build --release --quiet -p tamis-cli
cargo build --release --quiet --examples --workspace
bash bench/peers/setup.sh
results=()
for part in "${parts[@]}"; do
    result="bench/results/$(date -u +%Y-%m-%dT%H%M)-$part.txt"
    {
        echo "# $part $(date -u +%Y-%m-%dT%H:%MZ) commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
        echo "# machine $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | xargs), family $(grep -m1 'cpu family' /proc/cpuinfo | cut -d: -f2 | xargs) model $(grep -m1 'model[[:space:]]*:' /proc/cpuinfo | cut -d: -f2 | xargs), $(nproc) cores, $(($(getconf _PHYS_PAGES) * $(getconf PAGE_SIZE) / 1000000000)) GB, load $(cut -d' ' -f1 /proc/loadavg)"
    } > "$result"
    bash "bench/$part.sh" "$rounds" "$result"
    results+=("$result")
    echo "kept in $result"
done
python3 bench/table.py docs/benchmarks.md "${results[@]}"
python3 bench/machines.py docs/benchmarks.md bench/results/*.txt
