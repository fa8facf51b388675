//! What a model folder says beside its weights decides scores, and so it decides whose scores they are; runs of a tamis that
//! did not keep it go on under the names that they have.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tamis::options::{AskOptions, DensityOptions, EmbedOptions, PerplexityOptions, SignalOptions};
use tamis::{Error, ScoreOptions, Silent};
use tamis_core::Fingerprint;
use tamis_io::run::RunError;

use crate::signals::{ask, density, embed, open, perplexity};
use crate::support::models::MODELS;
use crate::support::observers::Watch;
use crate::support::snapshot::snapshot;
use crate::support::{corpus, folder, read};

/// A copy of a tiny model, whose configuration can be changed.
struct Model {
    home: tempfile::TempDir,
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else if path.extension().is_some_and(|kind| kind == "json" || kind == "safetensors") {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

impl Model {
    fn of(model: &str) -> Self {
        let home = folder();
        copy(Path::new(model), home.path());
        Self { home }
    }

    fn source(&self) -> String {
        self.home.path().to_str().unwrap().to_owned()
    }

    fn set(&self, field: &str, value: Value) {
        let path = self.home.path().join("config.json");
        let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        config[field] = value;
        std::fs::write(path, config.to_string()).unwrap();
    }
}

/// A kind of signal of a model folder, and a change of the configuration that changes its values.
struct Kind {
    model: &'static str,
    options: fn(String) -> SignalOptions,
    column: Option<&'static str>,
    field: &'static str,
    value: Value,
    /// How a refusal names it.
    named: &'static str,
}

fn kinds() -> Vec<Kind> {
    let ask_llm: fn(String) -> SignalOptions = |model| SignalOptions::AskLlm(AskOptions { model, ..ask() });
    let surprise: fn(String) -> SignalOptions =
        |model| SignalOptions::Perplexity(PerplexityOptions { model: Some(model), ..perplexity() });
    let span: fn(String) -> SignalOptions = |model| {
        SignalOptions::Perplexity(PerplexityOptions { model: Some(model), stride: None, ..perplexity() })
    };
    let vectors: fn(String) -> SignalOptions =
        |model| SignalOptions::Embed(EmbedOptions { model, ..embed() });
    let rope = "rope_theta: stored `10000`, asked `500000`";
    vec![
        Kind {
            model: &MODELS.judge,
            options: ask_llm,
            column: Some("score"),
            field: "rope_theta",
            value: json!(5e5),
            named: rope,
        },
        Kind {
            model: &MODELS.judge,
            options: surprise,
            column: Some("nll_per_byte"),
            field: "rope_theta",
            value: json!(5e5),
            named: rope,
        },
        Kind {
            model: &MODELS.t5_judge,
            options: ask_llm,
            column: Some("score"),
            field: "relative_attention_max_distance",
            value: json!(17),
            named: "relative_attention_max_distance: stored `128`, asked `17`",
        },
        Kind {
            model: &MODELS.t5_judge,
            options: span,
            column: Some("nll_per_byte"),
            field: "layer_norm_epsilon",
            value: json!(0.5),
            named: "layer_norm_epsilon: stored `0.000001`, asked `0.5`",
        },
        Kind {
            model: &MODELS.embedder,
            options: vectors,
            column: None,
            field: "layer_norm_eps",
            value: json!(0.25),
            named: "layer_norm_eps: stored `0.000000000001`, asked `0.25`",
        },
        Kind {
            model: &MODELS.sentence_t5,
            options: vectors,
            column: None,
            field: "layer_norm_epsilon",
            value: json!(0.5),
            named: "layer_norm_epsilon: stored `0.000001`, asked `0.5`",
        },
    ]
}

fn mixed() -> tempfile::TempDir {
    let corpus = folder();
    corpus::mixed(corpus.path());
    corpus
}

fn refused<T>(result: tamis::Result<T>) -> (String, String) {
    match result {
        Err(error @ Error::Run(RunError::FingerprintChanged { .. })) => {
            (error.to_string(), error.hint().unwrap_or_default())
        }
        Err(error) => panic!("refused for another reason: {error}"),
        Ok(_) => panic!("the scores of two models are under one name"),
    }
}

#[test]
fn another_configuration_of_the_same_weights_is_another_signal() {
    let corpus = mixed();
    for kind in kinds() {
        let (run, model) = (folder(), Model::of(kind.model));
        let project = open(corpus.path(), run.path(), 2, &Silent);
        let version = project.inventory().unwrap();
        let asked = (kind.options)(model.source());
        let (first, _) = project.score(&version, &asked, ScoreOptions::default()).unwrap();
        model.set("my_own_note", json!("nothing reads this"));
        let (again, report) = project.score(&version, &asked, ScoreOptions::default()).unwrap();
        assert_eq!((again.full_name(), report.map.computed), (first.full_name(), 0), "{}", kind.field);

        model.set(kind.field, kind.value);
        let before = snapshot(run.path());
        let (text, hint) = refused(project.score(&version, &asked, ScoreOptions::default()));
        assert!(
            text.ends_with(&format!("differs from the stored `{}` in {}", first.full_name(), kind.named)),
            "{text}"
        );
        assert!(hint.contains("--beside"), "{hint}");
        assert!(snapshot(run.path()) == before, "a refusal writes nothing");

        let beside = ScoreOptions { beside: true, ..ScoreOptions::default() };
        let (second, report) = project.score(&version, &asked, beside).unwrap();
        assert_ne!(second.full_name(), first.full_name());
        assert_eq!(report.map.computed, version.documents());
        if let Some(column) = kind.column {
            let values = |signal| read::values(&project, &version, signal, column);
            assert_ne!(values(&first), values(&second), "{}: the field changes the values", kind.field);
        }
    }
}

/// Makes of a signal what a tamis before 0.2 would have written: no architecture in the fingerprint and none beside it.
#[expect(clippy::disallowed_methods, reason = "nobody else has this folder")]
fn age(run: &Path, full_name: &str) -> String {
    let signals = run.join("signals");
    let home = signals.join(full_name);
    std::fs::remove_file(home.join("architecture.json")).unwrap();
    let parse = |path: &Path| -> Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let mut record = parse(&home.join("signal.json"));
    let fields: BTreeMap<String, String> = serde_json::from_value(record["fingerprint"].clone()).unwrap();
    let earlier = Fingerprint::from_fields(fields).without_architecture();
    let name = full_name.split('@').next().unwrap();
    let full_name = format!("{name}@{}", earlier.short());
    record["fingerprint"] = json!(earlier.fields());
    record["digest"] = json!(earlier.digest());
    record["full_name"] = json!(full_name);
    std::fs::write(home.join("signal.json"), record.to_string()).unwrap();
    let mut folders = vec![home.join("receipts")];
    while let Some(folder) = folders.pop() {
        for path in
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<PathBuf>>()
        {
            if path.is_dir() {
                folders.push(path);
            } else {
                let mut receipt = parse(&path);
                receipt["fingerprint"] = json!(earlier.digest());
                receipt["signal"] = json!(full_name);
                std::fs::write(path, receipt.to_string()).unwrap();
            }
        }
    }
    std::fs::rename(&home, signals.join(&full_name)).unwrap();
    full_name
}

fn later(corpus: &Path, at: u64) {
    corpus::write(corpus, &format!("later-{at}.jsonl"), &corpus::lines(&corpus::documents(99 + at, 37)));
}

#[test]
fn an_earlier_run_goes_on_under_its_names_and_keeps_its_architecture_from_then_on() {
    for kind in kinds() {
        let (corpus, run, model) = (mixed(), folder(), Model::of(kind.model));
        let asked = (kind.options)(model.source());
        let earlier = {
            let project = open(corpus.path(), run.path(), 2, &Silent);
            let version = project.inventory().unwrap();
            let (signal, _) = project.score(&version, &asked, ScoreOptions::default()).unwrap();
            age(run.path(), signal.full_name())
        };
        let before = snapshot(run.path());
        let watch = Watch::counting();
        let project = open(corpus.path(), run.path(), 2, &watch);
        let version = project.inventory().unwrap();
        let (signal, report) = project.score(&version, &asked, ScoreOptions::default()).unwrap();
        assert_eq!(
            (signal.full_name(), report.map.computed),
            (earlier.as_str(), 0),
            "no score is computed again"
        );
        let note = format!("signals/{earlier}/architecture.json");
        assert_eq!(watch.said().matches(&note).count(), 1, "{}", watch.said());
        let mut after = snapshot(run.path());
        assert!(after.remove(&note).is_some());
        assert!(after == before, "nothing else is written");

        // It grows under its name, and nothing more is said.
        later(corpus.path(), 0);
        let watch = Watch::counting();
        let project = open(corpus.path(), run.path(), 2, &watch);
        let version = project.inventory().unwrap();
        let (signal, report) = project.score(&version, &asked, ScoreOptions::default()).unwrap();
        assert_eq!((signal.full_name(), report.map.computed), (earlier.as_str(), 37));
        assert!(!watch.said().contains("architecture"), "{}", watch.said());
        // By its full name, too.
        later(corpus.path(), 1);
        let version = open(corpus.path(), run.path(), 2, &Silent).inventory().unwrap();
        let project = open(corpus.path(), run.path(), 2, &Silent);
        let (signal, report) = project.stored_signal(&version, &earlier, ScoreOptions::default()).unwrap();
        assert_eq!((signal.full_name(), report.unwrap().map.computed), (earlier.as_str(), 37));

        model.set(kind.field, kind.value);
        let (text, _) = refused(project.score(&version, &asked, ScoreOptions::default()));
        assert!(text.contains(&format!("`{earlier}`")) && text.ends_with(kind.named), "{text}");
        assert_eq!(project.run_directory().signals().unwrap().len(), 1);
    }
}

#[test]
fn density_over_embeddings_of_an_earlier_run_is_found_again() {
    let (corpus, run, model) = (mixed(), folder(), Model::of(&MODELS.embedder));
    let vectors = || EmbedOptions { model: model.source(), ..embed() };
    let earlier = {
        let project = open(corpus.path(), run.path(), 2, &Silent);
        let version = project.inventory().unwrap();
        let asked = SignalOptions::Embed(vectors());
        age(run.path(), project.score(&version, &asked, ScoreOptions::default()).unwrap().0.full_name())
    };
    let asked = SignalOptions::Density(DensityOptions { embed: vectors(), ..density() });
    let score = || {
        let project = open(corpus.path(), run.path(), 2, &Silent);
        let version = project.inventory().unwrap();
        let (signal, report) = project.score(&version, &asked, ScoreOptions::default()).unwrap();
        assert_eq!(signal.record().input, earlier);
        (signal.full_name().to_owned(), report.map.computed)
    };
    let (name, computed) = score();
    assert!(computed > 0);
    // As if both were of earlier times: the density over them was made before the architecture was written.
    std::fs::remove_file(run.path().join(format!("signals/{earlier}/architecture.json"))).unwrap();
    assert_eq!(score(), (name.clone(), 0));
    later(corpus.path(), 0);
    assert_eq!(score(), (name, 37));
    model.set("layer_norm_eps", json!(0.25));
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let version = project.inventory().unwrap();
    refused(project.score(&version, &asked, ScoreOptions::default()));
}

#[test]
fn weights_that_would_be_left_unused_are_refused_before_the_corpus_is_read() {
    let (corpus, run) = (folder(), folder());
    std::fs::write(corpus.path().join("a.jsonl"), "{\"text\":\"one\"}\n").unwrap();
    let project = open(corpus.path(), run.path(), 2, &Silent);
    let check = |asked: &SignalOptions| project.check_score(asked, ScoreOptions::default());
    for kind in kinds() {
        let model = Model::of(kind.model);
        let asked = (kind.options)(model.source());
        check(&asked).unwrap();
        let path = model.home.path().join("model.safetensors");
        let bytes = std::fs::read(&path).unwrap();
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        let data = &bytes[8 + length..];
        let end = data.len();
        header["a.part.of.another.model"] =
            json!({ "dtype": "F32", "shape": [1], "data_offsets": [end, end + 4] });
        let header = header.to_string();
        let length = (header.len() as u64).to_le_bytes();
        let bytes = [&length, header.as_bytes(), data, &1_f32.to_le_bytes()].concat();
        std::fs::write(&path, bytes).unwrap();
        let error = check(&asked).unwrap_err();
        assert!(error.to_string().contains("`a.part.of.another.model` would not be used"), "{error}");
        assert!(error.hint().is_some());
    }
}
