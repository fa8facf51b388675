#!/usr/bin/env python3
"""Input tokens a second of other engines on the encoder and the first decoder step of a T5, token ids in, the logits of that
step out: t5_peers.py ENGINE MODEL [options of measure.py]

ENGINE: torch-f32, torch-bf16 (transformers); ctranslate2-f32, ctranslate2-int8. MODEL: a folder that t5_models.py wrote.
--check writes log probabilities of the first step.
"""
import measure

SHOWN = slice(1000, 1064)


def torch_engine(kind):
    def load(arguments):
        import torch
        import transformers

        torch.set_num_threads(arguments.threads)
        transformers.logging.set_verbosity_error()
        kinds = {"f32": torch.float32, "bf16": torch.bfloat16}
        model = transformers.T5ForConditionalGeneration.from_pretrained(arguments.models, dtype=kinds[kind]).eval()

        @torch.inference_mode()
        def run(batch):
            start = torch.zeros(len(batch), 1, dtype=torch.long)
            logits = model(input_ids=torch.tensor(batch), decoder_input_ids=start, use_cache=False).logits
            return logits[:, 0].float().log_softmax(-1)[:, SHOWN].tolist()

        return run

    return load


def ctranslate2_engine(kind):
    def load(arguments):
        import ctranslate2

        translator = ctranslate2.Translator(
            "%s-ct2-%s" % (arguments.models, kind), compute_type=kind, intra_threads=arguments.threads, inter_threads=1
        )

        def translate(batch, logits):
            words = [["w%d" % token for token in document] for document in batch]
            return translator.translate_batch(
                words, beam_size=1, max_decoding_length=1, max_input_length=0, return_scores=True, return_logits_vocab=logits
            )

        def run(batch):
            return [result.scores for result in translate(batch, False)]

        def values(batch):
            import numpy
            import torch

            rows = [torch.from_numpy(numpy.array(result.logits[0][0])).reshape(-1) for result in translate(batch, True)]
            return torch.stack(rows).float().log_softmax(-1)[:, SHOWN].tolist()

        run.values = values
        return run

    return load


ENGINES = {
    "torch-f32": torch_engine("f32"),
    "torch-bf16": torch_engine("bf16"),
    "ctranslate2-f32": ctranslate2_engine("float32"),
    "ctranslate2-int8": ctranslate2_engine("int8"),
}


def load(arguments):
    return ENGINES[arguments.engine](arguments)


if __name__ == "__main__":
    measure.main(load, ENGINES)
