"""What the peers' scripts share: documents, workers, the measurement.

A script defines `load(arguments)`, which gives a function from a batch of documents to values, one row a document; where the
values cost time of their own, its attribute `values` gives them and the function need not. Workers are
processes of their own that start together; each goes through batches of the documents in turn until the time is up, and
finishes the batch that it is at.
"""
import argparse
import multiprocessing
import os
import time


def documents(count, tokens):
    """The made-up documents of crates/tamis-models/examples/throughput.rs."""
    return [[1000 + (at * 7919 + seed * 104729) % 20000 for at in range(tokens)] for seed in range(count)]


def options(engines):
    parser = argparse.ArgumentParser()
    parser.add_argument("engine", choices=engines)
    parser.add_argument("models", help="the folder that prepare.py wrote")
    parser.add_argument("--tokens", type=int, default=300)
    parser.add_argument("--documents", type=int, default=48)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2, help="of each process")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--compile", action="store_true", help="torch.compile")
    parser.add_argument("--every-position", action="store_true")
    parser.add_argument("--check", help="write the values of the first four documents to this file")
    return parser.parse_args()


def work(load, arguments, barrier, results):
    run = load(arguments)
    texts = documents(arguments.documents, arguments.tokens)
    batches = [texts[at : at + arguments.batch] for at in range(0, len(texts), arguments.batch)]
    run(batches[0])
    run(batches[-1])
    if arguments.check:
        values = getattr(run, "values", run)
        with open(arguments.check, "w", encoding="utf-8") as sink:
            for row in (row for at in range(0, 4, arguments.batch) for row in values(texts[at : at + arguments.batch])):
                sink.write(" ".join("%.7g" % value for value in row) + "\n")
    barrier.wait()
    began, tokens, at = time.monotonic(), 0, 0
    while time.monotonic() < began + arguments.seconds:
        batch = batches[at % len(batches)]
        run(batch)
        tokens, at = tokens + sum(map(len, batch)), at + 1
    results.put((began, time.monotonic(), tokens))


def main(load, engines):
    arguments = options(engines)
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(arguments.processes), context.Queue()
    workers = [
        context.Process(target=work, args=(load, arguments, barrier, results)) for _ in range(arguments.processes)
    ]
    for worker in workers:
        worker.start()
    done = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    # Each ends with the batch it is at, so the rates are added, not the tokens.
    print("%.1f tokens/s" % sum(tokens / (end - began) for began, end, tokens in done))
