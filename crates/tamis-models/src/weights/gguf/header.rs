//! The header of a GGUF file, version 2 or 3: metadata and the list of tensors.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>. Everything in it may be a lie. A count is held
//! against the bytes that are left before memory is asked for; strings and arrays grow as they are read; tensors have
//! to lie inside the file, aligned, without overlap.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};

use super::super::WeightsError;
use super::super::file::WeightFile;
use super::blocks::Format;
use super::value::{Kind, Numbers, Value};

const MAGIC: &[u8; 4] = b"GGUF";
const DEFAULT_ALIGNMENT: u64 = 32;
/// No real header is longer: a vocabulary of a quarter of a million entries with merges takes about 16 MiB.
const LARGEST_HEADER_BYTES: u64 = 128 << 20;
/// `GGML_MAX_DIMS` of the reference implementation.
const MOST_DIMENSIONS: u32 = 4;
/// Key length, kind and the shortest value; what a metadata entry needs at least.
const SHORTEST_ENTRY_BYTES: u64 = 8 + 4 + 1;
/// Name length, number of dimensions, one dimension, format, offset.
const SHORTEST_TENSOR_BYTES: u64 = 8 + 4 + 8 + 4 + 8;

/// One tensor as the header describes it.
#[derive(Clone, Debug)]
pub(super) struct TensorInfo {
    /// Outermost dimension first.
    pub(super) shape: Vec<usize>,
    /// The format; or its number, where it is not one that can be read.
    pub(super) format: Result<Format, u32>,
    /// From the beginning of the file.
    pub(super) offset: u64,
    /// 0 where the format is not known.
    pub(super) length: u64,
}

/// A parsed header.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) metadata: BTreeMap<String, Value>,
    pub(super) tensors: BTreeMap<String, TensorInfo>,
}

/// Reads forward and knows how much can still come.
struct HeaderReader<'a> {
    file: &'a WeightFile,
    input: BufReader<File>,
    position: u64,
    end: u64,
}

pub(super) fn read(file: &WeightFile) -> Result<Header, WeightsError> {
    let opened = File::open(file.path())
        .map_err(|source| WeightsError::Read { path: file.path().to_owned(), source })?;
    let end = file.size_bytes().min(LARGEST_HEADER_BYTES);
    let mut reader =
        HeaderReader { file, input: BufReader::with_capacity(1 << 16, opened), position: 0, end };
    reader.header()
}

