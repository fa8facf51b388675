#!/usr/bin/env python3
"""Raw f32 rows that lie as embeddings do, unit vectors in loose groups, some of them near copies: rows.py FILE N D GROUPS"""
import sys

import numpy as np

file = sys.argv[1]
n, d, groups = map(int, sys.argv[2:])
random = np.random.default_rng(0)
centres = random.standard_normal((groups, d), dtype=np.float32)
with open(file, "wb") as out:
    for first in range(0, n, 10_000):
        rows = min(10_000, n - first)
        x = centres[random.integers(0, groups, rows)] + np.float32(0.9) * random.standard_normal((rows, d), dtype=np.float32)
        # One in twenty is a near copy of the row before it.
        copies = np.flatnonzero(random.random(rows - 1) < 0.05) + 1
        x[copies] = x[copies - 1] + np.float32(0.1) * random.standard_normal((len(copies), d), dtype=np.float32)
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        out.write(x.astype("<f4").tobytes())
