#!/usr/bin/env python3
"""Input tokens a second of other engines on the encoder and the first decoder step of a T5, token ids in, the logits of that
step out: t5_peers.py ENGINE MODEL [--tokens 300] [--batch 4] [--processes 2] [--threads 1] [--seconds 6] [--check FILE]

ENGINE: torch-f32, torch-bf16 (transformers); ctranslate2-f32, ctranslate2-int8. MODEL: a folder that t5_models.py wrote.
Workers are processes that start together. --check writes log probabilities of the first step for four documents.
"""
import argparse
import multiprocessing
import os
import time

SHOWN = slice(1000, 1064)


def documents(count, tokens):
    """The made-up documents of crates/tamis-models/examples/throughput.rs."""
    return [[1000 + (at * 7919 + seed * 104729) % 20000 for at in range(tokens)] for seed in range(count)]


def torch_engine(kind):
    def load(arguments):
        import torch
        import transformers

        torch.set_num_threads(arguments.threads)
        transformers.logging.set_verbosity_error()
        kinds = {"f32": torch.float32, "bf16": torch.bfloat16}
        model = transformers.T5ForConditionalGeneration.from_pretrained(arguments.model, dtype=kinds[kind]).eval()

        @torch.inference_mode()
        def run(batch):
            start = torch.zeros(len(batch), 1, dtype=torch.long)
            logits = model(input_ids=torch.tensor(batch), decoder_input_ids=start, use_cache=False).logits
            return logits[:, 0].float().log_softmax(-1)[:, SHOWN]

        return run

    return load


def ctranslate2_engine(kind):
    def load(arguments):
        import ctranslate2

        translator = ctranslate2.Translator(
            "%s-ct2-%s" % (arguments.model, kind), compute_type=kind, intra_threads=arguments.threads, inter_threads=1
        )

        def run(batch, logits=False):
            words = [["w%d" % token for token in document] for document in batch]
            results = translator.translate_batch(
                words, beam_size=1, max_decoding_length=1, max_input_length=0, return_scores=True, return_logits_vocab=logits
            )
            if not logits:
                return [result.scores for result in results]
            import numpy
            import torch

            rows = [torch.from_numpy(numpy.array(result.logits[0][0])).reshape(-1) for result in results]
            return torch.stack(rows).float().log_softmax(-1)[:, SHOWN]

        return run

    return load


ENGINES = {
    "torch-f32": torch_engine("f32"),
    "torch-bf16": torch_engine("bf16"),
    "ctranslate2-f32": ctranslate2_engine("float32"),
    "ctranslate2-int8": ctranslate2_engine("int8"),
}


def work(arguments, barrier, results):
    run = ENGINES[arguments.engine](arguments)
    texts = documents(48, arguments.tokens)
    batches = [texts[at : at + arguments.batch] for at in range(0, len(texts), arguments.batch)]
    run(batches[0])
    if arguments.check:
        shown = run(texts[:4], logits=True) if "ctranslate2" in arguments.engine else run(texts[:4])
        with open(arguments.check, "w", encoding="utf-8") as sink:
            sink.writelines(" ".join("%.7g" % value for value in row) + "\n" for row in shown.tolist())
    barrier.wait()
    began, tokens, at = time.monotonic(), 0, 0
    while time.monotonic() < began + arguments.seconds:
        batch = batches[at % len(batches)]
        run(batch)
        tokens, at = tokens + sum(map(len, batch)), at + 1
    results.put((began, time.monotonic(), tokens))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("model")
    parser.add_argument("--tokens", type=int, default=300)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--check")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(arguments.processes), context.Queue()
    workers = [context.Process(target=work, args=(arguments, barrier, results)) for _ in range(arguments.processes)]
    for worker in workers:
        worker.start()
    done = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    seconds = max(end for _, end, _ in done) - min(began for began, _, _ in done)
    print("%.1f tokens/s" % (sum(tokens for _, _, tokens in done) / seconds))


if __name__ == "__main__":
    main()
