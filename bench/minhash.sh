#!/usr/bin/env bash
# Near-duplicates beside their peers: bench/minhash.sh ROUNDS RESULT
#
# Whole processes on the labelled pool, in turns, at equal parameters (14 bands of 8 rows, 5-grams of words): seconds, seconds of
# the processor, peak memory of the largest process, and the share of the pool's edited copies that are found, where the peer
# says which documents it takes for duplicates. Then, once, our signatures alone on one core, and what parameters find: of the
# edited copies, and of all pairs of 5,000 documents, most of them edited copies and their originals.
# Raw lines NAME VALUE UNIT ROUND are appended to RESULT. Text: BENCH_POOL, else the labelled pool, built once where
# ../shared/pool is there; without either it says so and ends. BENCH_PEERS: which of rensa text-dedup datatrove, all by default.
# AllenAI's duplodocus is in no registry (neither crates.io nor PyPI, November 2026), so it is not timed.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds="${1:-5}" result="${2:-/dev/stdout}"
target="${CARGO_TARGET_DIR:-$PWD/target}"
tamis="${BENCH_TAMIS:-$target/release/tamis}"
example="$target/release/examples/minhash"
python="${BENCH_VENV:-$target/bench/venv}/bin/python"
work="$target/bench/minhash"
peers="${BENCH_PEERS:-rensa text-dedup datatrove}"
say() { tee -a "$result"; }

pool="${BENCH_POOL:-}"
if [ -z "$pool" ] && [ -f ../shared/pool/build_pool.py ]; then
    pool="$target/bench/pool"
    [ -d "$pool" ] || python3 ../shared/pool/build_pool.py "$pool" > /dev/null
fi
if [ -z "$pool" ]; then
    echo "# minhash: skipped, no corpus (set BENCH_POOL)" | say
    exit 0
fi
rm -rf "$work"
mkdir -p "$work/corpus"
for shard in "$pool"/*.jsonl.zst; do ln -s "$(realpath "$shard")" "$work/corpus/"; done
bytes=$(cat "$pool"/*.zst | zstd -dc | wc -c)

# Texts separated by NUL, pairs of edited copies by number and by id, and the 5,000.
zstd -dcq "$pool"/*.zst | python3 -c '
import json, random, sys
rows = [json.loads(line) for line in sys.stdin]
texts = [row["text"].replace("\0", " ") for row in rows]
number = {row["id"]: at for at, row in enumerate(rows)}
near = [(at, number[row["duplicate_of"]]) for at, row in enumerate(rows) if row["kind"] == "near-duplicate"]
some = sorted({at for pair in near[:2000] for at in pair})[:4000]
rest = sorted(set(range(len(rows))) - set(some))
some += random.Random(1).sample(rest, max(0, min(5000, len(rows)) - len(some)))
def write(name, text):
    with open(sys.argv[1] + "/" + name, "w", encoding="utf-8") as file:
        file.write(text)
write("documents", "\0".join(texts))
write("some", "\0".join(texts[at] for at in some))
write("pairs", "".join("%d %d\n" % pair for pair in near))
write("pairs.json", json.dumps([[rows[a]["id"], rows[b]["id"]] for a, b in near]))' "$work"

echo "# minhash: $bytes bytes of jsonl in $(ls "$pool"/*.zst | wc -l) jsonl.zst, $(wc -l < "$work/pairs") edited copies; 14 x 8, 5-grams; whole processes, $(nproc) cores" | say
for round in $(seq "$rounds"); do
    rm -rf "$work/run"
    if [ -x "$tamis" ]; then
        python3 bench/timed.py minhash/tamis "$bytes" "$round" "$tamis" -q score minhash "$work/corpus" --run "$work/run" | say
    else
        echo "# no $tamis: ours is not timed" | say
    fi
    [ -x "$python" ] || { echo "# no peers: $python is not there" | say; continue; }
    for peer in $peers; do
        rm -rf "$work/peer" && mkdir "$work/peer"
        if [ "$peer" = text-dedup ]; then "$python" bench/peers/minhash_peers.py plain "$work/corpus" "$work/peer"; fi
        if HF_HUB_OFFLINE=1 python3 bench/timed.py "minhash/$peer" "$bytes" "$round" \
            "$python" bench/peers/minhash_peers.py "$peer" "$work/corpus" "$work/peer" > "$work/lines" 2> "$work/error"; then
            say < "$work/lines"
            python3 -c '
import json, sys
gone = set(json.load(open(sys.argv[1])))
pairs = json.load(open(sys.argv[2]))
found = sum(all(name in gone for name in pair) if sys.argv[3] == "rensa" else any(name in gone for name in pair) for pair in pairs)
print("minhash-found/%s %.4f share %s" % (sys.argv[3], found / len(pairs), sys.argv[4]))
print("# %s: %d documents" % (sys.argv[3], len(gone)))' "$work/peer/gone.json" "$work/pairs.json" "$peer" "$round" | say
        else
            echo "# $peer failed: $(tail -1 "$work/error")" | say
        fi
    done
    "$example" speed "$work/documents" "$round" | say
done
"$example" pairs "$work/documents" "$work/pairs" | sed 's/^\([^#]\)/# \1/' | say
"$example" quality "$work/some" 5000 | sed 's/^/# /' | say
