#!/usr/bin/env python3
"""Writes the table of all processors that a result exists of into a page: machines.py PAGE RESULT [RESULT ...]

Of every section with a peer: the first name that begins with tamis, which is what `--dtype auto` takes there, by the fastest peer of
that run, medians; where both have int8, that is a line by itself. Of one processor the newest result of each line. The part of the
page between the marks is replaced.
"""
import os
import re
import statistics
import sys

def read(path):
    machine, sections = None, {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("# machine "):
                machine = line[len("# machine "):].split(", load")[0].strip()
            elif machine and re.fullmatch(r"[^#\s]\S*/\S+ [0-9.]+ \S+ [0-9]+\s*", line):
                name, value, unit, _round = line.split()
                section, _, entry = name.partition("/")
                if "/" not in entry:
                    sections.setdefault((section, unit), {}).setdefault(entry, []).append(float(value))
    return machine, sections


def ratio(entries, unit):
    middles = {name: statistics.median(values) for name, values in entries.items()}
    ours = next((name for name in middles if name.startswith("tamis")), None)
    peers = {name: value for name, value in middles.items() if not name.startswith("tamis")}
    if ours is None or not peers:
        return None
    rate = unit.endswith("/s")
    best = max(peers, key=lambda name: peers[name] if rate else -peers[name])
    times = middles[ours] / peers[best] if rate else peers[best] / middles[ours]
    return times, ours, middles[ours], best, unit


def main():
    page, results = sys.argv[1], sys.argv[2:]
    found = {}
    for path in sorted(results):
        machine, sections = read(path)
        for (section, unit), entries in sections.items():
            rough = {name: values for name, values in entries.items() if name.endswith("int8")}
            parted = ratio(rough, unit) is not None
            whole = {name: values for name, values in entries.items() if not (parted and name in rough)}
            for line, entries in ((section, whole), (section + " in int8", rough if parted else {})):
                one = ratio(entries, unit)
                if one:
                    found[(machine, line)] = (one, os.path.basename(path))
    lines = ["| processor | line | tamis | best peer of the run | ratio | result |", "| --- | --- | --- | --- | --- | --- |"]
    for (machine, section), ((times, ours, value, best, unit), path) in sorted(found.items()):
        shown = "%.0f" % value if value >= 100 else "%.3g" % value
        lines.append("| %s | %s | %s %s (%s) | %s | %.2f × | `%s` |" % (machine, section, shown, unit, ours, best, times, path))
    begin, end = "<!-- machines: written by bench/machines.py -->", "<!-- machines: end -->"
    block = "\n".join([begin] + lines + [end])
    with open(page, encoding="utf-8") as source:
        text = source.read()
    marks = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.S)
    text = marks.sub(lambda _: block, text) if marks.search(text) else text.rstrip() + "\n\n" + block + "\n"
    with open(page, "w", encoding="utf-8") as sink:
        sink.write(text)


main()
