//! A recipe to begin with, from a look at a corpus.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use arrow_array::cast::AsArray;
use tamis_core::column;
use tamis_io::corpus::{Columns, Corpus, IdMode, discover};

use crate::{Error, Result};

/// Documents at the beginning of a shard that are looked at.
const LOOKED_AT: usize = 2_000;
/// Shards whose beginnings are looked at.
const MOST_SHARDS: usize = 20;
/// More values than this are no strata.
const MOST_VALUES: usize = 40;
/// Values of a column that the recipe names in a remark.
const SHOWN: usize = 4;

/// What was seen of a column.
#[derive(Default)]
struct Seen {
    values: BTreeMap<String, u64>,
    documents: u64,
    bytes: u64,
    too_many: bool,
}

/// A recipe for the corpus at a place: its columns as they were found at the beginnings of the shards, cheap signals first and a
/// judge on what they leave.
///
/// # Errors
/// A corpus that holds no shards or cannot be read, or no column of texts.
pub fn recipe_for(location: &str) -> Result<String> {
    let corpus = discover(location)?;
    let names = column_names(&corpus)?;
    let mut strings = BTreeMap::new();
    for name in &names {
        strings.extend(look_at(&corpus, name, None)?.map(|column| (name.clone(), column)));
    }
    let text = text_column(&strings).ok_or_else(|| {
        let all = names.iter().cloned().collect::<Vec<_>>().join(", ");
        Error::state(
            format!("corpus `{location}` has no column of texts"),
            format!("its columns are {all}; write the recipe by hand, see docs/recipes.md"),
        )
    })?;
    let ids = corpus.resolve_ids(&text, None)?;
    let mut seen = BTreeMap::new();
    for name in names.iter().filter(|name| **name != text) {
        seen.extend(look_at(&corpus, &text, Some(name))?.map(|column| (name.clone(), column)));
    }
    let strata: Vec<&String> = seen
        .iter()
        .filter(|(name, column)| {
            **name != text
                && !column.too_many
                && column.values.len() > 1
                && ids.mode.column() != Some(name.as_str())
        })
        .map(|(name, _)| name)
        .collect();
    let bytes: u64 = corpus.shards().iter().map(|shard| shard.size_bytes).sum();
    let mut out = String::new();
    let shards = match corpus.shards().len() {
        1 => "one shard".to_owned(),
        n => format!("{n} shards"),
    };
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(format!("# A recipe for {location}: {shards}, {bytes} bytes."));
    line("# `tamis apply` of this file does it, and goes on where it was stopped. docs/recipes.md has every key.".to_owned());
    line("run = \"run\"".to_owned());
    line(String::new());
    line("[corpus]".to_owned());
    line(format!("location = {}", quoted(location)));
    line(format!("text = {}", quoted(&text)));
    line(match &ids.mode {
        IdMode::FromText => "id = \"none\"  # documents are known by their text".to_owned(),
        IdMode::Column(name) => format!("id = {}", quoted(name)),
        IdMode::Qualified(name) => format!("id = {}\nqualify-ids = true", quoted(name)),
    });
    if !strata.is_empty() {
        let list: Vec<String> = strata.iter().map(|name| quoted(name)).collect();
        line(format!("carry = [{}]", list.join(", ")));
        for name in &strata {
            line(format!("# {name}: {}", in_words(&seen[*name])));
        }
    }
    line(String::new());
    let others: Vec<&str> = names
        .iter()
        .filter(|name| **name != text && !strata.contains(name) && ids.mode.column() != Some(name.as_str()))
        .map(String::as_str)
        .collect();
    if !others.is_empty() {
        line(format!("# Columns that are not used: {}", others.join(", ")));
        line(String::new());
    }
    out.push_str(STAGES);
    Ok(out)
}

const STAGES: &str = "\
# What costs next to nothing, of every document.
[signals.counts]

[signals.copies]

# One of each text, of at least 20 words.
[selections.clean]
filters = [\"copies.rank<=0\", \"counts.words>=20\"]

# What a language model thinks of what is left: hours, where the corpus is large (`tamis plan` says how many).
[signals.judge]
signal = \"ask-llm\"
on = \"clean\"

[selections.best]
on = \"clean\"
by = \"judge\"
rates = [\"10%\", \"20%\"]
";

/// A string of TOML.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => drop(write!(out, "\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out + "\""
}

fn in_words(column: &Seen) -> String {
    let mut values: Vec<(&String, &u64)> = column.values.iter().collect();
    values.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let share = |count: u64| 100.0 * count as f64 / column.documents.max(1) as f64;
    let mut parts: Vec<String> = values
        .iter()
        .take(SHOWN)
        .map(|(value, count)| format!("{value:?} {:.0} %", share(**count)))
        .collect();
    if values.len() > SHOWN {
        parts.push(format!("{} more", values.len() - SHOWN));
    }
    parts.join(", ")
}

fn column_names(corpus: &Corpus) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for shard in corpus.shards().iter().take(MOST_SHARDS) {
        if let Some(block) = corpus.open(shard, 0)?.next_block()? {
            names.extend(block.column_names());
        }
    }
    Ok(names)
}

/// The column called so, or the one with the longest values.
fn text_column(seen: &BTreeMap<String, Seen>) -> Option<String> {
    ["text", "content"].iter().find(|name| seen.contains_key(**name)).map(|name| (*name).to_owned()).or_else(
        || {
            let mean = |column: &Seen| column.bytes as f64 / column.documents.max(1) as f64;
            let longest =
                seen.iter().filter(|(_, column)| column.too_many || column.documents < MOST_VALUES as u64);
            longest.max_by(|a, b| mean(a.1).total_cmp(&mean(b.1))).map(|(name, _)| name.clone())
        },
    )
}

/// The values at the beginnings of the shards of a column of texts, or of another one in rows that have a text; `None` where there are
/// none that are strings, numbers or truth values.
fn look_at(corpus: &Corpus, text: &str, other: Option<&str>) -> Result<Option<Seen>> {
    let columns = Columns {
        text: text.to_owned(),
        id: IdMode::FromText,
        namespace: String::new(),
        carry: other.map(str::to_owned).into_iter().collect(),
        also: Vec::new(),
    };
    if columns.check().is_err() {
        return Ok(None);
    }
    let mut seen = Seen::default();
    for shard in corpus.shards().iter().take(MOST_SHARDS) {
        let Some(block) = corpus.open(shard, 0)?.next_block()? else { continue };
        let Ok(decoded) = block.decode(&columns) else { return Ok(None) };
        let name = other.unwrap_or(column::TEXT);
        let Some(values) = decoded.documents.as_arrow().column_by_name(name) else { continue };
        let Some(values) = values.as_string_opt::<i32>() else { continue };
        for value in values.iter().take(LOOKED_AT).flatten() {
            seen.documents += 1;
            seen.bytes += value.len() as u64;
            if seen.values.len() <= MOST_VALUES {
                *seen.values.entry(value.to_owned()).or_default() += 1;
            }
        }
    }
    seen.too_many = seen.values.len() > MOST_VALUES;
    Ok((seen.documents > 0).then_some(seen))
}
