//! Immutable versions of what a corpus consists of.
//!
//! A version lists every shard with its content's digest, so that a shard that changed or vanished is seen before its old
//! scores are used for other text. A shard that is added makes the next version; nothing else may.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::paths::check_shard_names;
use super::{FORMAT_VERSION, RowSpan, RunDirectory, RunError, RunResult, json};
use crate::corpus::IdMode;
use crate::store::Created;

/// Bytes of text after which the inventory notes a part border. Cheap signals are computed in such parts; costly ones cut
/// them finer.
pub const PART_TEXT_BYTES: u64 = 4 << 20;

/// One version of a corpus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorpusVersion {
    /// [`FORMAT_VERSION`]; set when written.
    pub format_version: u64,
    /// 1 for the first version; set when written.
    pub number: u64,
    /// Folder, glob or URL that was given; for people, nothing is read from it.
    pub location: String,
    /// How rows become documents.
    pub columns: CorpusColumns,
    /// All shards, sorted by path.
    pub shards: Vec<ShardRecord>,
}

/// How rows of the corpus become documents. Whatever differs here gives other keys or texts, so a run has one only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorpusColumns {
    /// Column of the text.
    pub text: String,
    /// Where ids come from.
    pub id: IdColumn,
    /// Part of every key; separates corpora whose ids collide.
    pub namespace: String,
    /// Columns that the inventory keeps.
    pub carry: Vec<String>,
    /// Lines above this many bytes are failed rows.
    pub max_line_bytes: u64,
}

/// Where ids come from; decided once for a corpus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum IdColumn {
    /// From this column.
    Column(String),
    /// From this column, within the shard: `SHARD:ID`, the shard by its path without known endings.
    Qualified(String),
    /// The corpus has none: the text identifies a document.
    FromText,
}

impl From<&IdMode> for IdColumn {
    fn from(mode: &IdMode) -> Self {
        match mode {
            IdMode::Column(name) => Self::Column(name.clone()),
            IdMode::Qualified(name) => Self::Qualified(name.clone()),
            IdMode::FromText => Self::FromText,
        }
    }
}

impl From<&IdColumn> for IdMode {
    fn from(column: &IdColumn) -> Self {
        match column {
            IdColumn::Column(name) => Self::Column(name.clone()),
            IdColumn::Qualified(name) => Self::Qualified(name.clone()),
            IdColumn::FromText => Self::FromText,
        }
    }
}

/// One shard as its first pass found it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardRecord {
    /// Path within the corpus, with `/`.
    pub path: String,
    /// Physical rows: lines, broken and blank ones included, or parquet rows.
    pub rows: u64,
    /// Rows that could be read; the inventory has as many.
    pub documents: u64,
    /// Rows that could not be read, by reason. Blank lines are neither documents nor failures.
    pub failed: BTreeMap<String, u64>,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// 32 hex digits of the content's digest.
    pub digest: String,
    /// Modification time or entity tag: a quick hint that nothing changed. It may differ between copies of one corpus.
    pub version: String,
    /// Consecutive parts that cover all rows, of about [`PART_TEXT_BYTES`] each.
    pub parts: Vec<PartRecord>,
}

/// A stretch of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartRecord {
    /// First physical row.
    pub first_row: u64,
    /// Number of physical rows.
    pub rows: u64,
    /// Number of documents among them.
    pub documents: u64,
    /// Bytes of text of these documents.
    pub text_bytes: u64,
}

impl ShardRecord {
    /// Bytes of text of all documents.
    #[must_use]
    pub fn text_bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.text_bytes).sum()
    }

    /// Number of rows that could not be read.
    #[must_use]
    pub fn failed_rows(&self) -> u64 {
        self.failed.values().sum()
    }

    /// All physical rows.
    #[must_use]
    pub fn span(&self) -> RowSpan {
        RowSpan { first_row: 0, rows: self.rows }
    }

    /// Checks that parts follow each other and that counts add up.
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut next = 0_u64;
        let mut documents = 0_u64;
        let sum = |a: u64, b: u64| a.checked_add(b).ok_or_else(|| "counts overflow".to_owned());
        for part in &self.parts {
            if part.first_row != next || part.documents > part.rows {
                return Err(format!("its part at row {} does not fit", part.first_row));
            }
            next = sum(next, part.rows)?;
            documents = sum(documents, part.documents)?;
        }
        let failed = self.failed.values().try_fold(0, |total, &count| sum(total, count))?;
        self.parts.iter().try_fold(0, |total, part| sum(total, part.text_bytes))?;
        if next != self.rows || documents != self.documents || sum(documents, failed)? > self.rows {
            return Err("its counts do not add up".to_owned());
        }
        Ok(())
    }

    /// Whether the content is the same; a hint about its version does not count.
    pub(crate) fn same_content(&self, other: &Self) -> bool {
        let bare = |record: &Self| Self { version: String::new(), ..record.clone() };
        bare(self) == bare(other)
    }
}

impl CorpusVersion {
    /// A version to be passed to [`RunDirectory::write_next_corpus`], which gives it its number.
    #[must_use]
    pub fn new(location: String, columns: CorpusColumns, mut shards: Vec<ShardRecord>) -> Self {
        shards.sort_by(|a, b| a.path.cmp(&b.path));
        Self { format_version: FORMAT_VERSION, number: 0, location, columns, shards }
    }

