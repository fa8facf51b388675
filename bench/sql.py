#!/usr/bin/env python3
"""Runs every query of docs/sql.md on the demo's run, and compares the answers with those on the page.

    bench/sql.py TAMIS DEMO-FOLDER          # the binary, and the folder that `tamis demo --out` made
    bench/sql.py TAMIS DEMO-FOLDER --write  # writes the answers into the page instead

A query is a block of sql; its answer, the block of text that follows. Needs the package duckdb.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

import duckdb

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "sql.md"
QUERY = re.compile(r"```sql\n(.*?)```\n\n```text\n(.*?)```", re.S)


def selections(run):
    """Selections of the demo, by the signal that they are by: their digits depend on the processor."""
    for folder in sorted((run / "selections").iterdir()):
        stem, _, digits = folder.name.rpartition("-")
        if (folder / "manifest.json").exists() and re.fullmatch("[0-9a-f]{8}", digits):
            yield f"{folder.name}={stem}_20"


def written(value):
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def answer(connection, query):
    """The rows of a query, in columns: text to the left, numbers to the right."""
    result = connection.execute(query)
    names = [column[0] for column in result.description]
    rows = result.fetchall()
    cells = [names] + [[written(value) for value in row] for row in rows]
    widths = [max(len(row[at]) for row in cells) for at in range(len(names))]
    right = [all(not isinstance(row[at], str) for row in rows) for at in range(len(names))]
    lines = []
    for row in cells:
        padded = [cell.rjust(width) if left else cell.ljust(width) for cell, width, left in zip(row, widths, right)]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines) + "\n"


def main():
    tamis, demo = sys.argv[1], pathlib.Path(sys.argv[2])
    page = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        table = pathlib.Path(folder) / "all.parquet"
        command = [tamis, "table", "--quiet", "--run", str(demo / "run"), "--out", str(table)]
        for selection in selections(demo / "run"):
            command += ["--selection", selection]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        connection = duckdb.connect()
        connection.execute(f"create view documents as select * from '{table}'")
        found = 0
        wrong = []

        def compare(match):
            nonlocal found
            found += 1
            query, stated = match.groups()
            computed = answer(connection, query)
            if computed != stated:
                wrong.append(f"question {found}:\n{query}\nthe page says:\n{stated}\nthe run says:\n{computed}")
            return f"```sql\n{query}```\n\n```text\n{computed}```"

        page = QUERY.sub(compare, page)
    if "--write" in sys.argv:
        PAGE.write_text(page, encoding="utf-8")
        print(f"{found} answers written to {PAGE.name}")
        return
    for text in wrong:
        print(text, file=sys.stderr)
    if found != 10:
        sys.exit(f"{PAGE.name} has {found} questions with answers, not 10")
    if wrong:
        sys.exit(f"{len(wrong)} answers of {PAGE.name} are not those of the demo's run")
    print(f"{found} answers of {PAGE.name} are those of the demo's run")


if __name__ == "__main__":
    main()
