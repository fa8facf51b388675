//! Model folders that are changed piece by piece: configuration and tensors.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};
use tamis_models::Result;
use tamis_models::source::{LoadedModel, open_model};

use crate::reference::fixture;

/// A tensor of a safetensors file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tensor {
    pub(crate) dtype: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

impl Tensor {
    /// Every value the same.
    pub(crate) fn filled(shape: &[usize], value: f32) -> Self {
        let bytes = (0..shape.iter().product()).flat_map(|_| value.to_le_bytes()).collect();
        Self { dtype: "F32".to_owned(), shape: shape.to_vec(), bytes }
    }
}

/// A copy of a model folder.
pub(crate) struct Folder {
    home: tempfile::TempDir,
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, target).unwrap();
        }
    }
}

impl Folder {
    /// Of a fixture; without a tokenizer, one of as many words as it has embeddings.
    pub(crate) fn of(name: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        copy(&fixture(name), home.path());
        let folder = Self { home };
        if !folder.has("tokenizer.json") {
            let vocabulary: Map<String, Value> = (0..96).map(|id| (format!("w{id}"), json!(id))).collect();
            let model = json!({ "type": "WordLevel", "vocab": vocabulary, "unk_token": "w0" });
            folder.write("tokenizer.json", json!({ "version": "1.0", "model": model }).to_string());
        }
        folder
    }

    pub(crate) fn path(&self) -> String {
        self.home.path().to_str().unwrap().to_owned()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.home.path().join(name).exists()
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.home.path().join(name), bytes).unwrap();
    }

    pub(crate) fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.home.path().join(name)).unwrap()).unwrap()
    }

    /// Sets a field of `config.json`.
    pub(crate) fn set(&self, field: &str, value: Value) -> &Self {
        let mut config = self.json("config.json");
        config[field] = value;
        self.write("config.json", config.to_string());
        self
    }

    pub(crate) fn tensors(&self) -> BTreeMap<String, Tensor> {
        let bytes = std::fs::read(self.home.path().join("model.safetensors")).unwrap();
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header: Map<String, Value> = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        let data = &bytes[8 + length..];
        let tensors = header.into_iter().filter(|(name, _)| name != "__metadata__").map(|(name, entry)| {
            let at = |place: usize| entry["data_offsets"][place].as_u64().unwrap() as usize;
            let shape = entry["shape"].as_array().unwrap().iter().map(|size| size.as_u64().unwrap() as usize);
            let dtype = entry["dtype"].as_str().unwrap().to_owned();
            (name, Tensor { dtype, shape: shape.collect(), bytes: data[at(0)..at(1)].to_vec() })
        });
        tensors.collect()
    }

    pub(crate) fn put(&self, tensors: &BTreeMap<String, Tensor>) {
        let (mut header, mut data) = (Map::new(), Vec::new());
        for (name, tensor) in tensors {
            let from = data.len();
            data.extend_from_slice(&tensor.bytes);
            let entry =
                json!({ "dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [from, data.len()] });
            header.insert(name.clone(), entry);
        }
        let header = Value::Object(header).to_string();
        let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat();
        self.write("model.safetensors", bytes);
    }

    /// Adds tensors; one of the same name is replaced.
    pub(crate) fn add<N: Into<String>>(&self, more: impl IntoIterator<Item = (N, Tensor)>) -> &Self {
        let mut tensors = self.tensors();
        tensors.extend(more.into_iter().map(|(name, tensor)| (name.into(), tensor)));
        self.put(&tensors);
        self
    }

    pub(crate) fn open(&self) -> Result<LoadedModel> {
        open_model(&self.path(), Path::new(""), &|_| ())
    }
}
