#!/usr/bin/env python3
"""Near-duplicates of a folder of jsonl.zst with others' programs: whole processes, 14 bands of 8 rows, 5-grams of words, two
processes where the program has them.

    python3 minhash_peers.py plain|rensa|text-dedup|datatrove CORPUS WORK

`plain` writes WORK/plain.jsonl, which text-dedup reads; it is not timed. The others write WORK/gone.json, the ids that they take for
duplicates: what they remove, or, of rensa, whatever shares a band with another document.
"""
import glob
import io
import json
import os
import re
import sys

BANDS, ROWS, NGRAM = 14, 8, 5


def shards(corpus):
    return sorted(glob.glob(os.path.join(corpus, "*.jsonl.zst")))


def lines(corpus):
    import zstandard

    for path in shards(corpus):
        with open(path, "rb") as file:
            yield from io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(file), 1 << 20)


def ids(lines):
    import orjson

    return {orjson.loads(line)["id"] for line in lines}


def gone(work, names):
    with open(os.path.join(work, "gone.json"), "w", encoding="utf-8") as file:
        json.dump(sorted(names), file)


def plain(corpus, work):
    with open(os.path.join(work, "plain.jsonl"), "wb") as file:
        file.writelines(lines(corpus))


def rensa(corpus, work):
    """Matrices of digests into an LSH index, then duplicate flags: what its documentation calls the native path, with full-set
    R-MinHash. It takes tokens: words of `\\w+` in lower case, five of them joined, as a Python program would make them. (What its
    own benchmark times, rho, samples positions of tokens: another method.)"""
    import orjson
    from rensa import RMinHash, RMinHashLSH

    word = re.compile(r"\w+")

    def shingles(text):
        words = word.findall(text.lower())
        if len(words) <= NGRAM:
            return [" ".join(words)]
        return list(map(" ".join, zip(*(words[at:] for at in range(NGRAM)))))

    index = RMinHashLSH(threshold=0.72, num_perm=BANDS * ROWS, num_bands=BANDS)
    names, batch, matrices = [], [], []

    def flush():
        matrix = RMinHash.digest_matrix_from_token_sets(batch, BANDS * ROWS, 42)
        index.insert_matrix(matrix, len(names) - len(batch))
        matrices.append(matrix)
        batch.clear()

    for line in lines(corpus):
        document = orjson.loads(line)
        names.append(document["id"])
        batch.append(shingles(document["text"]))
        if len(batch) == 2048:
            flush()
    if batch:
        flush()
    flags = [flag for matrix in matrices for flag in index.query_duplicate_flags_matrix(matrix)]
    gone(work, [name for name, flag in zip(names, flags) if flag])


def text_dedup(corpus, work):
    """Its command, on plain JSON lines: it does not read zstd."""
    from click.testing import CliRunner
    from text_dedup.minhash import main

    at = lambda name: os.path.join(work, name)
    arguments = ["--path", "json", "--data_files", at("plain.jsonl"), "--split", "train", "--column", "text"]
    arguments += ["--output", at("out"), "--cache_dir", at("cache"), "--num_proc", "2", "--hash_func", "xxh3"]
    arguments += ["--ngram", NGRAM, "--min_length", 1, "--num_perm", BANDS * ROWS, "--b", BANDS, "--r", ROWS]
    done = CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)
    if done.exit_code:
        sys.exit(done.output)
    import datasets

    kept = set(datasets.load_from_disk(at("out"))["id"])
    gone(work, ids(lines(corpus)) - kept)


def datatrove(corpus, work):
    """Its four stages with the local executor, two workers: signatures in a task a shard, a task a band, one that clusters, and a
    pass that writes what is left."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import minhash
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter

    config = minhash.MinhashConfig(n_grams=NGRAM, num_buckets=BANDS, hashes_per_bucket=ROWS)
    at = lambda name: os.path.join(work, name)
    reader = lambda: JsonlReader(corpus, glob_pattern="*.jsonl.zst")

    def run(tasks, *pipeline):
        logs = at("logs/%d" % len(os.listdir(work)))
        # Forked, its workers are children whose processor time is counted.
        LocalPipelineExecutor(
            list(pipeline), tasks=tasks, workers=min(2, tasks), logging_dir=logs, skip_completed=False, start_method="fork"
        ).run()

    each = len(shards(corpus))
    run(each, reader(), minhash.MinhashDedupSignature(output_folder=at("signatures"), config=config))
    run(BANDS, minhash.MinhashDedupBuckets(input_folder=at("signatures"), output_folder=at("buckets"), config=config))
    run(1, minhash.MinhashDedupCluster(input_folder=at("buckets"), output_folder=at("remove"), config=config))
    keep = JsonlWriter(at("out"), output_filename="${rank}.jsonl.zst", compression="zstd")
    run(each, reader(), minhash.MinhashDedupFilter(input_folder=at("remove")), keep)
    gone(work, ids(lines(corpus)) - ids(lines(at("out"))))


def main():
    program, corpus, work = sys.argv[1:]
    {"plain": plain, "rensa": rensa, "text-dedup": text_dedup, "datatrove": datatrove}[program](corpus, work)


if __name__ == "__main__":
    main()
