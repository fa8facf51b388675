//! Weights files: golden blocks, the same model in both formats, hostile headers.

use std::io::Write;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tamis_models::GgufWeights;
use tamis_models::graph::{Architecture, Head};
use tamis_models::source::open_model;
use tamis_models::weights::{SafetensorsWeights, Weights, WeightsError};
use tamis_models::{Error, Result};

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn file_of(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".gguf").tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.flush().unwrap();
    file
}

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// A GGUF file, piece by piece.
#[derive(Default)]
struct Gguf {
    metadata: Vec<u8>,
    entries: u64,
    tensors: Vec<u8>,
    count: u64,
    data: Vec<u8>,
}

impl Gguf {
    /// What the loader needs to know of a Llama.
    fn llama() -> Self {
        let mut file = Self::default();
        file.text("general.architecture", "llama");
        for (key, value) in [
            ("llama.block_count", 1),
            ("llama.context_length", 16),
            ("llama.embedding_length", 8),
            ("llama.feed_forward_length", 8),
            ("llama.attention.head_count", 2),
        ] {
            file.key(key, 4);
            file.metadata.extend(u32::to_le_bytes(value));
        }
        file.key("llama.attention.layer_norm_rms_epsilon", 6);
        file.metadata.extend(1e-5f32.to_le_bytes());
        file
    }

    fn key(&mut self, key: &str, kind: u32) {
        self.metadata.extend((key.len() as u64).to_le_bytes());
        self.metadata.extend(key.as_bytes());
        self.metadata.extend(kind.to_le_bytes());
        self.entries += 1;
    }

    fn text(&mut self, key: &str, value: &str) {
        self.key(key, 8);
        self.metadata.extend((value.len() as u64).to_le_bytes());
        self.metadata.extend(value.as_bytes());
    }

    fn tensor(&mut self, name: &str, dimensions: &[u64], kind: u32, offset: u64) {
        self.tensors.extend((name.len() as u64).to_le_bytes());
        self.tensors.extend(name.as_bytes());
        self.tensors.extend((dimensions.len() as u32).to_le_bytes());
        dimensions.iter().for_each(|size| self.tensors.extend(size.to_le_bytes()));
        self.tensors.extend(kind.to_le_bytes());
        self.tensors.extend(offset.to_le_bytes());
        self.count += 1;
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF\x03\0\0\0".to_vec();
        out.extend(self.count.to_le_bytes());
        out.extend(self.entries.to_le_bytes());
        out.extend(&self.metadata);
        out.extend(&self.tensors);
        out.resize(out.len().next_multiple_of(32), 0);
        out.extend(&self.data);
        out
    }

    fn open(&self) -> Result<GgufWeights> {
        GgufWeights::open(file_of(&self.bytes()).path())
    }
}

fn problem<T>(result: Result<T>) -> String {
    match result {
        Err(error) => error.to_string(),
        Ok(_) => panic!("expected an error"),
    }
}

#[test]
fn blocks_become_the_values_that_the_gguf_package_makes_of_them() {
    let golden: serde_json::Value =
        serde_json::from_slice(&std::fs::read(fixture("gguf_blocks.json")).unwrap()).unwrap();
    let formats = golden["formats"].as_object().unwrap();
    assert_eq!(formats.len(), 10);
    for (name, format) in formats {
        let blocks = hex(format["blocks"].as_str().unwrap());
        let expected: Vec<u32> = hex(format["values"].as_str().unwrap())
            .chunks(4)
            .map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap()))
            .collect();
        let mut file = Gguf::llama();
        file.tensor(
            "token_embd.weight",
            &[expected.len() as u64, 1],
            format["type"].as_u64().unwrap() as u32,
            0,
        );
        file.data = blocks;
        let got = file.open().unwrap().load("model.embed_tokens.weight", &[1, expected.len()]).unwrap();
        // Zero times a negative number keeps its sign in one of them only; the values are what counts.
        for (at, (got, expected)) in got.iter().zip(&expected).enumerate() {
            assert_eq!(*got, f32::from_bits(*expected), "{name}, value {at}");
        }
    }
}

