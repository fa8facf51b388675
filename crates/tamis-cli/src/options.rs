//! Flags to the library's options, checked once.

use std::path::PathBuf;

use tamis::options::{
    BandOptions, CorpusOptions, DuplicateIds, ExactDuplicates, ExportFormat, ExportOptions, ExportOrder,
    Filter, Ids, QuotaOptions, RepeatOptions, ScoreLimits, SelectOptions, ShareBounds, SignalOptions,
    TableOptions, TableSelection, TrainNgramOptions,
};
use tamis::{Error, FailedRows, Quantile, Rate, Result, Rule, ScoreOptions, Target, Worker};

use crate::args::{
    CorpusArgs, DuplicateIdsArg, ExactDuplicatesArg, Export, FormatArg, RunArgs, Select, SignalArgs, Table,
    TrainNgram, signals, words,
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

/// A number of tokens such as `100M`, `2B` or a plain number.
fn tokens(flag: &str, text: &str) -> Result<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = match unit.trim() {
        "" => 1.0,
        "k" | "K" => 1e3,
        "m" | "M" => 1e6,
        "b" | "B" | "g" | "G" => 1e9,
        _ => f64::NAN,
    };
    match number.parse::<f64>().map(|number| number * unit) {
        Ok(tokens) if (1.0..9e18).contains(&tokens) => Ok(tokens as u64),
        _ => Err(Error::usage(
            format!("`{flag} {text}` is no number of tokens"),
            "write 100M, 2B, or a plain number",
        )),
    }
}

/// An export.
///
/// # Errors
/// Flags of another format, tokens without a tokenizer, sizes that are none.
pub(crate) fn export(args: &Export) -> Result<ExportOptions> {
    let is_tokens = args.format == FormatArg::Tokens;
    let of_tokens = [
        ("--tokenizer", args.tokenizer.is_some()),
        ("--separator-id", args.separator_id.is_some()),
        ("--shard-tokens", args.shard_tokens.is_some()),
    ];
    if let (false, Some((flag, _))) = (is_tokens, of_tokens.iter().find(|(_, given)| *given)) {
        return Err(Error::usage(
            format!("`{flag}` is for `--format tokens`"),
            format!("write --format tokens, or leave {flag} out"),
        ));
    }
    if let (true, Some(size)) = (is_tokens, &args.shard_size) {
        return Err(Error::usage(
            format!("`--shard-size {size}` is for files of text"),
            "give --shard-tokens 100M",
        ));
    }
    let format = match (args.format, &args.tokenizer) {
        (FormatArg::Lines, _) => ExportFormat::Lines,
        (FormatArg::Parquet, _) => ExportFormat::Parquet,
        (FormatArg::Tokens, Some(tokenizer)) => {
            ExportFormat::Tokens { tokenizer: tokenizer.clone(), separator: args.separator_id }
        }
        (FormatArg::Tokens, None) => {
            return Err(Error::usage(
                "`--format tokens` needs a tokenizer",
                "add --tokenizer SOURCE, the model that is to be trained or one with its tokenizer",
            ));
        }
    };
    let asked = match (&args.shard_size, &args.shard_tokens) {
        (Some(text), _) => Some(size("--shard-size", text)?),
        (None, Some(text)) => Some(tokens("--shard-tokens", text)?),
        (None, None) => None,
    };
    let order = match args.no_shuffle {
        true => ExportOrder::AsInCorpus,
        false => ExportOrder::Shuffled { seed: args.shuffle_seed },
    };
    Ok(ExportOptions {
        target: args.target.clone(),
        shard_size: asked.unwrap_or_else(|| format.usual_size()),
        order,
        memory_bytes: size("--memory", &args.memory)?,
        ..ExportOptions::new(args.out.clone(), format)
    })
}

/// A table.
pub(crate) fn table(args: &Table) -> TableOptions {
    let selection = |text: &String| {
        let (name, alias) = match text.split_once('=') {
            Some((name, alias)) => (name, Some(alias.to_owned())),
            None => (text.as_str(), None),
        };
        TableSelection { name: name.to_owned(), alias }
    };
    TableOptions { out: args.out.clone(), selections: args.selection.iter().map(selection).collect() }
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
    let keeps_all = args.at_most.is_some() || args.at_least.is_some() || !args.filter.is_empty();
    if targets.is_empty() && !keeps_all {
        let hint = "add one of --rate 20%, --documents N, --tokens N --tokenizer M, --bytes N, or --at-most SCORE or --filter alone";
        return Err(Error::usage("nothing says how much to keep", hint));
    }
    Ok(targets)
}