    /// A shard by its path.
    #[must_use]
    pub fn shard(&self, path: &str) -> Option<&ShardRecord> {
        let at = self.shards.binary_search_by(|shard| shard.path.as_str().cmp(path)).ok()?;
        self.shards.get(at)
    }

    /// Number of documents of all shards.
    #[must_use]
    pub fn documents(&self) -> u64 {
        self.shards.iter().map(|shard| shard.documents).sum()
    }

    /// Number of failed rows of all shards.
    #[must_use]
    pub fn failed_rows(&self) -> u64 {
        self.shards.iter().map(ShardRecord::failed_rows).sum()
    }

    fn check(&self) -> Result<(), String> {
        if let Some(pair) = self.shards.windows(2).find(|pair| pair[0].path >= pair[1].path) {
            return Err(format!("shard `{}` is listed twice or out of order", pair[1].path));
        }
        for shard in &self.shards {
            shard.check().map_err(|problem| format!("shard `{}`: {problem}", shard.path))?;
        }
        let mut all = [0_u64; 3];
        for shard in &self.shards {
            for (total, count) in all.iter_mut().zip([shard.rows, shard.bytes, shard.text_bytes()]) {
                *total = total.checked_add(count).ok_or("counts overflow")?;
            }
        }
        Ok(())
    }

    /// What keeps `next` from following this version: one sentence a shard or option; empty when nothing does.
    #[must_use]
    pub fn problems_of(&self, next: &Self) -> Vec<String> {
        let mut problems = self.columns.differences(&next.columns);
        for shard in &self.shards {
            match next.shard(&shard.path) {
                None => problems.push(format!("shard `{}` has vanished", shard.path)),
                Some(now) if !shard.same_content(now) => problems.push(format!(
                    "shard `{}` has changed: expected {} bytes and digest {}, got {} bytes and digest {}",
                    shard.path, shard.bytes, shard.digest, now.bytes, now.digest
                )),
                Some(_) => {}
            }
        }
        problems
    }
}

impl CorpusColumns {
    /// Fields in which `asked` differs, one sentence each.
    #[must_use]
    pub fn differences(&self, asked: &Self) -> Vec<String> {
        let id = |columns: &Self| match &columns.id {
            IdColumn::Column(name) => name.clone(),
            IdColumn::Qualified(name) => format!("{name}, qualified by shard"),
            IdColumn::FromText => "none, the text identifies a document".to_owned(),
        };
        let fields = [
            ("text column", self.text.clone(), asked.text.clone()),
            ("id column", id(self), id(asked)),
            ("namespace", self.namespace.clone(), asked.namespace.clone()),
            ("carried columns", self.carry.join(","), asked.carry.join(",")),
            ("line limit", self.max_line_bytes.to_string(), asked.max_line_bytes.to_string()),
        ];
        fields
            .into_iter()
            .filter(|(_, stored, now)| stored != now)
            .map(|(name, stored, now)| format!("{name}: stored `{stored}`, asked `{now}`"))
            .collect()
    }
}

fn path_of(number: u64) -> String {
    format!("corpus/{number}.json")
}

impl RunDirectory {
    /// One version; `None` when there is none of this number.
    ///
    /// # Errors
    /// A file that cannot be read, or was damaged.
    pub fn corpus_version(&self, number: u64) -> RunResult<Option<CorpusVersion>> {
        let path = path_of(number);
        let Some(version) = json::read::<CorpusVersion>(&self.store, &path)? else { return Ok(None) };
        if version.number != number {
            return Err(RunError::corrupt(&path, format!("states that it is version {}", version.number)));
        }
        version.check().map_err(|problem| RunError::corrupt(&path, problem))?;
        Ok(Some(version))
    }

    /// The latest version; `None` before the first. Versions are looked for one by one, so that a listing that lags behind
    /// cannot hide one.
    ///
    /// # Errors
    /// A file that cannot be read, or was damaged.
    pub fn latest_corpus(&self) -> RunResult<Option<CorpusVersion>> {
        let mut number = 0;
        while self.store.exists(&path_of(number + 1))? {
            number += 1;
        }
        if number == 0 { Ok(None) } else { self.corpus_version(number) }
    }

    /// Writes the next version, or returns the latest when it has the same content already. When another process wrote a
    /// version meanwhile, this one is compared with that.
    ///
    /// # Errors
    /// [`RunError::CorpusChanged`] when a shard changed or vanished, or rows are read in another way; [`RunError::Collision`]
    /// when shards have the same stem; [`RunError::Corrupt`] when counts do not add up (a caller's bug).
    pub fn write_next_corpus(&self, mut next: CorpusVersion) -> RunResult<CorpusVersion> {
        next.format_version = FORMAT_VERSION;
        next.shards.sort_by(|a, b| a.path.cmp(&b.path));
        check_shard_names(next.shards.iter().map(|shard| shard.path.as_str()))?;
        loop {
            let latest = self.latest_corpus()?;
            if let Some(latest) = &latest {
                let problems = latest.problems_of(&next);
                if !problems.is_empty() {
                    return Err(RunError::CorpusChanged { problems });
                }
                if latest.shards.len() == next.shards.len() {
                    return Ok(latest.clone());
                }
            }
            next.number = latest.map_or(1, |latest| latest.number + 1);
            let path = path_of(next.number);
            next.check().map_err(|problem| RunError::corrupt(&path, problem))?;
            if json::create(&self.store, &path, &next)? == Created::New {
                return Ok(next);
            }
        }
    }
}
