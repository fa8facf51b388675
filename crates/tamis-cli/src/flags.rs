//! Which flags were given, and where a flag can have no effect: such a one is refused, because it says that somebody expects
//! another outcome than the one to come.
//!
//! The file of a signal's flags says which concern it, its own and those that it shares; what belongs to no signal is in a table
//! here. A test walks the flags that clap knows, so that none is in neither. Some flags are for models behind a server only.
//! Flags that merely do nothing new stay allowed: `--beside` where nothing else stands, `--seed` with a rule that draws only
//! ties, `--run` and `--id` before `--show-prompt` is added to a command.

use std::collections::BTreeSet;

use clap::ArgMatches;
use clap::parser::ValueSource;
use tamis::options::SignalOptions;
use tamis::{Error, Result};

use crate::args::{COMPUTED, JUDGED, KindFlags, OF_MODEL, PACE, SERVED, flags_of_kinds};

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

/// What stands for a selection that looks at no signal.
const RANDOM: &str = "random";

/// Whom a flag is for that belongs to no signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    /// Every signal, and `random`.
    All,
    /// Every signal.
    Scored,
}

use For::{All, Scored};

/// The flags of `score` and `select` that belong to no signal. Those that do are listed in the file of the signal, `args/NAME.rs`.
const COMMON: &[(&str, For)] = &[
    // Corpus and run.
    ("corpus", All),
    ("text", All),
    ("id", All),
    ("qualify_ids", All),
    ("namespace", All),
    ("carry", All),
    ("max_line_bytes", All),
    ("max_failed", All),
    ("no_text", All),
    ("run", All),
    ("beside", Scored),
    ("on", All),
    ("dry_run", All),
    // Refused where nothing is asked again, in words of its own.
    ("retry_failed", All),
    // `score` itself.
    ("name", All),
    ("worker", All),
    // Refused where there is no prompt, in words of its own.
    ("show_prompt", All),
    // `select` itself.
    ("by", All),
    ("rule", All),
    ("around", All),
    ("stratum", All),
    ("filter", All),
    ("at_most", All),
    ("at_least", All),
    ("rate", All),
    ("documents", All),
    ("tokens", All),
    ("quota_by", All),
    ("quota", All),
    ("repeat", All),
    ("repeat_from", All),
    ("bytes", All),
    ("seed", All),
    ("exact_duplicates", All),
    ("duplicate_ids", All),
    ("veto", All),
    ("out", All),
    ("decide_only", All),
];

/// Flags that belong to some signals in `score`, and to every selection.
const OF_EVERY_SELECTION: &[&str] = &["tokenizer", "wait"];

/// The kind that a name as `--by` and `score` take it is of; `None` for one that no signal has.
fn kind_of(name: &str) -> Option<&'static str> {
    if name == RANDOM { Some(RANDOM) } else { SignalOptions::named(name).ok().map(|signal| signal.kind()) }
}

/// The kinds that a flag is for; `None`: for all, or for none that is known here.
fn kinds_of(flag: &str, command: Command) -> Option<Vec<&'static str>> {
    if command == Command::Select && OF_EVERY_SELECTION.contains(&flag) {
        return None;
    }
    match COMMON.iter().find(|(known, _)| *known == flag) {
        Some((_, All)) => None,
        Some((_, Scored)) => Some(SignalOptions::ALL.iter().map(|(kind, _)| *kind).collect()),
        None => {
            let of = |kind: &KindFlags| kind.shared.contains(&flag) || kind.own.iter().any(|own| own == flag);
            let kinds: Vec<_> = flags_of_kinds().into_iter().filter(of).map(|kind| kind.kind).collect();
            (!kinds.is_empty()).then_some(kinds)
        }
    }
}

/// Whether a flag says how a signal is computed, so that a selection by a name cannot take whatever is stored.
fn decides(flag: &str) -> bool {
    let shared = [OF_MODEL, COMPUTED, SERVED, JUDGED].concat();
    shared.contains(&flag) || flags_of_kinds().iter().any(|kind| kind.own.iter().any(|own| own == flag))
}

/// Whether anything says how a signal is computed.
pub(crate) fn any_of_signals(given: &Given) -> bool {
    given.0.iter().any(|flag| decides(flag))
}

/// Flags that say how a server is asked.
fn of_servers() -> Vec<&'static str> {
    [SERVED, JUDGED, PACE].concat()
}

fn spelt(flag: &str) -> String {
    format!("--{}", flag.replace('_', "-"))
}

fn not_for(flag: &str, name: &str, kinds: &[&str]) -> Error {
    let flag = spelt(flag);
    Error::usage(
        format!("`{flag}` says nothing to `{name}`"),
        format!("leave {flag} out: it is for {}", kinds.join(", ")),
    )
}

