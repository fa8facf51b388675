//! The default judge against transformers on the demo corpus (fixture and script: `fixtures/make_ask_llm.py`).

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt32Type};
use serde_json::Value;
use tamis_core::Signal;
use tamis_kernels::{Dtype, Path};
use tamis_models::ask_llm::{AskLlm, AskLlmOptions, Judge, JudgeDiagnostics, columns};
use tamis_models::build::Backend;
use tamis_models::prompt::{Prompt, PromptSet, Rendering};

use crate::reference::{Errors, annotate, corpus, fixture, json, model};

/// One document under one prompt: tokens, and ln P(yes), ln P(no) in f32 and bf16.
struct Row {
    tokens: u64,
    hash: u64,
    exact: [f64; 2],
    short: [f64; 2],
}

struct Run {
    prompt: Prompt,
    prefix_tokens: u64,
    suffix_tokens: u64,
    rows: Vec<Row>,
}

fn runs(reference: &Value, corpus: &[(String, String)]) -> Vec<Run> {
    let runs = reference["runs"].as_array().unwrap().iter();
    runs.map(|run| {
        let rows = run["rows"].as_array().unwrap().iter().zip(corpus).map(|(row, (id, _))| {
            assert_eq!(row[0].as_str(), Some(id.as_str()), "the fixture was made from another corpus");
            let number = |at: usize| row[at].as_f64().unwrap();
            Row {
                tokens: row[1].as_u64().unwrap(),
                hash: row[2].as_u64().unwrap(),
                exact: [number(3), number(4)],
                short: [number(5), number(6)],
            }
        });
        Run {
            prompt: Prompt::from_file(&fixture(run["prompt"].as_str().unwrap())).unwrap(),
            prefix_tokens: run["prefix_tokens"].as_u64().unwrap(),
            suffix_tokens: run["suffix_tokens"].as_u64().unwrap(),
            rows: rows.collect(),
        }
    })
    .collect()
}

/// Largest error of a probability in f32.
///
/// After shots P(yes) is a hundred times as large as under the paper's prompt, and so is its rounding: on the first six
/// documents transformers' own f32 is off from its f64 by up to 1.4e-6, with either of its attentions.
fn tolerance(run: &Run) -> f64 {
    if run.prompt.name() == "ask_llm_paper" { 1e-6 } else { 2e-5 }
}

fn signal(judge: Judge, run: &Run, reference: &Value) -> AskLlm {
    let set = PromptSet::new("reference", vec![run.prompt.clone()]).unwrap();
    let max_document_tokens = Some(reference["max_tokens"].as_u64().unwrap() as usize);
    AskLlm::new(judge, &set, &AskLlmOptions { max_document_tokens, ..AskLlmOptions::default() }).unwrap()
}

/// ln P(yes) and ln P(no) of the first documents, as many as the run has.
fn scores(signal: &AskLlm, run: &Run, corpus: &[(String, String)]) -> [Vec<f64>; 2] {
    let texts: Vec<&str> = corpus.iter().take(run.rows.len()).map(|(_, text)| text.as_str()).collect();
    let batches = annotate(signal, &texts);
    let tokens: Vec<u32> = batches
        .iter()
        .flat_map(|batch| {
            batch.column_by_name(columns::TOKENS).unwrap().as_primitive::<UInt32Type>().values().to_vec()
        })
        .collect();
    for (row, tokens) in run.rows.iter().zip(tokens) {
        assert_eq!(u64::from(tokens), row.tokens + run.suffix_tokens);
    }
    [columns::LOG_P_YES, columns::LOG_P_NO].map(|name| {
        batches
            .iter()
            .flat_map(|batch| {
                batch.column_by_name(name).unwrap().as_primitive::<Float64Type>().values().to_vec()
            })
            .collect()
    })
}

