"""What of the labelled duplicates of the pool a run found: duplicates.py POOL RUN SIGNAL

SIGNAL is the full name of a stored signal with a column `representative` (minhash@…, semdedup@…, copies@…). Prints, per kind, the
share of pairs (document, the one that it was made from) that are of one group, and how many pairs of a document and the one that
stands for its group are no near-duplicates by the exact Jaccard similarity of their word 5-grams (below 0.5).
"""
import json
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import duckdb

pool, run, signal = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
documents = {}
for shard in sorted(pool.glob("*.jsonl.zst")):
    lines = subprocess.run(["zstd", "-dcq", shard], stdout=subprocess.PIPE, check=True).stdout.splitlines()
    documents.update((row["id"], row) for row in map(json.loads, lines))
keys = dict(duckdb.sql(f"select doc_key, id from read_parquet('{run}/corpus/inventory/**/*.parquet')").fetchall()) \
    if list((run / "corpus").rglob("*.parquet")) else \
    dict(duckdb.sql(f"select doc_key, id from read_parquet('{run}/inventory/*.parquet')").fetchall())
rows = duckdb.sql(f"select doc_key, representative, rank from read_parquet('{run}/signals/{signal}/*.parquet')").fetchall()
group = {keys[key]: keys[first] for key, first, _ in rows if first is not None}


def shingles(text, n=5):
    words = re.findall(r"[^\W_]+", text.lower())
    return {tuple(words[at:at + n]) for at in range(max(1, len(words) - n + 1))} if words else set()


pairs, found = Counter(), Counter()
for name, row in documents.items():
    original = row.get("duplicate_of")
    if original in documents:
        pairs[row["kind"]] += 1
        found[row["kind"]] += group.get(name) is not None and group.get(name) == group.get(original)
for kind in sorted(pairs):
    print(f"{kind}: {found[kind]} of {pairs[kind]} in one group: {found[kind] / pairs[kind]:.4f}")
false, all_pairs = Counter(), 0
of_text = defaultdict(lambda: None)
for name, first in group.items():
    if name == first:
        continue
    all_pairs += 1
    for one in (name, first):
        if of_text[one] is None:
            of_text[one] = shingles(documents[one]["text"])
    a, b = of_text[name], of_text[first]
    similarity = len(a & b) / max(1, len(a | b))
    for limit in (0.3, 0.5, 0.7, 0.8):
        false[limit] += similarity < limit
print(f"documents beside the first of each group: {all_pairs}")
for limit, count in sorted(false.items()):
    print(f"less similar to it than Jaccard {limit}: {count / max(1, all_pairs):.4f}")
