#!/usr/bin/env python3
"""Keeps about a fifth of a folder of jsonl.zst by SQL: read_json, a filter by a hash of the id, zstd-compressed json out.

    python3 select_duckdb.py CORPUS OUT

One pass, so the rate is not exact; columns are named, so nothing is guessed; order is given up, so both threads write.
"""
import glob
import sys

import duckdb

corpus, out = sys.argv[1:]
connection = duckdb.connect(config={"threads": 2, "preserve_insertion_order": False})
columns = connection.execute(
    "SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM read_json(?, format = 'newline_delimited'))",
    [sorted(glob.glob(corpus + "/*.jsonl.zst"))[0]],
).fetchall()
types = "{%s}" % ", ".join("'%s': '%s'" % column for column in columns)
connection.execute(
    "COPY (SELECT * FROM read_json('%s/*.jsonl.zst', format = 'newline_delimited', columns = %s) "
    "WHERE hash(id) < 3689348814741910323) TO '%s' (FORMAT json, COMPRESSION zstd, PER_THREAD_OUTPUT)"
    % (corpus, types, out)
)