#[test]
fn default_judge_agrees_with_transformers() {
    let (reference, corpus) = (json("ask_llm.json"), corpus());
    let runs = runs(&reference, &corpus);
    assert!(runs[0].rows.len() >= 500);
    let source = reference["model"].as_str().unwrap();

    // Tokens first: a judge that reads other tokens cannot agree.
    let loaded = model(source);
    let most = reference["max_tokens"].as_u64().unwrap() as usize;
    for (row, (id, text)) in runs[0].rows.iter().zip(&corpus) {
        let tokens = loaded.tokenizer.encode_head(text, most).unwrap().tokens;
        let hash = tokens.iter().fold(0, |hash, token| (hash * 31 + u64::from(*token)) % (1 << 32));
        assert_eq!((tokens.len() as u64, hash), (row.tokens, row.hash), "tokens of `{id}`");
    }
    for run in &runs {
        let count = |text: &str| loaded.tokenizer.encode_template(text).unwrap().len() as u64;
        assert_eq!(count(run.prompt.prefix()), run.prefix_tokens);
        assert_eq!(count(run.prompt.suffix()), run.suffix_tokens);
    }

    let exact = Judge::from_model(loaded, Backend::Native(Path::detect(Dtype::F32))).unwrap();
    for run in &runs {
        let signal = signal(exact.clone(), run, &reference);
        let found = scores(&signal, run, &corpus);
        for (label, name) in ["yes", "no"].iter().enumerate() {
            let p: Vec<f64> = found[label].iter().map(|log_p| log_p.exp()).collect();
            let expected: Vec<f64> = run.rows.iter().map(|row| row.exact[label].exp()).collect();
            let errors = Errors::of(&p, &expected);
            let tolerance = tolerance(run);
            println!("{}: f32, P({name}): {errors}", run.prompt.name());
            assert!(errors.largest <= tolerance, "{}, P({name}) in f32: {errors}", run.prompt.name());
        }
        let notes = &signal.info().notes;
        let listed = |key: &str, name: &str| {
            for token in reference[name].as_array().unwrap() {
                assert!(
                    notes[key].contains(&format!("={token}")),
                    "token {token} of {name} in `{}`",
                    notes[key]
                );
            }
            assert_eq!(notes[key].matches('=').count(), reference[name].as_array().unwrap().len());
        };
        listed("spellings_yes", "yes");
        listed("spellings_no", "no");
    }
    drop(exact);

    let short = Judge::from_model(model(source), Backend::Native(Path::detect(Dtype::Bf16))).unwrap();
    for run in &runs {
        let found = scores(&signal(short.clone(), run, &reference), run, &corpus);
        for (label, name) in ["yes", "no"].iter().enumerate() {
            let exact: Vec<f64> = run.rows.iter().map(|row| row.exact[label]).collect();
            let theirs: Vec<f64> = run.rows.iter().map(|row| row.short[label]).collect();
            let p = |logs: &[f64]| logs.iter().map(|log_p| log_p.exp()).collect::<Vec<_>>();
            for (what, ours, theirs) in [
                ("P", Errors::of(&p(&found[label]), &p(&exact)), Errors::of(&p(&theirs), &p(&exact))),
                ("log P", Errors::of(&found[label], &exact), Errors::of(&theirs, &exact)),
            ] {
                println!("{}: bf16, {what}({name}): tamis {ours}", run.prompt.name());
                println!("{}: bf16, {what}({name}): transformers {theirs}", run.prompt.name());
                assert!(ours.no_larger_than(theirs), "{what}({name}): tamis {ours}; transformers {theirs}");
            }
        }
    }

    // A small judge answers shots, and has a chat template.
    let texts: Vec<&str> = corpus.iter().take(8).map(|(_, text)| text.as_str()).collect();
    let options = AskLlmOptions { max_document_tokens: Some(32), ..AskLlmOptions::default() };
    let auto = PromptSet::resolve("auto", &short.identity.digest).unwrap();
    assert_ne!(auto.name(), "paper", "the default judge has a set of prompts of its own");
    let mut diagnostics = JudgeDiagnostics::default();
    for batch in annotate(&AskLlm::new(short.clone(), &auto, &options).unwrap(), &texts) {
        diagnostics.add_annotated(&batch);
    }
    assert!(diagnostics.mean_mass().unwrap() > 0.8, "{diagnostics:?}");
    let chat = AskLlmOptions { rendering: Rendering::Chat, ..options };
    let paper = PromptSet::resolve("paper", "").unwrap();
    let shown = AskLlm::new(short, &paper, &chat).unwrap().show_prompt(texts[0]).unwrap();
    assert!(shown[0].prefix.0.ends_with("<|im_start|>user\n###\n"), "{}", shown[0]);
    assert!(shown[0].suffix.0.ends_with("<|im_end|>\n<|im_start|>assistant\n"), "{}", shown[0]);
}
