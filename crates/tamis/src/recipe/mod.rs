//! Recipes: what is computed, of what, and what is kept, in one file that is applied as a whole.
//!
//! A recipe names signals and selections. A signal is computed once, whatever selections read it; one that is `on` a selection
//! is asked only of what that keeps, so that cheap signals come first and dear ones have less to do. Which comes when follows
//! from who names whom, and not from the order of the file. Everything that is applied is what `tamis score` and
//! `tamis select` do: a recipe that was stopped goes on, and one that was applied has nothing left to do.

mod apply;
mod init;
mod order;
mod plan;
mod table;
mod tasks;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tamis_core::Rule;
use tamis_samplers::{Quantile, Rate, Target};

pub use apply::{ApplyReport, Stage, StageKind};
pub use init::recipe_for;
pub use plan::{Expected, RecipePlan, StagePlan};
pub use tasks::RecipeTask;

use crate::corpus_options::{CorpusOptions, Ids};
use crate::export::{ExportFormat, ExportOptions, ExportOrder};
use crate::select_options::{
    BandOptions, DuplicateIds, ExactDuplicates, Filter, QuotaOptions, RepeatOptions, ScoreLimits,
    SelectOptions, ShareBounds,
};
use crate::signals::SignalOptions;
use crate::{Error, Result};
use table::{Source, Table};

/// What a recipe says.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Columns and, unless it is left to the caller, place of the corpus.
    pub corpus: RecipeCorpus,
    /// Run directory, unless it is left to the caller.
    pub run: Option<PathBuf>,
    /// Signals, in the order of the file.
    pub signals: Vec<RecipeSignal>,
    /// Selections, in the order of the file.
    pub selections: Vec<RecipeSelection>,
    /// Training data, in the order of the file.
    pub outputs: Vec<RecipeOutput>,
}

/// The corpus of a recipe.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RecipeCorpus {
    /// A file, folder, glob or object-store URL; `None`: the caller says.
    pub location: Option<String>,
    /// Columns, as [`CorpusOptions`] has them.
    pub columns: RecipeColumns,
}

/// Columns of the corpus.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RecipeColumns {
    /// See [`CorpusOptions::text`].
    pub text: Option<String>,
    /// See [`CorpusOptions::id`].
    pub id: Ids,
    /// See [`CorpusOptions::namespace`].
    pub namespace: Option<String>,
    /// See [`CorpusOptions::carry`].
    pub carry: Option<Vec<String>>,
    /// See [`CorpusOptions::max_line_bytes`].
    pub max_line_bytes: Option<u64>,
}

/// A signal of a recipe.
#[derive(Clone, Debug, PartialEq)]
pub struct RecipeSignal {
    /// What the recipe calls it.
    pub name: String,
    /// What it is and how it is computed.
    pub options: SignalOptions,
    /// The selection whose documents it is asked of, or NAME:LABEL; `None`: of all.
    pub on: Option<String>,
    /// The share of its documents that it may veto; more stop the recipe. `None`: any.
    pub max_hit_share: Option<Rate>,
}

/// A selection of a recipe.
#[derive(Clone, Debug, PartialEq)]
pub struct RecipeSelection {
    /// What the recipe calls it.
    pub name: String,
    /// How to select. `by` and filters may name signals of the recipe, `on` a selection of it.
    pub options: SelectOptions,
}

/// Training data of a recipe.
#[derive(Clone, Debug, PartialEq)]
pub struct RecipeOutput {
    /// What the recipe calls it.
    pub name: String,
    /// The selection whose documents it has.
    pub selection: String,
    /// How it is written.
    pub options: ExportOptions,
}

