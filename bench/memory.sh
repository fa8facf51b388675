#!/usr/bin/env bash
# Memory and files of near-duplicates as a corpus grows: bench/memory.sh ROUNDS RESULT
#
# `tamis score minhash` on 1, 4 and 16 copies of the labelled pool (bench/enlarge.py, each text with a note of its own), once:
# seconds, peak memory, bytes a document of the signatures that stay. Raw lines NAME VALUE UNIT ROUND are appended to RESULT.
set -euo pipefail
cd "$(dirname "$0")/.."
result="${2:-/dev/stdout}"
target="${CARGO_TARGET_DIR:-$PWD/target}"
tamis="${BENCH_TAMIS:-$target/release/tamis}"
corpus="${BENCH_CORPUS:-$target/bench/enlarged}"
work="$target/bench/memory"
say() { tee -a "$result"; }

if [ ! -d "$corpus" ]; then
    [ -d "$target/bench/pool" ] || { echo "# memory: skipped, no pool in target/bench" | say; exit 0; }
    python3 bench/enlarge.py "$target/bench/pool" "$corpus" 16
fi
for times in 1 4 16; do
    rm -rf "$work"
    mkdir -p "$work/corpus"
    for copy in $(seq -f %02g 0 $((times - 1))); do ln -s "$(realpath "$corpus")/$copy-"*.zst "$work/corpus/"; done
    bytes=$(cat "$work/corpus/"*.zst | zstd -dc | wc -c)
    python3 bench/timed.py "memory/minhash-$times" "$bytes" 1 "$tamis" -q score minhash "$work/corpus" --run "$work/run" | say
    documents=$(python3 -c 'import json, sys; print(sum(s["documents"] for s in json.load(open(sys.argv[1]))["shards"]))' "$(ls "$work"/run/corpus/[0-9]*.json | tail -1)" 2>/dev/null || echo 0)
    stored=$(du -cb "$work"/run/signals/minhash-signature@*/*.parquet | tail -1 | cut -f1)
    [ "$documents" = 0 ] || echo "memory/signature-$times $((stored / documents)) bytes/document 1" | say
done
rm -rf "$work"
