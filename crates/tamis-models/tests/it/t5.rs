//! T5 against transformers and sentence-transformers, on tiny models with random weights (fixture and script:
//! `fixtures/make_t5.py`).

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt32Type};
use arrow_array::{Array, RecordBatch};
use serde_json::Value;
use tamis_core::{DocumentBatch, Signal, column, reason};
use tamis_kernels::{Dtype, Path};
use tamis_models::Error;
use tamis_models::ask_llm::{AskLlm, AskLlmOptions, Judge, columns};
use tamis_models::build::{Backend, build_causal, build_encoder, build_encoder_decoder};
use tamis_models::graph::{Architecture, EncoderDecoder, Pair, T5Activation, T5Head};
use tamis_models::perplexity::columns::{NLL, NLL_PER_BYTE, PREDICTED_TOKENS, WINDOWS};
use tamis_models::perplexity::{Objective, Perplexity, PerplexityOptions, Predictor};
use tamis_models::prompt::{Prompt, PromptSet};
use tamis_models::source::{LoadedModel, open_model};
use tamis_models::weights::{MemoryWeights, Weights};

use crate::reference::{fixture, json, model};

const KINDS: [&str; 2] = ["v1_0", "v1_1"];

fn reference() -> Value {
    json("t5/reference.json")
}

fn loaded(name: &str) -> LoadedModel {
    model(fixture("t5").join(name).to_str().unwrap())
}

fn numbers(name: &str) -> Vec<f32> {
    let bytes = std::fs::read(fixture("t5").join(name)).unwrap();
    bytes.as_chunks::<4>().0.iter().map(|&value| f32::from_le_bytes(value)).collect()
}

fn sequences(values: &Value) -> Vec<Vec<u32>> {
    let tokens = |row: &Value| row.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect();
    values.as_array().unwrap().iter().map(tokens).collect()
}

