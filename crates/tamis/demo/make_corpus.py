#!/usr/bin/env python3
"""Makes `corpus.jsonl`: labelled good and bad documents with exact and near duplicates among them.

    python3 make_corpus.py            # writes corpus.jsonl beside this file, prints its statistics
    python3 make_corpus.py --check    # says whether corpus.jsonl is what this script makes

Everything it reads lies beside it: `written/` (our own texts, divided by lines of `%%`) and `excerpts.jsonl`. The result
is the same on every machine and Python version from 3.10 on.
"""

import collections
import json
import pathlib
import sys

import degrade
import junk
from dice import Dice

HERE = pathlib.Path(__file__).parent
SEED = 20240229
OWN = "MIT OR Apache-2.0"
KIND_OF_SOURCE = {
    "sotu": "speech",
    "jargon": "dictionary",
    "sqlite-doc": "documentation",
    "python-doc": "documentation",
    "postgresql-doc": "documentation",
}
KIND_OF_FILE = {
    "encyclopedia": "encyclopedic", "news": "news", "howto": "how-to", "fiction": "fiction", "code": "code",
    "dialogue": "dialogue", "reference": "reference list", "niche": "niche", "seo": "empty article", "sales": "spam",
    "spun": "spun or machine-translated", "chatter": "chatter", "clickbait": "clickbait", "boilerplate": "boilerplate",
}  # fmt: skip
# How many further copies each of some documents has: one number a group.
EXACT = {"good": [7, 4, 2, 2, 1, 1, 1, 1, 1], "bad": [6, 4, 2, 2, 1, 1, 1, 1, 1, 1]}
NEAR = {"good": [7, 5, 3, 2, 2] + [1] * 9, "bad": [7, 5, 4, 2] + [1] * 14}


def written(label):
    for path in sorted((HERE / "written" / label).glob("*.txt")):
        for text in path.read_text(encoding="utf-8").split("\n%%\n"):
            yield document(text.strip("\n"), "tamis", label, KIND_OF_FILE[path.stem], OWN)


def document(text, source, label, kind, license_):
    return {"text": text.strip(), "source": source, "label": label, "kind": kind, "license": license_, "original": None}


def degraded(excerpts, dice):
    ways = {
        "shuffled sentences": (degrade.shuffled_sentences, 12),
        "shuffled words": (degrade.shuffled_words, 12),
        "repeated lines": (degrade.repeated_lines, 10),
        "mangled encoding": (degrade.mangled_encoding, 11),
        "bad scan": (degrade.optical_recognition, 11),
    }
    left = iter(dice.shuffled(excerpts))
    for kind, (way, count) in ways.items():
        for _ in range(count):
            excerpt = next(left)
            yield document(way(excerpt["text"], dice), excerpt["source"], "bad", kind, excerpt["license"])
    for first in left:
        second = next(left, None)
        if second:
            text = degrade.cut_and_joined(first["text"], second["text"], dice)
            both = sorted({first["license"], second["license"]})
            yield document(text, first["source"], "bad", "cut and joined", " AND ".join(both))


def copies(documents, dice):
    """Exact and near copies; no document has both kinds, and no copy is copied."""
    for label in ("good", "bad"):
        candidates = iter(dice.shuffled([d for d in documents if d["label"] == label and len(d["text"]) < 1000]))
        for count in EXACT[label]:
            original = next(candidates)
            for _ in range(count):
                yield {**original, "original": original}
        for count in NEAR[label]:
            original = next(candidates)
            seen = {original["text"]}
            for turn in range(count):
                text = degrade.near_copy(original["text"], dice, turn + dice.below(2) * 5)
                while text in seen:
                    text = degrade.near_copy(original["text"], dice, dice.below(5))
                seen.add(text)
                yield {**original, "text": text, "original": original}


def make():
    dice = Dice(SEED)
    excerpts = [json.loads(line) for line in (HERE / "excerpts.jsonl").read_text(encoding="utf-8").splitlines()]
    documents = list(written("good"))
    for e in excerpts:
        if e["use"] == "whole":
            documents.append(document(e["text"], e["source"], "good", KIND_OF_SOURCE[e["source"]], e["license"]))
    documents += written("bad")
    for kind, (maker, count) in junk.MAKERS.items():
        documents += (document(maker(dice), "tamis", "bad", kind, OWN) for _ in range(count))
    documents += degraded([e for e in excerpts if e["use"] == "degrade"], dice)
    if len({d["text"] for d in documents}) != len(documents):
        sys.exit("two documents that should differ are the same")
    documents += copies(documents, dice)
    documents = dice.shuffled(documents)
    for number, d in enumerate(documents):
        d["id"] = f"demo-{number:04}"
    return documents


def lines(documents):
    for d in documents:
        row = {
            "id": d["id"],
            "text": d["text"],
            "source": d["source"],
            "label": d["label"],
            "kind": d["kind"],
            "duplicate_of": d["original"]["id"] if d["original"] else None,
            "license": d["license"],
        }
        yield json.dumps(row, ensure_ascii=False) + "\n"


def statistics(documents):
    distinct = [d for d in documents if d["original"] is None]
    print(f"{len(documents)} documents, {len(distinct)} distinct, {sum(len(d['text'].encode()) for d in documents)} bytes of text")
    for label in ("good", "bad"):
        lengths = sorted(len(d["text"]) for d in distinct if d["label"] == label)
        copied = [d for d in documents if d["label"] == label and d["original"]]
        same = sum(d["text"] == d["original"]["text"] for d in copied)
        quarters = [lengths[len(lengths) * q // 4] for q in (1, 2, 3)]
        print(f"{label}: {len(lengths)} distinct, {same} exact and {len(copied) - same} near copies; characters {lengths[0]} | {quarters} | {lengths[-1]}")
        for kind, count in sorted(collections.Counter(d["kind"] for d in distinct if d["label"] == label).items()):
            print(f"    {count:4} {kind}")
    print(", ".join(f"{s} {n}" for s, n in sorted(collections.Counter(d["source"] for d in distinct).items())))
    wins = [(len(g["text"]) > len(b["text"])) + (len(g["text"]) == len(b["text"])) / 2
            for g in distinct if g["label"] == "good" for b in distinct if b["label"] == "bad"]  # fmt: skip
    print(f"AUC of length alone (longer = good): {sum(wins) / len(wins):.3f}")


def main():
    documents = make()
    corpus = HERE / "corpus.jsonl"
    made = "".join(lines(documents))
    if "--check" in sys.argv[1:]:
        same = corpus.read_text(encoding="utf-8") == made
        sys.exit(None if same else f"{corpus} is not what this script makes: run it without --check")
    corpus.write_text(made, encoding="utf-8", newline="\n")
    statistics(documents)


if __name__ == "__main__":
    main()
