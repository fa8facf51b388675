//! Fields of a JSON object.

use std::path::Path;

use serde_json::{Map, Value};

use super::error::SourceError;
use crate::error::{Error, Result};

/// Fields of a JSON object, read with errors that name the file, the field, what was expected and what was found.
pub(crate) struct Fields<'a> {
    pub(super) path: &'a Path,
    pub(super) object: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// The file.
    pub(super) fn path(&self) -> &'a Path {
        self.path
    }

    /// The error for a value that would have to be computed otherwise.
    pub(crate) fn not_computed(&self, name: &str, expected: &str, got: &str) -> Error {
        SourceError::NotComputed {
            path: self.path.to_owned(),
            field: name.to_owned(),
            expected: expected.to_owned(),
            got: got.to_owned(),
        }
        .into()
    }

    pub(crate) fn wrong(&self, name: &str, expected: &str, got: &str) -> Error {
        SourceError::Configuration {
            path: self.path.to_owned(),
            problem: format!("`{name}`: expected {expected}, got {got}"),
        }
        .into()
    }

    /// A value that is there and not null.
    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        self.object.get(name).filter(|value| !value.is_null())
    }

    /// Whether the field is there, were it null.
    pub(crate) fn is_there(&self, name: &str) -> bool {
        self.object.contains_key(name)
    }

    /// Whether no field is there.
    pub(crate) fn is_empty(&self) -> bool {
        self.object.is_empty()
    }

    /// Names of the fields that are objects.
    pub(crate) fn names_of_objects(&self) -> impl Iterator<Item = &'a str> {
        self.object.iter().filter(|(_, value)| value.is_object()).map(|(name, _)| name.as_str())
    }

    pub(super) fn read<T>(
        &self,
        name: &str,
        expected: &str,
        as_type: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        as_type(value).map(Some).ok_or_else(|| self.wrong(name, expected, &value.to_string()))
    }

    pub(crate) fn size(&self, name: &str) -> Result<Option<usize>> {
        self.read(name, "a size", |value| usize::try_from(value.as_u64()?).ok())
    }

    pub(crate) fn needed_size(&self, name: &str) -> Result<usize> {
        self.size(name)?.ok_or_else(|| self.wrong(name, "a size", "nothing"))
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<f32>> {
        self.read(name, "a number", |value| Some(value.as_f64()? as f32))
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool> {
        Ok(self.read(name, "true or false", Value::as_bool)?.unwrap_or(false))
    }

    /// An array of strings.
    pub(crate) fn texts(&self, name: &str) -> Result<Option<Vec<&'a str>>> {
        self.read(name, "an array of strings", |value| value.as_array()?.iter().map(Value::as_str).collect())
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<&'a str>> {
        self.read(name, "a string", Value::as_str)
    }

    pub(crate) fn part(&self, name: &str) -> Result<Option<Fields<'a>>> {
        Ok(self.read(name, "an object", Value::as_object)?.map(|object| Fields { path: self.path, object }))
    }

    /// Refuses a value other than the one that the graph computes with.
    pub(crate) fn only(&self, name: &str, known: &[&str], default: &'static str) -> Result<&'a str> {
        let got = self.text(name)?.unwrap_or(default);
        if known.contains(&got) {
            return Ok(got);
        }
        Err(self.wrong(name, &format!("one of {}", known.join(", ")), got))
    }
}
