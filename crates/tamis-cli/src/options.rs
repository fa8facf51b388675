//! Flags to the library's options, checked once.

use std::path::PathBuf;

use tamis::options::{
    AskOptions, BandOptions, CorpusOptions, DensityKernel, DensityOptions, DensityProjection, Device, Dtype,
    DuplicateIds, EmbedOptions, Engine, ExactDuplicates, Ids, Long, NgramOptions, NgramWords, Objective,
    PerplexityOptions, SelectOptions, ServerOptions, SignalOptions, TrainNgramOptions,
};
use tamis::{Error, FailedRows, Quantile, Rate, Result, Rule, Target};

use crate::args::{
    CorpusArgs, DtypeArg, DuplicateIdsArg, EngineArg, ExactDuplicatesArg, KernelArg, LongArg, NgramArgs,
    ObjectiveArg, PresetArg, ProjectionArg, RunArgs, Select, ServerArgs, SignalArgs, TrainNgram, WordsArg,
};
use crate::flags::{self, Given};

/// The corpus, unless the run is to say all of it; where it is comes from `stored` when that alone is left open.
///
/// # Errors
/// Ids that are to be qualified where there are to be none; a run that does not know its corpus.
pub(crate) fn corpus(
    args: &CorpusArgs,
    stored: impl FnOnce() -> Result<String>,
) -> Result<Option<CorpusOptions>> {
    let asked_ids = ids(args)?;
    let CorpusArgs {
        corpus,
        text,
        id,
        qualify_ids,
        namespace,
        carry,
        max_line_bytes,
        max_failed: _,
        no_text: _,
    } = args;
    let any = [text, id, namespace].iter().any(|name| name.is_some());
    let location = match corpus {
        Some(location) => location.clone(),
        None if any || *qualify_ids || !carry.is_empty() || max_line_bytes.is_some() => stored()?,
        None => return Ok(None),
    };
    Ok(Some(CorpusOptions {
        location,
        text: text.clone(),
        id: asked_ids,
        namespace: namespace.clone(),
        carry: (!carry.is_empty()).then(|| carry.clone()),
        max_line_bytes: *max_line_bytes,
    }))
}

/// The word for a corpus without ids.
const NO_IDS: &str = "none";

fn ids(args: &CorpusArgs) -> Result<Ids> {
    match (args.id.as_deref(), args.qualify_ids) {
        (Some(NO_IDS), true) => Err(Error::usage(
            "`--id none` leaves no ids that `--qualify-ids` could qualify",
            "give one of the two",
        )),
        (Some(NO_IDS), false) => Ok(Ids::FromText),
        (Some(column), false) => Ok(Ids::Column(column.to_owned())),
        (column, true) => Ok(Ids::Qualified(column.map(str::to_owned))),
        (None, false) => Ok(Ids::AsBegun),
    }
}

/// A share such as `1%` or `0.01`, 0 allowed.
pub(crate) fn share(flag: &str, text: &str) -> Result<f64> {
    let (number, scale) = match text.strip_suffix('%') {
        Some(number) => (number, 100.0),
        None => (text, 1.0),
    };
    match number.trim().parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&(value / scale)) => Ok(value / scale),
        _ => Err(Error::usage(
            format!("`{flag} {text}` is no share"),
            "write a percentage such as 1%, or 0.01",
        )),
    }
}

/// A size such as `5GB`, `512MiB` or a plain number of bytes.
pub(crate) fn size(flag: &str, text: &str) -> Result<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "kb" | "k" => 1e3,
        "mb" | "m" => 1e6,
        "gb" | "g" => 1e9,
        "tb" | "t" => 1e12,
        "kib" => f64::from(1 << 10),
        "mib" => f64::from(1 << 20),
        "gib" => f64::from(1 << 30),
        "tib" => f64::from(1 << 30) * 1024.0,
        _ => f64::NAN,
    };
    match number.parse::<f64>().map(|number| number * unit) {
        Ok(bytes) if (1.0..9e18).contains(&bytes) => Ok(bytes as u64),
        _ => Err(Error::usage(format!("`{flag} {text}` is no size"), "write bytes, or 500MB, 5GB, 2GiB")),
    }
}

