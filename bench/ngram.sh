#!/usr/bin/env bash
# N-gram models: training beside lmplz, scoring beside the Python package kenlm. Raw lines `name value unit round` are
# printed and kept under bench/results/; rounds are interleaved.
#
#   bench/ngram.sh [ROUNDS]          five rounds by default; PARTS="train score" of them, NAME of the result to add to
#
# Text: BENCH_NGRAM, a folder of .jsonl.zst shards with `text`, else the labelled pool, built once where ../shared/pool is
# there. Trained on all but its first shard, scored on the first. BENCH_VENV: a Python environment with kenlm==0.3.0; LMPLZ:
# lmplz, from bench/peers/build_lmplz.sh. Without either, that side is skipped and said so. n-grams of three and more words
# that occur once are left out (PRUNE).
set -euo pipefail
cd "$(dirname "$0")/.."
rounds="${1:-5}"
target="${CARGO_TARGET_DIR:-$PWD/target}"
bin="$target/release"
work="$target/bench/ngram"
parts="${PARTS:-train score}"
prune="${PRUNE:-0 0 1}"
result="bench/results/${NAME:-ngram-$(date +%Y-%m-%d)-$(uname -m)-$(nproc)cores}.txt"
cargo build --release --quiet -p tamis-cli
cargo build --release --quiet --example ngram_throughput -p tamis-samplers

text="${BENCH_NGRAM:-}"
if [ -z "$text" ]; then
    text="$target/bench/pool"
    [ -d "$text" ] || python3 ../shared/pool/build_pool.py "$text" > /dev/null
fi
mkdir -p "$work/reference" bench/results
shards=("$text"/*.jsonl.zst)
for shard in "${shards[@]:1}"; do ln -sf "$(realpath "$shard")" "$work/reference/"; done
zstd -dcq "${shards[0]}" | python3 -c '
import json, sys
texts = [json.loads(line)["text"].replace("\0", " ") for line in sys.stdin]
sys.stdout.write("\0".join(texts))' > "$work/documents"
# lmplz wants one sentence a line, none of them empty, and no word of the model itself.
zstd -dcq "${shards[@]:1}" | python3 -c '
import json, sys
for document in sys.stdin:
    for line in json.loads(document)["text"].encode().split(b"\n"):
        words = [word for word in line.replace(b"\0", b" ").split() if word not in (b"<s>", b"</s>", b"<unk>")]
        if words:
            sys.stdout.buffer.write(b" ".join(words) + b"\n")' > "$work/reference.txt"

seconds() { # NAME ROUND COMMAND...
    local name="$1" round="$2" from
    shift 2
    from=$(date +%s.%N)
    "$@"
    echo "$name $(echo "$(date +%s.%N) - $from" | bc) s $round"
}
lmplz() { "$LMPLZ" -o 5 --prune $prune -S 2G -T "$work/" < "$work/reference.txt" > "$work/lmplz.arpa" 2> "$work/lmplz.log"; }
train() {
    rm -f "$work/tamis.arpa"
    "$bin/tamis" -q train-ngram "$work/reference" --order 5 --prune $prune --memory 2GB --out "$work/tamis.arpa" > "$work/tamis.log"
}
kenlm() { "$BENCH_VENV/bin/python" bench/peers/ngram_kenlm.py "$work/tamis.arpa" "$work/documents" "$1" 2> "$work/kenlm.log"; }

bench() {
    echo "# $(date -u +%Y-%m-%dT%H:%MZ)  commit $(git rev-parse --short HEAD 2> /dev/null || echo unknown)"
    echo "# $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | xargs), $(nproc) cores, load $(cut -d' ' -f1 /proc/loadavg)"
    echo "# reference $(wc -lw < "$work/reference.txt" | xargs) lines words; scored: $(wc -c < "$work/documents") bytes"
    echo "# 5-grams, --prune $prune"
    [ -n "${LMPLZ:-}" ] || echo "# no LMPLZ: training is not compared"
    [ -n "${BENCH_VENV:-}" ] || echo "# no BENCH_VENV: scoring is not compared"
    local round
    for round in $(seq "$rounds"); do
        if [[ "$parts" == *train* ]]; then
            seconds tamis_train "$round" train
            [ -z "${LMPLZ:-}" ] || seconds lmplz_train "$round" lmplz
        fi
        if [[ "$parts" == *score* ]]; then
            "$bin/examples/ngram_throughput" "$work/tamis.arpa" "$work/documents" "$round"
            [ -z "${BENCH_VENV:-}" ] || kenlm "$round"
        fi
    done
}
bench | tee -a "$result"
echo "kept in $result"
