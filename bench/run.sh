#!/usr/bin/env bash
# Figures of this machine, printed and kept under bench/results/. Peers come with bench/peers/.
#
#   bench/run.sh [ROUNDS]          five rounds by default; figures are medians with their spread where a round is a process
#
# What the data paths need stands in bench/data.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds="${1:-5}"
target="${CARGO_TARGET_DIR:-$PWD/target}"
export TAMIS_CACHE="${TAMIS_CACHE:-$target/models}"
result="bench/results/$(date +%Y-%m-%d)-$(uname -m)-$(nproc)cores.txt"
mkdir -p bench/results

cargo build --release --quiet -p tamis-cli
cargo build --release --quiet --examples -p tamis-models -p tamis-kernels -p tamis-io -p tamis-samplers
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
    bash bench/data.sh "$rounds"
}

bench 2>&1 | tee "$result"
echo "kept in $result"
