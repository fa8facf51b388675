#!/usr/bin/env bash
# Perplexity beside its peers, SmolLM2-135M, every position through the head: bench/perplexity.sh ROUNDS RESULT
#
# Appends raw lines NAME VALUE UNIT ROUND to RESULT. Peers compute the logits of every position and leave them; tamis also
# takes the log probabilities. BENCH_VENV is the peers' environment (bench/peers/setup.sh); without it tamis is measured alone.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds="${1:-5}"
result="${2:-/dev/stdout}"
target="${CARGO_TARGET_DIR:-$PWD/target}"
export TAMIS_CACHE="${TAMIS_CACHE:-$target/models}"
seconds="${BENCH_SECONDS:-8}"
models="${BENCH_MODELS:-$target/bench/models}"
python="${BENCH_VENV:-$target/bench/venv}/bin/python"

line() {
    echo "$1 $2 $3 $4" >> "$result"
}

ours() {
    "$target/release/examples/throughput" "$1" --dtype "$2" --threads 2 --tokens 300 --seconds "$seconds" --every-position |
        sed -n 's/.* \([0-9.]*\) tokens\/s.*/\1/p' | head -n 1
}

peer() {
    "$python" bench/peers/llm.py "$1" "$models" --every-position --seconds "$seconds" "${@:2}" |
        sed -n 's/^\([0-9.]*\) tokens\/s.*/\1/p'
}

echo "# perplexity: SmolLM2-135M, 300-token documents, 2 threads, every position" >> "$result"
peers=no
if [ -x "$python" ] && [ -f bench/peers/llm.py ]; then
    peers=yes
    "$python" bench/peers/prepare.py "$TAMIS_CACHE" "$models"
else
    echo "# no peers: set BENCH_VENV to an environment with what bench/peers/requirements.txt lists" >> "$result"
fi
for round in $(seq "$rounds"); do
    line perplexity.tamis-bf16 "$(ours smollm2 bf16)" tokens/s "$round"
    [ $peers = yes ] && line perplexity.llama.cpp-bf16 "$(peer llama.cpp-bf16 --threads 2)" tokens/s "$round"
    [ $peers = yes ] && line perplexity.torch-bf16 "$(peer torch-bf16 --threads 2)" tokens/s "$round"
    line perplexity.tamis-f32 "$(ours smollm2 f32)" tokens/s "$round"
done
