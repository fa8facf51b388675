#!/usr/bin/env bash
# What each signal costs: bench/costs.sh ROUNDS RESULT
#
# Seconds of a whole run of `tamis score` for each million tokens of text (tokens of the packaged judge's tokenizer; what prompts,
# windows and the end of a document add or leave out is in the time, not in the count). Both cores; loading the model is in the
# time. Neural signals run over every fourth document of the demo corpus, the others over twenty copies of it. Raw lines
# NAME VALUE UNIT ROUND are appended to RESULT.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds="${1:-3}" result="${2:-/dev/stdout}"
target="${CARGO_TARGET_DIR:-$PWD/target}"
tamis="$target/release/tamis"
work="$target/bench/costs"
rm -rf "$work"
mkdir -p "$work/some" "$work/many"
awk 'NR % 4 == 0' crates/tamis/demo/corpus.jsonl > "$work/some/a.jsonl"
python3 - crates/tamis/demo/corpus.jsonl "$work/many" <<'PYTHON'
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
for copy in range(20):
    with open("%s/%02d.jsonl" % (sys.argv[2], copy), "w", encoding="utf-8") as sink:
        for row in rows:
            changed = dict(row, id="%s-%d" % (row["id"], copy), text="%s [%d]" % (row["text"], copy), quality=len(row["text"]))
            sink.write(json.dumps(changed, ensure_ascii=False) + "\n")
PYTHON
"$tamis" -q train-ngram crates/tamis/demo/corpus.jsonl --order 5 --out "$work/model.arpa" > /dev/null

tokens_of() {
    "$tamis" -q --json score tokens "$work/$1" --run "$work/run-$1-tokens" | python3 -c 'import json, sys; print(json.load(sys.stdin)["tokens"])'
}
some=$(tokens_of some) many=$(tokens_of many)

# cost NAME CORPUS TOKENS SIGNAL ...
cost() {
    local name="$1" corpus="$2" tokens="$3" from
    shift 3
    rm -rf "$work/run"
    from=$(date +%s.%N)
    "$tamis" -q score "$@" "$work/$corpus" --run "$work/run" > /dev/null 2>> "$work/log"
    echo "costs/$name $(echo "scale=3; ($(date +%s.%N) - $from) * 1000000 / $tokens" | bc) s/million-tokens $round" | tee -a "$result"
}

echo "# costs: $(wc -l < "$work/some/a.jsonl") documents of $some tokens for neural signals, $(cat "$work"/many/* | wc -l) of $many for the others" | tee -a "$result"
for round in $(seq "$rounds"); do
    cost ask-llm-default some "$some" ask-llm
    cost ask-llm-prompt-paper some "$some" ask-llm --prompt paper
    cost perplexity some "$some" perplexity
    cost embed some "$some" embed
    cost density some "$some" density
    cost ngram many "$many" ngram --ngram "$work/model.arpa"
    cost tokens many "$many" tokens
    cost counts many "$many" counts
    cost column many "$many" column:quality
done
