//! The folder of an export: whose it is, and what is in it when all is written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tamis_core::Fingerprint;
use tamis_io::export::Written;
use tamis_io::run::FORMAT_VERSION;
use tamis_io::store::{Created, Store, StoreError};

use crate::places::{CLAIM, EXPORT_CLAIM};
use crate::{Error, Result};

/// Says what is in it; the last file that is written.
pub(super) const MANIFEST: &str = "export.json";

/// Names of files begin with it.
const PARTS: &str = "part-";

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claim {
    format_version: u64,
    export: BTreeMap<String, String>,
}

/// One file of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportedFile {
    /// Its name in the folder.
    pub path: String,
    /// Copies of documents in it; 0 for an index.
    pub documents: u64,
    /// Tokens in it, separators included; absent in other formats, and for an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Its size.
    pub bytes: u64,
    /// `xxh3:` and 32 hex digits of its bytes.
    pub digest: String,
}

impl ExportedFile {
    pub(super) fn new(written: &Written, documents: u64, tokens: Option<u64>) -> Self {
        let digest = format!("xxh3:{}", written.digest);
        Self { path: written.path.clone(), documents, tokens, bytes: written.bytes, digest }
    }
}

/// `export.json`: nothing in it depends on when, where, with how many threads or in how much memory it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportManifest {
    /// Version of this file's layout.
    pub format_version: u64,
    /// Name of the selection.
    pub selection: String,
    /// Everything that decides the files: format, order, size, tokenizer, target, and `selection`, the digest of its plan.
    pub options: BTreeMap<String, String>,
    /// Different documents.
    pub documents: u64,
    /// Documents with all their copies.
    pub copies: u64,
    /// How often the most frequent document occurs.
    pub epochs: u64,
    /// Bytes of text of all copies.
    pub text_bytes: u64,
    /// Tokens of all copies, separators included; null in other formats.
    pub tokens: Option<u64>,
    /// `uint16` or `uint32`, little-endian; null in other formats.
    pub dtype: Option<String>,
    /// The token behind each document; null in other formats.
    pub separator: Option<u32>,
    /// One more than the largest token; null in other formats.
    pub vocabulary: Option<u64>,
    /// Source of the tokenizer; null in other formats.
    pub tokenizer: Option<String>,
    /// All files, in order.
    pub files: Vec<ExportedFile>,
}

/// How far a folder is.
pub(super) enum Standing {
    /// Nothing of it, or not all.
    Unfinished,
    /// All is there.
    Finished(ExportManifest),
}

fn refuse<T>(message: String) -> Result<T> {
    Err(Error::state(message, "choose another --out, or remove what is there"))
}

/// Looks whether a folder can hold an export, or holds it already; nothing is written.
pub(super) fn look(out: &Store, options: &Fingerprint) -> Result<Standing> {
    if out.exists(CLAIM)? {
        return refuse(format!("`{}` holds the kept documents of a selection", out.location("")));
    }
    let Some(bytes) = read(out, EXPORT_CLAIM)? else {
        for entry in out.list("")? {
            if entry.path.starts_with(PARTS) || entry.path == MANIFEST {
                return refuse(format!(
                    "`{}` is there already and no export wrote it",
                    out.location(&entry.path)
                ));
            }
        }
        return Ok(Standing::Unfinished);
    };
    let claim: Claim = decode(out, EXPORT_CLAIM, &bytes)?;
    let changes = Fingerprint::from_fields(claim.export).changes(options);
    if !changes.is_empty() {
        let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
        return refuse(format!("`{}` holds another export: {}", out.location(""), changes.join("; ")));
    }
    let Some(bytes) = read(out, MANIFEST)? else { return Ok(Standing::Unfinished) };
    let manifest: ExportManifest = decode(out, MANIFEST, &bytes)?;
    for file in &manifest.files {
        if out.size(&file.path)? != Some(file.bytes) {
            return refuse(format!(
                "`{}` is not as `{MANIFEST}` lists it: expected {} bytes",
                out.location(&file.path),
                file.bytes
            ));
        }
    }
    Ok(Standing::Finished(manifest))
}

/// Takes a folder for an export, where [`look`] found nothing against it.
pub(super) fn claim(out: &Store, options: &Fingerprint) -> Result<()> {
    out.remove_stale_temporaries(Store::STALE)?;
    let claim = Claim { format_version: FORMAT_VERSION, export: options.fields().clone() };
    let bytes = encode(&claim)?;
    if out.create_new(EXPORT_CLAIM, &bytes)? == Created::Existed && out.read(EXPORT_CLAIM)? != bytes {
        return refuse(format!("`{}` was taken by another export just now", out.location("")));
    }
    Ok(())
}

/// Says that all is there.
pub(super) fn finish(out: &Store, manifest: &ExportManifest) -> Result<()> {
    let bytes = encode(manifest)?;
    if out.create_new(MANIFEST, &bytes)? == Created::Existed && out.read(MANIFEST)? != bytes {
        return refuse(format!("`{}` says something else", out.location(MANIFEST)));
    }
    Ok(())
}

fn read(out: &Store, path: &str) -> Result<Option<Vec<u8>>> {
    match out.read(path) {
        Ok(bytes) => Ok(Some(bytes.to_vec())),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|error| Error::state(format!("export: {error}"), "this is a bug of tamis"))?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn decode<'b, T: Deserialize<'b>>(out: &Store, path: &str, bytes: &'b [u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| {
        let path = out.location(path);
        let hint = format!("if the file was damaged, remove `{path}` and run the command again");
        Error::state(format!("`{path}` is not what tamis wrote: {error}"), hint)
    })
}
