"""What selections keep of the labelled pool: kept.py POOL RUN SELECTION ...

Per selection the share that is kept of documents labelled good, labelled bad, planted as copies (exact, near) and of all others, and
the share of kept documents that repeat another kept one.
"""
import json
import subprocess
import sys
from pathlib import Path

import duckdb

pool, run = Path(sys.argv[1]), Path(sys.argv[2])
documents = []
for shard in sorted(pool.glob("*.jsonl.zst")):
    lines = subprocess.run(["zstd", "-dcq", shard], stdout=subprocess.PIPE, check=True).stdout.splitlines()
    documents += map(json.loads, lines)
keys = dict(duckdb.sql(f"select doc_key, id from read_parquet('{run}/inventory/*.parquet')").fetchall())
print("| kept at 20 % | good | bad | exact copies | near copies | others | repeats of kept ones |")
print("| --- | --- | --- | --- | --- | --- | --- |")
for name in sys.argv[3:]:
    rows = duckdb.sql(f"select doc_key from read_parquet('{run}/selections/{name}/decisions/*.parquet') where reason = 'kept'")
    kept = {keys[key] for (key,) in rows.fetchall()}

    def share(of):
        among = [row for row in documents if of(row)]
        return f"{100 * sum(row['id'] in kept for row in among) / max(1, len(among)):.1f} %"

    originals = {row.get("duplicate_of") or row["id"] for row in documents if row["id"] in kept}
    cells = [
        share(lambda row: row["quality"] == "good"),
        share(lambda row: row["quality"] == "bad"),
        share(lambda row: row["kind"] == "exact-duplicate"),
        share(lambda row: row["kind"] == "near-duplicate"),
        share(lambda row: row["quality"] is None and not row.get("duplicate_of")),
        f"{100 * (1 - len(originals) / max(1, len(kept))):.1f} %",
    ]
    print(f"| {name} | " + " | ".join(cells) + " |")
