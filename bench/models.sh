#!/usr/bin/env bash
# Ask-LLM and MiniLM beside their peers, in turns: bench/models.sh ROUNDS RESULT [FIRST_ROUND]
#
# All engines read the same made-up documents (crates/tamis-models/examples/throughput.rs, bench/peers/measure.py): 48 of 300
# tokens for the judge, of 256 for the embedder, so nobody pads. Peers get token ids, and their best setting of those tried:
# two processes of one thread, each with batches as given below. What was tried is in bench/results/*-settings.txt.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds="$1" result="$2" first="${3:-1}"
target="${CARGO_TARGET_DIR:-$PWD/target}"
python="${BENCH_VENV:-$target/bench/venv}/bin/python"
models="${BENCH_MODELS:-$target/bench/models}"
ours="$target/release/examples/throughput"
seconds="${BENCH_SECONDS:-6}"
"$python" bench/peers/prepare.py "$TAMIS_CACHE" "$models" 2> /dev/null
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

if [ "$first" = 1 ]; then
    "$python" - <<'PYTHON' >> "$result"
from importlib.metadata import PackageNotFoundError, version
names = ["torch", "transformers", "sentence-transformers", "onnxruntime", "llama-cpp-python"]
def known(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"
print("# versions", ", ".join("%s %s" % (name, known(name)) for name in names))
PYTHON
    "$target/release/examples/kernel_bench" peak | sed 's/^/# /' >> "$result"
    for path in $("$target/release/examples/kernel_bench" none | sed -E 's/.*first choice f32 ([^,]+), bf16 (.*)/\1 \2/'); do
        "$target/release/examples/kernel_bench" gemm "$path" | sed 's/^/# /' >> "$result"
    done
fi
read -r auto other < <(CARGO_TARGET_DIR="$target" bash bench/format.sh)

# tokens NAME COMMAND ...: the command's "N tokens/s" as a raw line
tokens() {
    local name="$1" value
    shift
    value=$("$@" 2> "$work/errors" | tee "$work/output" | grep -oE '[0-9.]+ tokens/s' | tail -1 | cut -d' ' -f1) || true
    if [ -n "$value" ]; then
        echo "$name $value tokens/s $round" | tee -a "$result"
    else
        echo "# $name failed: $(tail -1 "$work/errors")" | tee -a "$result"
    fi
}
peer() {
    local name="$1" script="$2" engine="$3"
    shift 3
    tokens "$name" "$python" "bench/peers/$script.py" "$engine" "$models" --seconds "$seconds" "$@"
}
two=(--processes 2 --threads 1)

for round in $(seq "$first" $((first + rounds - 1))); do
    tokens ask-llm/tamis-$auto "$ours" smollm2 --dtype $auto --seconds "$seconds" --check "$work/tamis"
    peer ask-llm/torch-bf16 llm torch-bf16 "${two[@]}" --batch 1 --check "$work/torch-bf16"
    peer ask-llm/llama.cpp-bf16 llm llama.cpp-bf16 "${two[@]}" --batch 1 --check "$work/llama.cpp"
    peer ask-llm/torch-f32 llm torch-f32 "${two[@]}" --batch 2 --check "$work/torch-f32"
    tokens ask-llm/tamis-$other "$ours" smollm2 --dtype $other --seconds "$seconds"
    tokens ask-llm/tamis-int8 "$ours" smollm2 --dtype int8 --seconds "$seconds"

    tokens ask-llm-few-shot/tamis-$auto "$ours" smollm2 --dtype $auto --prompt few-shot --seconds "$seconds"
    awk -v round="$round" '/^prefix of/ {
        for (i = 1; i <= NF; i++) if ($i == "%") share = $(i - 1)
        print "ask-llm-few-shot/prefix-tokens", $3, "tokens", round
        print "ask-llm-few-shot/prefix-share-of-" '"$seconds"' "s", share, "%", round
    }' "$work/output" | tee -a "$result"

    tokens perplexity/tamis-$auto "$ours" smollm2 --dtype $auto --every-position --seconds "$seconds"
    peer perplexity/torch-bf16 llm torch-bf16 "${two[@]}" --batch 1 --every-position
    peer perplexity/torch-f32 llm torch-f32 "${two[@]}" --batch 2 --every-position
    peer perplexity/llama.cpp-bf16 llm llama.cpp-bf16 "${two[@]}" --batch 1 --every-position
    tokens perplexity/tamis-$other "$ours" smollm2 --dtype $other --every-position --seconds "$seconds"

    tokens minilm/tamis-$auto "$ours" minilm --dtype $auto --tokens 256 --seconds "$seconds" --check "$work/tamis-embed"
    peer minilm/torch-bf16 embed torch-bf16 --tokens 256 "${two[@]}" --batch 4 --check "$work/torch-bf16-embed"
    peer minilm/onnxruntime-f32 embed onnxruntime-f32 --tokens 256 "${two[@]}" --batch 4
    peer minilm/sentence-transformers-f32 embed sentence-transformers-f32 --tokens 256 "${two[@]}" --batch 4 \
        --check "$work/torch-f32-embed"
    tokens minilm/tamis-$other "$ours" minilm --tokens 256 --dtype $other --seconds "$seconds"
    tokens minilm/tamis-int8 "$ours" minilm --tokens 256 --dtype int8 --seconds "$seconds"
    if [ "$round" = "$first" ]; then
        "$python" bench/peers/compare.py "$work" | sed 's/^/# /' | tee -a "$result"
    fi
done