fn texts(values: &Value) -> Vec<&str> {
    values.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

fn backends() -> impl Iterator<Item = Backend> {
    let f32 = Path::supported().into_iter().filter(|path| path.dtype() == Dtype::F32);
    f32.map(Backend::Native).chain([Backend::Candle])
}

fn build(loaded: &LoadedModel, backend: Backend) -> Box<dyn EncoderDecoder> {
    build_encoder_decoder(&loaded.architecture, &*loaded.weights, backend).unwrap()
}

fn largest_difference(left: &[f32], right: &[f32]) -> f32 {
    assert_eq!(left.len(), right.len());
    left.iter().zip(right).map(|(left, right)| (left - right).abs()).fold(0.0, f32::max)
}

#[test]
fn logits_at_every_position_agree_with_transformers_in_batches_of_unequal_lengths() {
    let reference = reference();
    let inputs = sequences(&reference["sequences"]["inputs"]);
    let targets = sequences(&reference["sequences"]["targets"]);
    assert!(inputs.iter().any(|input| input.len() > 512) && inputs.iter().any(|input| input.len() == 1));
    let pairs: Vec<Pair<'_>> =
        inputs.iter().zip(&targets).map(|(input, target)| Pair { input, target }).collect();
    for kind in KINDS {
        let (loaded, expected) = (loaded(kind), numbers(&format!("logits_{kind}.f32")));
        for backend in backends() {
            let model = build(&loaded, backend);
            let mut found = Vec::new();
            model.logits(&pairs, &mut |_, values| found.extend_from_slice(values)).unwrap();
            let difference = largest_difference(&found, &expected);
            assert!(difference < 1e-4, "{kind}, {backend:?}: {difference:.2e}");

            let mut first = vec![Vec::new(); inputs.len()];
            let read: Vec<&[u32]> = inputs.iter().map(Vec::as_slice).collect();
            model.first_token_logits(&read, &mut |at, values| first[at] = values.to_vec()).unwrap();
            let mut row = 0;
            for (first, target) in first.iter().zip(&targets) {
                let expected = &expected[row * model.vocabulary()..][..model.vocabulary()];
                let difference = largest_difference(first, expected);
                assert!(difference < 1e-4, "{kind}, {backend:?}, first step: {difference:.2e}");
                row += target.len();
            }
        }
    }
}

#[test]
fn a_pair_gives_the_same_bits_alone_and_in_a_batch() {
    let reference = reference();
    let inputs = sequences(&reference["sequences"]["inputs"]);
    let targets = sequences(&reference["sequences"]["targets"]);
    let pairs: Vec<Pair<'_>> =
        inputs.iter().zip(&targets).map(|(input, target)| Pair { input, target }).collect();
    for kind in KINDS {
        let loaded = loaded(kind);
        for path in Path::supported() {
            let model = build(&loaded, Backend::Native(path));
            let run = |pairs: &[Pair<'_>]| {
                let mut found = vec![Vec::new(); pairs.len()];
                let mut sink = |at: usize, values: &[f32]| {
                    found[at].extend(values.iter().map(|value| value.to_bits()));
                };
                model.logits(pairs, &mut sink).unwrap();
                model.token_log_probs(pairs, &mut sink).unwrap();
                let inputs: Vec<&[u32]> = pairs.iter().map(|pair| pair.input).collect();
                model.first_token_logits(&inputs, &mut sink).unwrap();
                found
            };
            let together = run(&pairs);
            for (pair, together) in pairs.iter().zip(together) {
                assert_eq!(run(&[*pair]), [together], "{kind}, {}", path.name());
            }
        }
    }
}

#[test]
fn folders_are_read_as_they_are() {
    let v1_0 = loaded("v1_0");
    let Architecture::T5(config) = &v1_0.architecture else { panic!("{:?}", v1_0.architecture) };
    assert_eq!((config.activation, config.head), (T5Activation::Relu, T5Head::TiedAndScaled));
    assert_eq!((config.encoder_layers, config.decoder_layers, config.context), (2, 3, 512));
    let v1_1 = loaded("v1_1");
    let Architecture::T5(config) = &v1_1.architecture else { panic!("{:?}", v1_1.architecture) };
    assert_eq!((config.activation, config.head), (T5Activation::GatedGelu, T5Head::Untied));
    // The embeddings are padded to more rows than there are tokens.
    assert_eq!((v1_1.tokenizer.vocab_size(), config.vocabulary), (256, 272));
    assert_eq!(
        (v1_1.tokenizer.special().before.as_slice(), v1_1.tokenizer.special().after.as_slice()),
        (&[][..], &[1][..])
    );

    let reference = reference();
    for (text, expected) in texts(&reference["texts"]).iter().zip(sequences(&reference["ids"])) {
        let tokens = [&v1_1.tokenizer.encode(text).unwrap()[..], &v1_1.tokenizer.special().after].concat();
        assert_eq!(tokens, expected, "{text}");
    }
}

#[test]
fn sentence_embeddings_agree_with_sentence_transformers() {
    let reference = reference();
    let texts = texts(&reference["sentence"]["texts"]);
    let dimension = reference["sentence"]["dimension"].as_u64().unwrap() as usize;
    let loaded = loaded("sentence");
    let most = loaded.sentence.as_ref().unwrap().max_tokens.unwrap();
    assert_eq!(most, 96);
    let sequences: Vec<Vec<u32>> = texts
        .iter()
        .map(|text| [&loaded.tokenizer.encode_head(text, most - 1).unwrap().tokens[..], &[1]].concat())
        .collect();
    assert!(sequences.iter().any(|sequence| sequence.len() == most));
    let sequences: Vec<&[u32]> = sequences.iter().map(Vec::as_slice).collect();
    for backend in backends() {
        let model = build_encoder(&loaded.architecture, &*loaded.weights, backend).unwrap();
        assert_eq!(model.dimension(), dimension);
        let mut found = Vec::new();
        model.embed(&sequences, &mut |_, values| found.extend_from_slice(values)).unwrap();
        let difference = largest_difference(&found, &numbers("sentence.f32"));
        assert!(difference < 1e-5, "{backend:?}: {difference:.2e}");
    }
}

fn judge(loaded: LoadedModel, backend: Backend) -> Judge {
    Judge::from_model(loaded, backend).unwrap()
}

fn ask(judge: Judge, prompt: &str, max_document_tokens: Option<usize>) -> Result<AskLlm, Error> {
    let set = PromptSet::new("t5", vec![Prompt::parse("t5", prompt).unwrap()]).unwrap();
    AskLlm::new(judge, &set, &AskLlmOptions { max_document_tokens, ..AskLlmOptions::default() })
}

fn scored(signal: &AskLlm, texts: &[&str]) -> RecordBatch {
    signal.annotate(DocumentBatch::from_texts(texts.iter().copied()).as_arrow()).unwrap()
}

#[test]
fn ask_llm_reads_the_first_decoder_step_as_transformers_does() {
    let reference = reference();
    let (texts, prompt) = (texts(&reference["texts"]), reference["prompt"].as_str().unwrap());
    for kind in KINDS {
        for backend in backends() {
            let signal = ask(judge(loaded(kind), backend), prompt, None).unwrap();
            let batch = scored(&signal, &texts);
            let column = |name: &str| batch.column_by_name(name).unwrap();
            for (at, expected) in reference[kind]["answers"].as_array().unwrap().iter().enumerate() {
                let tokens = column(columns::TOKENS).as_primitive::<UInt32Type>().value(at);
                assert_eq!(u64::from(tokens), expected["tokens"].as_u64().unwrap(), "{kind}, text {at}");
                for (name, key) in [(columns::LOG_P_YES, "log_p_yes"), (columns::LOG_P_NO, "log_p_no")] {
                    let found = column(name).as_primitive::<Float64Type>().value(at);
                    let difference = (found - expected[key].as_f64().unwrap()).abs();
                    assert!(difference < 2e-5, "{kind}, {backend:?}, text {at}, {name}: {difference:.2e}");
                }
            }
        }
    }
}

#[test]
fn a_document_is_cut_to_the_context_and_the_question_never() {
    let reference = reference();
    let prompt = reference["prompt"].as_str().unwrap();
    let backend = Backend::Native(Path::F32Portable);
    let signal = ask(judge(loaded("v1_1"), backend), prompt, None).unwrap();
    let around = 512 - signal.window_tokens();
    let long = "word ".repeat(2000);
    let exact = "a ".repeat(signal.window_tokens());
    let batch = scored(&signal, &[&long, &exact, "", "a", "a\u{0}b"]);
    let tokens = batch.column_by_name(columns::TOKENS).unwrap().as_primitive::<UInt32Type>();
    let truncated = batch.column_by_name(columns::TRUNCATED).unwrap().as_boolean();
    let failed = batch.column_by_name(column::FAILED).unwrap().as_string::<i32>();
    assert_eq!((tokens.value(0), truncated.value(0)), (512, true));
    assert_eq!((tokens.value(1), truncated.value(1)), (512, false));
    assert_eq!(failed.value(2), reason::NO_TOKENS);
    assert_eq!((tokens.value(3) as usize, truncated.value(3)), (around + 1, false));
    assert!(failed.is_null(4));

    // Positions are relative: whoever asks may have more than the model was trained on.
    let asked = ask(judge(loaded("v1_1"), backend), prompt, Some(900)).unwrap();
    assert_eq!(asked.window_tokens(), 900);
    let batch = scored(&asked, &[&long]);
    let tokens = batch.column_by_name(columns::TOKENS).unwrap().as_primitive::<UInt32Type>();
    assert_eq!(tokens.value(0) as usize, around + 900);

    let question = format!("{{document}}\n{}", "Is it good? ".repeat(300));
    let error = ask(judge(loaded("v1_1"), backend), &question, None).unwrap_err();
    assert!(error.to_string().contains("512"), "{error}");
}

/// The tensors of a model, one of them changed.
struct Changed {
    inner: Box<dyn Weights>,
    name: &'static str,
    how: How,
}

#[derive(Clone, Copy)]
enum How {
    Missing,
    NotANumber,
}

impl Weights for Changed {
    fn names(&self) -> Vec<String> {
        self.inner.names()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.inner.shape(name)
    }

    fn load(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        match self.how {
            How::Missing if name == self.name => self.inner.load("no such tensor", shape),
            How::NotANumber if name == self.name => Ok(vec![f32::NAN; shape.iter().product()]),
            _ => self.inner.load(name, shape),
        }
    }

    fn digest(&self) -> String {
        "changed".to_owned()
    }
}

#[test]
fn models_that_do_not_fit_are_refused_and_nan_fails_rows_rather_than_runs() {
    let backend = Backend::Native(Path::F32Portable);
    let changed = |name: &'static str, how: How| {
        let mut model = loaded("v1_1");
        let nothing: Box<dyn Weights> = Box::new(MemoryWeights::new());
        let inner = std::mem::replace(&mut model.weights, nothing);
        model.weights = Box::new(Changed { inner, name, how });
        model
    };
    let missing = "decoder.block.1.layer.1.EncDecAttention.k.weight";
    let error = Judge::from_model(changed(missing, How::Missing), backend).unwrap_err();
    assert!(error.to_string().contains("is missing"), "{error}");

    let mut narrow = loaded("v1_0");
    let Architecture::T5(config) = &mut narrow.architecture else { panic!("a T5") };
    config.feed_forward += 1;
    let error = Judge::from_model(narrow, backend).unwrap_err();
    assert!(error.to_string().contains("expected shape [41, 32], got [40, 32]"), "{error}");

    let bert_or_llama = build_causal(&loaded("v1_0").architecture, &MemoryWeights::new(), backend);
    assert!(matches!(bert_or_llama, Err(Error::WrongKind { architecture: "t5", .. })));

    for name in [
        "shared.weight",
        "decoder.block.2.layer.1.EncDecAttention.v.weight",
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
        "decoder.final_layer_norm.weight",
    ] {
        let signal = ask(judge(changed(name, How::NotANumber), backend), "{document} Good?", None).unwrap();
        let batch = scored(&signal, &["some text", "more"]);
        let failed = batch.column_by_name(column::FAILED).unwrap().as_string::<i32>();
        assert_eq!((failed.value(0), failed.value(1)), (reason::NOT_FINITE, reason::NOT_FINITE), "{name}");
    }
}

