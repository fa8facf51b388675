#!/usr/bin/env python3
"""Both passes of the density sketch in numpy, as fast as we could write them: one thread, D = 768, B = 20000.

    OPENBLAS_NUM_THREADS=1 python3 density_numpy.py [EMBEDDINGS [SECONDS [ROUND]]]

Projection by one f32 matrix product a chunk; quantisation in place; the modulo as one masked addition where the values allow
it; counters and gathers over one flat array. Chunk size and the way of counting are tried at the start and the fastest is
taken; the lines that begin with # say which. OPENBLAS_CORETYPE chooses the kernel of the product (what OpenBLAS detects is
not always the fastest). Pass 2 adds counters only, without the squares that ours adds, too.
"""
import sys
import time

import numpy as np

D, B = 768, 20000


class Sketch:
    def __init__(self, rows, hashes, chunk, count):
        random = np.random.default_rng(1)
        self.rows, self.hashes, self.chunk, self.count_by = rows, hashes, chunk, count
        # Column j * rows + r is hash j of row r, so that the j-th hashes of all rows lie together.
        self.directions = random.standard_normal((D, rows * hashes), dtype=np.float32)
        self.offsets = random.random(rows * hashes, dtype=np.float32)
        self.keys = random.integers(1, 2**32, hashes, dtype=np.uint32) | np.uint32(1)
        self.first = np.arange(rows, dtype=np.int32) * np.int32(B)
        self.counters = np.zeros(rows * B, dtype=np.uint32)
        self.projected = np.empty((chunk, rows * hashes), dtype=np.float32)

    def buckets(self, x):
        """Positions in the flat counters, items x rows."""
        z = self.projected[: len(x)]
        np.matmul(x, self.directions, out=z)
        z += self.offsets
        np.floor(z, out=z)
        values = z.astype(np.int32)
        if self.hashes == 1:
            if values.min() >= -B and values.max() < B:
                np.add(values, B, out=values, where=values < 0)
            else:
                values %= B
            values += self.first
            return values
        values = values.view(np.uint32)
        state = values[:, : self.rows] * self.keys[0]
        for j in range(1, self.hashes):
            state += values[:, j * self.rows : (j + 1) * self.rows] * self.keys[j]
        wide = state.astype(np.uint64)
        wide *= np.uint64(B)
        wide >>= np.uint64(32)
        found = wide.astype(np.int32)
        found += self.first
        return found

    def count(self, x):
        found = self.buckets(x)
        if self.count_by == "add.at":
            np.add.at(self.counters, found.ravel(), np.uint32(1))
        elif self.count_by == "bincount":
            self.counters += np.bincount(found.ravel(), minlength=len(self.counters)).astype(np.uint32)
        else:  # rows
            table = self.counters.reshape(self.rows, B)
            for row, column in enumerate(np.ascontiguousarray((found - self.first).T)):
                table[row] += np.bincount(column, minlength=B).astype(np.uint32)

    def gather(self, x):
        return self.counters.take(self.buckets(x)).sum(axis=1, dtype=np.uint64)


def rate(step, items, chunk, seconds):
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        for at in range(0, len(items), chunk):
            step(items[at : at + chunk])
        done += len(items)
    return done / (time.perf_counter() - began)


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 4800
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 1.0
    label = sys.argv[3] if len(sys.argv) > 3 else "1"
    items = np.random.default_rng(7).standard_normal((count, D), dtype=np.float32)
    items /= np.linalg.norm(items, axis=1, keepdims=True)
    for rows, hashes in [(1000, 1), (100, 10)]:
        best = {}
        for chunk in [64, 128, 256, 512, 1200, 4800]:
            for way in ["add.at", "rows", "bincount"] if chunk == 4800 else ["add.at"]:
                sketch = Sketch(rows, hashes, chunk, way)
                sketch.count(items[:chunk])
                for name in ["count", "gather"]:
                    if name == "count" or way == "add.at":
                        found = rate(getattr(sketch, name), items[: max(chunk, 1200)], chunk, 0.15)
                        best[name] = max(best.get(name, (0, 0, "")), (found, chunk, way))
        for number, name in [(1, "count"), (2, "gather")]:
            _, chunk, way = best[name]
            sketch = Sketch(rows, hashes, chunk, way)
            for at in range(0, count, chunk):
                sketch.count(items[at : at + chunk])
            print("# numpy %dx%d pass %d: chunks of %d, %s" % (rows, hashes, number, chunk, way if number == 1 else "take"))
            print("density-%dx%d-pass%d/numpy %.0f embeddings/s %s" % (rows, hashes, number, rate(getattr(sketch, name), items, chunk, seconds), label))


main()