#[test]
fn a_gguf_file_holds_the_same_tensors_as_its_hugging_face_twin() {
    let gguf = GgufWeights::open(&fixture("gguf_tiny.gguf")).unwrap();
    let twin = SafetensorsWeights::open(&[fixture("gguf_tiny.safetensors")]).unwrap();
    assert_eq!(gguf.names(), twin.names());
    for name in twin.names() {
        let shape = twin.shape(&name).unwrap();
        assert_eq!(gguf.load(&name, &shape).unwrap(), twin.load(&name, &shape).unwrap(), "{name}");
    }
    assert_ne!(gguf.digest(), twin.digest());
}

#[test]
fn a_gguf_file_brings_configuration_licence_template_and_tokenizer() {
    let path = fixture("gguf_tiny.gguf");
    let cache = tempfile::tempdir().unwrap();
    let model = open_model(path.to_str().unwrap(), cache.path(), &|_| ()).unwrap();
    let Architecture::Decoder(config) = &model.architecture else { panic!("llama") };
    assert_eq!((config.hidden, config.layers, config.heads, config.kv_heads), (32, 2, 4, 2));
    assert_eq!((config.head_dim, config.feed_forward, config.context), (8, 64, 128));
    assert_eq!((config.norm_epsilon, config.rope.theta, config.head), (1e-5, 10_000.0, Head::Tied));
    assert_eq!(model.license.as_deref(), Some("mit"));
    assert!(model.chat_template.unwrap().source.contains("<|im_start|>"));
    assert_eq!(model.tokenizer.vocab_size(), config.vocabulary);
    assert_eq!(model.tokenizer.special().eos, model.tokenizer.token("<|im_end|>"));
    assert!(model.tokenizer.special().before.is_empty() && model.tokenizer.special().after.is_empty());
    assert!(model.digest.starts_with("xxh3:") && model.digest.len() == 37, "{}", model.digest);
}

#[test]
fn a_wrong_shape_or_name_is_told_with_what_is_there() {
    let gguf = GgufWeights::open(&fixture("gguf_tiny.gguf")).unwrap();
    let text = problem(gguf.load("model.norm.weight", &[64]));
    assert!(text.contains("`model.norm.weight`: expected shape [64], got [32]"), "{text}");
    let error = gguf.load("model.norms.weight", &[32]).unwrap_err();
    assert!(matches!(&error, Error::Weights(WeightsError::MissingTensor { .. })), "{error}");
    assert!(error.hint().unwrap().contains("`model.norm.weight`"));
    let twin = SafetensorsWeights::open(&[fixture("gguf_tiny.safetensors")]).unwrap();
    assert!(problem(twin.load("model.norm.weight", &[1, 32])).contains("expected shape [1, 32], got [32]"));
}

#[test]
fn shards_are_one_model_and_a_tensor_may_be_in_one_of_them_only() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, tensors: &[(&str, f32)]| {
        let path = folder.path().join(name);
        let data: Vec<(String, [u8; 4])> =
            tensors.iter().map(|(n, v)| ((*n).to_owned(), v.to_le_bytes())).collect();
        let views = data.iter().map(|(n, bytes)| {
            (
                n.clone(),
                safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], bytes).unwrap(),
            )
        });
        std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
        path
    };
    let (a, b) = (write("a.safetensors", &[("x", 1.0)]), write("b.safetensors", &[("y", 2.0), ("z", 3.0)]));
    let both = SafetensorsWeights::open(&[b.clone(), a.clone()]).unwrap();
    assert_eq!(both.names(), ["x", "y", "z"]);
    assert_eq!(both.load("z", &[1]).unwrap(), [3.0]);
    assert_eq!(both.digest(), SafetensorsWeights::open(&[a.clone(), b]).unwrap().digest());
    let again = write("c.safetensors", &[("x", 1.0)]);
    assert!(problem(SafetensorsWeights::open(&[a, again])).contains("tensor `x` is also in"));
}

