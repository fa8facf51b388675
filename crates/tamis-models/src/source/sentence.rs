//! How a sentence-transformers folder turns token states into one embedding.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::SourceError;
use super::config::{LARGEST_JSON_BYTES, read_object};

/// What is done after the encoder, as `modules.json` says: mean pooling, for some models a dense layer, then scaling to
/// length 1.
///
/// Anything else is refused when the folder is opened, so that no embedding is computed another way than its authors
/// meant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SentenceConfig {
    /// Longest sequence in tokens, special tokens included, that the model was trained to embed.
    pub max_tokens: Option<usize>,
    /// Whether embeddings are scaled to length 1.
    pub normalized: bool,
    /// The dense layer between pooling and scaling.
    pub dense: Option<DenseConfig>,
}

/// A dense layer without bias and activation, as Sentence-T5 has one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DenseConfig {
    /// Numbers of an embedding.
    pub outputs: usize,
    /// File of its tensor, `linear.weight`.
    pub weights: PathBuf,
    /// File that states its size.
    pub(super) config: PathBuf,
}

/// Modules that are known, in the order in which they are computed.
const ORDER: [&str; 4] = ["Transformer", "Pooling", "Dense", "Normalize"];

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
    let mut config = SentenceConfig { max_tokens: None, normalized: false, dense: None };
    let mut last = None;
    for module in &modules {
        let kind = module.get("type").and_then(Value::as_str).unwrap_or_default();
        let place = module.get("path").and_then(Value::as_str).unwrap_or_default();
        if !place.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
            return Err(wrong(&path, format!("module path `{place}` is no plain folder name")));
        }
        let kind = kind.rsplit('.').next().unwrap_or_default();
        // They are computed in this order, whatever order they stand in.
        let order = ORDER.into_iter().position(|known| known == kind);
        if order.is_some() && order <= last {
            let problem =
                format!("expected modules in the order {}, got `{kind}` too late", ORDER.join(", "));
            return Err(wrong(&path, problem));
        }
        last = order;
        match kind {
            "Transformer" if place.is_empty() => {}
            "Transformer" => {
                let problem = format!("expected the Transformer's files beside it, got them in `{place}`");
                return Err(wrong(&path, problem));
            }
            "Normalize" => config.normalized = true,
            "Pooling" => check_pooling(&folder.join(place).join("config.json"))?,
            "Dense" if config.dense.is_none() => config.dense = Some(read_dense(&folder.join(place))?),
            other => {
                let problem =
                    format!("expected modules Transformer, Pooling, one Dense, Normalize, got `{other}`");
                return Err(wrong(&path, problem));
            }
        }
    }
    refuse_prompt(&folder.join("config_sentence_transformers.json"))?;
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

/// Refuses a prompt that sentence-transformers would put before every text.
fn refuse_prompt(path: &Path) -> Result<(), SourceError> {
    if !path.is_file() {
        return Ok(());
    }
    let object = read_object(path)?;
    let Some(name) = object.get("default_prompt_name").and_then(Value::as_str) else { return Ok(()) };
    let prompt = object.get("prompts").and_then(|prompts| prompts.get(name)).and_then(Value::as_str);
    if prompt.is_some_and(str::is_empty) {
        return Ok(());
    }
    Err(SourceError::NotComputed {
        path: path.to_owned(),
        field: "default_prompt_name".to_owned(),
        expected: "none".to_owned(),
        got: format!("`{name}`, a prompt before every text"),
    })
}

/// The mean of all tokens is what is computed here, and what sentence-transformers computes where a file says nothing.
///
/// Older files have a flag for each way of pooling; newer ones name the way, or list several, in `pooling_mode`. Where a file
/// has both, newer versions go by the name and older ones by the flags.
fn check_pooling(path: &Path) -> Result<(), SourceError> {
    const FLAG: &str = "pooling_mode_";
    const MEAN: &str = "pooling_mode_mean_tokens";
    let object = read_object(path)?;
    let wrong = |expected: &str, got: String| {
        let problem = format!("expected {expected}, got {got}");
        Err(SourceError::Configuration { path: path.to_owned(), problem })
    };
    let mut chosen = Vec::new();
    for (name, value) in object.iter().filter(|(name, _)| name.starts_with(FLAG)) {
        match value {
            Value::Bool(true) => chosen.push(name.as_str()),
            Value::Bool(false) | Value::Null => {}
            other => return wrong(&format!("`{name}`: true or false"), other.to_string()),
        }
    }
    let others = chosen.iter().any(|name| *name != MEAN);
    match object.get("pooling_mode") {
        Some(named) => {
            let mean = match named {
                Value::Array(several) => several.len() == 1 && several[0] == "mean",
                one => one == "mean",
            };
            if !mean {
                return wrong("`pooling_mode`: mean", named.to_string());
            }
            if others {
                return wrong("the flag of `pooling_mode`, mean, alone", chosen.join(", "));
            }
        }
        None if others => return wrong(&format!("`{MEAN}` alone"), chosen.join(", ")),
        None if chosen.is_empty() && object.get(MEAN) == Some(&Value::Bool(false)) => {
            return wrong(&format!("`{MEAN}` alone"), "none".to_owned());
        }
        None => {}
    }
    Ok(())
}

fn read_dense(folder: &Path) -> Result<DenseConfig, SourceError> {
    let path = folder.join("config.json");
    let object = read_object(&path)?;
    let wrong = |problem: String| SourceError::Configuration { path: path.clone(), problem };
    if object.get("bias").and_then(Value::as_bool) == Some(true) {
        return Err(wrong("`bias`: expected false, got true".to_owned()));
    }
    let activation = object.get("activation_function").and_then(Value::as_str).unwrap_or("nothing");
    if activation.rsplit('.').next() != Some("Identity") {
        return Err(wrong(format!("`activation_function`: expected Identity, got {activation}")));
    }
    let outputs = object.get("out_features").and_then(Value::as_u64);
    let outputs = outputs.and_then(|outputs| usize::try_from(outputs).ok());
    let outputs = outputs.ok_or_else(|| wrong("`out_features`: expected a size".to_owned()))?;
    let weights = folder.join("model.safetensors");
    if !weights.is_file() {
        let problem = "expected model.safetensors beside config.json".to_owned();
        return Err(SourceError::NoModel { path: folder.to_owned(), problem });
    }
    Ok(DenseConfig { outputs, weights, config: path })
}

/// The error for a folder whose encoder is never followed by a dense layer here.
pub(super) fn dense_of_another(folder: &Path, architecture: &str) -> SourceError {
    SourceError::Configuration {
        path: folder.join("modules.json"),
        problem: format!(
            "expected a Dense module after an encoder `t5` only, got one after `{architecture}`"
        ),
    }
}
