#!/usr/bin/env python3
"""Writes models with random weights in the shape of T5-small and FLAN-T5-base, for Hugging Face and for CTranslate2:
t5_models.py FOLDER

FOLDER/t5-small, FOLDER/flan-t5-base: config.json, model.safetensors, a tokenizer with a word for each token.
FOLDER/t5-small-ct2-float32, -int8, …: the same converted.
"""
import json
import os
import sys

import ctranslate2
import torch
from ctranslate2.converters import TransformersConverter, transformers as of_transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import T5Config, T5ForConditionalGeneration

TOKENS = 32100
SHAPES = {
    "t5-small": {"d_model": 512, "d_ff": 2048, "num_layers": 6, "num_heads": 8, "feed_forward_proj": "relu"},
    "flan-t5-base": {
        "d_model": 768,
        "d_ff": 2048,
        "num_layers": 12,
        "num_heads": 12,
        "feed_forward_proj": "gated-gelu",
        "tie_word_embeddings": False,
    },
}


def write(folder, shape):
    config = {
        **shape,
        "model_type": "t5",
        "architectures": ["T5ForConditionalGeneration"],
        "vocab_size": 32128,
        "d_kv": 64,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
        "n_positions": 512,
    }
    os.makedirs(folder)
    torch.manual_seed(1)
    model = T5ForConditionalGeneration(T5Config(**config))
    tensors = {
        name: value.clone().contiguous()
        for name, value in model.state_dict().items()
        if not name.endswith("embed_tokens.weight")
    }
    if "tie_word_embeddings" in shape:
        tensors["lm_head.weight"] = torch.randn_like(tensors["lm_head.weight"]) * 0.1
    else:
        del tensors["lm_head.weight"]
    save_file(tensors, os.path.join(folder, "model.safetensors"), {"format": "pt"})
    words = {"<pad>": 0, "</s>": 1, "<unk>": 2, **{"w%d" % at: at for at in range(3, TOKENS)}}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    tokenizer.save(os.path.join(folder, "tokenizer.json"), pretty=False)
    roles = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "model_max_length": 512}
    for name, content in [
        ("config.json", config),
        ("tokenizer_config.json", {**roles, "tokenizer_class": "PreTrainedTokenizerFast"}),
    ]:
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)


def convert(folder, converted, shape, kind):
    """transformers 5 says of every T5 that its head is tied, by which the converter knows whether to scale its input."""
    loader = of_transformers.T5Loader
    before = loader.get_model_spec

    def unscaled(self, model):
        model.config.tie_word_embeddings = shape.get("tie_word_embeddings", True)
        return before(self, model)

    loader.get_model_spec = unscaled
    TransformersConverter(folder).convert(converted, quantization=kind)
    loader.get_model_spec = before


def main():
    root = sys.argv[1]
    for name, shape in SHAPES.items():
        folder = os.path.join(root, name)
        if not os.path.isdir(folder):
            write(folder, shape)
        for kind in ("float32", "int8"):
            converted = "%s-ct2-%s" % (folder, kind)
            if not os.path.isdir(converted):
                convert(folder, converted, shape, kind)
    print("ctranslate2", ctranslate2.__version__, "torch", torch.__version__)


main()