impl Recipe {
    /// Reads a recipe. Relative paths in it begin at its own folder.
    ///
    /// # Errors
    /// A file that cannot be read; what is no recipe, with line and column.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            Error::usage(format!("recipe `{name}`: {error}"), "name a recipe; `tamis init CORPUS` writes one")
        })?;
        Self::parse(&name, &text, path.parent().unwrap_or(Path::new("")))
    }

    /// Parses a recipe that messages call `name`; relative paths begin at `folder`.
    ///
    /// # Errors
    /// What is no recipe, with line and column.
    pub fn parse(name: &str, text: &str, folder: &Path) -> Result<Self> {
        let source = Source { name, text };
        let document = source.parse()?;
        let mut top = Table::new(source, "", 0, document.get_ref());
        let run = top.string("run")?.map(|run| from_folder(folder, &run));
        let corpus = top.table("corpus")?.map(|table| corpus(table, folder)).transpose()?.unwrap_or_default();
        let mut signals = Vec::new();
        for (name, table) in top.tables("signals")? {
            signals.push(signal(name, table)?);
        }
        let mut selections = Vec::new();
        for (name, table) in top.tables("selections")? {
            selections.push(selection(name, table, folder)?);
        }
        let mut outputs = Vec::new();
        for (name, table) in top.tables("outputs")? {
            outputs.push(output(name, table, folder)?);
        }
        top.finish()?;
        let recipe = Self { corpus, run, signals, selections, outputs };
        recipe.order()?;
        Ok(recipe)
    }

    /// The corpus at a place: that of the recipe unless the caller names one.
    ///
    /// # Errors
    /// Neither names one.
    pub fn corpus_at(&self, location: Option<&str>) -> Result<CorpusOptions> {
        let location =
            location.map(str::to_owned).or_else(|| self.corpus.location.clone()).ok_or_else(|| {
                Error::usage(
                    "neither the recipe nor the call names a corpus",
                    "add location = \"data/\" to [corpus], or name it",
                )
            })?;
        let RecipeColumns { text, id, namespace, carry, max_line_bytes } = self.corpus.columns.clone();
        Ok(CorpusOptions { location, text, id, namespace, carry, max_line_bytes })
    }
}

/// A path that the recipe names; places that are none (URLs, models by name) stay.
fn from_folder(folder: &Path, path: &str) -> PathBuf {
    if path.contains("://") { PathBuf::from(path) } else { folder.join(path) }
}

fn corpus(mut table: Table<'_>, folder: &Path) -> Result<RecipeCorpus> {
    let location =
        table.string("location")?.map(|location| from_folder(folder, &location).display().to_string());
    let text = table.string("text")?;
    let id = table.string("id")?;
    let id = match (id.as_deref(), table.boolean("qualify-ids")?.unwrap_or(false)) {
        (Some("none"), true) => {
            return Err(table.error("has no ids that could be qualified", "leave `id` or `qualify-ids` out"));
        }
        (Some("none"), false) => Ids::FromText,
        (column, true) => Ids::Qualified(column.map(str::to_owned)),
        (Some(column), false) => Ids::Column(column.to_owned()),
        (None, false) => Ids::AsBegun,
    };
    let namespace = table.string("namespace")?;
    let carry = Some(table.strings("carry")?).filter(|carry| !carry.is_empty());
    let max_line_bytes = table.whole("max-line-bytes")?;
    table.finish()?;
    Ok(RecipeCorpus { location, columns: RecipeColumns { text, id, namespace, carry, max_line_bytes } })
}

fn signal(name: String, mut table: Table<'_>) -> Result<RecipeSignal> {
    let kind = table.string("signal")?.unwrap_or_else(|| name.clone());
    let defaults = SignalOptions::named(&kind)
        .map_err(|error| table.error(&error.to_string(), error.hint().unwrap_or_default()))?;
    let on = table.string("on")?;
    let max_hit_share = table.parsed("max-hit-share", |value| {
        let text = value.as_str().ok_or("a share such as \"1%\"")?;
        Rate::parse(text).map_err(|error| format!("a share such as \"1%\": {error}"))
    })?;
    let options = table.rest_as(&defaults)?;
    // Words of a whole benchmark in the corpus are a mistake more often than a finding.
    let usual =
        matches!(options, SignalOptions::Contamination(_)).then(|| Rate::parse("1%").expect("a rate"));
    Ok(RecipeSignal { name, options, on, max_hit_share: max_hit_share.or(usual) })
}