fn positive(flag: &str, value: Option<u64>) -> Result<Option<u64>> {
    match value {
        Some(0) => Err(Error::usage(format!("`{flag} 0` would keep nothing"), "give a number of at least 1")),
        other => Ok(other),
    }
}

/// What to keep.
pub(crate) fn targets(args: &Select) -> Result<Vec<Target>> {
    let mut targets = Vec::new();
    for text in &args.rate {
        let rate = Rate::parse(text)
            .map_err(|error| Error::usage(format!("`--rate {text}`: {error}"), error.hint()))?;
        targets.push(Target::Rate(rate));
    }
    targets.extend(positive("--documents", args.documents)?.map(Target::Documents));
    targets.extend(positive("--tokens", args.tokens)?.map(Target::Tokens));
    targets.extend(args.bytes.as_deref().map(|text| size("--bytes", text)).transpose()?.map(Target::Bytes));
    if targets.is_empty() {
        let hint = "add one of --rate 20%, --documents N, --tokens N --tokenizer M, --bytes N";
        return Err(Error::usage("nothing says how much to keep", hint));
    }
    Ok(targets)
}

/// The selection.
pub(crate) fn select(args: &Select, given: &Given) -> Result<SelectOptions> {
    let name = tamis::split_score(&args.by).0;
    // The settings of a stored signal are known.
    let is_stored = name.contains('@') && !name.starts_with("column:");
    let signal = match name {
        "random" => None,
        _ if is_stored => None,
        name => Some(signal(name, &args.signal, args.tokenizer.as_deref())?),
    };
    let implied = (args.around.is_some() || args.stratum.is_some()).then_some(Rule::Band);
    let around = args.around.as_deref().map(|text| {
        Quantile::parse(text).map_err(|error| {
            Error::usage(format!("`--around {text}`: {error}"), "write a percentile such as 50%")
        })
    });
    Ok(SelectOptions {
        by: args.by.clone(),
        signal,
        exactly: is_explicit(&args.signal) || (is_stored && flags::any_of_servers(given)),
        rule: args.rule.or(implied),
        band: BandOptions {
            around: around.transpose()?.unwrap_or(Quantile::MIDDLE),
            stratum: args.stratum.clone(),
        },
        targets: targets(args)?,
        tokenizer: args.tokenizer.clone(),
        seed: args.seed,
        exact_duplicates: match args.exact_duplicates {
            ExactDuplicatesArg::All => ExactDuplicates::All,
            ExactDuplicatesArg::One => ExactDuplicates::One,
        },
        duplicate_ids: match args.duplicate_ids {
            DuplicateIdsArg::Check => DuplicateIds::Check,
            DuplicateIdsArg::One => DuplicateIds::One,
        },
        vetoes: args.veto.clone(),
        out: args.out.clone(),
        name: args.name.clone(),
        decide_only: args.decide_only,
    })
}

/// The run: named, or inside the folder of kept documents.
pub(crate) fn run(run: Option<&PathBuf>, out: Option<&PathBuf>) -> Result<PathBuf> {
    match (run, out) {
        (Some(run), _) => Ok(run.clone()),
        (None, Some(out)) => Ok(out.join(".tamis")),
        (None, None) => Err(Error::usage(
            "nothing says where scores go",
            "add --run FOLDER, which keeps scores for later selections, or --out FOLDER",
        )),
    }
}

/// What becomes of rows that failed.
pub(crate) fn failed(run: &RunArgs) -> FailedRows {
    if run.retry_failed { FailedRows::Retry } else { FailedRows::Keep }
}

/// Whether any flag of a signal was given.
pub(crate) fn is_explicit(args: &SignalArgs) -> bool {
    let SignalArgs {
        model,
        prompt,
        chat,
        long,
        max_document_tokens,
        dtype,
        engine,
        device,
        window,
        stride,
        objective,
        embedder,
        embed_tokens,
        store_f32,
        // How often and how fast a server is asked changes no value.
        server: ServerArgs { server_model, top_logprobs, max_document_characters, .. },
        repetitions,
        buckets,
        hashes,
        bandwidth,
        kernel,
        projection,
        preset,
        sketch_memory,
        sketch_seed,
        ngram: NgramArgs { ngram, ngram_words, ngram_tokenizer },
    } = args;
    model.is_some()
        || !prompt.is_empty()
        || *chat
        || long.is_some()
        || max_document_tokens.is_some()
        || dtype.is_some()
        || engine.is_some()
        || device.is_some()
        || window.is_some()
        || stride.is_some()
        || objective.is_some()
        || embedder.is_some()
        || embed_tokens.is_some()
        || *store_f32
        || server_model.is_some()
        || top_logprobs.is_some()
        || max_document_characters.is_some()
        || repetitions.is_some()
        || buckets.is_some()
        || hashes.is_some()
        || bandwidth.is_some()
        || kernel.is_some()
        || projection.is_some()
        || preset.is_some()
        || sketch_memory.is_some()
        || sketch_seed.is_some()
        || ngram.is_some()
        || ngram_words.is_some()
        || ngram_tokenizer.is_some()
}

