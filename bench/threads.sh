#!/usr/bin/env bash
# One thread and two on little work: bench/threads.sh ROUNDS RESULT
#
# Ask-LLM with the packaged judge on 40 documents of the demo corpus, in turns: seconds of whole commands, loading the model and
# reading its prompt included, and of the processor; how long two threads take of one thread's time. Raw lines
# NAME VALUE UNIT ROUND are appended to RESULT.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds="${1:-5}" result="${2:-/dev/stdout}"
target="${CARGO_TARGET_DIR:-$PWD/target}"
tamis="${BENCH_TAMIS:-$target/release/tamis}"
work="$target/bench/threads"
rm -rf "$work"
mkdir -p "$work/corpus"
awk 'NR % 14 == 0 && ++taken <= 40' crates/tamis/demo/corpus.jsonl > "$work/corpus/a.jsonl"
bytes=$(wc -c < "$work/corpus/a.jsonl")

echo "# threads: $(wc -l < "$work/corpus/a.jsonl") documents in $bytes bytes of jsonl" | tee -a "$result"
for round in $(seq "$rounds"); do
    for threads in 1 2; do
        rm -rf "$work/run"
        python3 bench/timed.py "threads/$threads" "$bytes" "$round" \
            "$tamis" -q score ask-llm "$work/corpus" --run "$work/run" --threads "$threads" |
            grep -E '/(time|processor) ' > "$work/lines.$threads"
        tee -a "$result" < "$work/lines.$threads"
    done
    awk -v round="$round" '$1 ~ /time$/ { time[++n] = $2 } END { printf "threads/2-of-1 %.3f times %d\n", time[2] / time[1], round }' \
        "$work/lines.1" "$work/lines.2" | tee -a "$result"
done
