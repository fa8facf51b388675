//! Weights in the safetensors format: one file, or shards with `model.safetensors.index.json`.
//!
//! Format: <https://huggingface.co/docs/safetensors>. Eight bytes of header length, a JSON header, then the tensors
//! without gap or overlap. The crate `safetensors` parses the header and checks that offsets follow one another and fit
//! the shapes; before it sees a byte the header's length is held against the file's, and after it the end of the last
//! tensor against the end of the file, so nothing is allocated on the word of the header alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use ::safetensors::Dtype;
use ::safetensors::tensor::Metadata;

use super::file::{WeightFile, combine_digests};
use super::{Weights, WeightsError, check_shape, convert, missing};
use crate::error::Result;

/// No real header is longer: the largest published models need about a megabyte a shard.
const LARGEST_HEADER_BYTES: u64 = 64 << 20;
/// As above, for the index of shards.
const LARGEST_INDEX_BYTES: u64 = 64 << 20;
/// Bytes of two tensors that are compared at a time.
const COMPARED_BYTES: u64 = 4 << 20;
const KNOWN_TYPES: &str = "F32, F16, BF16";

/// How the bytes of a tensor become numbers.
type Widen = fn(&[u8]) -> Vec<f32>;

/// Where a tensor is.
#[derive(Clone, Debug)]
struct Entry {
    file: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    offset: u64,
    length: u64,
}

/// The tensors of one or more safetensors files.
#[derive(Debug)]
pub struct SafetensorsWeights {
    files: Vec<WeightFile>,
    entries: BTreeMap<String, Entry>,
    digest: String,
}

impl SafetensorsWeights {
    /// Opens files and reads their headers; the whole files are read once for the digest.
    ///
    /// # Errors
    /// A file that cannot be read, a header that does not fit its file, or a tensor that is in two files.
    pub fn open(paths: &[PathBuf]) -> Result<Self> {
        let mut paths = paths.to_vec();
        paths.sort();
        let mut files = Vec::new();
        let mut entries = BTreeMap::new();
        let mut digests = Vec::new();
        for path in &paths {
            let file = WeightFile::open(path)?;
            for (name, entry) in read_header(&file, files.len())? {
                if let Some(other) = entries.insert(name.clone(), entry) {
                    let other: &Entry = &other;
                    let first: &WeightFile = &files[other.file];
                    let problem = format!("tensor `{name}` is also in `{}`", first.display());
                    return Err(file.malformed(problem).into());
                }
            }
            digests.push(file.digest()?);
            files.push(file);
        }
        Ok(Self { files, entries, digest: combine_digests(&digests) })
    }

    /// The files that an index (`model.safetensors.index.json`) names, beside it.
    ///
    /// # Errors
    /// An index that cannot be read, or that names a file outside its folder.
    pub fn shards_of(index: &Path) -> Result<Vec<PathBuf>> {
        #[derive(serde::Deserialize)]
        struct Index {
            weight_map: BTreeMap<String, String>,
        }
        let file = WeightFile::open(index)?;
        if file.size_bytes() > LARGEST_INDEX_BYTES {
            return Err(file
                .malformed(format!("expected at most {LARGEST_INDEX_BYTES} bytes of index"))
                .into());
        }
        let parsed: Index = serde_json::from_slice(&file.read(0, file.size_bytes())?)
            .map_err(|error| file.malformed(format!("not an index of shards: {error}")))?;
        let names: BTreeSet<String> = parsed.weight_map.into_values().collect();
        if names.is_empty() {
            return Err(file.malformed("the index names no shard").into());
        }
        let folder = index.parent().unwrap_or(Path::new(""));
        names
            .into_iter()
            .map(|name| {
                let mut components = Path::new(&name).components();
                match (components.next(), components.next()) {
                    (Some(Component::Normal(only)), None) => Ok(folder.join(only)),
                    _ => Err(file.malformed(format!("shard `{name}` is not a plain file name")).into()),
                }
            })
            .collect()
    }
}

