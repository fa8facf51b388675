#!/usr/bin/env python3
"""Keeps about a fifth of a folder of jsonl.zst with datatrove's local executor: reader, sampler, writer.

    python3 select_datatrove.py CORPUS OUT zstd|gzip

Two workers with two tasks, so that each starts once and takes every other file; zstd out, gzip being its default.
"""
import sys

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.filters import SamplerFilter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter


def main():
    corpus, out, compression = sys.argv[1:]
    suffix = {"zstd": ".zst", "gzip": ".gz"}[compression]
    LocalPipelineExecutor(
        pipeline=[
            JsonlReader(corpus, glob_pattern="*.jsonl.zst"),
            SamplerFilter(rate=0.2, seed=1),
            JsonlWriter(out, output_filename="${rank}.jsonl" + suffix, compression=compression),
        ],
        tasks=2,
        workers=2,
        logging_dir=out + ".logs",
    ).run()


if __name__ == "__main__":
    main()