/// Shares of strata.
fn quotas(args: &Select) -> Result<Option<QuotaOptions>> {
    if args.quota_by.is_empty() && args.quota.is_empty() {
        return Ok(None);
    }
    if args.quota_by.is_empty() || args.quota.is_empty() {
        return Err(Error::usage(
            "--quota-by says whose shares, and --quota which: one of them is missing",
            "write --quota-by source --quota 'web=..40%'",
        ));
    }
    let mut quotas = QuotaOptions { by: args.quota_by.clone(), ..QuotaOptions::default() };
    for text in &args.quota {
        let wrong = |why: &str| {
            Error::usage(
                format!("`--quota {text}`: {why}"),
                "write --quota 'web=10%..40%', --quota 'web=..40%' or --quota '*=..5%'",
            )
        };
        let (name, share) = text.rsplit_once('=').ok_or_else(|| wrong("nothing says which share"))?;
        let (least, most) = share.split_once("..").ok_or_else(|| wrong("a share has two ends"))?;
        let rate = |text: &str| match text.trim() {
            "" => Ok(None),
            text => Rate::parse(text).map(Some).map_err(|error| wrong(&error.to_string())),
        };
        let bounds = ShareBounds { at_least: rate(least)?, at_most: rate(most)? };
        if name == "*" {
            quotas.others = bounds;
        } else if quotas.shares.insert(name.to_owned(), bounds).is_some() {
            return Err(wrong("it is given twice"));
        }
    }
    Ok(Some(quotas))
}

/// Repeats of the best.
fn repeat(args: &Select) -> Result<Option<RepeatOptions>> {
    let Some(cap) = args.repeat else {
        return match &args.repeat_from {
            Some(_) => Err(Error::usage("--repeat-from says nothing without --repeat", "add --repeat 7")),
            None => Ok(None),
        };
    };
    let from = args.repeat_from.as_deref().map(|text| {
        Quantile::parse(text).map_err(|error| {
            Error::usage(format!("`--repeat-from {text}`: {error}"), "write a percentile such as 40%")
        })
    });
    let usual = RepeatOptions::default();
    Ok(Some(RepeatOptions { cap, from: from.transpose()?.unwrap_or(usual.from), ..usual }))
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
    if let (Some(rule), true) = (args.rule, args.around.is_some() || args.stratum.is_some())
        && rule != Rule::Band
    {
        return Err(Error::usage(
            format!("a centre or strata belong to the rule `band`, and `--rule {rule}` is another"),
            "write --rule band, or leave --around and --stratum out",
        ));
    }
    let implied = (args.around.is_some() || args.stratum.is_some()).then_some(Rule::Band);
    let around = args.around.as_deref().map(|text| {
        Quantile::parse(text).map_err(|error| {
            Error::usage(format!("`--around {text}`: {error}"), "write a percentile such as 50%")
        })
    });
    Ok(SelectOptions {
        by: args.by.clone(),
        signal,
        exactly: flags::any_of_signals(given) || (is_stored && flags::any_of_servers(given)),
        rule: args.rule.or(implied),
        band: BandOptions {
            around: around.transpose()?.unwrap_or(Quantile::MIDDLE),
            stratum: args.stratum.clone(),
        },
        on: args.run.on.clone(),
        limits: ScoreLimits { at_least: args.at_least, at_most: args.at_most },
        filters: args.filter.iter().map(|text| Filter::parse(text)).collect::<Result<_>>()?,
        targets: targets(args)?,
        quotas: quotas(args)?,
        repeat: repeat(args)?,
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
        stem: None,
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

/// How to score, as one of several workers or alone.
///
/// # Errors
/// A worker that is none.
pub(crate) fn scoring(run: &RunArgs) -> Result<ScoreOptions> {
    Ok(ScoreOptions {
        worker: run.worker.as_deref().map(Worker::parse).transpose()?.unwrap_or(Worker::ALONE),
        beside: run.beside,
        refit: false,
        failed: if run.retry_failed { FailedRows::Retry } else { FailedRows::Keep },
        // A person sees what is waited for; a scheduler calls again.
        wait: run.wait || std::io::IsTerminal::is_terminal(&std::io::stderr()),
    })
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
        assert_eq!(tokens("--shard-tokens", "1.5M").unwrap(), 1_500_000);
        assert_eq!(tokens("--shard-tokens", "2B").unwrap(), 2_000_000_000);
        for wrong in ["", "M", "0", "5 parsecs", "1e3"] {
            assert!(tokens("--shard-tokens", wrong).is_err(), "`{wrong}` was accepted");
        }
        assert!((share("--max-failed", "1%").unwrap() - 0.01).abs() < 1e-12);
        assert!(share("--max-failed", "0").is_ok());
        for wrong in ["", "x", "101%", "-1%", "NaN"] {
            assert!(share("--max-failed", wrong).is_err(), "`{wrong}` was accepted");
        }
    }
}
