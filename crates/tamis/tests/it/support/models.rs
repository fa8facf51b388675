//! Tiny models with random weights in Hugging Face's folder layout.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::corpus::{WORDS, documents, word};
use super::random::Random;

const SPECIAL: [&str; 8] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "yes", "no", "<extra_id_0>", "<extra_id_1>"];
const HIDDEN: usize = 32;
const FEED_FORWARD: usize = 48;

/// Folders of models.
pub(crate) struct Models {
    pub(crate) judge: String,
    pub(crate) other_judge: String,
    pub(crate) embedder: String,
    pub(crate) other_embedder: String,
    pub(crate) ngram: String,
    pub(crate) other_ngram: String,
    pub(crate) t5_judge: String,
    pub(crate) other_t5_judge: String,
    pub(crate) sentence_t5: String,
    /// Two files of evaluations.
    pub(crate) evaluations: String,
}

/// Written by every test process, with the same bytes to the same place: processes share runs, and a run notes where its
/// models came from.
pub(crate) static MODELS: LazyLock<Models> = LazyLock::new(|| {
    let at = |name: &str| Path::new(env!("CARGO_TARGET_TMPDIR")).join("tiny-models").join(name);
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    for (name, seed) in [("judge", 1), ("other-judge", 2)] {
        llama(&at(name), seed);
    }
    for (name, seed) in [("embedder", 3), ("other-embedder", 4)] {
        bert(&at(name), seed);
    }
    for (name, seed) in [("ngram", 5), ("other-ngram", 6)] {
        std::fs::create_dir_all(at(name)).unwrap();
        write(&at(name), "model.arpa", arpa(seed).as_bytes());
    }
    for (name, seed) in [("t5-judge", 5), ("other-t5-judge", 6)] {
        t5(&at(name), seed);
    }
    t5(&at("sentence-t5"), 7);
    dense(&at("sentence-t5"), 8);
    evaluations(&at("evaluations"));
    Models {
        judge: text(at("judge")),
        other_judge: text(at("other-judge")),
        embedder: text(at("embedder")),
        other_embedder: text(at("other-embedder")),
        ngram: text(at("ngram").join("model.arpa")),
        other_ngram: text(at("other-ngram").join("model.arpa")),
        t5_judge: text(at("t5-judge")),
        other_t5_judge: text(at("other-t5-judge")),
        sentence_t5: text(at("sentence-t5")),
        evaluations: text(at("evaluations")),
    }
});

/// Items that are pieces of documents of the laws, and others.
fn evaluations(folder: &Path) {
    let piece = |seed: u64, at: usize, words: std::ops::Range<usize>| {
        let text = documents(seed, at + 1)[at].text.clone();
        text.split(' ').skip(words.start).take(words.len()).collect::<Vec<_>>().join(", ")
    };
    let lines: Vec<String> = (0..40)
        .map(|at| json!({ "question": piece(1, 15 * at, 0..14 + at % 5), "answer": "no" }).to_string())
        .chain([json!({ "question": "of none of them" }).to_string()])
        .collect();
    let paragraphs = [
        piece(10, 3, 2..12),
        piece(11, 5, 0..20),
        piece(1, 30, 1..16),
        piece(1, 2, 0..20),
        piece(99, 5, 0..20),
    ];
    std::fs::create_dir_all(folder.join("questions")).unwrap();
    write(&folder.join("questions"), "test.jsonl", lines.join("\n").as_bytes());
    write(folder, "passages.txt", paragraphs.join("\n\n").as_bytes());
}

/// Whole or not at all: another process may be reading.
#[expect(
    clippy::disallowed_methods,
    reason = "whoever wins has written the same bytes, and old ones must not stay"
)]
fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let temporary = folder.join(format!("{name}.{}", std::process::id()));
    std::fs::write(&temporary, bytes).unwrap();
    std::fs::rename(temporary, folder.join(name)).unwrap();
}

/// Bigrams over half of the words: the other half is unknown.
fn arpa(seed: u64) -> String {
    let mut random = Random::new(seed);
    let mut log10 = |centre: f32| centre + random.signed();
    let words: Vec<String> = (0..WORDS).step_by(2).map(word).collect();
    let mut unigrams = format!("{}\t<unk>\n-99\t<s>\t-0.5\n-1.5\t</s>\n", log10(-4.0));
    let mut bigrams = String::new();
    for (at, word) in words.iter().enumerate() {
        unigrams += &format!("{}\t{word}\t{}\n", log10(-3.0), log10(-1.0));
        bigrams += &format!("{}\t{word} {}\n", log10(-2.0), words[at * 7 % words.len()]);
    }
    let counts = format!("ngram 1={}\nngram 2={}\n", words.len() + 3, words.len());
    format!("\\data\\\n{counts}\n\\1-grams:\n{unigrams}\n\\2-grams:\n{bigrams}\n\\end\\\n")
}

fn vocabulary() -> usize {
    SPECIAL.len() + WORDS
}

