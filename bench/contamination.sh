#!/usr/bin/env bash
# Contamination beside datatrove: bench/contamination.sh ROUNDS RESULT
#
# Whole processes on the labelled pool, in turns, against the evaluations in ../shared/data (BENCH_EVALUATIONS: other ones): seconds,
# seconds of the processor, peak memory of the largest process; and the search alone, on one core. Then, once: how many documents each takes for contaminated, and how many
# both do, of 13-grams of the same texts, ours with and without the limit of what is frequent.
# Raw lines NAME VALUE UNIT ROUND are appended to RESULT. Text: BENCH_POOL, else the labelled pool, built once where
# ../shared/pool is there; without text or evaluations it says so and ends.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds="${1:-5}" result="${2:-/dev/stdout}"
target="${CARGO_TARGET_DIR:-$PWD/target}"
tamis="${BENCH_TAMIS:-$target/release/tamis}"
python="${BENCH_VENV:-$target/bench/venv}/bin/python"
work="$target/bench/contamination"
evaluations="${BENCH_EVALUATIONS:-../shared/data}"
say() { tee -a "$result"; }

pool="${BENCH_POOL:-}"
if [ -z "$pool" ] && [ -f ../shared/pool/build_pool.py ]; then
    pool="$target/bench/pool"
    [ -d "$pool" ] || python3 ../shared/pool/build_pool.py "$pool" > /dev/null
fi
if [ -z "$pool" ] || [ ! -d "$evaluations" ]; then
    echo "# contamination: skipped, no corpus or no evaluations (set BENCH_POOL, BENCH_EVALUATIONS)" | say
    exit 0
fi
rm -rf "$work"
mkdir -p "$work/corpus"
for shard in "$pool"/*.jsonl.zst; do ln -s "$(realpath "$shard")" "$work/corpus/"; done
bytes=$(cat "$pool"/*.zst | zstd -dc | wc -c)

python3 bench/peers/contamination_datatrove.py texts "$evaluations" "$work"
zstd -dcq "$pool"/*.zst | python3 -c '
import json, sys
with open(sys.argv[1] + "/documents", "w", encoding="utf-8") as file:
    file.write("\0".join(json.loads(line)["text"].replace("\0", " ") for line in sys.stdin))' "$work"

echo "# contamination: $bytes bytes of jsonl in $(ls "$pool"/*.zst | wc -l) jsonl.zst; whole processes that write what is left, $(nproc) cores" | say
for round in $(seq "$rounds"); do
    "$target/release/examples/contamination" "$work/documents" "$work/items" "$round" | say
    rm -rf "$work/run" "$work/kept"
    python3 bench/timed.py contamination/tamis "$bytes" "$round" "$tamis" -q select "$work/corpus" --run "$work/run" \
        --by contamination --evaluation "$evaluations" --at-most 0 --out "$work/kept" | say
    # Of a run that knows its corpus by an earlier signal.
    rm -rf "$work"/run/signals/contamination* "$work"/run/selections "$work"/run/.locks
    python3 bench/timed.py contamination-score/tamis "$bytes" "$round" \
        "$tamis" -q score contamination "$work/corpus" --run "$work/run" --evaluation "$evaluations" | say
    [ -x "$python" ] || { echo "# no peer: $python is not there" | say; continue; }
    rm -rf "$work/peer" && mkdir "$work/peer"
    "$python" bench/peers/contamination_datatrove.py index "$evaluations" "$work/peer"
    if python3 bench/timed.py contamination/datatrove "$bytes" "$round" \
        "$python" bench/peers/contamination_datatrove.py filter "$work/corpus" "$work/peer" > "$work/lines" 2> "$work/error"; then
        say < "$work/lines"
        "$python" bench/peers/contamination_datatrove.py list "$work/corpus" "$work/peer"
    else
        echo "# datatrove failed: $(tail -1 "$work/error")" | say
    fi
done

"$tamis" score contamination "$work/corpus" --run "$work/run" --evaluation "$evaluations" 2>&1 > /dev/null | grep -v '^for example' | sed 's/^/# /' | say
index=$(grep -o '"index_bytes": *"[0-9]*"' "$work"/run/signals/contamination-matches@*/signal.json | grep -o '[0-9]*')
ngrams=$(grep -o '"ngrams": *"[0-9]*"' "$work"/run/signals/contamination-matches@*/signal.json | grep -o '[0-9]*' | head -1)
echo "# index: $index bytes for $ngrams n-grams" | say
stored=$(du -cb "$work"/run/signals/contamination-matches@*/*.parquet | tail -1 | cut -f1)
echo "# contamination-matches: $stored bytes stored" | say
if [ -f "$work/peer/gone.json" ]; then
    for frequent in 10,0.001% none; do
        rm -rf "$work/kept"
        "$tamis" -q score contamination "$work/corpus" --run "$work/run" --evaluation "$evaluations" --frequent "$frequent" --beside > /dev/null
        name=$("$tamis" -q score contamination "$work/corpus" --run "$work/run" --evaluation "$evaluations" --frequent "$frequent" --beside --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["signal"])')
        "$tamis" -q select "$work/corpus" --run "$work/run" --by "$name" --at-most 0 --out "$work/kept" > /dev/null
        zstd -dcq "$work"/kept/*.zst | python3 -c '
import json, sys
kept = {json.loads(line)["id"] for line in sys.stdin}
names = set(json.load(open(sys.argv[1] + "/peer/all.json")))
theirs = set(json.load(open(sys.argv[1] + "/peer/gone.json")))
ours = names - kept
print("# --frequent %s: ours %d, datatrove %d, both %d, ours alone %d, datatrove alone %d" % (
    sys.argv[2], len(ours), len(theirs), len(ours & theirs), len(ours - theirs), len(theirs - ours)))' "$work" "$frequent" | say
    done
fi
