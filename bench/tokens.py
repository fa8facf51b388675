#!/usr/bin/env python3
"""Reads files of tokens that `tamis export --format tokens` wrote, as OLMo-core and nanoGPT read them, and compares them with export.json.

    bench/tokens.py FOLDER [--tokenizer tokenizer.json]

OLMo-core: raw numbers of a dtype that is known beforehand (numpy.memmap, no header), documents found by the separator, or by the ranges of the
.csv.gz beside the file, of which the first two fields of a line count. nanoGPT: raw uint16. With a tokenizer (and the package `tokenizers`), the
first documents are decoded and printed. Needs numpy.
"""

import argparse
import gzip
import json
import pathlib

import numpy


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--tokenizer")
    arguments = parser.parse_args()
    manifest = json.loads((arguments.folder / "export.json").read_text())
    dtype, separator = manifest["dtype"], manifest["separator"]
    documents = tokens = 0
    for file in manifest["files"]:
        path = arguments.folder / file["path"]
        if path.suffix != ".npy":
            continue
        numbers = numpy.memmap(path, dtype=dtype, mode="r")
        assert len(numbers) == file["tokens"], f"{path}: {len(numbers)} tokens"
        assert int(numbers.max()) < max(manifest["vocabulary"], separator + 1), f"{path}: a token beyond the vocabulary"
        with gzip.open(path.with_name(path.name.replace(".npy", ".csv.gz")), "rt") as index:
            ranges = [tuple(map(int, line.split(",")[:2])) for line in index]
        by_separator = (numbers == separator).nonzero()[0] + 1
        assert [end for _, end in ranges] == by_separator.tolist(), f"{path}: the index and the separators differ"
        assert [start for start, _ in ranges] == [0, *by_separator[:-1].tolist()], f"{path}: gaps"
        assert len(ranges) == file["documents"], f"{path}: {len(ranges)} documents"
        if arguments.tokenizer and documents == 0:
            from tokenizers import Tokenizer

            tokenizer = Tokenizer.from_file(arguments.tokenizer)
            for start, end in ranges[:3]:
                print(repr(tokenizer.decode(numbers[start : end - 1].tolist())[:100]))
        documents += len(ranges)
        tokens += len(numbers)
    assert (documents, tokens) == (manifest["copies"], manifest["tokens"])
    print(f"{documents:,} documents, {tokens:,} tokens as {dtype}: as export.json has them")


if __name__ == "__main__":
    main()
