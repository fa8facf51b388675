//! Where things lie in a run directory, and which names may lie there.

use std::collections::BTreeMap;

use super::{RunError, RunResult};

/// A shard path without its known extensions: `web/a.jsonl.zst` gives `web/a`.
///
/// A path that would be nothing but an extension keeps it.
#[must_use]
pub fn shard_stem(path: &str) -> &str {
    crate::corpus::stem(path)
}

/// The shard's name in the run directory: its stem, with a leading `.` or `%` of a component written as `%2E` or `%25`, so
/// that no shard can lie in `.parts/` or be hidden.
///
/// # Errors
/// [`RunError::Name`] for a path that is empty or absolute, has an empty, `.` or `..` component, a backslash, or a NUL.
pub fn shard_name(path: &str) -> RunResult<String> {
    let error = |problem: &str| RunError::Name {
        kind: "shard",
        name: super::error::cut(path, 200),
        problem: problem.to_owned(),
    };
    let stem = shard_stem(path);
    let mut name = String::with_capacity(stem.len());
    for (at, component) in stem.split('/').enumerate() {
        if matches!(component, "" | "." | "..") {
            return Err(error("a relative path without empty, `.` or `..` components is needed"));
        }
        if component.contains(['\\', '\0']) {
            return Err(error("a backslash or NUL cannot be part of it"));
        }
        if at > 0 {
            name.push('/');
        }
        match component.chars().next() {
            Some('.') => name.push_str("%2E"),
            Some('%') => name.push_str("%25"),
            _ => {}
        }
        let marked = component.starts_with(['.', '%']);
        name.push_str(&component[usize::from(marked)..]);
    }
    Ok(name)
}

/// Refuses shards that would share a sidecar.
///
/// # Errors
/// [`RunError::Collision`] with the first two in path order; [`RunError::Name`] for a path that cannot be used.
pub fn check_shard_names<'a>(paths: impl IntoIterator<Item = &'a str>) -> RunResult<()> {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for path in paths {
        if let Some(other) = seen.insert(shard_name(path)?, path) {
            let (first, second) = if other < path { (other, path) } else { (path, other) };
            return Err(RunError::Collision { first: first.to_owned(), second: second.to_owned() });
        }
    }
    Ok(())
}

/// Checks the name of a signal, sketch or selection: 1 to 100 of `a-z A-Z 0-9 . _ -`, beginning with a letter or digit.
pub(crate) fn check_name(kind: &'static str, name: &str) -> RunResult<()> {
    let fits = (1..=100).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    if fits {
        return Ok(());
    }
    Err(RunError::Name {
        kind,
        name: super::error::cut(name, 100),
        problem: "letters, digits, `.`, `_` and `-` are possible, a letter or digit first, 100 at most"
            .to_owned(),
    })
}

/// Splits `ask-llm@3f9a01c2` into name and digits; `None` for anything else.
pub(crate) fn split_full_name(full: &str) -> Option<(&str, &str)> {
    let (name, digits) = full.split_once('@')?;
    let hex = digits.len() == 8 && digits.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
    (hex && check_name("signal", name).is_ok()).then_some((name, digits))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_extensions_are_dropped_once_each() {
        let stems = [
            ("a.jsonl", "a"),
            ("x/a.jsonl.zst", "x/a"),
            ("a.JSON.GZ", "a"),
            ("a.b.ndjson.gz", "a.b"),
            ("a.txt.gz", "a.txt.gz"),
            ("a.parquet", "a"),
            ("a.zst.jsonl", "a.zst"),
            ("a.jsonl.jsonl", "a.jsonl"),
            ("a.txt", "a.txt"),
            ("x/.jsonl", "x/.jsonl"),
            ("é.jsonl", "é"),
            (".zst", ".zst"),
        ];
        for (path, stem) in stems {
            assert_eq!(shard_stem(path), stem);
        }
    }

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        for path in ["", "/a.jsonl", "../a.jsonl", "a/../b", "a//b", "a\\b", "a\0b", "a/./b", "a/"] {
            assert!(matches!(shard_name(path), Err(RunError::Name { .. })), "{path:?}");
        }
        for name in ["", "..", ".hidden", "a/b", "a@b", "ä", &"x".repeat(101)] {
            assert!(check_name("sketch", name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn hidden_shards_do_not_lie_among_parts() {
        assert_eq!(shard_name(".parts/a.jsonl").unwrap(), "%2Eparts/a");
        assert_eq!(shard_name("%2Eparts/a.jsonl").unwrap(), "%252Eparts/a");
    }

    #[test]
    fn shards_that_differ_in_extension_alone_collide() {
        let error = check_shard_names(["b.jsonl", "a.jsonl.gz", "a.parquet"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "shards `a.jsonl.gz` and `a.parquet` have the same name once their extensions are dropped"
        );
    }

    proptest! {
        #[test]
        fn no_path_panics_and_different_stems_have_different_names(a in "[.%a/é]{0,8}", b in "[.%a/é]{0,8}") {
            if let (Ok(first), Ok(second)) = (shard_name(&a), shard_name(&b)) {
                prop_assert_eq!(first == second, shard_stem(&a) == shard_stem(&b));
                prop_assert!(first.split('/').all(|part| !part.is_empty() && !part.starts_with('.')));
            }
        }
    }
}
