"""Scores documents with the Python package kenlm as people filter with it: every line of every document.

    python ngram_kenlm.py MODEL.arpa|.bin DOCUMENTS ROUND

DOCUMENTS are texts separated by NUL. Prints `name value unit round`, and the sum of all scores to hold ours against. Lines without a word are skipped, as tamis
does. Reading the documents and finding their lines is not timed; loading the model is, by itself.
"""

import sys
import time

import kenlm


def main():
    path, documents, turn = sys.argv[1:]
    with open(documents, newline="") as source:
        texts = source.read().split("\0")
    began = time.perf_counter()
    model = kenlm.Model(path)
    print(f"ngram-load/kenlm {time.perf_counter() - began:.3f} s {turn}")
    lines = [[line for line in text.split("\n") if line.encode().split()] for text in texts]
    words = sum(len(line.encode().split()) for own in lines for line in own)
    total = 0.0
    began = time.perf_counter()
    for own in lines:
        for line in own:
            total += model.score(line)
    seconds = time.perf_counter() - began
    print(f"ngram-score/kenlm {words / seconds:.0f} words/s {turn}")
    print(f"ngram-score/kenlm {len(texts) / seconds:.1f} documents/s {turn}")
    print(f"# kenlm: {total:.3f} log10 P of all documents")


if __name__ == "__main__":
    main()