impl HeaderReader<'_> {
    fn malformed(&self, problem: impl std::fmt::Display) -> WeightsError {
        self.file.malformed(format!("header at byte {}: {problem}", self.position))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), WeightsError> {
        let left = self.end - self.position;
        if bytes.len() as u64 > left {
            return Err(self.malformed(format!("expected {} more bytes, got {left}", bytes.len())));
        }
        self.input
            .read_exact(bytes)
            .map_err(|source| WeightsError::Read { path: self.file.path().to_owned(), source })?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// `count` things of at least `least` bytes each must fit into what is left.
    fn check_count(&self, what: &str, count: u64, least: u64) -> Result<(), WeightsError> {
        let left = self.end - self.position;
        if count.checked_mul(least).is_none_or(|bytes| bytes > left) {
            return Err(
                self.malformed(format!("{what}: {count} do not fit into the {left} bytes that are left"))
            );
        }
        Ok(())
    }

    fn bytes(&mut self, what: &str, length: u64) -> Result<Vec<u8>, WeightsError> {
        self.check_count(what, length, 1)?;
        let mut bytes = vec![0; length as usize];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, WeightsError> {
        let mut bytes = [0; 4];
        self.fill(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn u64(&mut self) -> Result<u64, WeightsError> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn text(&mut self) -> Result<String, WeightsError> {
        let length = self.u64()?;
        let bytes = self.bytes("characters of a string", length)?;
        String::from_utf8(bytes).map_err(|_| self.malformed("a string is not UTF-8"))
    }

    fn kind(&mut self) -> Result<Kind, WeightsError> {
        let number = self.u32()?;
        Kind::from_number(number)
            .ok_or_else(|| self.malformed(format!("expected a value type of 0 to 12, got {number}")))
    }

    fn value(&mut self) -> Result<Value, WeightsError> {
        match self.kind()? {
            Kind::Text => Ok(Value::Text(self.text()?)),
            Kind::Array => self.array(),
            kind => {
                let width = kind.width().expect("only text and arrays have no fixed width");
                let mut bytes = [0; 8];
                self.fill(&mut bytes[..width])?;
                Ok(kind.decode(&bytes[..width]))
            }
        }
    }

    fn array(&mut self) -> Result<Value, WeightsError> {
        let kind = self.kind()?;
        let count = self.u64()?;
        match (kind, kind.width()) {
            (_, Some(width)) => {
                self.check_count("numbers of an array", count, width as u64)?;
                let bytes = self.bytes("numbers of an array", count * width as u64)?;
                Ok(Value::Numbers(Numbers::new(kind, bytes)))
            }
            (Kind::Text, None) => {
                self.check_count("strings of an array", count, 8)?;
                let mut texts = Vec::new();
                for _ in 0..count {
                    texts.push(self.text()?);
                }
                Ok(Value::Texts(texts))
            }
            _ => Err(self.malformed("arrays of arrays are not supported")),
        }
    }

    fn header(&mut self) -> Result<Header, WeightsError> {
        let mut magic = [0; 4];
        self.fill(&mut magic)?;
        if &magic != MAGIC {
            return Err(self.malformed(format!("expected `GGUF`, got `{}`", magic.escape_ascii())));
        }
        match self.u32()? {
            2 | 3 => {}
            version if matches!(version.swap_bytes(), 2 | 3) => {
                return Err(self.malformed("big-endian files are not supported"));
            }
            version => return Err(self.malformed(format!("expected version 2 or 3, got {version}"))),
        }
        let tensor_count = self.u64()?;
        let entry_count = self.u64()?;
        self.check_count("metadata entries", entry_count, SHORTEST_ENTRY_BYTES)?;
        let mut metadata = BTreeMap::new();
        for _ in 0..entry_count {
            let key = self.text()?;
            let value = self.value()?;
            if metadata.insert(key.clone(), value).is_some() {
                return Err(self.malformed(format!("metadata `{key}` is there twice")));
            }
        }
        let alignment = match metadata.get("general.alignment") {
            None => DEFAULT_ALIGNMENT,
            Some(value) => value
                .as_integer()
                .and_then(|value| u64::try_from(value).ok())
                .filter(|value| value.is_power_of_two() && *value <= 1 << 20)
                .ok_or_else(|| self.malformed("`general.alignment` is not a power of two up to 1048576"))?,
        };
        self.check_count("tensors", tensor_count, SHORTEST_TENSOR_BYTES)?;
        let mut tensors = BTreeMap::new();
        for _ in 0..tensor_count {
            let name = self.text()?;
            let info = self.tensor(&name, alignment)?;
            if tensors.insert(name.clone(), info).is_some() {
                return Err(self.malformed(format!("tensor `{name}` is there twice")));
            }
        }
        let data = self.position.next_multiple_of(alignment);
        self.place(&mut tensors, data)?;
        Ok(Header { metadata, tensors })
    }

    fn tensor(&mut self, name: &str, alignment: u64) -> Result<TensorInfo, WeightsError> {
        let dimensions = self.u32()?;
        if dimensions == 0 || dimensions > MOST_DIMENSIONS {
            return Err(self.malformed(format!(
                "tensor `{name}`: expected 1 to {MOST_DIMENSIONS} dimensions, got {dimensions}"
            )));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            let size = self.u64()?;
            let size = usize::try_from(size).ok().filter(|size| *size > 0);
            shape.push(
                size.ok_or_else(|| {
                    self.malformed(format!("tensor `{name}`: a dimension is 0 or too large"))
                })?,
            );
        }
        // The file has the innermost dimension first.
        let row = shape[0];
        shape.reverse();
        let number = self.u32()?;
        let format = Format::from_number(number).ok_or(number);
        let offset = self.u64()?;
        if !offset.is_multiple_of(alignment) {
            return Err(self.malformed(format!(
                "tensor `{name}`: expected an offset that is a multiple of {alignment}, got {offset}"
            )));
        }
        let length = match format {
            Err(_) => 0,
            Ok(format) if !row.is_multiple_of(format.block_values()) => {
                return Err(self.malformed(format!(
                    "tensor `{name}`: expected rows of a multiple of {} values for {format:?}, got {row}",
                    format.block_values()
                )));
            }
            Ok(format) => shape
                .iter()
                .try_fold(1u64, |product, &size| product.checked_mul(size as u64))
                .and_then(|values| {
                    (values / format.block_values() as u64).checked_mul(format.block_bytes() as u64)
                })
                .ok_or_else(|| self.malformed(format!("tensor `{name}`: shape {shape:?} is too large")))?,
        };
        Ok(TensorInfo { shape, format, offset, length })
    }

    /// Turns offsets into the data section into offsets into the file, and checks that tensors lie in it side by side.
    fn place(&self, tensors: &mut BTreeMap<String, TensorInfo>, data: u64) -> Result<(), WeightsError> {
        let size = self.file.size_bytes();
        for (name, info) in tensors.iter_mut() {
            let from = info.offset.checked_add(data);
            let to = from.and_then(|from| from.checked_add(info.length));
            match (from, to) {
                (Some(from), Some(to)) if to <= size => info.offset = from,
                _ => {
                    return Err(self.file.malformed(format!(
                        "tensor `{name}`: expected {} bytes at offset {} of the tensors, but the file ends at {size}",
                        info.length, info.offset
                    )));
                }
            }
        }
        let mut by_offset: Vec<_> = tensors.iter().filter(|(_, info)| info.length > 0).collect();
        by_offset.sort_by_key(|(_, info)| info.offset);
        for pair in by_offset.windows(2) {
            let [(first, a), (second, b)] = pair else { continue };
            if a.offset + a.length > b.offset {
                return Err(self.file.malformed(format!("tensors `{first}` and `{second}` overlap")));
            }
        }
        Ok(())
    }
}
