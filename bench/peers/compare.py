#!/usr/bin/env python3
"""How far the engines' values lie apart: compare.py FOLDER, which holds what they wrote for --check."""
import math
import os
import sys


def rows(folder, name):
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as lines:
        return [[float(value) for value in line.split()] for line in lines]


def main():
    folder = sys.argv[1]
    exact = rows(folder, "torch-f32")
    for name in ("tamis", "torch-bf16", "llama.cpp"):
        found = rows(folder, name)
        if exact and found:
            apart = max(abs(a - b) for x, y in zip(exact, found) for a, b in zip(x, y))
            print("log probabilities of the next token, four documents, 64 tokens: %s within %.3g of torch f32" % (name, apart))
    exact = rows(folder, "torch-f32-embed")
    for name in ("tamis-embed", "torch-bf16-embed"):
        found = rows(folder, name)
        if exact and found:
            length = lambda x: math.sqrt(sum(a * a for a in x))
            cosine = min(sum(a * b for a, b in zip(x, y)) / length(x) / length(y) for x, y in zip(exact, found))
            print("embeddings, four documents: %s has cosine %.6f or more to torch f32" % (name, cosine))


main()