/// One token a word; what is unknown, such as a prompt, is `[UNK]`.
fn tokenizer(folder: &Path, framed: bool) {
    let words = SPECIAL.iter().map(|&word| word.to_owned()).chain((0..WORDS).map(word));
    let vocabulary: serde_json::Map<String, Value> =
        words.enumerate().map(|(at, word)| (word, at.into())).collect();
    let token = |name: &str, at: usize| {
        json!({ "id": at, "content": name, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true })
    };
    let frame =
        |name: &str, at: usize| (name.to_owned(), json!({ "id": name, "ids": [at], "tokens": [name] }));
    let special = |name: &str| json!({ "SpecialToken": { "id": name, "type_id": 0 } });
    let sequence = |name: &str| json!({ "Sequence": { "id": name, "type_id": 0 } });
    let template = json!({
        "type": "TemplateProcessing",
        "single": [special("[CLS]"), sequence("A"), special("[SEP]")],
        "pair": [special("[CLS]"), sequence("A"), special("[SEP]"), sequence("B"), special("[SEP]")],
        "special_tokens": Value::Object([frame("[CLS]", 2), frame("[SEP]", 3)].into_iter().collect()),
    });
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": SPECIAL[..4].iter().enumerate().map(|(at, name)| token(name, at)).collect::<Vec<_>>(),
        "normalizer": null,
        "pre_tokenizer": { "type": "WhitespaceSplit" },
        "post_processor": if framed { template } else { Value::Null },
        "decoder": null,
        "model": { "type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]" },
    });
    write(folder, "tokenizer.json", tokenizer.to_string().as_bytes());
}

/// Tensors by name; written as safetensors: eight bytes of header length, the header, the numbers.
struct Tensors {
    random: Random,
    header: serde_json::Map<String, Value>,
    data: Vec<u8>,
}

impl Tensors {
    fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), header: serde_json::Map::new(), data: Vec::new() }
    }

    /// Numbers within `spread` of `centre`.
    fn add(&mut self, name: &str, shape: &[usize], centre: f32, spread: f32) {
        let from = self.data.len();
        for _ in 0..shape.iter().product::<usize>() {
            let value = centre + spread * self.random.signed();
            self.data.extend(value.to_le_bytes());
        }
        let entry = json!({ "dtype": "F32", "shape": shape, "data_offsets": [from, self.data.len()] });
        self.header.insert(name.to_owned(), entry);
    }

    fn write(self, folder: &Path) {
        let header = Value::Object(self.header).to_string();
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.into_bytes());
        bytes.extend(self.data);
        write(folder, "model.safetensors", &bytes);
    }
}

fn llama(folder: &Path, seed: u64) {
    std::fs::create_dir_all(folder).unwrap();
    tokenizer(folder, false);
    let config = json!({
        "model_type": "llama", "vocab_size": vocabulary(), "hidden_size": HIDDEN, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": FEED_FORWARD,
        "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "tie_word_embeddings": true,
    });
    write(folder, "config.json", config.to_string().as_bytes());
    let mut tensors = Tensors::new(seed);
    tensors.add("model.embed_tokens.weight", &[vocabulary(), HIDDEN], 0.0, 0.5);
    for (name, shape) in [
        ("self_attn.q_proj", [HIDDEN, HIDDEN]),
        ("self_attn.k_proj", [HIDDEN / 2, HIDDEN]),
        ("self_attn.v_proj", [HIDDEN / 2, HIDDEN]),
        ("self_attn.o_proj", [HIDDEN, HIDDEN]),
        ("mlp.gate_proj", [FEED_FORWARD, HIDDEN]),
        ("mlp.up_proj", [FEED_FORWARD, HIDDEN]),
        ("mlp.down_proj", [HIDDEN, FEED_FORWARD]),
    ] {
        tensors.add(&format!("model.layers.0.{name}.weight"), &shape, 0.0, 0.4);
    }
    for name in ["model.layers.0.input_layernorm", "model.layers.0.post_attention_layernorm", "model.norm"] {
        tensors.add(&format!("{name}.weight"), &[HIDDEN], 1.0, 0.1);
    }
    tensors.write(folder);
}

