//! Who did what when: one file a command under `audit/`, and no secret in any of them.

use serde::{Deserialize, Serialize};

use super::{FORMAT_VERSION, RunDirectory, RunError, RunResult, json};
use crate::clock::{self, Timestamp};
use crate::store::Created;

/// What stands in place of a secret.
const REDACTED: &str = "[redacted]";

/// What a command did to a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditRecord {
    /// [`FORMAT_VERSION`].
    pub format_version: u64,
    /// Version of tamis.
    pub version: String,
    /// The command's arguments without secrets.
    pub arguments: Vec<String>,
    /// Start, UTC, RFC 3339.
    pub started: String,
    /// End, UTC, RFC 3339.
    pub finished: String,
    /// `done`, or the error that ended it, without secrets.
    pub outcome: String,
    /// What it changed, one sentence each: ``scored 12 shards with `ask-llm@3f9a01c2` ``.
    pub changed: Vec<String>,
}

impl RunDirectory {
    /// Writes the record of a command that began at `started` and ends now; returns its path. Arguments, outcome and changes
    /// go through [`redact`] with `secrets`.
    ///
    /// # Errors
    /// A store that cannot be written.
    pub fn write_audit(
        &self,
        started: Timestamp,
        arguments: &[String],
        outcome: &str,
        changed: &[String],
        secrets: &[String],
    ) -> RunResult<String> {
        let redacted = |texts: &[String]| redact(texts, secrets);
        let record = AuditRecord {
            format_version: FORMAT_VERSION,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            arguments: redacted(arguments),
            started: started.to_string(),
            finished: clock::now().to_string(),
            outcome: redacted(&[outcome.to_owned()]).concat(),
            changed: redacted(changed),
        };
        for attempt in 0..1000_u32 {
            let unique =
                format!("{record:?} {} {} {attempt}", started.subsec_nanoseconds(), std::process::id());
            let id = tamis_core::Digest::of(unique.as_bytes()).to_string();
            let path = format!("audit/{}-{}.json", started.compact(), &id[..8]);
            if json::create(&self.store, &path, &record)? == Created::New {
                return Ok(path);
            }
        }
        Err(RunError::write("audit", "a thousand names were taken"))
    }

    /// All records, oldest first, with their paths.
    ///
    /// # Errors
    /// A record that cannot be read.
    pub fn audit(&self) -> RunResult<Vec<(String, AuditRecord)>> {
        let mut records = Vec::new();
        for entry in self.store.list("audit")? {
            if let Some(record) = json::read(&self.store, &entry.path)? {
                records.push((entry.path, record));
            }
        }
        Ok(records)
    }
}

/// Names of options and query parameters whose values are secrets; `tokens` is a budget, not a secret.
fn names_a_secret(name: &str) -> bool {
    let name = name.trim_start_matches('-').to_ascii_lowercase().replace('-', "_");
    let parts: Vec<&str> = name.split('_').collect();
    let holds = |part: &str| parts.contains(&part);
    [
        "secret",
        "password",
        "passwd",
        "passphrase",
        "token",
        "credential",
        "credentials",
        "signature",
        "sig",
        "auth",
    ]
    .into_iter()
    .any(holds)
        || holds("apikey")
        || holds("authorization")
        || (holds("key")
            && ["api", "access", "account", "private", "secret", "shared"].into_iter().any(holds))
        || name == "key"
}

/// Removes secrets from the arguments of a command: values of options and query parameters whose name says so, user and
/// password in URLs, anything after `Bearer`, tokens of well-known shapes, and every occurrence of one of `secrets`.
#[must_use]
pub fn redact(arguments: &[String], secrets: &[String]) -> Vec<String> {
    let mut value_follows = false;
    arguments
        .iter()
        .map(|argument| {
            if std::mem::replace(&mut value_follows, false) && !argument.starts_with("--") {
                return REDACTED.to_owned();
            }
            if let Some((name, _)) = argument.split_once('=')
                && !name.contains("://")
                && names_a_secret(name)
            {
                return format!("{name}={REDACTED}");
            }
            value_follows = argument.starts_with('-') && !argument.contains('=') && names_a_secret(argument);
            let mut text = argument.clone();
            for secret in secrets.iter().filter(|secret| secret.len() >= 4) {
                text = text.replace(secret.as_str(), REDACTED);
            }
            redact_words(&text)
        })
        .collect()
}

