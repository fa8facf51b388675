//! All files of a run directory, to be compared with those of another.

use std::collections::BTreeMap;
use std::path::Path;

/// Contents by path, without audit records, lock files and what a killed writer left; the folder's own path is masked.
pub(crate) fn snapshot(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    collect(run, run, &mut files);
    files
}

/// The same of a run that is named by a URL; what a folder has in links is not there.
pub(crate) fn snapshot_of(url: &str) -> BTreeMap<String, Vec<u8>> {
    let (store, _) = tamis_io::store::Store::open(url).unwrap();
    let mut files = BTreeMap::new();
    for entry in store.list("").unwrap() {
        if entry.path.starts_with("audit/") || entry.path.starts_with(".locks/") {
            continue;
        }
        let mut bytes = store.read(&entry.path).unwrap().to_vec();
        if entry.path.ends_with(".json") {
            bytes = String::from_utf8(bytes).unwrap().replace(url.trim_end_matches('/'), "RUN").into_bytes();
        }
        files.insert(entry.path, bytes);
    }
    files
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if name != "audit" && name != ".locks" {
                collect(root, &path, files);
            }
        } else if !name.starts_with(".tamis-tmp-") {
            let relative = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            let mut bytes = std::fs::read(&path).unwrap();
            if relative.ends_with(".json") {
                let text = String::from_utf8(bytes).unwrap();
                bytes = text.replace(root.to_str().unwrap(), "RUN").into_bytes();
            }
            files.insert(relative, bytes);
        }
    }
}

/// Fails with the names of the files that differ, not with their bytes.
pub(crate) fn assert_same(
    found: &BTreeMap<String, Vec<u8>>,
    expected: &BTreeMap<String, Vec<u8>>,
    what: &str,
) {
    let differing: Vec<&String> =
        found.keys().chain(expected.keys()).filter(|name| found.get(*name) != expected.get(*name)).collect();
    assert!(differing.is_empty(), "{what}: these files differ: {differing:?}");
}
