#!/usr/bin/env bash
# k-means beside faiss, and SemDeDup: bench/clusters.sh ROUNDS RESULT
#
# 100,000 rows of 384 values, 1,000 clusters, 20 iterations, two threads, in turns: seconds with seeding and without reading the
# file, and the mean of 1 - cosine to the centroid. faiss is taken by the fastest of OpenBLAS' kernels for its products, tried
# once. Then, once, a million rows of 768 values, 10,000 clusters, one iteration. Raw lines NAME VALUE UNIT ROUND.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds="${1:-5}" result="${2:-/dev/stdout}"
target="${CARGO_TARGET_DIR:-$PWD/target}"
example="$target/release/examples/clusters"
python="${BENCH_VENV:-$target/bench/venv}/bin/python"
work="$target/bench/clusters"
mkdir -p "$work"
say() { tee -a "$result"; }
# PART PROGRAM ROUND: a section of each measure, an entry of each program.
lines() { sed -n "s|^\([a-z]*\) \([^ ]* [^ ]*\)$|$1-\1/$2 \2 $3|p"; }

[ -x "$python" ] || { echo "# clusters: skipped, $python is not there" | say; exit 0; }
[ -f "$work/rows" ] || "$python" bench/peers/rows.py "$work/rows" 100000 384 3000
shape="100000 384 1000 20 2"
best="" fastest=""
for kernel in "" Haswell SkylakeX Cooperlake Sapphirerapids Zen; do
    seconds=$(OPENBLAS_CORETYPE=$kernel "$python" bench/peers/clusters_faiss.py "$work/rows" 100000 384 1000 2 2 | awk '$1 == "fit" { print $2 }') || continue
    echo "# faiss, two iterations, OPENBLAS_CORETYPE=${kernel:-(its own choice)}: $seconds s" | say
    if [ -z "$fastest" ] || awk "BEGIN { exit !($seconds < $fastest) }"; then fastest=$seconds best=$kernel; fi
done
echo "# clusters: rows x values x clusters x iterations x threads: $shape; faiss by OPENBLAS_CORETYPE=$best" | say
for round in $(seq "$rounds"); do
    "$example" "$work/rows" $shape > "$work/ours"
    lines clusters tamis "$round" < "$work/ours" | say
    OPENBLAS_CORETYPE=$best "$python" bench/peers/clusters_faiss.py "$work/rows" $shape > "$work/theirs"
    lines clusters faiss "$round" < "$work/theirs" | say
    grep '^#' "$work/theirs" | say
    awk -v round="$round" 'FNR == NR && $1 == "fit" { ours = $2 } FNR == NR && $1 == "semdedup" { compared = $2 } FNR != NR && $1 == "fit" { theirs = $2 }
        END { printf "clusters-ratio/faiss-by-tamis %.3f times %d\nclusters-ratio/semdedup-by-fit %.3f times %d\n", theirs / ours, round, compared / ours, round }' \
        "$work/ours" "$work/theirs" | say
done
if [ -n "${BENCH_LARGE-1}" ]; then
    "$python" bench/peers/rows.py "$work/large" 1000000 768 30000
    echo "# clusters: 1000000 768 10000 1 2" | say
    "$example" "$work/large" 1000000 768 10000 1 2 | lines clusters-large tamis 1 | say
    rm -f "$work/large"
fi
