//! How a sentence-transformers folder turns token states into one embedding.

use std::path::Path;

use serde_json::Value;

use super::SourceError;
use super::config::{LARGEST_JSON_BYTES, read_object};

/// What is done after the encoder, as `modules.json` says: mean pooling, then scaling to length 1.
///
/// Other poolings and dense layers are refused when the folder is opened, so that no embedding is computed another way
/// than its authors meant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SentenceConfig {
    /// Longest sequence in tokens, special tokens included, that the model was trained to embed.
    pub max_tokens: Option<usize>,
    /// Whether embeddings are scaled to length 1.
    pub normalized: bool,
}

/// Reads the folder's settings; `None` where it is no sentence-transformers folder.
pub(super) fn read(folder: &Path) -> Result<Option<SentenceConfig>, SourceError> {
    let path = folder.join("modules.json");
    if !path.is_file() {
        return Ok(None);
    }
    let wrong = |path: &Path, problem: String| SourceError::Configuration { path: path.to_owned(), problem };
    let failed = |source| SourceError::Io { action: "read", path: path.clone(), source };
    if std::fs::metadata(&path).map_err(failed)?.len() > LARGEST_JSON_BYTES {
        return Err(wrong(&path, format!("expected at most {LARGEST_JSON_BYTES} bytes")));
    }
    let modules: Vec<Value> = serde_json::from_slice(&std::fs::read(&path).map_err(failed)?)
        .map_err(|error| wrong(&path, format!("not a list of modules: {error}")))?;
    let mut config = SentenceConfig { max_tokens: None, normalized: false };
    for module in &modules {
        let kind = module.get("type").and_then(Value::as_str).unwrap_or_default();
        match kind.rsplit('.').next().unwrap_or_default() {
            "Transformer" => {}
            "Normalize" => config.normalized = true,
            "Pooling" => {
                let place = module.get("path").and_then(Value::as_str).unwrap_or_default();
                if !place.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
                    return Err(wrong(&path, format!("module path `{place}` is no plain folder name")));
                }
                check_pooling(&folder.join(place).join("config.json"))?;
            }
            other => {
                let problem = format!("expected modules Transformer, Pooling, Normalize, got `{other}`");
                return Err(wrong(&path, problem));
            }
        }
    }
    let path = folder.join("sentence_bert_config.json");
    if path.is_file() {
        let object = read_object(&path)?;
        if object.get("do_lower_case").and_then(Value::as_bool) == Some(true) {
            return Err(wrong(&path, "`do_lower_case`: expected false, got true".to_owned()));
        }
        config.max_tokens = object
            .get("max_seq_length")
            .and_then(Value::as_u64)
            .and_then(|tokens| usize::try_from(tokens).ok());
    }
    Ok(Some(config))
}

fn check_pooling(path: &Path) -> Result<(), SourceError> {
    let object = read_object(path)?;
    let chosen: Vec<&str> = object
        .iter()
        .filter(|(name, value)| name.starts_with("pooling_mode_") && value.as_bool() == Some(true))
        .map(|(name, _)| name.as_str())
        .collect();
    // Newer folders name the pooling instead.
    let named = object.get("pooling_mode").and_then(Value::as_str);
    if chosen == ["pooling_mode_mean_tokens"] || (chosen.is_empty() && named == Some("mean")) {
        return Ok(());
    }
    let got = if chosen.is_empty() { named.unwrap_or("nothing").to_owned() } else { chosen.join(", ") };
    Err(SourceError::Configuration {
        path: path.to_owned(),
        problem: format!("expected `pooling_mode_mean_tokens` alone, got {got}"),
    })
}