fn selection(name: String, mut table: Table<'_>, folder: &Path) -> Result<RecipeSelection> {
    let wrong = |error: &dyn std::fmt::Display| error.to_string();
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let by = table.string("by")?.unwrap_or_else(|| "random".to_owned());
    let on = table.string("on")?;
    let rule = table.parsed("rule", |value| {
        let names = || format!("a rule: {}", Rule::ALL.map(Rule::name).join(", "));
        value.as_str().and_then(|rule| rule.parse::<Rule>().ok()).ok_or_else(names)
    })?;
    let around = table.parsed("around", |value| {
        let text = text(value).ok_or("a percentile such as \"50%\"")?;
        Quantile::parse(&text).map_err(|error| format!("a percentile such as \"50%\": {error}"))
    })?;
    let stratum = table.string("stratum")?;
    let limits = ScoreLimits { at_least: table.number("at-least")?, at_most: table.number("at-most")? };
    let filters = table.strings("filters")?;
    let filters = filters.iter().map(|text| Filter::parse(text)).collect::<Result<Vec<_>>>();
    let filters = filters.map_err(|error| table.error(&wrong(&error), error.hint().unwrap_or_default()))?;
    let mut targets = Vec::new();
    let rates = table.parsed("rates", |value| {
        let all = match value {
            Value::Array(all) => all.clone(),
            one => vec![one.clone()],
        };
        let rate = |value: &Value| {
            let text = text(value).ok_or("a list of rates such as [\"10%\", \"20%\"]")?;
            Rate::parse(&text).map_err(|error| format!("a rate: {error}"))
        };
        all.iter().map(rate).collect::<Result<Vec<_>, String>>()
    })?;
    targets.extend(rates.unwrap_or_default().into_iter().map(Target::Rate));
    targets.extend(table.whole("documents")?.map(Target::Documents));
    targets.extend(table.parsed("target-tokens", amount)?.map(Target::Tokens));
    targets.extend(table.parsed("bytes", amount)?.map(Target::Bytes));
    let quotas = table.table("quotas")?.map(quotas).transpose()?;
    let repeat = table.table("repeat")?.map(|table| table.rest_as(&RepeatOptions::default())).transpose()?;
    let out = table.string("out")?.map(|out| from_folder(folder, &out));
    let options = SelectOptions {
        by,
        on,
        rule,
        band: BandOptions { around: around.unwrap_or(Quantile::MIDDLE), stratum },
        limits,
        filters,
        targets,
        quotas,
        repeat,
        tokenizer: table.string("tokenizer")?,
        seed: table.whole("seed")?.unwrap_or(0),
        exact_duplicates: table
            .parsed("exact-duplicates", |value| {
                serde_json::from_value::<ExactDuplicates>(value.clone())
                    .map_err(|_| "\"all\" or \"one\"".to_owned())
            })?
            .unwrap_or_default(),
        duplicate_ids: table
            .parsed("duplicate-ids", |value| {
                serde_json::from_value::<DuplicateIds>(value.clone())
                    .map_err(|_| "\"check\" or \"one\"".to_owned())
            })?
            .unwrap_or_default(),
        vetoes: table.strings("vetoes")?.iter().map(|path| from_folder(folder, path)).collect(),
        decide_only: out.is_none(),
        out,
        ..SelectOptions::default()
    };
    table.finish()?;
    Ok(RecipeSelection { name, options })
}

