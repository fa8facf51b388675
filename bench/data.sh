#!/usr/bin/env bash
# The data paths beside their peers: bench/data.sh ROUNDS RESULT [PART ...]; parts: select growth density, all by
# default. Raw lines `NAME VALUE UNIT ROUND` are appended to RESULT.
#
# select, growth: BENCH_CORPUS (copies made by bench/enlarge.py: a folder of NN-*.jsonl.zst), else the labelled pool where
# ../shared/pool is there, sixteen times over, made once into the target folder. Without either they say so and are skipped.
# Peers come from BENCH_VENV; without it they are skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds="${1:-5}"
result="${2:-/dev/stdout}"
shift $(($# < 2 ? $# : 2))
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(select growth density)
target="${CARGO_TARGET_DIR:-$PWD/target}"
python="${BENCH_VENV:-$target/bench/venv}/bin/python"
tamis="$target/release/tamis"
work="$target/bench/data"
mkdir -p "$work"

say() { tee -a "$result"; }

find_corpus() {
    corpus="${BENCH_CORPUS:-}"
    if [ -z "$corpus" ] && [ -f ../shared/pool/build_pool.py ]; then
        corpus="$target/bench/corpus16"
        if [ ! -d "$corpus" ]; then
            [ -d "$target/bench/pool" ] || python3 ../shared/pool/build_pool.py "$target/bench/pool" > /dev/null
            python3 bench/enlarge.py "$target/bench/pool" "$corpus" 16
        fi
    fi
    if [ -z "$corpus" ]; then
        echo "# $1: skipped, no corpus (set BENCH_CORPUS)" | say
        return 1
    fi
}

# Uncompressed bytes of a folder, counted once.
bytes_of() { cat "$1"/*.zst | zstd -dc | wc -c; }

# timed NAME BYTES ROUND COMMAND ...: MB/s of uncompressed input, seconds, peak memory of the largest process.
timed() {
    local name="$1" bytes="$2" round="$3"
    shift 3
    python3 bench/timed.py "$name" "$bytes" "$round" "$@" | say
}

select_part() {
    find_corpus select || return 0
    local bytes round
    rm -rf "$work"/out.*
    bytes=$(bytes_of "$corpus")
    echo "# select: a fifth of $bytes bytes in $(ls "$corpus"/*.zst | wc -l) jsonl.zst of level 3; whole processes, $(nproc) cores; MB/s of uncompressed input" | say
    for round in $(seq "$rounds"); do
        # Nothing is removed before the end: on some file systems (ext4 for a minute) new files pass over each inode that was
        # freed just now.
        sync && sleep 3
        timed select/tamis "$bytes" "$round" "$tamis" -q select "$corpus" --by random --rate 20% --seed "$round" --out "$work/out.tamis.$round"
        timed select/zstd-dc "$bytes" "$round" sh -c "zstd -dc '$corpus'/*.zst > /dev/null"
        [ -x "$python" ] || continue
        timed select/duckdb "$bytes" "$round" "$python" bench/peers/select_duckdb.py "$corpus" "$work/out.duckdb.$round"
        timed select/datatrove-zstd "$bytes" "$round" "$python" bench/peers/select_datatrove.py "$corpus" "$work/out.datatrove.$round" zstd
    done
    rm -rf "$work"/out.*
}

growth_part() {
    find_corpus growth || return 0
    local times folder bytes copy round
    echo "# growth: whole processes on 1, 4 and 16 copies of the pool; seconds and MB should be as 1 : 4 : 16 and 1 : 1 : 1" | say
    for times in 1 4 16; do
        folder="$work/corpus-$times"
        rm -rf "$folder" && mkdir "$folder"
        for copy in $(seq 0 $((times - 1))); do
            ln -s "$(cd "$corpus" && pwd)"/"$(printf %02d "$copy")"-*.zst "$folder"
        done
        [ "$(ls "$folder" | wc -l)" -gt 0 ] || { echo "# growth: skipped, $corpus is not made by bench/enlarge.py" | say; return 0; }
    done
    for round in $(seq $((rounds < 3 ? rounds : 3))); do
        for times in 1 4 16; do
            folder="$work/corpus-$times"
            bytes=$(bytes_of "$folder")
            rm -rf "$work"/out.* "$work"/run.*
            sync && sleep 3
            timed "growth/select-random/${times}x" "$bytes" "$round" "$tamis" -q select "$folder" --by random --rate 20% --run "$work/run.random" --out "$work/out.random"
            timed "growth/score-column/${times}x" "$bytes" "$round" "$tamis" -q score column:score "$folder" --run "$work/run.column"
            timed "growth/select-column/${times}x" "$bytes" "$round" "$tamis" -q select "$folder" --by column:score --rule ips --rate 20% --run "$work/run.column" --out "$work/out.column"
        done
    done
    rm -rf "$work"/out.* "$work"/run.* "$work"/corpus-*
}

density_part() {
    local round coretype
    echo "# density: D = 768, B = 20000, one thread; numpy under the kernels that OPENBLAS_CORETYPE names (numpy: what it detects)" | say
    for round in $(seq "$rounds"); do
        "$target/release/examples/density" 4800 1 "$round" | say
        [ -x "$python" ] || continue
        for coretype in "" SkylakeX; do
            OPENBLAS_NUM_THREADS=1 ${coretype:+env OPENBLAS_CORETYPE="$coretype"} "$python" bench/peers/density_numpy.py 4800 1 "$round" |
                sed "s,/numpy ,/numpy${coretype:+-$coretype} ," | say
        done
    done
}

for part in "${parts[@]}"; do
    "${part}_part"
done