impl SafetensorsWeights {
    /// A tensor that can be read, and how its bytes become numbers.
    fn readable(&self, name: &str, expected_shape: &[usize]) -> Result<(&Entry, Widen), WeightsError> {
        let Some(entry) = self.entries.get(name) else {
            return Err(missing(&self.place(name), name, &self.names()));
        };
        check_shape(&self.place(name), name, expected_shape, &entry.shape)?;
        let to_f32 = match entry.dtype {
            Dtype::F32 => convert::from_f32,
            Dtype::F16 => convert::from_f16,
            Dtype::BF16 => convert::from_bf16,
            other => {
                return Err(WeightsError::DataType {
                    file: self.place(name),
                    tensor: name.to_owned(),
                    known: KNOWN_TYPES,
                    got: format!("{other:?}"),
                });
            }
        };
        Ok((entry, to_f32))
    }
}

fn read_header(file: &WeightFile, index: usize) -> Result<Vec<(String, Entry)>, WeightsError> {
    let mut length = [0; 8];
    if file.size_bytes() < 8 {
        return Err(file.malformed(format!("expected at least 8 bytes, got {}", file.size_bytes())));
    }
    file.read_at(&mut length, 0)?;
    let header_length = u64::from_le_bytes(length);
    let available = file.size_bytes() - 8;
    if header_length > available.min(LARGEST_HEADER_BYTES) {
        return Err(file.malformed(format!(
            "header: expected at most {} bytes, got a length of {header_length}",
            available.min(LARGEST_HEADER_BYTES)
        )));
    }
    let header = file.read(8, header_length)?;
    let metadata: Metadata =
        serde_json::from_slice(&header).map_err(|error| file.malformed(format!("header: {error}")))?;
    let data = available - header_length;
    if metadata.data_len() as u64 != data {
        return Err(file.malformed(format!(
            "expected {} bytes of tensors by the header, got {data}",
            metadata.data_len()
        )));
    }
    let start = 8 + header_length;
    let mut entries = Vec::new();
    for name in metadata.offset_keys() {
        let info = metadata.info(&name).expect("offset_keys lists tensors that exist");
        let (from, to) = info.data_offsets;
        if from > to || to as u64 > data {
            return Err(file.malformed(format!("tensor `{name}`: offsets {from}..{to} are outside the file")));
        }
        let entry = Entry {
            file: index,
            dtype: info.dtype,
            shape: info.shape.clone(),
            offset: start + from as u64,
            length: (to - from) as u64,
        };
        entries.push((name, entry));
    }
    Ok(entries)
}

impl Weights for SafetensorsWeights {
    fn names(&self) -> Vec<String> {
        self.entries.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.entries.get(name).map(|entry| entry.shape.clone())
    }

    fn load(&self, name: &str, expected_shape: &[usize]) -> Result<Vec<f32>> {
        let (entry, to_f32) = self.readable(name, expected_shape)?;
        Ok(to_f32(&self.files[entry.file].read(entry.offset, entry.length)?))
    }

    fn check(&self, name: &str, expected_shape: &[usize]) -> Result<()> {
        Ok(self.readable(name, expected_shape).map(drop)?)
    }

    fn are_equal(&self, one: &str, other: &str) -> Result<bool> {
        let (Some(one), Some(other)) = (self.entries.get(one), self.entries.get(other)) else {
            return Ok(false);
        };
        if (one.dtype, &one.shape, one.length) != (other.dtype, &other.shape, other.length) {
            return Ok(false);
        }
        let read = |entry: &Entry, from, length| self.files[entry.file].read(entry.offset + from, length);
        for from in (0..one.length).step_by(COMPARED_BYTES as usize) {
            let length = COMPARED_BYTES.min(one.length - from);
            if read(one, from, length)? != read(other, from, length)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn place(&self, name: &str) -> String {
        if let Some(entry) = self.entries.get(name) {
            return self.files[entry.file].display();
        }
        // It could be in any of them.
        match self.files.as_slice() {
            [] => String::new(),
            [only] => only.display(),
            [first, others @ ..] => {
                let holds_all = |folder: &&Path| others.iter().all(|other| other.path().starts_with(folder));
                let folder = first.path().ancestors().skip(1).find(holds_all);
                folder.unwrap_or(Path::new("")).display().to_string()
            }
        }
    }

    fn digest(&self) -> String {
        self.digest.clone()
    }
}
