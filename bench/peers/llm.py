#!/usr/bin/env python3
"""Tokens a second of other engines on the judge's forward pass: llm.py ENGINE MODELS [options of measure.py]

Only the last position of a document goes through the head, unless --every-position asks for all, whose logits are then computed
and left (tamis also takes their log probabilities).
"""
import os
import sys

import measure

SHOWN = 64


def torch_model(dtype):
    def load(arguments):
        import torch
        import transformers

        torch.set_num_threads(arguments.threads)
        path = os.path.join(arguments.models, "judge-bf16")
        kind = {"bf16": torch.bfloat16, "f32": torch.float32}[dtype]
        model = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=kind, attn_implementation="sdpa").eval()
        if arguments.compile:
            model.forward = torch.compile(model.forward, dynamic=False)
        keep = 0 if arguments.every_position else 1

        @torch.inference_mode()
        def run(batch):
            logits = model(input_ids=torch.tensor(batch), logits_to_keep=keep, use_cache=False).logits
            return logits[:, -1].float().log_softmax(-1)[:, 1000 : 1000 + SHOWN].tolist()

        return run

    return load


def llama_cpp(arguments):
    import ctypes

    import llama_cpp as lib
    import numpy

    quiet = lib.llama_log_callback(lambda *_: None)
    lib.llama_log_set(quiet, ctypes.c_void_p(0))
    lib.llama_backend_init()
    path = os.path.join(arguments.models, "judge-bf16.gguf").encode()
    model = lib.llama_model_load_from_file(path, lib.llama_model_default_params())
    settings = lib.llama_context_default_params()
    capacity = arguments.batch * arguments.tokens
    settings.n_ctx = arguments.batch * -(-arguments.tokens // 256) * 256
    settings.n_seq_max = arguments.batch
    settings.n_batch = capacity
    settings.n_ubatch = int(os.environ.get("LLAMA_UBATCH", capacity))
    settings.n_threads = settings.n_threads_batch = arguments.threads
    settings.flash_attn_type = int(os.environ.get("LLAMA_FLASH", -1))
    settings.no_perf = True
    context = lib.llama_init_from_model(model, settings)
    memory = lib.llama_get_memory(context)
    words = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))
    batch_of = lib.llama_batch_init(capacity, 0, 1)

    def run(batch):
        _ = quiet
        at, last = 0, []
        for sequence, tokens in enumerate(batch):
            for position, token in enumerate(tokens):
                batch_of.token[at] = token
                batch_of.pos[at] = position
                batch_of.n_seq_id[at] = 1
                batch_of.seq_id[at][0] = sequence
                batch_of.logits[at] = arguments.every_position or position + 1 == len(tokens)
                at += 1
            last.append(at - 1)
        batch_of.n_tokens = at
        lib.llama_memory_clear(memory, False)
        if lib.llama_decode(context, batch_of):
            sys.exit("llama_decode failed")
        rows = []
        for position in last:
            logits = numpy.ctypeslib.as_array(lib.llama_get_logits_ith(context, position), shape=(words,)).astype("f8")
            top = logits.max()
            rows.append((logits - top - numpy.log(numpy.exp(logits - top).sum()))[1000 : 1000 + SHOWN].tolist())
        return rows

    return run


ENGINES = {"torch-bf16": torch_model("bf16"), "torch-f32": torch_model("f32"), "llama.cpp-bf16": llama_cpp}


def load(arguments):
    return ENGINES[arguments.engine](arguments)


if __name__ == "__main__":
    measure.main(load, list(ENGINES))
