//! What lies in a model folder and would change the model if it were applied, which it is not.

use std::path::{Path, PathBuf};

use super::SourceError;

/// An adapter that `transformers` and vLLM put on top of the weights where they find one.
const ADAPTERS: [&str; 2] = ["adapter_config.json", "adapter_model.safetensors"];
/// A model in one file.
const SINGLE: &str = "model.safetensors";

/// Refuses a folder that holds more than the weights that are read from it.
pub(super) fn refuse(folder: &Path, read: &[PathBuf]) -> Result<(), SourceError> {
    if let Some(adapter) = ADAPTERS.into_iter().find(|name| folder.join(name).is_file()) {
        return Err(SourceError::NotApplied {
            path: folder.to_owned(),
            problem: format!("`{adapter}` beside the weights: the adapter would not be applied"),
            remedy: "merge the adapter into the weights and save them to another folder (peft: `merge_and_unload`, then \
                     `save_pretrained`), let a server run it and name it: `--model http://…`, or remove the adapter where \
                     the base model is meant",
        });
    }
    let single = folder.join(SINGLE);
    if single.is_file() && !read.contains(&single) {
        return Err(SourceError::NotApplied {
            path: folder.to_owned(),
            problem: format!("`{SINGLE}` beside an index of other shards: two sets of weights"),
            remedy: "keep the one that is meant: remove model.safetensors, or the index with its shards",
        });
    }
    Ok(())
}