/// Nearly a bag of words: only the word embeddings are large, so that texts without common words are far apart.
fn bert(folder: &Path, seed: u64) {
    std::fs::create_dir_all(folder).unwrap();
    tokenizer(folder, true);
    let config = json!({
        "model_type": "bert", "vocab_size": vocabulary(), "hidden_size": HIDDEN, "num_hidden_layers": 1,
        "num_attention_heads": 2, "intermediate_size": FEED_FORWARD, "max_position_embeddings": 128,
        "type_vocab_size": 2, "hidden_act": "gelu",
    });
    write(folder, "config.json", config.to_string().as_bytes());
    let mut tensors = Tensors::new(seed);
    for (name, rows, spread) in
        [("word", vocabulary(), 1.0), ("position", 128, 0.02), ("token_type", 2, 0.02)]
    {
        tensors.add(&format!("embeddings.{name}_embeddings.weight"), &[rows, HIDDEN], 0.0, spread);
    }
    let layer = "encoder.layer.0";
    for (name, shape) in [
        ("attention.self.query", [HIDDEN, HIDDEN]),
        ("attention.self.key", [HIDDEN, HIDDEN]),
        ("attention.self.value", [HIDDEN, HIDDEN]),
        ("attention.output.dense", [HIDDEN, HIDDEN]),
        ("intermediate.dense", [FEED_FORWARD, HIDDEN]),
        ("output.dense", [HIDDEN, FEED_FORWARD]),
    ] {
        tensors.add(&format!("{layer}.{name}.weight"), &shape, 0.0, 0.1);
        tensors.add(&format!("{layer}.{name}.bias"), &shape[..1], 0.0, 0.02);
    }
    for name in [
        "embeddings.LayerNorm".to_owned(),
        format!("{layer}.attention.output.LayerNorm"),
        format!("{layer}.output.LayerNorm"),
    ] {
        tensors.add(&format!("{name}.weight"), &[HIDDEN], 1.0, 0.1);
        tensors.add(&format!("{name}.bias"), &[HIDDEN], 0.0, 0.02);
    }
    tensors.write(folder);
}

/// v1.1 with an untied head, and embeddings for more tokens than there are.
fn t5(folder: &Path, seed: u64) {
    std::fs::create_dir_all(folder).unwrap();
    tokenizer(folder, true);
    let rows = vocabulary() + 9;
    let config = json!({
        "model_type": "t5", "vocab_size": rows, "d_model": HIDDEN, "d_kv": 12, "num_heads": 2, "d_ff": FEED_FORWARD,
        "num_layers": 1, "num_decoder_layers": 2, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": false,
    });
    write(folder, "config.json", config.to_string().as_bytes());
    let mut tensors = Tensors::new(seed);
    for name in ["shared", "lm_head"] {
        tensors.add(&format!("{name}.weight"), &[rows, HIDDEN], 0.0, 0.5);
    }
    for (stack, layers) in [("encoder", 1), ("decoder", 2)] {
        let bias = format!("{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight");
        tensors.add(&bias, &[32, 2], 0.0, 0.5);
        let attentions: &[&str] =
            if stack == "encoder" { &["SelfAttention"] } else { &["SelfAttention", "EncDecAttention"] };
        for layer in (0..layers).map(|at| format!("{stack}.block.{at}.layer")) {
            for (at, attention) in attentions.iter().enumerate() {
                for (name, shape) in
                    [("q", [24, HIDDEN]), ("k", [24, HIDDEN]), ("v", [24, HIDDEN]), ("o", [HIDDEN, 24])]
                {
                    tensors.add(&format!("{layer}.{at}.{attention}.{name}.weight"), &shape, 0.0, 0.4);
                }
                tensors.add(&format!("{layer}.{at}.layer_norm.weight"), &[HIDDEN], 1.0, 0.1);
            }
            let last = format!("{layer}.{}", attentions.len());
            for (name, shape) in [
                ("wi_0", [FEED_FORWARD, HIDDEN]),
                ("wi_1", [FEED_FORWARD, HIDDEN]),
                ("wo", [HIDDEN, FEED_FORWARD]),
            ] {
                tensors.add(&format!("{last}.DenseReluDense.{name}.weight"), &shape, 0.0, 0.4);
            }
            tensors.add(&format!("{last}.layer_norm.weight"), &[HIDDEN], 1.0, 0.1);
        }
        tensors.add(&format!("{stack}.final_layer_norm.weight"), &[HIDDEN], 1.0, 0.1);
    }
    tensors.write(folder);
}

/// Makes a T5 a Sentence-T5: mean pooling, a dense layer, length 1.
fn dense(folder: &Path, seed: u64) {
    let modules: Vec<Value> = [
        ("", "Transformer"),
        ("1_Pooling", "Pooling"),
        ("2_Dense", "Dense"),
        ("", "Normalize"),
    ]
    .iter()
    .map(|(path, kind)| json!({ "path": path, "type": format!("sentence_transformers.models.{kind}") }))
    .collect();
    write(folder, "modules.json", Value::from(modules).to_string().as_bytes());
    let (pooling, dense) = (folder.join("1_Pooling"), folder.join("2_Dense"));
    std::fs::create_dir_all(&pooling).unwrap();
    std::fs::create_dir_all(&dense).unwrap();
    write(&pooling, "config.json", br#"{ "pooling_mode_mean_tokens": true }"#);
    let config = json!({ "in_features": HIDDEN, "out_features": 20, "bias": false,
        "activation_function": "torch.nn.modules.linear.Identity" });
    write(&dense, "config.json", config.to_string().as_bytes());
    let mut tensors = Tensors::new(seed);
    tensors.add("linear.weight", &[20, HIDDEN], 0.0, 0.2);
    tensors.write(&dense);
}