/// The number format that a flag names.
pub(crate) fn dtype(flag: Option<DtypeArg>) -> Dtype {
    match flag {
        None | Some(DtypeArg::Auto) => Dtype::Auto,
        Some(DtypeArg::Bf16) => Dtype::Bf16,
        Some(DtypeArg::F32) => Dtype::F32,
    }
}

/// Implementation and device; another device than the processor has one implementation, and that one number format.
pub(crate) fn engine(
    flag: Option<EngineArg>,
    device: Option<&str>,
    dtype: Option<DtypeArg>,
) -> Result<(Engine, Device)> {
    let device = device.map(Device::parse).transpose()?.unwrap_or_default();
    let native = device == Device::Cpu && !matches!(flag, Some(EngineArg::Candle));
    if matches!(dtype, Some(DtypeArg::Bf16)) && !native {
        return Err(Error::usage(
            "the candle engine computes in f32",
            "leave --dtype out, or compute on the processor by the native engine, without --engine and --device",
        ));
    }
    match (flag, device) {
        (None | Some(EngineArg::Native), Device::Cpu) => Ok((Engine::Native, device)),
        (Some(EngineArg::Native), _) => Err(Error::usage(
            "the native engine computes on the processor",
            "leave --engine out, or write --engine candle",
        )),
        (None | Some(EngineArg::Candle), _) => Ok((Engine::Candle, device)),
    }
}

pub(crate) fn server(model: &str, args: &ServerArgs, tokenizer: Option<&str>) -> Result<ServerOptions> {
    let pace = ServerOptions {
        concurrency: args.concurrency,
        timeout_seconds: args.request_timeout,
        retries: args.retries,
        ..ServerOptions::default()
    };
    if !tamis::is_server(model) {
        let ServerArgs { server_model, top_logprobs, max_document_characters, .. } = args;
        if server_model.is_some() || top_logprobs.is_some() || max_document_characters.is_some() {
            let message = format!("`{model}` is loaded here, and there are options for a server");
            return Err(Error::usage(
                message,
                "name a server as --model http://HOST:PORT/v1 (or --embedder)",
            ));
        }
        // A stored signal that a selection goes on with may be a server's.
        return Ok(pace);
    }
    Ok(ServerOptions {
        model: args.server_model.clone(),
        top_logprobs: args.top_logprobs.unwrap_or(pace.top_logprobs),
        tokenizer: tokenizer.map(str::to_owned),
        max_characters: args.max_document_characters,
        stop_after_failed: args.stop_after_failed,
        ..pace
    })
}

fn ask(args: &SignalArgs, tokenizer: Option<&str>) -> Result<AskOptions> {
    let default = AskOptions::default();
    let (engine, device) = engine(args.engine, args.device.as_deref(), args.dtype)?;
    let model = args.model.clone().unwrap_or(default.model);
    Ok(AskOptions {
        server: server(&model, &args.server, tokenizer)?,
        model,
        prompts: if args.prompt.is_empty() { default.prompts } else { args.prompt.clone() },
        chat: args.chat,
        long: match args.long {
            None | Some(LongArg::Head) => Long::Head,
            Some(LongArg::Windows) => Long::Windows,
        },
        max_tokens: args.max_document_tokens,
        dtype: dtype(args.dtype),
        engine,
        device,
    })
}

