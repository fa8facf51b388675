//! TOML whose every key has a place, so that what is wrong in a recipe is said with line and column.

use std::ops::Range;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::{Error, Result};

/// A file of TOML.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    /// As messages name it.
    pub(super) name: &'a str,
    pub(super) text: &'a str,
}

impl Source<'_> {
    /// `recipe.toml:3:7`, both from 1; columns are characters.
    pub(super) fn place(&self, at: usize) -> String {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("{}:{line}:{column}", self.name)
    }

    /// Parses it.
    ///
    /// # Errors
    /// What is no TOML.
    pub(super) fn parse(&self) -> Result<Spanned<DeTable<'_>>> {
        DeTable::parse(self.text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let message = error.message().trim_end_matches('\n').replace('\n', ", ");
            Error::usage(
                format!("{}: {message}", self.place(at)),
                "see docs/recipes.md for the form of a recipe",
            )
        })
    }
}

/// One entry of a table.
pub(super) struct Entry<'a> {
    pub(super) key: String,
    key_span: Range<usize>,
    value: &'a DeValue<'a>,
    value_span: Range<usize>,
}

/// A table that is read key by key; a key that nothing reads is refused.
pub(super) struct Table<'a> {
    source: Source<'a>,
    /// As the file writes it: `signals.judge`; empty at the top.
    name: String,
    /// Where it begins.
    at: usize,
    entries: Vec<Entry<'a>>,
    known: Vec<&'static str>,
}

impl<'a> Table<'a> {
    pub(super) fn new(source: Source<'a>, name: &str, at: usize, table: &'a DeTable<'a>) -> Self {
        let mut entries: Vec<Entry<'a>> = table
            .iter()
            .map(|(key, value)| Entry {
                key: key.get_ref().to_string(),
                key_span: key.span(),
                value: value.get_ref(),
                value_span: value.span(),
            })
            .collect();
        // In the order of the file.
        entries.sort_by_key(|entry| entry.key_span.start);
        Self { source, name: name.to_owned(), at, entries, known: Vec::new() }
    }

    fn in_words(&self) -> String {
        if self.name.is_empty() { "the recipe".to_owned() } else { format!("[{}]", self.name) }
    }

    /// An error at the beginning of the table.
    pub(super) fn error(&self, message: &str, hint: impl Into<String>) -> Error {
        Error::usage(format!("{}: {} {message}", self.source.place(self.at), self.in_words()), hint)
    }

    fn take(&mut self, key: &'static str) -> Option<Entry<'a>> {
        self.known.push(key);
        let at = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(at))
    }

    fn wrong(&self, entry: &Entry<'_>, expected: &str) -> Error {
        Error::usage(
            format!(
                "{}: `{}` in {} is not {expected}",
                self.source.place(entry.value_span.start),
                entry.key,
                self.in_words()
            ),
            "see docs/recipes.md for the keys of a recipe",
        )
    }

    /// A value that is read by `parse`, whose words say what was expected.
    pub(super) fn parsed<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Result<Option<T>> {
        let Some(entry) = self.take(key) else { return Ok(None) };
        match json(entry.value).and_then(|value| parse(&value)) {
            Ok(value) => Ok(Some(value)),
            Err(expected) => Err(self.wrong(&entry, &expected)),
        }
    }

    pub(super) fn string(&mut self, key: &'static str) -> Result<Option<String>> {
        self.parsed(key, |value| value.as_str().map(str::to_owned).ok_or_else(|| "a string".to_owned()))
    }

    pub(super) fn strings(&mut self, key: &'static str) -> Result<Vec<String>> {
        let list = self.parsed(key, |value| match value {
            Value::String(one) => Ok(vec![one.clone()]),
            Value::Array(all) => all
                .iter()
                .map(|one| one.as_str().map(str::to_owned).ok_or_else(|| "a list of strings".to_owned()))
                .collect(),
            _ => Err("a list of strings".to_owned()),
        })?;
        Ok(list.unwrap_or_default())
    }

    pub(super) fn boolean(&mut self, key: &'static str) -> Result<Option<bool>> {
        self.parsed(key, |value| value.as_bool().ok_or_else(|| "true or false".to_owned()))
    }

    pub(super) fn whole(&mut self, key: &'static str) -> Result<Option<u64>> {
        self.parsed(key, |value| value.as_u64().ok_or_else(|| "a number of 0 or more".to_owned()))
    }

    pub(super) fn number(&mut self, key: &'static str) -> Result<Option<f64>> {
        self.parsed(key, |value| value.as_f64().ok_or_else(|| "a number".to_owned()))
    }

