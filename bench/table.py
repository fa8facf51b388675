#!/usr/bin/env python3
"""Writes the tables of raw result files into a page: table.py PAGE RESULT [RESULT ...]

A raw line is `SECTION/NAME VALUE UNIT ROUND`; lines that begin with # are told with the section's table as they are. The part of
the page between the two marks of a file's part is replaced, and begun at the end of the page if it is not there; the part is
the word after the first # of the file. The first name of a section that begins with tamis is what the others are compared with.
"""
import os
import re
import statistics
import sys


def read(path):
    notes, sections = [], {}
    with open(path, encoding="utf-8") as lines:
        for line in lines.read().splitlines():
            if line.startswith("#"):
                notes.append(line[1:].strip())
            elif line.strip():
                name, value, unit, _round = line.split()
                section, _, entry = name.partition("/")
                sections.setdefault(section, {}).setdefault((entry, unit), []).append(float(value))
    return notes, sections


def shown(value):
    return "%.0f" % value if value >= 100 else "%.3g" % value


def table(entries):
    ours = next((key for key in entries if key[0].startswith("tamis")), None)
    lines = ["| | median | from – to | rounds | tamis is |", "| --- | --- | --- | --- | --- |"]
    for key, values in entries.items():
        entry, unit = key
        middle = statistics.median(values)
        ratio = ""
        if ours and unit == ours[1] and key != ours and middle:
            times = statistics.median(entries[ours]) / middle
            ratio = "%.2f ×" % (times if unit.endswith("/s") else 1 / times)
        lines.append(
            "| %s | %s %s | %s – %s | %d | %s |"
            % (entry, shown(middle), unit, shown(min(values)), shown(max(values)), len(values), ratio)
        )
    return lines


def main():
    page, results = sys.argv[1], sys.argv[2:]
    text = ""
    if os.path.exists(page):
        with open(page, encoding="utf-8") as source:
            text = source.read()
    for path in results:
        notes, sections = read(path)
        part = notes[0].split()[0]
        lines = ["From `%s`:" % os.path.relpath(path), "```"] + notes + ["```"]
        for section, entries in sections.items():
            lines += ["", "### " + section] + table(entries)
        begin, end = "<!-- %s: written by bench/table.py -->" % part, "<!-- %s: end -->" % part
        block = "\n".join([begin] + lines + [end])
        marks = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.S)
        text = marks.sub(lambda _: block, text) if marks.search(text) else text.rstrip() + "\n\n" + block + "\n"
    with open(page, "w", encoding="utf-8") as sink:
        sink.write(text)


main()