/// Whether anything is said to a server.
pub(crate) fn any_of_servers(given: &Given) -> bool {
    of_servers().into_iter().any(|flag| given.has(flag))
}

/// Refuses flags of other signals than the one that is named. A name that no signal has is for others to refuse.
pub(crate) fn refuse_of_other_signals(given: &Given, name: &str, command: Command) -> Result<()> {
    let Some(kind) = kind_of(name) else { return Ok(()) };
    for flag in &given.0 {
        if let Some(kinds) = kinds_of(flag, command)
            && !kinds.contains(&kind)
        {
            return Err(not_for(flag, name, &kinds));
        }
    }
    Ok(())
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
    if let Some(flag) = of_servers().into_iter().find(|flag| given.has(flag)) {
        return Err(Error::usage(
            format!("{here}, and `{}` is for a server", spelt(flag)),
            "leave it out, or name a server as --model http://HOST:PORT/v1 (or --embedder)",
        ));
    }
    if command == Command::Score && given.has("tokenizer") && first.server_model().is_some() {
        return Err(Error::usage(
            format!("`--tokenizer` says nothing to `{name}`: {here}"),
            format!("leave it out: it is for `tokens`, and for `{name}` behind a server"),
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
        let of_signals: Vec<String> = flags_of_kinds()
            .into_iter()
            .flat_map(|kind| kind.own.into_iter().chain(kind.shared.into_iter().map(str::to_owned)))
            .collect();
        for command in ["score", "select"] {
            let arguments = arguments(command);
            assert!(arguments.len() > 50, "{arguments:?}");
            for id in arguments {
                let common = COMMON.iter().filter(|(flag, _)| *flag == id).count();
                let of_signal = usize::from(of_signals.contains(&id));
                assert_eq!(common + of_signal, 1, "`{id}` of `{command}` needs a line in COMMON or a signal");
                all.insert(id);
            }
        }
        for flag in COMMON.iter().map(|(flag, _)| (*flag).to_owned()).chain(of_signals) {
            assert!(all.contains(&flag), "no command has `{flag}`");
        }
    }

    #[test]
    fn a_flag_is_refused_for_every_signal_that_it_is_not_for() {
        let kinds: Vec<&str> = SignalOptions::ALL.iter().map(|(kind, _)| *kind).chain([RANDOM]).collect();
        for (name, command) in [("score", Command::Score), ("select", Command::Select)] {
            for flag in arguments(name) {
                let given = Given([flag.clone()].into());
                let is_for = kinds_of(&flag, command);
                for kind in &kinds {
                    let refused = refuse_of_other_signals(&given, kind, command);
                    let expected = is_for.as_ref().is_none_or(|kinds| kinds.contains(kind));
                    assert_eq!(refused.is_ok(), expected, "{flag} for {kind}");
                    let (Err(error), Some(kinds)) = (refused, &is_for) else { continue };
                    assert!(error.is_usage() && error.to_string().contains(&spelt(&flag)), "{error}");
                    assert!(error.hint().unwrap().contains(kinds[0]), "{error}");
                }
            }
        }
        let kinds = |flag| kinds_of(flag, Command::Score).unwrap_or_default();
        assert_eq!(kinds("hashes"), ["density"]);
        let of_embeddings = ["embed", "density", "clusters", "semdedup"];
        assert_eq!(kinds("embedder"), of_embeddings);
        assert_eq!(kinds("clusters"), ["clusters", "semdedup"]);
        assert_eq!(kinds("bands"), ["minhash"]);
        assert_eq!(kinds("model"), ["ask-llm", "perplexity"]);
        assert_eq!(kinds("tokenizer"), ["ask-llm", "embed", "density", "clusters", "semdedup", "tokens"]);
        assert_eq!(kinds("beside").len(), SignalOptions::ALL.len());
        assert_eq!(
            kinds("wait"),
            ["density", "clusters", "semdedup", "minhash", "contamination", "ensemble"]
        );
        assert!(kinds_of("wait", Command::Select).is_none());
        let given = Given(["hashes".to_owned()].into());
        assert!(refuse_of_other_signals(&given, "no signal", Command::Score).is_ok());
    }

    #[test]
    fn a_selection_takes_what_is_stored_unless_a_flag_decides_values() {
        for (flag, expected) in [
            ("hashes", true),
            ("dtype", true),
            ("model", true),
            ("top_logprobs", true),
            ("store_f32", true),
            ("concurrency", false),
            ("retries", false),
            ("tokenizer", false),
            ("rate", false),
        ] {
            assert_eq!(any_of_signals(&Given([flag.to_owned()].into())), expected, "{flag}");
        }
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
