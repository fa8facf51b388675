#!/usr/bin/env bash
# Ask-LLM by a T5 beside its peers, in turns: bench/t5.sh ROUNDS RESULT
#
# Input tokens a second of the encoder and the first decoder step, random weights in the shapes of T5-small and
# FLAN-T5-base, the same made-up documents of 300 tokens for all, so nobody pads. Peers get token ids (CTranslate2: words that
# are token ids) and two processes of one thread each, PyTorch with batches of 8, CTranslate2 of 2: the fastest of what
# bench/results/*-settings.txt lists. Raw lines: NAME VALUE UNIT ROUND.
#
# BENCH_VENV: a Python environment with torch, transformers and ctranslate2. BENCH_SECONDS: of each figure, 6 by default.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds="$1" result="$2"
target="${CARGO_TARGET_DIR:-$PWD/target}"
python="${BENCH_VENV:-$target/bench/venv}/bin/python"
models="${BENCH_MODELS:-$target/bench/models}/t5"
ours="$target/release/examples/throughput"
seconds="${BENCH_SECONDS:-6}"
read -r auto other < <(CARGO_TARGET_DIR="$target" bash bench/format.sh)
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
"$python" bench/peers/t5_models.py "$models" 2> /dev/null | sed 's/^/# /' | tee -a "$result"

# tokens NAME COMMAND ...: the command's "N tokens/s" as a raw line
tokens() {
    local name="$1" value
    shift
    value=$("$@" 2> "$work/errors" | grep -oE '[0-9.]+ tokens/s' | tail -1 | cut -d' ' -f1) || true
    if [ -n "$value" ]; then
        echo "$name $value tokens/s $round" | tee -a "$result"
    else
        echo "# $name failed: $(tail -1 "$work/errors")" | tee -a "$result"
    fi
}

for round in $(seq "$rounds"); do
    for model in t5-small flan-t5-base; do
        for dtype in "$auto" "$other" int8; do
            tokens "$model/tamis-$dtype" "$ours" "$models/$model" --dtype $dtype --pack 2048 --seconds "$seconds" \
                --check "$work/$model-tamis-$dtype"
        done
        for engine in torch-f32 torch-bf16 ctranslate2-f32 ctranslate2-int8; do
            check=() batch=8
            case $engine in ctranslate2*) batch=2 ;; esac
            [ "$round" = 1 ] && check=(--check "$work/$model-$engine")
            tokens "$model/$engine" "$python" bench/peers/t5_peers.py "$engine" "$models/$model" \
                --processes 2 --threads 1 --batch $batch --seconds "$seconds" "${check[@]}"
        done
        [ "$round" = 1 ] || continue
        for engine in tamis-bf16 tamis-f32 tamis-int8 torch-bf16 ctranslate2-f32 ctranslate2-int8; do
            "$python" - "$work/$model-torch-f32" "$work/$model-$engine" "$model/$engine" <<'PYTHON' | tee -a "$result"
import sys
rows = [[list(map(float, line.split())) for line in open(path)] for path in sys.argv[1:3]]
apart = max(abs(a - b) for x, y in zip(*rows) for a, b in zip(x, y))
print("# %s: log probabilities of 64 tokens after four documents within %.2g of torch-f32" % (sys.argv[3], apart))
PYTHON
        done
    done
done
