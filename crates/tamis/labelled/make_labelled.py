#!/usr/bin/env python3
"""Makes `labelled.jsonl`, by which judges are checked: good documents, each with two that a program spoilt, and bad ones as sites have them.

    python3 make_labelled.py            # writes labelled.jsonl beside this file, prints its statistics
    python3 make_labelled.py --check    # says whether labelled.jsonl is what this script makes

Reads the good documents of `../demo` and of `written/good`, and the bad ones of `../demo/written/bad`. The result is the
same on every machine and Python version from 3.10 on.

A document and everything made of it are in one half. The half of a document of the demo is the parity of the CRC-32 of its
id there, since half of that corpus had been used for tuning before; of another one, the parity of the CRC-32 of its text.
"""

import collections
import json
import sys
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "demo"))

import spoil
import web
from dice import Dice

SEED = 20261125
OWN = "MIT OR Apache-2.0"
HALVES = ("tuning", "reporting")
KIND_OF_FILE = {
    "news": "news", "howto": "how-to", "fiction": "fiction", "code": "code", "dialogue": "dialogue", "reference": "reference list",
    "niche": "niche",
}  # fmt: skip
# Kinds of the demo that are bad by themselves; `empty prose` puts together three that are too small alone.
KIND_OF_DEMO = {"empty article": "empty prose", "clickbait": "empty prose", "chatter": "empty prose", "spun or machine-translated": "empty prose",
                "spam": "spam", "boilerplate": "site furniture"}  # fmt: skip
A_KIND = 60  # documents of each kind that is made by templates, written ones included


def half(text):
    return HALVES[zlib.crc32(text.encode()) % 2]


def good():
    for line in (HERE.parent / "demo" / "corpus.jsonl").read_text(encoding="utf-8").splitlines():
        d = json.loads(line)
        if d["duplicate_of"] is None and d["label"] == "good":
            kind = "reference list" if d["kind"] == "dictionary" else d["kind"]
            yield {**d, "kind": kind, "of": d["id"], "half": half(d["id"])}
    for path in sorted((HERE / "written" / "good").glob("*.txt")):
        for n, text in enumerate(path.read_text(encoding="utf-8").split("\n%%\n")):
            text = text.strip("\n")
            yield {"text": text, "kind": KIND_OF_FILE[path.stem], "source": "tamis", "license": OWN, "of": f"{path.stem}-{n:02}", "half": half(text)}


def spoilt(documents, dice):
    """Two bad documents of each good one, in ways that go round within each half and kind."""
    ways, turn = list(spoil.WAYS), collections.Counter()
    for d in documents:
        others = [o for o in documents if o["half"] == d["half"] and o is not d and len(o["text"]) > 500]
        for _ in range(2):
            # Kinds start at different ways, and 3 has no factor in common with the number of ways.
            start = sorted({o["kind"] for o in documents}).index(d["kind"])
            way = ways[(start + 3 * turn[d["half"], d["kind"]]) % len(ways)]
            turn[d["half"], d["kind"]] += 1
            other = dice.one(others)
            text = spoil.WAYS[way](d["text"], other["text"], dice).strip()
            licenses = {d["license"], other["license"]} if way == "cut and joined" else {d["license"]}
            yield {"text": text, "kind": way, "source": d["source"], "license": " AND ".join(sorted(licenses)), "of": d["of"], "half": d["half"]}


def by_themselves(documents, dice):
    demo = [json.loads(line) for line in (HERE.parent / "demo" / "corpus.jsonl").read_text(encoding="utf-8").splitlines()]
    counts = collections.Counter()
    for d in demo:
        kind = KIND_OF_DEMO.get(d["kind"])
        if kind and d["duplicate_of"] is None and d["license"] == OWN:
            row = {"text": d["text"], "kind": kind, "source": "tamis", "license": OWN, "of": d["id"], "half": half(d["id"])}
            counts[kind, row["half"]] += 1
            yield row
    lengths = sorted(len(d["text"]) for d in documents)
    for kind, maker in web.MAKERS.items():
        for name in HALVES:
            for n in range(max(0, A_KIND // 2 - counts[kind, name])):
                length = lengths[dice.below(len(lengths))]
                of = f"{kind.replace(' ', '-')}-{name[0]}{n:02}"
                yield {"text": maker(dice, length).strip(), "kind": kind, "source": "tamis", "license": OWN, "of": of, "half": name}


def make():
    dice = Dice(SEED)
    documents = list(good())
    bad = [*spoilt(documents, dice), *by_themselves(documents, dice)]
    rows = [{**d, "label": "good"} for d in documents] + [{**d, "label": "bad"} for d in bad]
    texts = collections.Counter(d["text"] for d in rows)
    if max(texts.values()) > 1:
        sys.exit("two documents that should differ are the same")
    rows = dice.shuffled(rows)
    return [{"id": f"labelled-{n:04}", **{key: d[key] for key in ("text", "label", "kind", "half", "of", "source", "license")}} for n, d in enumerate(rows)]


def length_auc(rows):
    lengths = {label: [len(d["text"]) for d in rows if d["label"] == label] for label in ("good", "bad")}
    wins = sum((g > b) + (g == b) / 2 for g in lengths["good"] for b in lengths["bad"])
    return wins / (len(lengths["good"]) * len(lengths["bad"]))


def statistics(rows):
    print(f"{len(rows)} documents, {sum(len(d['text'].encode()) for d in rows)} bytes of text")
    for name in HALVES:
        print(f"{name}: AUC of length alone (longer = good) {length_auc([d for d in rows if d['half'] == name]):.3f}")
    counts = collections.Counter((d["label"], d["kind"], d["half"]) for d in rows)
    for label in ("good", "bad"):
        for kind in sorted({d["kind"] for d in rows if d["label"] == label}):
            of_kind = [d for d in rows if d["label"] == label and d["kind"] == kind]
            mean = sum(len(d["text"]) for d in of_kind) / len(of_kind)
            pair = [d for d in rows if d["label"] == "good" or d["kind"] == kind]
            alone = f"{length_auc(pair):.2f}" if label == "bad" else ""
            print(f"    {label:4} {kind:20} {counts[label, kind, 'tuning']:3} + {counts[label, kind, 'reporting']:3}  mean {mean:5.0f} {alone}")


def main():
    rows = make()
    path = HERE / "labelled.jsonl"
    made = "".join(json.dumps(d, ensure_ascii=False) + "\n" for d in rows)
    if "--check" in sys.argv[1:]:
        same = path.read_text(encoding="utf-8") == made
        sys.exit(None if same else f"{path} is not what this script makes: run it without --check")
    path.write_text(made, encoding="utf-8", newline="\n")
    statistics(rows)


if __name__ == "__main__":
    main()
