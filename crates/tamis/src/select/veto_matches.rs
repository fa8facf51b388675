//! Which entries of the veto files name a document, before anything is selected.
//!
//! A veto that matched nothing looks like success: the documents that it was to keep out are in. So every entry is looked for
//! in the inventories, files say how many of theirs were found, and of those that were not it is said what they look like (JSON,
//! a table, a string in quotation marks) and which ids differ from them in spelling alone.
//!
//! Memory: a bit for each entry, and of the first 10,000 entries that match nothing their spellings and one id.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use serde::{Deserialize, Serialize};
use tamis_core::{DocKey, column};
use tamis_io::run::{CorpusVersion, IdColumn, RunDirectory, ShardRecord, shard_stem};
use tamis_io::sidecar::SidecarColumns;

use super::vetoes::{VetoFile, Vetoes, key};
use crate::{Result, pool};

/// Entries that match nothing and are looked for in other spellings.
const SPELLED: usize = 10_000;

/// Characters of an entry or id in a message.
const SHOWN: usize = 80;

/// One veto file, and how many of its entries name a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VetoRecord {
    /// The file, as it was named.
    pub file: String,
    /// Distinct entries.
    pub entries: u64,
    /// Those of them that are the id or the key of a document.
    pub matched: u64,
}

/// What came of all of them.
#[derive(Debug, Default)]
pub(super) struct VetoMatches {
    pub(super) records: Vec<VetoRecord>,
    /// One a file of which nothing matched, or of which entries are written otherwise than the ids that they seem to mean.
    pub(super) warnings: Vec<String>,
}

/// Documents whose id differs from an entry in spelling alone.
#[derive(Debug)]
struct Near {
    documents: u64,
    /// The smallest such id, and its key.
    id: String,
    key: DocKey,
}

