#!/usr/bin/env python3
"""k-means of faiss on raw f32 rows: clusters_faiss.py FILE N D K ITERATIONS THREADS

Spherical, all rows, faiss' own beginning (random rows). Prints `NAME VALUE UNIT` a line. The kernel of its products is the
environment's to choose (OPENBLAS_CORETYPE); a line that begins with # says which one was taken.
"""
import sys
import time

import faiss
import numpy as np
from threadpoolctl import threadpool_info

file = sys.argv[1]
n, d, k, iterations, threads = map(int, sys.argv[2:])
x = np.fromfile(file, "<f4", count=n * d).reshape(n, d)
faiss.omp_set_num_threads(threads)
means = faiss.Kmeans(d, k, niter=iterations, spherical=True, max_points_per_centroid=10**9, seed=1)
began = time.perf_counter()
means.train(x)
print(f"fit {time.perf_counter() - began:.3f} s")
cosines, _ = means.index.search(x, 1)
print(f"objective {1 - float(cosines.mean(dtype=np.float64)):.6f} mean")
kernels = sorted({str(info.get("architecture")) for info in threadpool_info() if info["internal_api"] == "openblas"})
print(f"# faiss {faiss.__version__}, kernels {' '.join(kernels)}")
