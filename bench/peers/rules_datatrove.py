#!/usr/bin/env python3
"""What datatrove's quality filters say of documents, and how often ours say the same.

    python3 rules_datatrove.py documents CORPUS WORK [LIMIT]     texts of a folder of jsonl.zst into WORK/documents, divided by NUL
    python3 rules_datatrove.py verdicts WORK ROUND               the filters' reasons into WORK/theirs.tsv, and their speed
    python3 rules_datatrove.py agree WORK                        WORK/ours.tsv, of the example `rules`, beside theirs, and beside the
                                                                 labels `good` and `bad`, where the corpus has a column `quality`

One process, the filters' defaults, English. LIMIT: as many documents, evenly spread; texts of more than a million characters are left
out, since spaCy takes minutes and gigabytes for one. Speed is MB a second of the processor. Words are split once a document: datatrove
remembers the last texts that it split, and the filters come one after another; the first pays for it.
"""
import glob
import io
import json
import os
import sys
import time
from collections import Counter

LONGEST = 1_000_000
PRESETS = ["gopher-quality", "gopher-repetition", "c4", "fineweb"]


def documents(corpus, work, limit="0"):
    import zstandard

    rows = []
    for path in sorted(glob.glob(os.path.join(corpus, "*.jsonl.zst"))):
        with open(path, "rb") as file:
            for line in io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(file), 1 << 20):
                row = json.loads(line)
                if len(row["text"]) <= LONGEST:
                    rows.append((row["text"].replace("\0", " "), row.get("quality") or "-"))
    if int(limit):
        rows = rows[:: max(1, len(rows) // int(limit))]
    with open(os.path.join(work, "documents"), "w", encoding="utf-8", newline="") as sink:
        sink.write("\0".join(text for text, _ in rows))
    with open(os.path.join(work, "labels"), "w", encoding="utf-8") as sink:
        sink.writelines(label + "\n" for _, label in rows)


def verdicts(work, turn):
    from datatrove.data import Document
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )

    # C4 edits its document, and so comes last.
    filters = {
        "gopher-quality": GopherQualityFilter(),
        "gopher-repetition": GopherRepetitionFilter(),
        "fineweb": FineWebQualityFilter(),
        "c4": C4QualityFilter(),
    }
    filters["gopher-quality"].filter(Document(text="loads the tokenizer", id="0"))
    with open(os.path.join(work, "documents"), encoding="utf-8", newline="") as source:
        texts = source.read().split("\0")
    spent = dict.fromkeys(filters, 0.0)
    with open(os.path.join(work, "theirs.tsv"), "w", encoding="utf-8") as sink:
        for text in texts:
            document, reasons = Document(text=text, id="0"), {}
            for name, rule in filters.items():
                began = time.process_time()
                try:
                    result = rule.filter(document)
                except ZeroDivisionError:
                    result = (False, "no-words")
                spent[name] += time.process_time() - began
                reasons[name] = result[1] if isinstance(result, tuple) else ""
            sink.write("\t".join(reasons[name] for name in PRESETS) + "\n")
    size = sum(len(text.encode()) for text in texts) / 1e6
    for name, seconds in [*spent.items(), ("all", sum(spent.values()))]:
        print("rules-%s/datatrove %.3f MB/s %s" % (name, size / seconds, turn))


def agree(work):
    def lines(name):
        with open(os.path.join(work, name), encoding="utf-8") as source:
            return [line.rstrip("\n").split("\t") for line in source]

    ours, theirs, labels = lines("ours.tsv"), lines("theirs.tsv"), [row[0] for row in lines("labels")]
    if not len(ours) == len(theirs) == len(labels):
        sys.exit("ours are %d verdicts, theirs %d, labels %d" % (len(ours), len(theirs), len(labels)))
    for at, preset in enumerate(PRESETS):
        dropped = sum(bool(their[at]) for their in theirs)
        apart = Counter()
        for our, their in zip(ours, theirs):
            if bool(our[at]) != bool(their[at]):
                apart["ours keeps, theirs %s" % their[at] if their[at] else "theirs keeps, ours %s" % our[at]] += 1
        print("rules-agreement/%s %.4f %% 1" % (preset, 100 * (1 - sum(apart.values()) / len(ours))))
        print("# %s: of %d documents datatrove drops %d; %d are judged otherwise" % (preset, len(ours), dropped, sum(apart.values())))
        for what, count in apart.most_common(6):
            print("#   %d: %s" % (count, what))
        for label in ("good", "bad"):
            labelled = [bool(our[at]) for our, its in zip(ours, labels) if its == label]
            if labelled:
                print("# %s: ours drops %.1f %% of %d documents labelled %s" % (preset, 100 * sum(labelled) / len(labelled), len(labelled), label))
    same = sum(any(our) == any(their) for our, their in zip(ours, theirs))
    print("rules-agreement/all %.4f %% 1" % (100 * same / len(ours)))


def main():
    what, *arguments = sys.argv[1:]
    {"documents": documents, "verdicts": verdicts, "agree": agree}[what](*arguments)


if __name__ == "__main__":
    main()