/// Looks every entry up.
pub(super) fn find(
    vetoes: &Vetoes,
    run: &RunDirectory,
    version: &CorpusVersion,
    threads: usize,
) -> Result<VetoMatches> {
    if !vetoes.need_ids() {
        return Ok(VetoMatches::default());
    }
    let found: Vec<AtomicU64> = (0..vetoes.len().div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
    let is_found = |entry: usize| found[entry / 64].load(Ordering::Relaxed) >> (entry % 64) & 1 == 1;
    let samples = over_documents(run, version, threads, |_, documents: &mut dyn Iterator<Item = _>| {
        let mut sample = None;
        for (key, id) in documents {
            for entry in vetoes.by_key(key).chain(id.and_then(|id| vetoes.by_id(id))) {
                found[entry / 64].fetch_or(1 << (entry % 64), Ordering::Relaxed);
            }
            sample = sample.or_else(|| id.map(str::to_owned));
        }
        sample
    })?;
    let sample = samples.into_iter().flatten().next();
    let missing: Vec<usize> = (0..vetoes.len()).filter(|entry| !is_found(*entry)).take(SPELLED).collect();
    let near = near(vetoes, &missing, run, version, threads)?;
    let mut matches = VetoMatches::default();
    for file in vetoes.files() {
        let matched = file.entries.iter().filter(|entry| is_found(**entry)).count();
        let record = VetoRecord {
            file: file.name.clone(),
            entries: file.entries.len() as u64,
            matched: matched as u64,
        };
        let missing = |entry: &usize| !is_found(*entry);
        let reasons = reasons(vetoes, file, missing, &near, version, sample.as_deref());
        if matched == 0 || !reasons.is_empty() {
            let nothing = if matched == 0 { ": it vetoes nothing" } else { "" };
            let reasons: String = reasons.iter().map(|reason| format!("; {reason}")).collect();
            matches.warnings.push(format!(
                "veto file `{}`: {matched} of {} matched{nothing}{reasons}",
                record.file,
                entries(record.entries)
            ));
        }
        matches.records.push(record);
    }
    Ok(matches)
}

impl VetoRecord {
    /// `veto FILE: n of m entries matched`.
    #[must_use]
    pub fn in_words(&self) -> String {
        format!("veto `{}`: {} of {} matched", self.file, self.matched, entries(self.entries))
    }
}

fn entries(number: u64) -> String {
    if number == 1 { "1 entry".to_owned() } else { format!("{number} entries") }
}

/// Calls `each` with key and id of all documents of a shard, shard by shard.
fn over_documents<R: Merge + Send>(
    run: &RunDirectory,
    version: &CorpusVersion,
    threads: usize,
    each: impl Fn(&ShardRecord, &mut dyn Iterator<Item = (DocKey, Option<&str>)>) -> R + Sync,
) -> Result<Vec<R>> {
    const COLUMNS: [&str; 2] = [column::ID, column::DOC_KEY];
    pool::map(version.shards.iter().collect(), threads, |shard: &ShardRecord| {
        let mut all = R::default();
        for batch in run.read_inventory(&shard.path, SidecarColumns::Named(&COLUMNS))? {
            let batch: RecordBatch = batch?;
            let of = |name: &str| batch.column_by_name(name).expect("the column was asked for");
            let ids = of(column::ID).as_string::<i32>();
            let keys = of(column::DOC_KEY).as_fixed_size_binary();
            let mut documents = (0..batch.num_rows()).map(|at| {
                let key = keys.value(at).try_into().expect("16 bytes by the inventory's schema");
                (DocKey::from_bytes(key), ids.is_valid(at).then(|| ids.value(at)))
            });
            all.add(each(shard, &mut documents));
        }
        Ok(all)
    })
}

/// What batches give, put together.
trait Merge: Default {
    fn add(&mut self, other: Self);
}

impl Merge for Option<String> {
    fn add(&mut self, other: Self) {
        if self.is_none() {
            *self = other;
        }
    }
}

impl Merge for BTreeMap<usize, Near> {
    fn add(&mut self, other: Self) {
        for (entry, near) in other {
            match self.entry(entry) {
                Entry::Vacant(free) => {
                    free.insert(near);
                }
                Entry::Occupied(mut taken) => {
                    let known = taken.get_mut();
                    known.documents += near.documents;
                    if (&near.id, near.key) < (&known.id, known.key) {
                        (known.id, known.key) = (near.id, near.key);
                    }
                }
            }
        }
    }
}

/// Ids that differ in spelling alone from entries that match nothing.
fn near(
    vetoes: &Vetoes,
    missing: &[usize],
    run: &RunDirectory,
    version: &CorpusVersion,
    threads: usize,
) -> Result<BTreeMap<usize, Near>> {
    let mut spelled: Vec<(String, usize)> =
        missing.iter().flat_map(|&at| spellings(vetoes.entry(at)).map(move |form| (form, at))).collect();
    spelled.sort_unstable();
    spelled.dedup();
    if spelled.is_empty() || version.columns.id == IdColumn::FromText {
        return Ok(BTreeMap::new());
    }
    let qualified = matches!(version.columns.id, IdColumn::Qualified(_));
    let shards = over_documents(run, version, threads, |shard, documents: &mut dyn Iterator<Item = _>| {
        let mut found: BTreeMap<usize, Near> = BTreeMap::new();
        let mut take = |form: &str, id: &str, key: DocKey| {
            let from = spelled.partition_point(|(other, _)| other.as_str() < form);
            for (_, entry) in spelled[from..].iter().take_while(|(other, _)| other == form) {
                let near = Near { documents: 1, id: id.to_owned(), key };
                found.add(BTreeMap::from([(*entry, near)]));
            }
        };
        for (key, id) in documents {
            let Some(id) = id else { continue };
            // What another entry names is vetoed already.
            if vetoes.contains(key, Some(id)) {
                continue;
            }
            take(&plain(id), id, key);
            let bare = id.strip_prefix(shard_stem(&shard.path)).and_then(|rest| rest.strip_prefix(':'));
            if let Some(bare) = bare.filter(|_| qualified) {
                take(&plain(bare), id, key);
                take(&plain(&format!("{}:{bare}", shard.path)), id, key);
            }
        }
        found
    })?;
    let mut all = BTreeMap::new();
    shards.into_iter().for_each(|shard| all.add(shard));
    Ok(all)
}

/// What an entry is if it stands for more than itself, each as [`plain`] has it.
fn spellings(entry: &str) -> impl Iterator<Item = String> {
    const CELLS: usize = 16;
    let mut forms = vec![plain(entry).into_owned()];
    match serde_json::from_str::<serde_json::Value>(entry) {
        Ok(serde_json::Value::Object(object)) => forms.extend(object.values().filter_map(scalar)),
        Ok(serde_json::Value::Array(items)) => forms.extend(items.iter().filter_map(scalar)),
        Ok(value) => forms.extend(scalar(&value)),
        Err(_) => {
            // A first cell in quotation marks may hold what separates cells.
            let quoted = entry.strip_prefix('"').and_then(|rest| Some(rest.split_once('"')?.0));
            forms.extend(quoted.map(|cell| plain(cell).into_owned()));
            forms.extend(entry.split([',', '\t', ';', '|']).take(CELLS).map(|cell| plain(cell).into_owned()));
        }
    }
    forms.sort_unstable();
    forms.dedup();
    forms.truncate(CELLS);
    forms.into_iter().filter(|form| !form.is_empty())
}

fn scalar(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) => Some(plain(text).into_owned()),
        serde_json::Value::Number(number) => Some(plain(&number.to_string()).into_owned()),
        _ => None,
    }
}

