//! Flags of `rules`.

use std::collections::BTreeMap;

use clap::Args;
use tamis::options::{RulePreset, RulesOptions};
use tamis::{Error, Result};

use super::SignalArgs;

/// Which rules.
#[derive(Debug, Args)]
#[command(next_help_heading = "Rules")]
pub(crate) struct Flags {
    /// Whose rules: some of `gopher-quality`, `gopher-repetition`, `c4`, `fineweb` [default: all].
    #[arg(long, value_name = "PRESETS", value_delimiter = ',')]
    pub rule_set: Option<Vec<String>>,
    /// Another threshold than the published one, such as `gopher-words-min=100`; docs/rules.md lists the rules. May be given several
    /// times.
    #[arg(long, value_name = "RULE=VALUE")]
    pub threshold: Vec<String>,
}

impl super::Flags for Flags {
    type Options = RulesOptions;

    const SHARED: &'static [&'static [&'static str]] = &[];

    fn options(
        named: RulesOptions,
        args: &SignalArgs,
        _tokenizer: Option<&str>,
    ) -> Result<Vec<RulesOptions>> {
        let own = &args.rules;
        let presets = match &own.rule_set {
            None => named.presets,
            Some(names) => names.iter().map(|name| preset(name)).collect::<Result<_>>()?,
        };
        let mut thresholds = BTreeMap::new();
        for text in &own.threshold {
            let (rule, value) = threshold(text)?;
            if thresholds.insert(rule.to_owned(), value).is_some() {
                return Err(Error::usage(
                    format!("rule `{rule}` has two thresholds"),
                    "give --threshold once for each rule",
                ));
            }
        }
        Ok(vec![RulesOptions { presets, thresholds }])
    }
}

fn preset(name: &str) -> Result<RulePreset> {
    RulePreset::named(name).ok_or_else(|| {
        let known = RulePreset::ALL.map(RulePreset::name).join(", ");
        Error::usage(format!("`--rule-set {name}` is no set of rules"), format!("write some of {known}"))
    })
}

fn threshold(text: &str) -> Result<(&str, f64)> {
    let parsed = text.split_once('=').and_then(|(rule, value)| Some((rule, value.trim().parse().ok()?)));
    parsed.ok_or_else(|| {
        Error::usage(
            format!("`--threshold {text}` is not RULE=VALUE"),
            "write a rule and a number, such as --threshold gopher-words-min=100",
        )
    })
}