/// Secrets inside one argument, word by word; what separates words stays as it is.
fn redact_words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut after_bearer = false;
    for piece in text.split_inclusive(char::is_whitespace) {
        let word = piece.trim_end_matches(char::is_whitespace);
        let space = &piece[word.len()..];
        let hidden = std::mem::replace(&mut after_bearer, word.eq_ignore_ascii_case("bearer"));
        let word = if hidden && !word.is_empty() { REDACTED.to_owned() } else { redact_url(word) };
        out.push_str(&word);
        out.push_str(space);
    }
    out
}

fn redact_url(word: &str) -> String {
    let known = ["sk-", "hf_", "ghp_", "gho_", "github_pat_", "glpat-", "AKIA", "ASIA", "xoxb-", "xoxp-"];
    if known.iter().any(|prefix| word.starts_with(prefix) && word.len() >= prefix.len() + 12) {
        return REDACTED.to_owned();
    }
    let Some((scheme, rest)) = word.split_once("://") else { return word.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let authority = match authority.rsplit_once('@') {
        Some((_, host)) => format!("{REDACTED}@{host}"),
        None => authority.to_owned(),
    };
    let tail = match tail.split_once('?') {
        Some((path, query)) => {
            let parameter = |parameter: &str| match parameter.split_once('=') {
                Some((name, value)) if names_a_secret(name) => {
                    // In a message the URL may stand in backticks.
                    let quoted = value.find('`').map_or("", |end| &value[end..]);
                    format!("{name}={REDACTED}{quoted}")
                }
                _ => parameter.to_owned(),
            };
            format!("{path}?{}", query.split('&').map(parameter).collect::<Vec<_>>().join("&"))
        }
        None => tail.to_owned(),
    };
    format!("{scheme}://{authority}{tail}")
}

/// Values of environment variables whose names say that they are secrets, for [`redact`].
#[must_use]
pub fn secrets_in_environment() -> Vec<String> {
    let secret = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
        // An option may be called a key and mean a column; a variable may not.
        let secret = names_a_secret(&name) || name.to_ascii_lowercase().ends_with("_key");
        (secret && value.len() >= 8).then_some(value)
    };
    std::env::vars_os().filter_map(secret).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(arguments: &[&str], secrets: &[&str]) -> Vec<String> {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        redact(&owned(arguments), &owned(secrets))
    }

    #[test]
    fn values_of_secret_options_are_removed_and_budgets_stay() {
        let arguments =
            ["score", "--api-key", "abc", "--tokens", "1000", "--token=xyz", "--by", "column:key"];
        assert_eq!(
            redacted(&arguments, &[]),
            ["score", "--api-key", REDACTED, "--tokens", "1000", "--token=[redacted]", "--by", "column:key"]
        );
        assert_eq!(
            redacted(&["--tokenizer", "hf:a/b", "--monkey", "x"], &[]),
            ["--tokenizer", "hf:a/b", "--monkey", "x"]
        );
    }

    #[test]
    fn urls_lose_users_and_signatures() {
        assert_eq!(
            redacted(&["https://me:pw@host/a?X-Amz-Signature=00&part=1&sig=2", "s3://bucket/x@y"], &[]),
            ["https://[redacted]@host/a?X-Amz-Signature=[redacted]&part=1&sig=[redacted]", "s3://bucket/x@y"]
        );
        let message = ["corpus `https://host/a?sig=2`: not found"];
        assert_eq!(redacted(&message, &[]), ["corpus `https://host/a?sig=[redacted]`: not found"]);
    }

    #[test]
    fn known_values_and_shapes_are_removed_wherever_they_stand() {
        assert_eq!(
            redacted(
                &["x-hunter22-y", "Authorization: Bearer abc.def", "hf_abcdefghijklmnop", "hf_x"],
                &["hunter22"]
            ),
            ["x-[redacted]-y", "Authorization: Bearer [redacted]", "[redacted]", "hf_x"]
        );
    }
}