/// A name without what spellings differ in: quotation marks and white space around it, case, zeros before or a fraction of
/// zeros behind an integer.
fn plain(name: &str) -> Cow<'_, str> {
    let around = |c: char| {
        c.is_whitespace()
            || matches!(
                c,
                '"' | '\'' | '`' | '\u{2018}'
                    ..='\u{201f}' | '\u{ab}' | '\u{bb}' | '\u{feff}' | '\u{200b}' | '<' | '>'
            )
    };
    let name = name.trim_matches(around);
    let (whole, fraction) = name.split_once('.').unwrap_or((name, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits(whole) && digits(fraction) && fraction.bytes().all(|byte| byte == b'0') {
        let short = whole.trim_start_matches('0');
        return Cow::Borrowed(if short.is_empty() { "0" } else { short });
    }
    if name.chars().any(char::is_uppercase) { Cow::Owned(name.to_lowercase()) } else { Cow::Borrowed(name) }
}

/// Why entries of a file match nothing, as far as it shows.
fn reasons(
    vetoes: &Vetoes,
    file: &VetoFile,
    missing: impl Fn(&usize) -> bool,
    near: &BTreeMap<usize, Near>,
    version: &CorpusVersion,
    sample: Option<&str>,
) -> Vec<String> {
    let missing = || file.entries.iter().copied().filter(|entry| missing(entry));
    let mut reasons = Vec::new();
    if version.columns.id == IdColumn::FromText {
        let ids = missing().filter(|entry| key(vetoes.entry(*entry)).is_none()).count();
        if ids > 0 {
            reasons.push(format!(
                "{} no document key, and documents of this run have no ids, they are known by their text: only keys, 32 hex \
                 digits as `tamis why SHARD:LINE` shows them, veto here",
                of(ids)
            ));
        }
        return reasons;
    }
    let mut looks: BTreeMap<Look, (usize, usize)> = BTreeMap::new();
    for entry in missing() {
        if let Some(look) = Look::of(vetoes.entry(entry), sample.unwrap_or_default()) {
            looks.entry(look).or_insert((0, entry)).0 += 1;
        }
    }
    for (look, (number, first)) in looks {
        reasons.push(format!("{} {}, such as `{}`", of(number), look.in_words(), cut(vetoes.entry(first))));
    }
    let spelled = missing().filter(|entry| near.contains_key(entry)).count();
    if let Some((entry, near)) = missing().find_map(|entry| near.get_key_value(&entry)) {
        let entry = cut(vetoes.entry(*entry));
        let (id, key) = (cut(&near.id), near.key);
        let meant = if near.id.trim() != near.id || near.id.contains(['\n', '\r']) {
            format!(
                "the id `{id}` has white space around it or a line break in it, which an entry cannot have: write its key, \
                 `{key}`"
            )
        } else if near.documents > 1 {
            format!("did you mean one of {} documents, such as `{id}`, for `{entry}`?", near.documents)
        } else if id.ends_with('…') {
            format!("did you mean `{id}` for `{entry}`? Its key is `{key}`")
        } else {
            format!("did you mean `{id}` for `{entry}`?")
        };
        reasons.push(format!("{} an id but for its spelling: {meant}", of(spelled)));
    } else if let Some(sample) = sample.filter(|_| missing().count() == file.entries.len()) {
        reasons.push(format!("ids of this run are such as `{}`", cut(sample)));
    }
    if !reasons.is_empty() {
        reasons
            .push("an entry is a line with an id as it stands in the corpus, or a document key".to_owned());
    }
    reasons
}

fn of(number: usize) -> String {
    if number == 1 { "1 entry is".to_owned() } else { format!("{number} entries are") }
}

fn cut(text: &str) -> String {
    if text.chars().count() <= SHOWN {
        text.to_owned()
    } else {
        text.chars().take(SHOWN).chain(['…']).collect()
    }
}

/// What an entry that matches nothing looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Look {
    Json,
    Quoted,
    Table,
}

