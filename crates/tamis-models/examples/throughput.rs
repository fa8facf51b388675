//! Tokens a second of a model on made-up documents, with one single-threaded worker a core.
//!
//! ```text
//! cargo run --release -p tamis-models --example throughput -- MODEL [--dtype f32 | bf16/portable] [--threads 2] [--tokens 300]
//!     [--documents 48] [--pack 1024] [--prefix 0 | --prompt few-shot] [--seconds 5] [--every-position] [--check FILE]
//! ```
//! MODEL is what `open_model` takes: a folder, a `.gguf` file, `pypi:PACKAGE==VERSION`, an alias. A decoder scores the
//! token after each document (`--every-position`: every token), an encoder embeds it, an encoder–decoder reads it and takes
//! the first decoder step. `--prefix` puts so many tokens before every document, `--prompt` those of a built-in prompt, whose
//! end then follows every document; they are computed once, which is timed by itself, and counted by nobody. `--check` writes
//! some values of the first four documents, to compare with other programs.
#![expect(clippy::print_stdout, reason = "the figure is the output")]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tamis_kernels::{Dtype, Path, log_sum_exp};
use tamis_models::build::{Backend, build_causal, build_encoder, build_encoder_decoder};
use tamis_models::graph::{Architecture, CausalLm, Encoder, EncoderDecoder};
use tamis_models::prompt::builtin;
use tamis_models::source::{default_cache, open_model};
use tamis_models::tokenizer::Joint;