/// One set of options for each checkpoint of `--model`, and those of a named one alone where the signal has a name.
fn perplexity(named: &PerplexityOptions, args: &SignalArgs) -> Result<Vec<PerplexityOptions>> {
    let (engine, device) = engine(args.engine, args.device.as_deref(), args.dtype)?;
    let of = |name: Option<String>, model: Option<String>| PerplexityOptions {
        name,
        model,
        objective: args.objective.map(|objective| match objective {
            ObjectiveArg::Causal => Objective::Causal,
            ObjectiveArg::Span => Objective::Span,
            ObjectiveArg::Prefix => Objective::Prefix,
        }),
        window: args.window,
        stride: args.stride,
        max_tokens: args.max_document_tokens,
        dtype: dtype(args.dtype),
        engine,
        device,
    };
    let listed = match &args.model {
        None => return Ok(vec![of(named.name.clone(), None)]),
        Some(list) => tamis::checkpoints(list)?,
    };
    match (&named.name, listed.as_slice()) {
        (Some(name), [(None, source)]) => Ok(vec![of(Some(name.clone()), Some(source.clone()))]),
        (Some(name), listed) => {
            let found = listed.iter().find(|(other, _)| other.as_ref() == Some(name));
            let (_, source) = found.ok_or_else(|| {
                let names: Vec<&str> = listed.iter().filter_map(|(name, _)| name.as_deref()).collect();
                Error::usage(
                    format!("no checkpoint of --model is named `{name}`"),
                    format!("the list names {}", names.join(", ")),
                )
            })?;
            Ok(vec![of(Some(name.clone()), Some(source.clone()))])
        }
        (None, listed) => {
            Ok(listed.iter().map(|(name, source)| of(name.clone(), Some(source.clone()))).collect())
        }
    }
}

fn embed(args: &SignalArgs, tokenizer: Option<&str>) -> Result<EmbedOptions> {
    let default = EmbedOptions::default();
    let (engine, device) = engine(args.engine, args.device.as_deref(), args.dtype)?;
    let model = args.embedder.clone().unwrap_or(default.model);
    Ok(EmbedOptions {
        server: server(&model, &args.server, tokenizer)?,
        model,
        max_tokens: args.embed_tokens,
        dtype: dtype(args.dtype),
        engine,
        store_f32: args.store_f32,
        device,
    })
}

/// Refuses parameters of a sketch of which one leaves the other without effect.
fn refuse_contradictions(args: &SignalArgs, repetitions: usize, memory: Option<u64>) -> Result<()> {
    let cosine = matches!(args.kernel, Some(KernelArg::Cosine));
    if matches!(args.preset, Some(PresetArg::Literal)) {
        if cosine {
            return Err(Error::usage(
                "the literal preset is the paper's l2 sketch",
                "leave --kernel cosine out",
            ));
        }
        if args.hashes.is_some_and(|hashes| hashes != 1) {
            return Err(Error::usage(
                "the literal preset has one hash a row",
                "leave --hashes out, or --preset literal",
            ));
        }
    }
    if cosine && args.bandwidth.is_some() {
        return Err(Error::usage(
            "the cosine kernel has no bandwidth",
            "leave --bandwidth out, or --kernel cosine",
        ));
    }
    if let (Some(buckets), Some(memory)) = (args.buckets, memory) {
        let needed = 4 * repetitions as u128 * buckets as u128;
        if needed > u128::from(memory) {
            return Err(Error::usage(
                format!(
                    "{repetitions} rows of {buckets} counters take {needed} bytes, --sketch-memory allows {memory}"
                ),
                "leave --buckets out, so that they are chosen within the memory, or allow as much",
            ));
        }
    }
    Ok(())
}

fn density(args: &SignalArgs, tokenizer: Option<&str>) -> Result<DensityOptions> {
    let default = DensityOptions::default();
    let memory = args.sketch_memory.as_deref().map(|text| size("--sketch-memory", text)).transpose()?;
    refuse_contradictions(args, args.repetitions.unwrap_or(default.repetitions), memory)?;
    Ok(DensityOptions {
        embed: embed(args, tokenizer)?,
        repetitions: args.repetitions.unwrap_or(default.repetitions),
        buckets: args.buckets,
        hashes: args.hashes,
        bandwidth: args.bandwidth,
        kernel: match args.kernel {
            None | Some(KernelArg::L2) => DensityKernel::L2,
            Some(KernelArg::Cosine) => DensityKernel::Cosine,
        },
        projection: match args.projection {
            None | Some(ProjectionArg::Gaussian) => DensityProjection::Gaussian,
            Some(ProjectionArg::Hadamard) => DensityProjection::Hadamard,
        },
        literal: matches!(args.preset, Some(PresetArg::Literal)),
        sketch_memory_bytes: memory.unwrap_or(default.sketch_memory_bytes),
        seed: args.sketch_seed.unwrap_or(default.seed),
    })
}