impl Look {
    /// `sample` is an id of the run: what such ids have in them separates no cells.
    fn of(entry: &str, sample: &str) -> Option<Self> {
        let ends =
            |marks: [char; 2]| entry.len() > 1 && entry.starts_with(marks[0]) && entry.ends_with(marks[1]);
        if ends(['{', '}']) || ends(['[', ']']) {
            Some(Self::Json)
        } else if is_row(entry, sample) {
            Some(Self::Table)
        } else if ends(['"', '"']) || ends(['\'', '\'']) {
            Some(Self::Quoted)
        } else {
            None
        }
    }

    fn in_words(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Quoted => "in quotation marks",
            Self::Table => "like a row of a table (commas, semicolons or tabs)",
        }
    }
}

/// Whether an entry looks like several cells. An address may have commas and semicolons.
fn is_row(entry: &str, sample: &str) -> bool {
    let first = |mark: char| entry.find(mark).filter(|_| !sample.contains(mark));
    let address = entry.find("://").unwrap_or(usize::MAX);
    first('\t').is_some() || [',', ';'].into_iter().filter_map(first).any(|at| at < address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_id_are_one() {
        for name in ["D0", " d0 ", "\"d0\"", "'d0'", "\u{feff}d0", "\u{201c}d0\u{201d}"] {
            assert_eq!(plain(name), "d0", "{name:?}");
        }
        for name in ["7", "007", "7.0", "07.00"] {
            assert_eq!(plain(name), "7", "{name:?}");
        }
        assert_eq!(
            (plain("000"), plain("7.5"), plain("v07"), plain("")),
            ("0".into(), "7.5".into(), "v07".into(), "".into())
        );
    }

    #[test]
    fn entries_stand_for_what_is_in_them() {
        let of = |entry: &str| spellings(entry).collect::<Vec<_>>();
        assert!(of(r#"{"id": "d0", "why": "law"}"#).contains(&"d0".to_owned()));
        assert!(of(r#"["D0"]"#).contains(&"d0".to_owned()));
        assert_eq!(of("d0,\"d1\""), ["d0", "d0,\"d1", "d1"]);
        assert_eq!(of("\"d0\""), ["d0"]);
        assert!(of("\"D,0\",law").contains(&"d,0".to_owned()));
        assert_eq!(of("\"\""), [""; 0]);
    }

    #[test]
    fn lists_that_are_something_else_are_known_by_their_looks() {
        for (entry, look) in [
            (r#"{"id":"d0"}"#, Some(Look::Json)),
            ("[1]", Some(Look::Json)),
            ("d0,d1", Some(Look::Table)),
            ("d0\tlaw", Some(Look::Table)),
            ("law;http://x", Some(Look::Table)),
            ("http://x/y\tlaw", Some(Look::Table)),
            ("\"d0\"", Some(Look::Quoted)),
            ("\"", None),
            ("d0", None),
            ("http://x/y?z", None),
            ("http://x/a,b;c", None),
        ] {
            assert_eq!(Look::of(entry, "d7"), look, "{entry}");
        }
        assert_eq!(Look::of("Paris, 1900", "London, 1880"), None, "ids of this run have commas");
    }
}
