#!/usr/bin/env bash
# The rules of Gopher, C4 and FineWeb beside datatrove's filters: bench/rules.sh ROUNDS RESULT
#
# MB of text a second of one core, for each preset and for all, and how many documents get the same verdict. Reading is not timed.
# Raw lines NAME VALUE UNIT ROUND are appended to RESULT. Text: BENCH_POOL, else the labelled pool, built once where
# ../shared/pool is there; without either it says so and ends. BENCH_DOCUMENTS: documents that are looked at, evenly spread (6,000; 0: all).
set -euo pipefail
cd "$(dirname "$0")/.."
rounds="${1:-5}" result="${2:-/dev/stdout}"
target="${CARGO_TARGET_DIR:-$PWD/target}"
example="$target/release/examples/rules"
python="${BENCH_VENV:-$target/bench/venv}/bin/python"
work="$target/bench/rules"
say() { tee -a "$result"; }

pool="${BENCH_POOL:-}"
if [ -z "$pool" ] && [ -f ../shared/pool/build_pool.py ]; then
    pool="$target/bench/pool"
    [ -d "$pool" ] || python3 ../shared/pool/build_pool.py "$pool" > /dev/null
fi
if [ -z "$pool" ]; then
    echo "# rules: skipped, no corpus (set BENCH_POOL)" | say
    exit 0
fi
[ -x "$python" ] || { echo "# rules: skipped, no peers: $python is not there" | say; exit 0; }
rm -rf "$work"
mkdir -p "$work"
"$python" bench/peers/rules_datatrove.py documents "$pool" "$work" "${BENCH_DOCUMENTS:-6000}"
versions=$("$python" -c 'from importlib.metadata import version as v; print("datatrove", v("datatrove"), "spacy", v("spacy"))')
echo "# rules: $(tr '\0' '\n' < "$work/documents" | wc -c) bytes of text in $(($(tr -cd '\0' < "$work/documents" | wc -c) + 1)) documents; one core; $versions" | say
for round in $(seq "$rounds"); do
    "$example" speed "$work/documents" "$round" | say
    "$python" bench/peers/rules_datatrove.py verdicts "$work" "$round" | say
done
"$example" verdicts "$work/documents" > "$work/ours.tsv"
"$python" bench/peers/rules_datatrove.py agree "$work" | say
