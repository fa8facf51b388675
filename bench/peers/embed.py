#!/usr/bin/env python3
"""Tokens a second of other engines on the embedder, token ids in, normalised mean-pooled embeddings out:
embed.py ENGINE MODELS [options of measure.py]
"""
import os

import measure


def sentence_transformers(arguments):
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(arguments.threads)
    model = SentenceTransformer(os.path.join(arguments.models, "embedder"), device="cpu").eval()
    if arguments.compile:
        model.forward = torch.compile(model.forward, dynamic=False)

    @torch.inference_mode()
    def run(batch):
        ids = torch.tensor(batch)
        return model({"input_ids": ids, "attention_mask": torch.ones_like(ids)})["sentence_embedding"].tolist()

    return run


def torch_bf16(arguments):
    import torch
    import transformers

    torch.set_num_threads(arguments.threads)
    path = os.path.join(arguments.models, "embedder")
    model = transformers.AutoModel.from_pretrained(path, dtype=torch.bfloat16, attn_implementation="sdpa").eval()
    if arguments.compile:
        model.forward = torch.compile(model.forward, dynamic=False)

    @torch.inference_mode()
    def run(batch):
        # No mask: there is no padding.
        states = model(input_ids=torch.tensor(batch)).last_hidden_state
        return torch.nn.functional.normalize(states.float().mean(1), dim=1).tolist()

    return run


def onnx_runtime(arguments):
    import numpy
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = arguments.threads
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    path = os.path.join(arguments.models, "embedder.onnx")
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])

    def run(batch):
        ids = numpy.array(batch, dtype=numpy.int64)
        return session.run(["embedding"], {"input_ids": ids, "attention_mask": numpy.ones_like(ids)})[0].tolist()

    return run


ENGINES = {"sentence-transformers-f32": sentence_transformers, "torch-bf16": torch_bf16, "onnxruntime-f32": onnx_runtime}


def load(arguments):
    return ENGINES[arguments.engine](arguments)


if __name__ == "__main__":
    measure.main(load, list(ENGINES))
