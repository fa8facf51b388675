#!/usr/bin/env python3
"""Copies a folder of jsonl.zst shards some times over, with new ids and a note in each text, so that no two are equal.
Each document gets a `score`, an even spread by its id, for selections by a column. Copy N begins with its number: `07-…`.

    python3 enlarge.py FROM TO TIMES
"""
import glob
import json
import os
import subprocess
import sys
import zlib


def main():
    source, out, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
    part = out + ".part"
    os.makedirs(part, exist_ok=True)
    for path in sorted(glob.glob(os.path.join(source, "*.jsonl.zst"))):
        lines = subprocess.run(["zstd", "-dcq", path], check=True, capture_output=True).stdout.splitlines()
        rows = [json.loads(line) for line in lines]
        for copy in range(times):
            name = os.path.join(part, "%02d-%s" % (copy, os.path.basename(path)[: -len(".zst")]))
            with open(name, "w", encoding="utf-8") as sink:
                for row in rows:
                    name_of_copy = "%s-%d" % (row["id"], copy)
                    score = zlib.crc32(name_of_copy.encode()) / 2**32
                    changed = dict(row, id=name_of_copy, text="%s [%d]" % (row["text"], copy), score=score)
                    sink.write(json.dumps(changed, ensure_ascii=False) + "\n")
            subprocess.run(["zstd", "-q", "-3", "-f", "--rm", name], check=True)
    os.rename(part, out)


main()
