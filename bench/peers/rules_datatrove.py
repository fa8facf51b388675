#!/usr/bin/env python3
"""What datatrove's quality filters say of every document of a folder of jsonl.zst: one process, their defaults, English.

    python3 rules_datatrove.py CORPUS WORK [LIMIT]

Writes WORK/verdicts.jsonl, one object a document: `id`, and for each filter the reason for which it would be dropped, or null where
it stays. Prints seconds of the processor of each filter and of all, reading not counted; LIMIT: as many documents, evenly spread.
Words are split once a document: datatrove remembers the last texts that it split, and the filters come one after another.
"""
import glob
import io
import json
import os
import sys
import time

CHARACTERS = 1_000_000  # a longer text is left out: spaCy takes minutes and gigabytes for it


def rows(corpus):
    import zstandard

    for path in sorted(glob.glob(os.path.join(corpus, "*.jsonl.zst"))):
        with open(path, "rb") as file:
            for line in io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(file), 1 << 20):
                row = json.loads(line)
                yield row["id"], row["text"]


def main():
    corpus, work = sys.argv[1:3]
    from datatrove.data import Document
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )

    filters = {
        "gopher-quality": GopherQualityFilter(),
        "gopher-repetition": GopherRepetitionFilter(),
        "fineweb": FineWebQualityFilter(),
        "c4": C4QualityFilter(),  # it edits the document, so it comes last
    }
    documents = [(name, text) for name, text in rows(corpus) if len(text) <= CHARACTERS]
    if len(sys.argv) > 3:
        step = max(1, len(documents) // int(sys.argv[3]))
        documents = documents[::step]
    spent = dict.fromkeys(filters, 0.0)
    verdict = {"gopher-quality": filters["gopher-quality"].filter(Document("a b", "0"))}  # the tokenizer is loaded
    with open(os.path.join(work, "verdicts.jsonl"), "w", encoding="utf-8") as sink:
        for name, text in documents:
            document, verdict = Document(text=text, id=name), {"id": name}
            for filter_name, rule in filters.items():
                began = time.process_time()
                try:
                    result = rule.filter(document)
                except ZeroDivisionError:
                    result = (False, "no words")
                spent[filter_name] += time.process_time() - began
                verdict[filter_name] = result[1] if isinstance(result, tuple) else (None if result else "dropped")
            sink.write(json.dumps(verdict) + "\n")
    size = sum(len(text.encode()) for _, text in documents)
    for name, seconds in [*spent.items(), ("all", sum(spent.values()))]:
        print("%s %.3f s %.3f MB/s" % (name, seconds, size / seconds / 1e6))
    print("bytes %d documents %d" % (size, len(documents)))


if __name__ == "__main__":
    main()