#[test]
fn an_index_cannot_name_files_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let index = folder.path().join("model.safetensors.index.json");
    for (name, fine) in
        [("model-1.safetensors", true), ("../other.safetensors", false), ("/etc/passwd", false), ("", false)]
    {
        std::fs::write(&index, format!(r#"{{"weight_map": {{"x": "{name}"}}}}"#)).unwrap();
        assert_eq!(SafetensorsWeights::shards_of(&index).is_ok(), fine, "{name}");
    }
}

#[test]
fn hostile_safetensors_headers_are_errors() {
    let header = |json: &str, data: usize| {
        let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
        bytes.extend(json.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    };
    let tensor = |offsets: &str| format!(r#"{{"dtype":"F32","shape":[2],"data_offsets":[{offsets}]}}"#);
    let cases = [
        ("an empty file", vec![]),
        ("a header length beyond the file", u64::MAX.to_le_bytes().to_vec()),
        ("a header length just beyond the file", header("{}", 0)[..9].to_vec()),
        ("offsets beyond the file", header(&format!(r#"{{"x":{}}}"#, tensor("0,8")), 4)),
        ("bytes that no tensor has", header(&format!(r#"{{"x":{}}}"#, tensor("0,8")), 12)),
        ("overlapping tensors", header(&format!(r#"{{"x":{},"y":{}}}"#, tensor("0,8"), tensor("4,12")), 12)),
        ("offsets in the wrong order", header(&format!(r#"{{"x":{}}}"#, tensor("8,0")), 8)),
        (
            "a shape that overflows",
            header(
                r#"{"x":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,8]}}"#,
                8,
            ),
        ),
        ("a shape that does not fit", header(r#"{"x":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#, 8)),
        ("an unknown type", header(r#"{"x":{"dtype":"F99","shape":[2],"data_offsets":[0,8]}}"#, 8)),
        ("deep JSON", header(&"[".repeat(200_000), 0)),
        ("deep JSON in a tensor", header(&format!(r#"{{"x":{}"#, r#"{"shape":"#.repeat(100_000)), 0)),
        ("no JSON", header("\u{fffd}", 0)),
    ];
    for (what, bytes) in cases {
        let file = file_of(&bytes);
        let error = SafetensorsWeights::open(&[file.path().to_owned()]).err();
        assert!(matches!(error, Some(Error::Weights(WeightsError::Malformed { .. }))), "{what}: {error:?}");
    }
}

#[test]
fn hostile_gguf_headers_are_errors() {
    let fine = || {
        let mut file = Gguf::llama();
        file.tensor("token_embd.weight", &[8, 4], 0, 0);
        file.data = vec![0; 128];
        file
    };
    assert!(fine().open().is_ok());
    type Change = fn(&mut Gguf);
    let cases: [(&str, Change, &str); 15] = [
        ("a tensor beyond the file", |f| f.data.truncate(127), "but the file ends at"),
        (
            "an offset that overflows",
            |f| f.tensor("output.weight", &[8, 4], 0, u64::MAX - 31),
            "but the file ends at",
        ),
        ("overlapping tensors", |f| f.tensor("output.weight", &[8, 4], 0, 0), "overlap"),
        ("an offset out of line", |f| f.tensor("output.weight", &[1, 1], 0, 4), "multiple of 32"),
        ("a shape that overflows", |f| f.tensor("output.weight", &[1 << 40, 1 << 40], 0, 128), "too large"),
        ("no dimension", |f| f.tensor("output.weight", &[], 0, 128), "1 to 4 dimensions"),
        ("many dimensions", |f| f.tensor("output.weight", &[1; 5], 0, 128), "1 to 4 dimensions"),
        ("an empty dimension", |f| f.tensor("output.weight", &[0, 8], 0, 128), "a dimension is 0"),
        ("part of a block", |f| f.tensor("output.weight", &[8, 4], 3, 128), "multiple of 32 values"),
        ("a tensor twice", |f| f.tensor("token_embd.weight", &[8, 4], 0, 128), "there twice"),
        ("a key twice", |f| f.text("general.architecture", "llama"), "there twice"),
        ("more tensors than bytes", |f| f.count = u64::MAX, "do not fit"),
        ("more entries than bytes", |f| f.entries = u64::MAX / 64, "do not fit"),
        ("an unknown value type", |f| f.key("x", 13), "value type of 0 to 12"),
        (
            "a tensor that the graph does not use",
            |f| {
                f.tensor("blk.0.attn_q_norm.weight", &[8], 0, 128);
                f.data.resize(160, 0);
            },
            "no part of",
        ),
    ];
    for (what, change, expected) in cases {
        let mut file = fine();
        change(&mut file);
        let text = problem(file.open());
        assert!(text.contains(expected), "{what}: {text}");
    }
    let array = |kind: u32, count: u64| {
        let mut file = fine();
        file.key("x", 9);
        file.metadata.extend(kind.to_le_bytes());
        file.metadata.extend(count.to_le_bytes());
        problem(file.open())
    };
    assert!(array(10, u64::MAX / 8).contains("do not fit"));
    assert!(array(8, 1 << 40).contains("do not fit"));
    assert!(array(9, 1).contains("arrays of arrays"));
    let mut bytes = fine().bytes();
    bytes[4] = 1;
    assert!(problem(GgufWeights::open(file_of(&bytes).path())).contains("version 2 or 3, got 1"));
    bytes[4..8].copy_from_slice(&[0, 0, 0, 3]);
    assert!(problem(GgufWeights::open(file_of(&bytes).path())).contains("big-endian"));
}

#[test]
fn formats_and_architectures_that_are_not_known_are_named() {
    let mut file = Gguf::llama();
    file.tensor("token_embd.weight", &[256, 1], 10, 0);
    let weights = file.open().unwrap();
    let text = problem(weights.load("model.embed_tokens.weight", &[1, 256]));
    assert!(text.contains("Q4_K") && text.contains("got `ggml type 10`"), "{text}");
    let mut file = Gguf::default();
    file.text("general.architecture", "mamba");
    let text = problem(file.open());
    assert!(text.contains("expected one of llama, qwen2, qwen3, gemma3, got architecture `mamba`"), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever is changed in or cut from a real file, opening it and reading it all is an answer or an error.
    #[test]
    fn damaged_gguf_files_never_panic(
        changes in prop::collection::vec((0usize..48_000, any::<u8>()), 1..8),
        length in 0usize..60_000,
    ) {
        let mut bytes = std::fs::read(fixture("gguf_tiny.gguf")).unwrap();
        for (at, value) in changes {
            // Most changes go to the first part of the header, where the structure is.
            let at = if at % 4 == 0 { at } else { at % 600 } % bytes.len();
            bytes[at] = value;
        }
        bytes.truncate(length);
        open_all(&bytes);
    }

    #[test]
    fn damaged_safetensors_files_never_panic(
        changes in prop::collection::vec((0usize..130_000, any::<u8>()), 1..8),
        length in 0usize..140_000,
    ) {
        let mut bytes = std::fs::read(fixture("gguf_tiny.safetensors")).unwrap();
        for (at, value) in changes {
            let at = if at % 4 == 0 { at } else { at % 2600 } % bytes.len();
            bytes[at] = value;
        }
        bytes.truncate(length);
        let file = file_of(&bytes);
        if let Ok(weights) = SafetensorsWeights::open(&[file.path().to_owned()]) {
            for name in weights.names() {
                let _ = weights.load(&name, &weights.shape(&name).unwrap());
            }
        }
    }

    #[test]
    fn noise_is_no_model(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut gguf = b"GGUF\x03\0\0\0".to_vec();
        gguf.extend(&bytes);
        open_all(&gguf);
        open_all(&bytes);
    }
}

fn open_all(bytes: &[u8]) {
    let file = file_of(bytes);
    if let Ok(weights) = GgufWeights::open(file.path()) {
        for name in weights.names() {
            let _ = weights.load(&name, &weights.shape(&name).unwrap());
        }
        let _ = tamis_models::tokenizer::Tokenizer::from_gguf(weights.file());
    }
}