enum Model {
    Causal(Box<dyn CausalLm>),
    Encoder(Box<dyn Encoder>),
    EncoderDecoder(Box<dyn EncoderDecoder>),
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut source = None;
    let mut options = BTreeMap::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.strip_prefix("--") {
            Some("every-position") => drop(options.insert("every-position".to_owned(), String::new())),
            Some(name) => {
                drop(options.insert(name.to_owned(), arguments.next().ok_or("an option lacks its value")?));
            }
            None => source = Some(argument),
        }
    }
    let number = |name: &str, default: usize| options.get(name).map_or(Ok(default), |value| value.parse());
    let (threads, tokens, pack) = (number("threads", 2)?, number("tokens", 300)?, number("pack", 1024)?);
    let (prefix_tokens, seconds) = (number("prefix", 0)?, number("seconds", 5)?);
    let every_position = options.contains_key("every-position");
    let format = options.get("dtype").map_or("bf16", String::as_str);
    let path = match format.contains('/') {
        true => Path::from_name(format)?,
        false => Path::detect(Dtype::from_name(format)?),
    };

    let begun = Instant::now();
    let loaded =
        open_model(&source.ok_or("name a model")?, &default_cache(), &|message| println!("{message}"))?;
    let model = match &loaded.architecture {
        Architecture::Bert(_) => {
            Model::Encoder(build_encoder(&loaded.architecture, &*loaded.weights, Backend::Native(path))?)
        }
        Architecture::T5(_) => Model::EncoderDecoder(build_encoder_decoder(
            &loaded.architecture,
            &*loaded.weights,
            Backend::Native(path),
        )?),
        _ => Model::Causal(build_causal(&loaded.architecture, &*loaded.weights, Backend::Native(path))?),
    };
    println!("{}: loaded and packed for {} in {:.1?}", loaded.source, path.name(), begun.elapsed());

    let (mut before, mut after) = ((0..prefix_tokens as u32).collect::<Vec<_>>(), Vec::new());
    if let Some(name) = options.get("prompt") {
        let set = builtin::set(name).ok_or("no such built-in prompt")?;
        let prompt = set.prompts().first().ok_or("an empty set of prompts")?;
        (before, after) = (
            loaded.tokenizer.encode_template(prompt.prefix())?,
            loaded.tokenizer.encode_template_at(prompt.suffix(), Joint::Joined)?,
        );
    }
    let document = |seed: usize| {
        let own = (0..tokens).map(|at| (1000 + (at * 7919 + seed * 104_729) % 20_000) as u32);
        own.chain(after.iter().copied()).collect()
    };
    let documents: Vec<Vec<u32>> = (0..number("documents", 48)?).map(document).collect();
    let documents: Vec<&[u32]> = documents.iter().map(Vec::as_slice).collect();
    let tokens = tokens + after.len();
    let in_pack: Vec<&[&[u32]]> = documents.chunks((pack / tokens).max(1)).collect();
    let begun = Instant::now();
    let prefix = match &model {
        Model::Causal(model) if !before.is_empty() => Some(model.prefix(&before)?),
        _ => None,
    };
    let prefix_seconds = begun.elapsed().as_secs_f64();
    let run = |documents: &[&[u32]], sink: &mut dyn FnMut(usize, &[f32])| match &model {
        Model::Causal(model) if every_position => {
            model.token_log_probs(prefix.as_ref(), documents, &mut |at, values| sink(at, values))
        }
        Model::Causal(model) => {
            model.next_token_logits(prefix.as_ref(), documents, &mut |at, values| sink(at, values))
        }
        Model::Encoder(model) => model.embed(documents, &mut |at, values| sink(at, values)),
        Model::EncoderDecoder(model) => {
            model.first_token_logits(documents, &mut |at, values| sink(at, values))
        }
    };
    run(in_pack[0], &mut |_, _| ())?;
    if let Some(path) = options.get("check") {
        check(path, &documents[..documents.len().min(4)], &model, &run)?;
    }

    let packs = AtomicUsize::new(0);
    let busy_nanoseconds = AtomicU64::new(0);
    let begun = Instant::now();
    let until = begun + Duration::from_secs(seconds as u64);
    let (done, rate) = std::thread::scope(|scope| {
        let worker = || {
            let (begun, mut done) = (Instant::now(), 0);
            while Instant::now() < until {
                let documents = in_pack[packs.fetch_add(1, Ordering::Relaxed) % in_pack.len()];
                run(documents, &mut |_, _| ())?;
                done += documents.len();
            }
            busy_nanoseconds.fetch_add(thread_nanoseconds().unwrap_or(0), Ordering::Relaxed);
            Ok::<_, tamis_models::Error>((done as f64, done as f64 / begun.elapsed().as_secs_f64()))
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        // Each worker ends with the pack it is at, so the rates are added, not the documents.
        workers.into_iter().try_fold((0.0, 0.0), |(done, rate), worker| {
            let (more, faster) = worker.join().expect("a worker does not panic")?;
            Ok::<_, tamis_models::Error>((done + more, rate + faster))
        })
    })?;
    let (elapsed, busy) = (begun.elapsed().as_secs_f64(), busy_nanoseconds.into_inner() as f64 / 1e9);
    println!("{threads} threads, packs of {} documents of {tokens} tokens:", in_pack[0].len());
    if !before.is_empty() {
        println!(
            "prefix of {} tokens computed once in {prefix_seconds:.2} s by one thread: {:.1} % of {:.1} s",
            before.len(),
            100.0 * prefix_seconds / (prefix_seconds + elapsed),
            prefix_seconds + elapsed
        );
    }
    println!("{rate:.1} documents/s, {:.0} tokens/s", rate * tokens as f64);
    if busy > 0.0 {
        println!("{:.0} tokens a second of one core's time", done * tokens as f64 / busy);
    }
    Ok(())
}

/// What gives values for documents.
type Run<'a> = dyn Fn(&[&[u32]], &mut dyn FnMut(usize, &[f32])) -> tamis_models::Result<()> + 'a;

/// Writes a line a document: an embedding, or the log probabilities of tokens 1000 to 1063.
fn check(path: &str, documents: &[&[u32]], model: &Model, run: &Run<'_>) -> Result<(), Box<dyn Error>> {
    let mut lines = String::new();
    run(documents, &mut |_, values| {
        let row: Vec<String> = match model {
            Model::Encoder(_) => values.iter().map(f32::to_string).collect(),
            Model::Causal(_) | Model::EncoderDecoder(_) => {
                let total = log_sum_exp(Path::detect(Dtype::F32), values);
                values
                    .iter()
                    .skip(1000)
                    .take(64)
                    .map(|value| (f64::from(*value) - total).to_string())
                    .collect()
            }
        };
        lines.push_str(&row.join(" "));
        lines.push('\n');
    })?;
    Ok(std::fs::write(path, lines)?)
}

/// Time that this thread has had a core, which a busy machine does not blur; `None` where the system does not tell.
fn thread_nanoseconds() -> Option<u64> {
    std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
}
