//! The licence of a model, from where models say it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes of a model card or of package metadata that are looked at.
const HEAD_BYTES: u64 = 64 << 10;

/// The licence that a folder states: in the front matter of its model card, else the first line of its licence file.
pub(super) fn of_folder(folder: &Path) -> Option<String> {
    let card = head(&folder.join("README.md")).and_then(|text| {
        let front = text.strip_prefix("---")?.split("\n---").next()?.to_owned();
        field(&front, "license:")
    });
    card.or_else(|| {
        let text = ["LICENSE", "LICENSE.txt", "LICENSE.md", "COPYING"]
            .iter()
            .find_map(|name| head(&folder.join(name)))?;
        text.lines().map(str::trim).find(|line| !line.is_empty()).map(short)
    })
}

/// The licence in the metadata of the wheel that was unpacked to `root`. It is the package's, which may be another than
/// the model's.
pub(super) fn of_wheel(root: &Path) -> Option<String> {
    let entry = std::fs::read_dir(root)
        .ok()?
        .filter_map(Result::ok)
        .find(|entry| entry.file_name().to_str().is_some_and(|name| name.ends_with(".dist-info")))?;
    let text = head(&entry.path().join("METADATA"))?;
    let headers = text.split("\n\n").next()?;
    field(headers, "License-Expression:").or_else(|| field(headers, "License:"))
}

fn field(text: &str, name: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?.trim().trim_matches(['"', '\'']);
    (!value.is_empty()).then(|| short(value))
}

/// One line that fits into a table.
fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(120).collect()
}

fn head(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(HEAD_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).replace("\r\n", "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_card_comes_before_the_licence_file() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(of_folder(folder.path()), None);
        std::fs::write(folder.path().join("LICENSE"), "\n  MIT License\n\nCopyright").unwrap();
        assert_eq!(of_folder(folder.path()).as_deref(), Some("MIT License"));
        std::fs::write(folder.path().join("README.md"), "---\nlanguage: en\nlicense: apache-2.0\n---\n# x")
            .unwrap();
        assert_eq!(of_folder(folder.path()).as_deref(), Some("apache-2.0"));
    }

    #[test]
    fn package_metadata_is_read_up_to_the_description() {
        let root = tempfile::tempdir().unwrap();
        let info = root.path().join("m-1.dist-info");
        std::fs::create_dir(&info).unwrap();
        std::fs::write(info.join("METADATA"), "Name: m\n\nLicense: made up in the description").unwrap();
        assert_eq!(of_wheel(root.path()), None);
        std::fs::write(info.join("METADATA"), "Name: m\nLicense: Apache License 2.0\n\ntext").unwrap();
        assert_eq!(of_wheel(root.path()).as_deref(), Some("Apache License 2.0"));
    }
}
