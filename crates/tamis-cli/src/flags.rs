//! Which flags were given, and where a flag can have no effect: such a one is refused, because it says that somebody expects
//! another outcome than the one to come.
//!
//! One table says for every flag of `score` and `select` which signals it is for; a test walks the flags that clap knows, so
//! that a new one needs a line here. Flags that are for some judges only (those behind a server, say) are in a second one.
//! Flags that merely do nothing new stay allowed: `--beside` where nothing else stands, `--seed` with a rule that draws only
//! ties, `--run` and `--id` before `--show-prompt` is added to a command.

use std::collections::BTreeSet;

use clap::ArgMatches;
use clap::parser::ValueSource;
use tamis::options::SignalOptions;
use tamis::{Error, Result};

/// Identifiers of the flags that stood on the command line, as clap has them: `sketch_memory`.
#[derive(Debug, Default)]
pub(crate) struct Given(BTreeSet<String>);

impl Given {
    /// Those of a command, and of the one inside it.
    pub(crate) fn of(matches: &ArgMatches) -> Self {
        let mut given = BTreeSet::new();
        let mut at = Some(matches);
        while let Some(matches) = at {
            let named = |id: &&str| matches.value_source(id) == Some(ValueSource::CommandLine);
            given.extend(matches.ids().map(clap::Id::as_str).filter(named).map(str::to_owned));
            at = matches.subcommand().map(|(_, inner)| inner);
        }
        Self(given)
    }

    pub(crate) fn has(&self, flag: &str) -> bool {
        self.0.contains(flag)
    }
}

/// What can be scored, as far as flags tell it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    AskLlm,
    Embed,
    Density,
    Perplexity,
    Ngram,
    Counts,
    Tokens,
    Column,
    Random,
}

use Kind::{AskLlm, Column, Counts, Density, Embed, Ngram, Perplexity, Random, Tokens};

impl Kind {
    const ALL: [Self; 9] = [AskLlm, Embed, Density, Perplexity, Ngram, Counts, Tokens, Column, Random];

    /// Of a name as `--by` and `score` take it; `None` for one that no signal has.
    fn of(name: &str) -> Option<Self> {
        if name == Random.name() {
            return Some(Random);
        }
        Some(match SignalOptions::named(name).ok()? {
            SignalOptions::AskLlm(_) => AskLlm,
            SignalOptions::Embed(_) => Embed,
            SignalOptions::Density(_) => Density,
            SignalOptions::Perplexity(_) => Perplexity,
            SignalOptions::Ngram(_) => Ngram,
            SignalOptions::Counts => Counts,
            SignalOptions::Tokens { .. } => Tokens,
            SignalOptions::Column { .. } => Column,
        })
    }

    fn name(self) -> &'static str {
        match self {
            AskLlm => "ask-llm",
            Embed => "embed",
            Density => "density",
            Perplexity => "perplexity",
            Ngram => "ngram",
            Counts => "counts",
            Tokens => "tokens",
            Column => "column:NAME",
            Random => "random",
        }
    }
}

/// Those that a model computes here.
const COMPUTED: &[Kind] = &[AskLlm, Perplexity, Embed, Density];
/// Those that a server can compute.
const SERVED: &[Kind] = &[AskLlm, Embed, Density];
/// Those that have scores.
const SCORED: &[Kind] = &[AskLlm, Embed, Density, Perplexity, Ngram, Counts, Tokens, Column];
const ALL: &[Kind] = &Kind::ALL;