fn words(words: WordsArg) -> NgramWords {
    match words {
        WordsArg::Plain => NgramWords::Plain,
        WordsArg::Lower => NgramWords::Lower,
        WordsArg::Ccnet => NgramWords::Ccnet,
    }
}

/// Training of an n-gram model.
pub(crate) fn train_ngram(args: &TrainNgram, threads: usize) -> Result<TrainNgramOptions> {
    let discount_fallback = args.discount_fallback.as_ref().map(|given| match given[..] {
        [] => [0.5, 1.0, 1.5],
        [all] => [all; 3],
        [one, more] => [one, more, more],
        [one, two, more, ..] => [one, two, more],
    });
    Ok(TrainNgramOptions {
        corpus: CorpusOptions {
            text: args.text.clone(),
            max_line_bytes: args.max_line_bytes,
            ..CorpusOptions::new(args.corpus.clone())
        },
        order: args.order,
        out: args.out.clone(),
        prune: args.prune.clone(),
        discount_fallback,
        words: words(args.words),
        tokenizer: args.tokenizer.clone(),
        memory_bytes: size("--memory", &args.memory)?,
        temporary: args.temporary.clone(),
        threads,
    })
}

/// The signals of that name with the flags that concern them: several for a list of checkpoints, else one.
pub(crate) fn signals(name: &str, args: &SignalArgs, tokenizer: Option<&str>) -> Result<Vec<SignalOptions>> {
    Ok(vec![match SignalOptions::named(name)? {
        SignalOptions::AskLlm(_) => SignalOptions::AskLlm(ask(args, tokenizer)?),
        SignalOptions::Embed(_) => SignalOptions::Embed(embed(args, tokenizer)?),
        SignalOptions::Density(_) => SignalOptions::Density(density(args, tokenizer)?),
        SignalOptions::Perplexity(named) => {
            return Ok(perplexity(&named, args)?.into_iter().map(SignalOptions::Perplexity).collect());
        }
        SignalOptions::Ngram(_) => SignalOptions::Ngram(NgramOptions {
            model: args.ngram.ngram.clone().unwrap_or_default(),
            words: args.ngram.ngram_words.map(words),
            tokenizer: args.ngram.ngram_tokenizer.clone(),
        }),
        SignalOptions::Tokens { tokenizer: default } => {
            SignalOptions::Tokens { tokenizer: tokenizer.map_or(default, str::to_owned) }
        }
        plain @ (SignalOptions::Column { .. } | SignalOptions::Counts) => plain,
    }])
}

/// The one signal that a selection is by.
pub(crate) fn signal(name: &str, args: &SignalArgs, tokenizer: Option<&str>) -> Result<SignalOptions> {
    let mut signals = signals(name, args, tokenizer)?;
    match (signals.pop(), signals.is_empty()) {
        (Some(only), true) => Ok(only),
        (last, _) => {
            let names = signals.iter().chain(&last).map(SignalOptions::user_name).collect::<Vec<_>>();
            Err(Error::usage(
                format!("`--by {name}` with several models does not say which of them selects"),
                format!("write one of {}", names.join(", ")),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_shares_are_read_or_refused() {
        assert_eq!(size("--bytes", "5GB").unwrap(), 5_000_000_000);
        assert_eq!(size("--bytes", "1.5KiB").unwrap(), 1536);
        assert_eq!(size("--bytes", "77").unwrap(), 77);
        for wrong in ["", "GB", "-1", "0", "5 parsecs", "1e30TB", "nan"] {
            assert!(size("--bytes", wrong).is_err(), "`{wrong}` was accepted");
        }
        assert!((share("--max-failed", "1%").unwrap() - 0.01).abs() < 1e-12);
        assert!(share("--max-failed", "0").is_ok());
        for wrong in ["", "x", "101%", "-1%", "NaN"] {
            assert!(share("--max-failed", wrong).is_err(), "`{wrong}` was accepted");
        }
    }
}
