#!/usr/bin/env python3
"""Writes the tables of raw result files into a page: table.py PAGE RESULT [RESULT ...]

A raw line is `SECTION/NAME VALUE UNIT ROUND`; lines that begin with # are told with the section's table as they are. The part of
the page between the two marks of a file's part is replaced, and begun at the end of the page if it is not there; the part is
the word after the first # of the file. Peers are compared with the first name of a section that begins with tamis, names that begin
with tamis with the fastest peer; names with a further / (time, memory) with nothing.
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
                note = line[1:].strip()
                if note not in notes:
                    notes.append(note)
            elif line.strip():
                name, value, unit, _round = line.split()
                section, _, entry = name.partition("/")
                sections.setdefault(section, {}).setdefault((entry, unit), []).append(float(value))
    return notes, sections


def shown(value):
    return "%.0f" % value if value >= 100 else "%.3g" % value


def times_as_fast(ours, theirs, unit):
    return ours / theirs if unit.endswith("/s") else theirs / ours


def table(entries):
    middles = {key: statistics.median(values) for key, values in entries.items()}
    whole = [key for key in entries if "/" not in key[0]]
    ours = [key for key in whole if key[0].startswith("tamis")]
    lines = ["| | median | from – to | rounds | speed |", "| --- | --- | --- | --- | --- |"]
    for key, values in entries.items():
        entry, unit = key
        peers = [other for other in whole if other[1] == unit and other not in ours]
        speed = ""
        if key in ours and peers:
            fastest = max(peers, key=lambda peer: middles[peer] if unit.endswith("/s") else -middles[peer])
            speed = "%.2f × %s" % (times_as_fast(middles[key], middles[fastest], unit), fastest[0])
        elif key in peers and ours and ours[0][1] == unit:
            speed = "%s is %.2f × this" % (ours[0][0], times_as_fast(middles[ours[0]], middles[key], unit))
        lines.append(
            "| %s | %s %s | %s – %s | %d | %s |"
            % (entry, shown(middles[key]), unit, shown(min(values)), shown(max(values)), len(values), speed)
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