/// For every flag of `score` and `select`: the signals that it is for.
const SIGNALS: &[(&str, &[Kind])] = &[
    // Corpus and run.
    ("corpus", ALL),
    ("text", ALL),
    ("id", ALL),
    ("qualify_ids", ALL),
    ("namespace", ALL),
    ("carry", ALL),
    ("max_line_bytes", ALL),
    ("max_failed", ALL),
    ("no_text", ALL),
    ("run", ALL),
    ("beside", SCORED),
    ("dry_run", ALL),
    // Refused where nothing is asked again, in words of its own.
    ("retry_failed", ALL),
    // `score` itself; density alone needs what other workers make.
    ("name", ALL),
    ("worker", SCORED),
    ("wait", &[Density]),
    ("refit", &[Density]),
    ("sample", &[AskLlm]),
    ("against", &[AskLlm]),
    ("sample_seed", &[AskLlm]),
    // Refused where there is no prompt, in words of its own.
    ("show_prompt", ALL),
    // `select` itself.
    ("by", ALL),
    ("rule", ALL),
    ("around", ALL),
    ("stratum", ALL),
    ("rate", ALL),
    ("documents", ALL),
    ("tokens", ALL),
    ("bytes", ALL),
    ("seed", ALL),
    ("exact_duplicates", ALL),
    ("duplicate_ids", ALL),
    ("veto", ALL),
    ("out", ALL),
    ("decide_only", ALL),
    // Counts the tokens of any selection; in `score` see `TOKENIZER_OF_SCORE`.
    ("tokenizer", ALL),
    // Models.
    ("model", &[AskLlm, Perplexity]),
    ("prompt", &[AskLlm]),
    ("chat", &[AskLlm]),
    ("long", &[AskLlm]),
    ("max_document_tokens", &[AskLlm, Perplexity]),
    ("dtype", COMPUTED),
    ("engine", COMPUTED),
    ("device", COMPUTED),
    ("window", &[Perplexity]),
    ("stride", &[Perplexity]),
    ("objective", &[Perplexity]),
    ("embedder", &[Embed, Density]),
    ("embed_tokens", &[Embed, Density]),
    ("store_f32", &[Embed, Density]),
    // Servers.
    ("server_model", SERVED),
    ("concurrency", SERVED),
    ("top_logprobs", &[AskLlm]),
    ("max_document_characters", SERVED),
    ("request_timeout", SERVED),
    ("retries", SERVED),
    ("stop_after_failed", SERVED),
    // The sketch.
    ("repetitions", &[Density]),
    ("buckets", &[Density]),
    ("hashes", &[Density]),
    ("bandwidth", &[Density]),
    ("kernel", &[Density]),
    ("projection", &[Density]),
    ("preset", &[Density]),
    ("sketch_memory", &[Density]),
    ("sketch_seed", &[Density]),
    // N-grams.
    ("ngram", &[Ngram]),
    ("ngram_words", &[Ngram]),
    ("ngram_tokenizer", &[Ngram]),
];

/// Signals of which `score --tokenizer` can say something: what counts, or what cuts documents for a server.
const TOKENIZER_OF_SCORE: &[Kind] = &[Tokens, AskLlm, Embed, Density];

/// Flags that say how a server is asked.
const OF_SERVERS: &[&str] = &[
    "server_model",
    "concurrency",
    "top_logprobs",
    "max_document_characters",
    "request_timeout",
    "retries",
    "stop_after_failed",
];

fn spelt(flag: &str) -> String {
    format!("--{}", flag.replace('_', "-"))
}

fn is_for(flag: &str, kind: Kind) -> bool {
    SIGNALS.iter().find(|(known, _)| *known == flag).is_none_or(|(_, kinds)| kinds.contains(&kind))
}

fn not_for(flag: &str, name: &str, kinds: &[Kind]) -> Error {
    let flag = spelt(flag);
    let of = kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
    Error::usage(format!("`{flag}` says nothing to `{name}`"), format!("leave {flag} out: it is for {of}"))
}

/// Whether anything is said to a server.
pub(crate) fn any_of_servers(given: &Given) -> bool {
    OF_SERVERS.iter().any(|flag| given.has(flag))
}

/// Refuses flags of other signals than the one that is named. A name that no signal has is for others to refuse.
pub(crate) fn refuse_of_other_signals(given: &Given, name: &str) -> Result<()> {
    let Some(kind) = Kind::of(name) else { return Ok(()) };
    match SIGNALS.iter().find(|(flag, _)| given.has(flag) && !is_for(flag, kind)) {
        Some((flag, kinds)) => Err(not_for(flag, name, kinds)),
        None => Ok(()),
    }
}