fn output(name: String, mut table: Table<'_>, folder: &Path) -> Result<RecipeOutput> {
    let selection = table
        .string("selection")?
        .ok_or_else(|| table.error("names no selection", "add selection = \"NAME\""))?;
    let out = table.string("out")?.map(|out| from_folder(folder, &out));
    let out = out.ok_or_else(|| table.error("says not where to", "add out = \"FOLDER\""))?;
    let tokenizer = table.string("tokenizer")?;
    let separator = table.parsed("separator-id", |value| {
        value.as_u64().and_then(|id| u32::try_from(id).ok()).ok_or_else(|| "a token's number".to_owned())
    })?;
    let format = table.string("format")?.unwrap_or_else(|| "jsonl.zst".to_owned());
    let format = match (format.as_str(), tokenizer) {
        ("jsonl.zst", None) => ExportFormat::Lines,
        ("parquet", None) => ExportFormat::Parquet,
        ("tokens", Some(tokenizer)) => ExportFormat::Tokens { tokenizer, separator },
        ("tokens", None) => return Err(table.error("has no tokenizer", "add tokenizer = \"smollm2\"")),
        ("jsonl.zst" | "parquet", Some(_)) => {
            return Err(
                table.error("has a tokenizer and no tokens", "write format = \"tokens\", or leave it out")
            );
        }
        (format, _) => {
            let message = format!("has the format `{format}`");
            return Err(table.error(&message, "formats are jsonl.zst, parquet and tokens"));
        }
    };
    let usual = ExportOptions::new(out, format);
    let (size, seed) = (table.parsed("shard-size", amount)?, table.whole("shuffle-seed")?);
    let is_shuffled = table.boolean("shuffle")?.unwrap_or(true);
    let options = ExportOptions {
        target: table.string("target")?,
        shard_size: size.unwrap_or(usual.shard_size),
        order: match (is_shuffled, seed) {
            (true, seed) => ExportOrder::Shuffled { seed: seed.unwrap_or(0) },
            (false, None) => ExportOrder::AsInCorpus,
            (false, Some(_)) => {
                return Err(table.error("has a seed of an order that is not drawn", "leave shuffle-seed out"));
            }
        },
        memory_bytes: table.parsed("memory", amount)?.unwrap_or(usual.memory_bytes),
        ..usual
    };
    table.finish()?;
    Ok(RecipeOutput { name, selection, options })
}

/// `by`, `[….shares.NAME]` tables and `others`.
fn quotas(mut table: Table<'_>) -> Result<QuotaOptions> {
    let by = table.strings("by")?;
    let mut shares = BTreeMap::new();
    for (name, bounds) in table.tables("shares")? {
        shares.insert(name, share_bounds(bounds)?);
    }
    let others = table.table("others")?.map(share_bounds).transpose()?.unwrap_or_default();
    table.finish()?;
    Ok(QuotaOptions { by, shares, others })
}

fn share_bounds(mut table: Table<'_>) -> Result<ShareBounds> {
    let rate = |value: &Value| {
        let text = value.as_str().ok_or("a share such as \"10%\"")?;
        Rate::parse(text).map_err(|error| format!("a share such as \"10%\": {error}"))
    };
    let bounds =
        ShareBounds { at_least: table.parsed("at-least", rate)?, at_most: table.parsed("at-most", rate)? };
    table.finish()?;
    Ok(bounds)
}

/// An amount with K, M, G, B or T, powers of a thousand: `100B` tokens, `5GB`.
fn amount(value: &Value) -> Result<u64, String> {
    let expected = || "a number such as 2000000, \"300M\", \"100B\" or \"5GB\"".to_owned();
    if let Some(number) = value.as_u64().filter(|number| *number > 0) {
        return Ok(number);
    }
    let text = value.as_str().ok_or_else(expected)?.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit.trim().to_ascii_uppercase().as_str() {
        "" => 1.0,
        "K" | "KB" => 1e3,
        "M" | "MB" => 1e6,
        "G" | "B" | "GB" => 1e9,
        "T" | "TB" => 1e12,
        _ => return Err(expected()),
    };
    let amount = number.parse::<f64>().map_err(|_| expected())? * factor;
    if (1.0..9e18).contains(&amount) { Ok(amount.round() as u64) } else { Err(expected()) }
}
