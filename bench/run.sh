#!/usr/bin/env bash
# Figures of this machine, printed and kept under bench/results/. Peers come with bench/peers/.
#
#   bench/run.sh [ROUNDS]          five rounds by default; figures are medians with their spread where a round is a process
#
# Corpus of the selection bench: BENCH_CORPUS (jsonl.zst shards), else the labelled pool, built once into the target folder
# where ../shared/pool is there, enlarged to more than 1 GB; without either that part says so and is skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds="${1:-5}"
target="${CARGO_TARGET_DIR:-$PWD/target}"
export TAMIS_CACHE="${TAMIS_CACHE:-$target/models}"
result="bench/results/$(date +%Y-%m-%d)-$(uname -m)-$(nproc)cores.txt"
mkdir -p bench/results

cargo build --release --quiet -p tamis-cli
cargo build --release --quiet --examples -p tamis-models -p tamis-kernels -p tamis-io
bin="$target/release"

bench() {
    echo "# $(date -u +%Y-%m-%dT%H:%MZ)  commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
    echo "# $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | xargs), $(nproc) cores, load $(cut -d' ' -f1 /proc/loadavg)"
    echo
    for round in $(seq "$rounds"); do
        for dtype in bf16 f32; do
            echo "## Ask-LLM forward, SmolLM2-135M, $dtype, 300-token documents, 2 threads, round $round"
            "$bin/examples/throughput" smollm2 --dtype "$dtype" --threads 2 --seconds 8
            echo "## MiniLM-L6 embeddings, $dtype, 256-token documents, 2 threads, round $round"
            "$bin/examples/throughput" minilm --dtype "$dtype" --tokens 256 --threads 2 --seconds 5
        done
    done
    echo "## density passes (d = 768, B = 20000), one core"
    "$bin/examples/kernel_bench" lsh
    selection
}

selection() {
    local corpus="${BENCH_CORPUS:-}"
    if [ -z "$corpus" ] && [ -f ../shared/pool/build_pool.py ]; then
        corpus="$target/bench/corpus"
        if [ ! -d "$corpus" ]; then
            python3 ../shared/pool/build_pool.py "$target/bench/pool" > /dev/null
            python3 bench/enlarge.py "$target/bench/pool" "$corpus" 10
        fi
    fi
    if [ -z "$corpus" ]; then
        echo "## select --by random: skipped, no corpus (set BENCH_CORPUS to a folder of jsonl.zst shards)"
        return
    fi
    local bytes
    bytes=$(zstd -dc "$corpus"/*.zst | wc -c)
    echo "## select --by random --rate 20% on $bytes uncompressed bytes, whole process, and zstd -dc beside it"
    for round in $(seq "$rounds"); do
        rm -rf "$target/bench/kept"
        python3 bench/timed.py "$bytes" "tamis select, round $round" \
            "$bin/tamis" -q select "$corpus" --by random --rate 20% --out "$target/bench/kept"
        python3 bench/timed.py "$bytes" "zstd -dc, round $round" sh -c "zstd -dc '$corpus'/*.zst > /dev/null"
    done
}

bench 2>&1 | tee "$result"
echo "kept in $result"