/// Refuses what is said to a server where a model is loaded here: the flags of servers, and in `score` a tokenizer that would
/// have cut documents for one.
pub(crate) fn refuse_of_servers(given: &Given, signals: &[SignalOptions], command: Command) -> Result<()> {
    if signals.iter().any(|signal| signal.server_model().is_some_and(tamis::is_server)) {
        return Ok(());
    }
    let Some(first) = signals.first() else { return Ok(()) };
    let name = first.user_name();
    let here = first
        .server_model()
        .map_or_else(|| format!("`{name}` asks no server"), |model| format!("`{model}` is loaded here"));
    if let Some(flag) = OF_SERVERS.iter().find(|flag| given.has(flag)) {
        return Err(Error::usage(
            format!("{here}, and `{}` is for a server", spelt(flag)),
            "leave it out, or name a server as --model http://HOST:PORT/v1 (or --embedder)",
        ));
    }
    if command == Command::Score && given.has("tokenizer") && !matches!(first, SignalOptions::Tokens { .. }) {
        let of: Vec<&str> = TOKENIZER_OF_SCORE.iter().map(|kind| kind.name()).collect();
        return Err(Error::usage(
            format!("`--tokenizer` says nothing to `{name}`: {here}"),
            format!("leave it out: it is for {}, the last three behind a server", of.join(", ")),
        ));
    }
    Ok(())
}

/// Which command's flags are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Score,
    Select,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::args::Cli;

    /// Flags of every command, which say how and not what.
    const GLOBAL: [&str; 3] = ["threads", "json", "quiet"];

    fn arguments(command: &str) -> Vec<String> {
        let mut cli = Cli::command();
        cli.build();
        let command = cli.find_subcommand(command).unwrap();
        let own = command.get_arguments().map(|argument| argument.get_id().to_string());
        own.filter(|id| !GLOBAL.contains(&id.as_str()) && id != "help" && id != "version").collect()
    }

    #[test]
    fn every_flag_says_which_signals_it_is_for() {
        let mut all = BTreeSet::new();
        for command in ["score", "select"] {
            let arguments = arguments(command);
            assert!(arguments.len() > 50, "{arguments:?}");
            for id in arguments {
                let lines = SIGNALS.iter().filter(|(flag, _)| *flag == id).count();
                assert_eq!(lines, 1, "`{id}` of `{command}` needs one line in SIGNALS");
                all.insert(id);
            }
        }
        for (flag, kinds) in SIGNALS {
            assert!(all.contains(*flag), "no command has `{flag}`");
            assert!(!kinds.is_empty());
        }
        assert!(OF_SERVERS.iter().all(|flag| all.contains(*flag)));
    }

    #[test]
    fn a_flag_is_refused_for_every_signal_that_it_is_not_for() {
        for (flag, kinds) in SIGNALS {
            let given = Given([(*flag).to_owned()].into());
            for kind in Kind::ALL {
                let refused = refuse_of_other_signals(&given, kind.name());
                assert_eq!(refused.is_ok(), kinds.contains(&kind), "{flag} for {kind:?}");
                let Err(error) = refused else { continue };
                assert!(error.is_usage() && error.to_string().contains(&spelt(flag)), "{error}");
                assert!(error.hint().unwrap().contains(kinds[0].name()), "{error}");
            }
        }
        let given = Given(["hashes".to_owned()].into());
        assert!(refuse_of_other_signals(&given, "no signal").is_ok());
    }

    #[test]
    fn only_what_stands_on_the_command_line_is_given() {
        let line = "tamis score ask-llm corpus --hashes 12 --threads 2 --chat";
        let matches = Cli::command().try_get_matches_from(line.split(' ')).unwrap();
        let given = Given::of(&matches);
        assert!(["name", "corpus", "hashes", "chat", "threads"].iter().all(|flag| given.has(flag)));
        assert!(!given.has("concurrency") && !given.has("max_failed") && !given.has("store_f32"));
    }
}
