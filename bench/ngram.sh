#!/usr/bin/env bash
# N-gram models: training beside lmplz, scoring beside the Python package kenlm and beside neural perplexity:
# bench/ngram.sh ROUNDS RESULT
#
# Raw lines NAME VALUE UNIT ROUND are appended to RESULT. Text: BENCH_NGRAM, a folder of .jsonl.zst shards with `text`, else the
# labelled pool, built once where ../shared/pool is there; without either it says so and ends. Trained on all but its first
# shard, scored on the first. LMPLZ: lmplz, from bench/peers/build_lmplz.sh; without it training is not compared, and said so.
# n-grams of three and more words that occur once are left out (PRUNE).
set -euo pipefail
cd "$(dirname "$0")/.."
rounds="${1:-5}" result="${2:-/dev/stdout}"
target="${CARGO_TARGET_DIR:-$PWD/target}"
bin="$target/release"
python="${BENCH_VENV:-$target/bench/venv}/bin/python"
work="$target/bench/ngram"
prune="${PRUNE:-0 0 1}"
neural="${BENCH_NEURAL_DOCUMENTS:-40}"
say() { tee -a "$result"; }

text="${BENCH_NGRAM:-}"
if [ -z "$text" ] && [ -f ../shared/pool/build_pool.py ]; then
    text="$target/bench/pool"
    [ -d "$text" ] || python3 ../shared/pool/build_pool.py "$text" > /dev/null
fi
if [ -z "$text" ]; then
    echo "# ngram: skipped, no corpus (set BENCH_NGRAM)" | say
    exit 0
fi
rm -rf "$work"
mkdir -p "$work/reference" "$work/scored" "$work/neural"
shards=("$text"/*.jsonl.zst)
for shard in "${shards[@]:1}"; do ln -s "$(realpath "$shard")" "$work/reference/"; done
ln -s "$(realpath "${shards[0]}")" "$work/scored/"
zstd -dcq "${shards[0]}" | python3 -c '
import json, sys
lines = list(sys.stdin)
step = max(1, len(lines) // int(sys.argv[2]))
open(sys.argv[1], "w").writelines(lines[::step][: int(sys.argv[2])])
texts = [json.loads(line)["text"].replace("\0", " ") for line in lines]
sys.stdout.write("\0".join(texts))' "$work/neural/some.jsonl" "$neural" > "$work/documents"
# lmplz wants one sentence a line, none of them empty, and no word of the model itself.
zstd -dcq "${shards[@]:1}" | python3 -c '
import json, sys
for document in sys.stdin:
    for line in json.loads(document)["text"].encode().split(b"\n"):
        words = [word for word in line.replace(b"\0", b" ").split() if word not in (b"<s>", b"</s>", b"<unk>")]
        if words:
            sys.stdout.buffer.write(b" ".join(words) + b"\n")' > "$work/reference.txt"

seconds() { # NAME COMMAND...
    local name="$1" from
    shift
    from=$(date +%s.%N)
    "$@"
    echo "$name $(echo "$(date +%s.%N) - $from" | bc) s $round"
}
train() {
    rm -f "$work/tamis.arpa"
    "$bin/tamis" -q train-ngram "$work/reference" --order 5 --prune $prune --memory 2GB --out "$work/tamis.arpa" > "$work/tamis.log"
}
lmplz() { "$LMPLZ" -o 5 --prune $prune -S 2G -T "$work/" < "$work/reference.txt" > "$work/lmplz.arpa" 2> "$work/lmplz.log"; }
# documents NAME CORPUS SIGNAL...: documents a second of a whole run of `tamis score`, reading the model included
documents() {
    local name="$1" corpus="$2" from count
    shift 2
    rm -rf "$work/run"
    from=$(date +%s.%N)
    count=$("$bin/tamis" -q --json score "$@" "$corpus" --run "$work/run" | python3 -c 'import json, sys; print(json.load(sys.stdin)["documents_in"])')
    echo "$name $(echo "scale=2; $count / ($(date +%s.%N) - $from)" | bc) documents/s $round"
}

{
    echo "# reference: $(wc -lw < "$work/reference.txt" | xargs) lines and words; scored: $(wc -c < "$work/documents") bytes; 5-grams, --prune $prune"
    echo "# ngram-run: whole runs of tamis score, 2 threads; neural: SmolLM2-135M on $neural of the documents"
    [ -n "${LMPLZ:-}" ] || echo "# no LMPLZ: training is not compared"
    for round in $(seq "$rounds"); do
        seconds ngram-train/tamis train
        [ -z "${LMPLZ:-}" ] || seconds ngram-train/lmplz lmplz
        "$bin/examples/ngram_throughput" "$work/tamis.arpa" "$work/documents" "$round"
        "$python" bench/peers/ngram_kenlm.py "$work/tamis.arpa" "$work/documents" "$round" 2> "$work/kenlm.log" ||
            echo "# kenlm failed: $(tail -1 "$work/kenlm.log")"
        documents ngram-run/tamis-ngram "$work/scored" ngram --ngram "$work/tamis.arpa"
        documents ngram-run/tamis-perplexity "$work/neural" perplexity
    done
} | say