/// A copy of a fixture's folder in which a file can be changed.
fn copy(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixture("t5").join(name)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    folder
}

#[test]
fn a_tokenizer_with_more_tokens_than_the_model_is_refused() {
    let folder = copy("v1_0");
    let path = folder.path().join("config.json");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, config.replace("\"vocab_size\": 272", "\"vocab_size\": 200")).unwrap();
    let error = open_model(folder.path().to_str().unwrap(), folder.path(), &|_| {}).unwrap_err();
    assert!(error.to_string().contains("it has tokens up to 255, but the model has 200 of them"), "{error}");
}

#[test]
fn tied_tensors_are_found_under_any_of_their_names() {
    let (plain, names) = (loaded("v1_0"), ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"]);
    let logits = |weights: &dyn Weights| {
        let backend = Backend::Native(Path::F32Portable);
        let model = build_encoder_decoder(&plain.architecture, weights, backend).unwrap();
        let mut found = Vec::new();
        model.first_token_logits(&[&[5, 6, 1]], &mut |_, values| found.extend_from_slice(values)).unwrap();
        found
    };
    let expected = logits(&*plain.weights);
    for alias in names {
        let mut weights = MemoryWeights::new();
        for name in plain.weights.names() {
            let shape = plain.weights.shape(&name).unwrap();
            let values = plain.weights.load(&name, &shape).unwrap();
            weights.insert(if name == "shared.weight" { alias } else { &name }, &shape, values);
        }
        assert_eq!(logits(&weights), expected, "{alias}");
    }
}

fn perplexity(objective: Option<Objective>, options: &PerplexityOptions) -> Result<Perplexity, Error> {
    let reader = Predictor::from_model(loaded("v1_0"), objective, Backend::Native(Path::F32Portable))?;
    Perplexity::new(reader, options)
}

#[test]
fn objectives_predict_what_they_cut_out_whatever_the_batch() {
    let reference = reference();
    let tokenizer = loaded("v1_0").tokenizer;
    let texts = texts(&reference["texts"]);
    let documents: Vec<&str> = texts.iter().copied().chain(["", "a"]).collect();
    let counts: Vec<usize> = documents.iter().map(|text| tokenizer.encode(text).unwrap().len()).collect();
    let mut rows = Vec::new();
    for objective in [None, Some(Objective::Prefix)] {
        let signal = perplexity(objective, &PerplexityOptions::default()).unwrap();
        let batch = DocumentBatch::from_texts(documents.iter().copied());
        let together = signal.annotate(batch.as_arrow()).unwrap();
        for (at, &count) in counts.iter().enumerate() {
            // Alone under the same key, which decides what is cut out.
            let alone = signal.annotate(&batch.as_arrow().slice(at, 1)).unwrap();
            assert_eq!(alone, together.slice(at, 1), "{objective:?} {at}");
            let failed = together.column_by_name(column::FAILED).unwrap().as_string::<i32>();
            if count < 2 {
                assert!([reason::NO_TOKENS, reason::ONE_TOKEN].contains(&failed.value(at)));
                continue;
            }
            assert!(failed.is_null(at));
            let predicted =
                together.column_by_name(PREDICTED_TOKENS).unwrap().as_primitive::<UInt32Type>().value(at);
            let expected: usize = match (objective, count.div_ceil(511)) {
                (Some(_), 1) => count - count / 2,
                (None, 1) => ((count * 15 + 50) / 100).max(1),
                (_, windows) => panic!("{windows} windows in the fixture"),
            };
            assert_eq!(predicted as usize, expected, "{objective:?} {at}");
            let nll = together.column_by_name(NLL).unwrap().as_primitive::<Float64Type>().value(at);
            assert!(nll > 0.0 && nll.is_finite());
        }
        rows.push(together);
    }
    assert_ne!(rows[0].column_by_name(NLL), rows[1].column_by_name(NLL));
}

#[test]
fn the_second_half_of_every_window_is_predicted_from_the_first() {
    let reference = reference();
    let loaded = loaded("v1_0");
    let model = build(&loaded, Backend::Native(Path::F32Portable));
    let text = *texts(&reference["texts"]).iter().max_by_key(|text| text.len()).unwrap();
    let tokens = loaded.tokenizer.encode(text).unwrap();
    for window_tokens in [512, 40] {
        let options =
            PerplexityOptions { window_tokens: Some(window_tokens), ..PerplexityOptions::default() };
        let row = perplexity(Some(Objective::Prefix), &options).unwrap();
        let row = row.annotate(DocumentBatch::from_texts([text]).as_arrow()).unwrap();
        let (mut nll, mut predicted) = (0.0, String::new());
        let windows = tokens.len().div_ceil(window_tokens - 1);
        for at in 0..windows {
            let window = &tokens[at * tokens.len() / windows..(at + 1) * tokens.len() / windows];
            let (first, second) = window.split_at(window.len() / 2);
            let (input, target) = ([first, &[1]].concat(), [second, &[1]].concat());
            let pair = Pair { input: &input, target: &target };
            model
                .token_log_probs(&[pair], &mut |_, values| {
                    nll -= values[..second.len()].iter().map(|value| f64::from(*value)).sum::<f64>();
                })
                .unwrap();
            predicted.push_str(&loaded.tokenizer.decode(second).unwrap());
        }
        let found = |name: &str| row.column_by_name(name).unwrap().as_primitive::<Float64Type>().value(0);
        assert!((found(NLL) - nll).abs() < 1e-9 * nll, "{window_tokens}");
        let count = row.column_by_name(WINDOWS).unwrap().as_primitive::<UInt32Type>().value(0);
        assert_eq!(count as usize, windows);
        // Decoding a piece of a text leaves out the space before it.
        let bytes = found(NLL) / found(NLL_PER_BYTE);
        let decoded = predicted.len() as f64;
        assert!(decoded <= bytes + 0.5 && bytes < decoded + windows as f64 + 0.5, "{bytes} {decoded}");
    }
}

#[test]
fn objectives_strides_and_windows_that_a_t5_does_not_have_are_refused() {
    let refused = |objective, options: PerplexityOptions| {
        let error = perplexity(objective, &options).unwrap_err();
        assert!(error.hint().is_some(), "{error}");
        error.to_string()
    };
    let default = PerplexityOptions::default;
    assert!(refused(Some(Objective::Causal), default()).contains("expected span or prefix"));
    assert!(refused(None, PerplexityOptions { stride_tokens: Some(9), ..default() }).contains("no stride"));
    let short = refused(None, PerplexityOptions { window_tokens: Some(4), ..default() });
    assert!(short.contains("windows of 5 tokens"), "{short}");
    let decoder = Objective::of(Some(Objective::Span), &model("smollm2").architecture).unwrap_err();
    assert!(decoder.to_string().contains("objective `span`") && decoder.hint().is_some());
}