    /// The tables in a table, in the order of the file: `[signals.NAME]`.
    pub(super) fn tables(&mut self, key: &'static str) -> Result<Vec<(String, Table<'a>)>> {
        let Some(entry) = self.take(key) else { return Ok(Vec::new()) };
        let DeValue::Table(table) = entry.value else { return Err(self.wrong(&entry, "a table")) };
        let inside = Table::new(self.source, &self.inner(key), entry.key_span.start, table);
        let mut tables = Vec::new();
        for one in &inside.entries {
            let DeValue::Table(table) = one.value else {
                return Err(inside.wrong(one, &format!("a table: write [{key}.{}]", one.key)));
            };
            let name = format!("{}.{}", inside.name, one.key);
            tables.push((one.key.clone(), Table::new(self.source, &name, one.key_span.start, table)));
        }
        Ok(tables)
    }

    /// A table in this one.
    pub(super) fn table(&mut self, key: &'static str) -> Result<Option<Table<'a>>> {
        let Some(entry) = self.take(key) else { return Ok(None) };
        let DeValue::Table(table) = entry.value else { return Err(self.wrong(&entry, "a table")) };
        Ok(Some(Table::new(self.source, &self.inner(key), entry.key_span.start, table)))
    }

    fn inner(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    /// Options as they are by default, with what is left in the table in their place.
    ///
    /// # Errors
    /// A key that they have not, a value that is none of theirs.
    pub(super) fn rest_as<T: Serialize + DeserializeOwned>(self, defaults: &T) -> Result<T> {
        let bug =
            |error: serde_json::Error| Error::state(format!("options: {error}"), "this is a bug of tamis");
        let mut options = serde_json::to_value(defaults).map_err(bug)?;
        for entry in &self.entries {
            let value = json(entry.value).map_err(|expected| self.wrong(entry, &expected))?;
            let name = entry.key.replace('-', "_");
            let is_tag = options.get("signal").is_some() && name == "signal";
            match (options.get_mut(&name), value) {
                _ if is_tag => return Err(self.unknown(entry, &[])),
                (Some(Value::Object(known)), Value::Object(given)) => known.extend(given),
                (_, value) => options[&name] = value,
            }
            if let Err(error) = serde_json::from_value::<T>(options.clone()) {
                let message = error.to_string();
                return Err(match unknown_field(&message) {
                    Some((field, known)) if field == name => {
                        let taken = self.known.iter().map(|known| (*known).to_owned());
                        self.unknown(entry, &known.into_iter().chain(taken).collect::<Vec<_>>())
                    }
                    _ => self.wrong(entry, &format!("what it takes: {message}")),
                });
            }
        }
        serde_json::from_value(options).map_err(bug)
    }

    /// Refuses keys that nothing has read.
    ///
    /// # Errors
    /// The first of them, with the nearest that is known.
    pub(super) fn finish(self) -> Result<()> {
        let known: Vec<String> = self.known.iter().map(|known| (*known).to_owned()).collect();
        self.entries.first().map_or(Ok(()), |entry| Err(self.unknown(entry, &known)))
    }

    fn unknown(&self, entry: &Entry<'_>, known: &[String]) -> Error {
        let mut known: Vec<String> = known.iter().map(|name| name.replace('_', "-")).collect();
        known.sort();
        let nearest = tamis_core::nearest(&entry.key, known.iter().map(String::as_str));
        let list = format!("{} has {}", self.in_words(), known.join(", "));
        Error::usage(
            format!(
                "{}: unknown key `{}` in {}",
                self.source.place(entry.key_span.start),
                entry.key,
                self.in_words()
            ),
            nearest.map_or_else(|| list.clone(), |nearest| format!("did you mean `{nearest}`? {list}")),
        )
    }
}

/// The field that serde does not know, and those that it does.
fn unknown_field(message: &str) -> Option<(String, Vec<String>)> {
    let rest = message.strip_prefix("unknown field `")?;
    let (field, rest) = rest.split_once('`')?;
    let known = rest.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    Some((field.to_owned(), known))
}

/// A value as JSON. Keys of tables are spelt as options are, with underscores.
fn json(value: &DeValue<'_>) -> Result<Value, String> {
    Ok(match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Integer(number) => {
            let parsed = i64::from_str_radix(number.as_str(), number.radix());
            Value::from(parsed.map_err(|_| "a number that fits 64 bits".to_owned())?)
        }
        DeValue::Float(number) => {
            let parsed: f64 = number.as_str().parse().map_err(|_| "a number".to_owned())?;
            serde_json::Number::from_f64(parsed).map(Value::Number).ok_or("a finite number")?
        }
        DeValue::Datetime(_) => return Err("a date: write it in quotes".to_owned()),
        DeValue::Array(all) => {
            Value::Array(all.iter().map(|one| json(one.get_ref())).collect::<Result<_, String>>()?)
        }
        DeValue::Table(table) => Value::Object(
            table
                .iter()
                .map(|(key, value)| Ok((key.get_ref().replace('-', "_"), json(value.get_ref())?)))
                .collect::<Result<_, String>>()?,
        ),
    })
}
