#!/usr/bin/env python3
"""Contamination of a folder of jsonl.zst by datatrove's n-grams.

    python3 contamination_datatrove.py index EVALUATIONS WORK      hashes of the evaluations' 13-grams; not timed
    python3 contamination_datatrove.py filter CORPUS WORK          NGramsDecontFilter over the corpus, two workers; timed
    python3 contamination_datatrove.py texts EVALUATIONS WORK      WORK/items: the texts, separated by NUL; needs no package
    python3 contamination_datatrove.py list CORPUS WORK            WORK/gone.json, ids that were filtered out, WORK/all.json; not timed

Its indexer takes tasks of lighteval or documents, and needs lighteval for either; so the hashes are made here by the indexer's own
`compute_hashes`, of the same texts that ours reads: every string of an item, at any depth, as an answer without a question. Words are its
own: spaCy's, of text without punctuation, diacritics and numbers.
"""
import csv
import glob
import io
import json
import os
import sys

NGRAM = 13


def config():
    from datatrove.pipeline.decont.n_grams import NGramsDecontConfig

    return NGramsDecontConfig(n_grams=NGRAM)


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from strings(one)
    elif isinstance(value, dict):
        for one in value.values():
            yield from strings(one)


def texts(path):
    with open(path, encoding="utf-8-sig", newline="") as file:
        if path.endswith((".jsonl", ".ndjson")):
            for line in file:
                if line.strip():
                    yield from strings(json.loads(line))
        elif path.endswith(".json"):
            yield from strings(json.load(file))
        elif path.endswith(".csv"):
            yield from strings(list(csv.reader(file)))
        elif path.endswith(".tsv"):
            yield from strings([line.rstrip("\n").split("\t") for line in file])
        elif path.endswith(".txt"):
            paragraph = []
            for line in [*file, "\n"]:
                if line.strip():
                    paragraph.append(line)
                elif paragraph:
                    yield "".join(paragraph)
                    paragraph = []


def files(evaluations):
    paths = glob.glob(os.path.join(evaluations, "**", "*"), recursive=True)
    return [path for path in sorted(paths) if os.path.isfile(path)]


def write_texts(evaluations, work):
    with open(os.path.join(work, "items"), "w", encoding="utf-8") as file:
        file.write("\0".join(text.replace("\0", " ") for path in files(evaluations) for text in texts(path)))


def index(evaluations, work):
    import numpy as np
    from datatrove.pipeline.decont.n_grams import NGramsDecontIndexer
    from datatrove.utils.hashing import create_hash_func
    from datatrove.utils.typeshelper import Languages
    from datatrove.utils.word_tokenizers import load_word_tokenizer

    indexer = object.__new__(NGramsDecontIndexer)
    indexer.config = config()
    indexer.tokenizer = load_word_tokenizer(Languages.english)
    indexer.hash_func = create_hash_func(indexer.config.hash_config)
    os.makedirs(os.path.join(work, "index"))
    for path in files(evaluations):
        hashes = set()
        for text in texts(path):
            hashes.update(indexer.compute_hashes(text))
        if hashes:
            name = os.path.relpath(path, evaluations).replace(os.sep, "-")
            np.array(sorted(hashes), dtype="<u8").tofile(os.path.join(work, "index", name + ".index.hashes"))


def filter_corpus(corpus, work):
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.decont.n_grams import NGramsDecontFilter
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter

    at = lambda name: os.path.join(work, name)
    shards = sorted(glob.glob(os.path.join(corpus, "*.jsonl.zst")))
    keep = JsonlWriter(at("out"), output_filename="${rank}.jsonl.zst", compression="zstd")
    step = NGramsDecontFilter(index_folder=at("index"), config=config())
    # Forked, its workers are children whose processor time is counted.
    LocalPipelineExecutor(
        [JsonlReader(corpus, glob_pattern="*.jsonl.zst"), step, keep],
        tasks=len(shards),
        workers=min(2, len(shards)),
        logging_dir=at("logs"),
        skip_completed=False,
        start_method="fork",
    ).run()


def list_ids(corpus, work):
    at = lambda name: os.path.join(work, name)
    everything, kept = ids(glob.glob(os.path.join(corpus, "*.jsonl.zst"))), ids(glob.glob(at("out/*.zst")))
    for name, some in (("gone", everything - kept), ("all", everything)):
        with open(at(name + ".json"), "w", encoding="utf-8") as file:
            json.dump(sorted(some), file)


def ids(paths):
    import orjson
    import zstandard

    found = set()
    for path in paths:
        with open(path, "rb") as file:
            stream = io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True), 1 << 20)
            found.update(orjson.loads(line)["id"] for line in stream)
    return found


def main():
    what, source, work = sys.argv[1:]
    {"texts": write_texts, "index": index, "filter": filter_corpus, "list": list_ids}[what](source, work)


if __name__ == "__main__":
    main()
