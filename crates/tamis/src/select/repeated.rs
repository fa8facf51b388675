//! Ids that occur more than once: documents that came again, or ids that name no document.
//!
//! A repeated id usually means that a document was updated, and one of its versions stays. Ids that restart in every shard
//! look the same from afar, and taking them for versions would drop most of a corpus. The texts tell: where most rows that
//! repeat an id have another text than the row that would stay, and they are more than a few, a selection is refused before
//! it decides anything, unless the caller says that these are versions.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use tamis_core::column;
use tamis_io::run::{CorpusVersion, IdColumn, RunDirectory, ShardRecord, inventory_column};
use tamis_io::sidecar::SidecarColumns;

use super::groups::{By, Equal, Losers, Marks};
use crate::groups::Keep;
use crate::project::Project;
use crate::select_options::DuplicateIds;
use crate::{Error, Result};

/// Fewer rows with another text are documents that were updated, whatever their share.
const A_FEW: u64 = 10;

/// A smaller share of the documents, in percent, is no more than what may fail without a word.
const A_FEW_PERCENT: u64 = 1;

/// Of rows with one id the smallest text digest stays, then the smallest digest of a line.
pub(super) const IDS: By<'_> =
    By { what: "ids", group: column::DOC_KEY, rank: [inventory_column::TEXT_DIGEST, column::RAW_DIGEST] };

/// Rows that repeat an id.
#[derive(Debug, Default)]
pub(crate) struct RepeatedIds {
    losers: Losers,
    documents: u64,
    /// Shard, row and id of one that loses.
    example: Option<(String, u64, String)>,
}

impl RepeatedIds {
    /// Goes through the inventories; without ids there are none.
    pub(super) fn find(project: &Project, version: &CorpusVersion, keep: Keep) -> Result<Self> {
        let Some(grouping) = by_id(version) else { return Ok(Self::default()) };
        let losers = grouping.losers(project, version, keep)?;
        let example = example(&project.run, &version.shards, &losers.marks)?;
        Ok(Self { losers, documents: version.documents(), example })
    }

    /// Which rows lose.
    pub(super) fn into_marks(self) -> Marks {
        self.losers.marks
    }

    /// Whether these ids name no documents.
    fn name_nothing(&self) -> bool {
        let Losers { documents, different, .. } = self.losers;
        different >= A_FEW && different * 2 > documents && different * 100 > self.documents * A_FEW_PERCENT
    }

    /// Refuses ids that name no documents, or says what follows from those that occur again.
    ///
    /// # Errors
    /// Most rows that repeat an id have another text than the one that would stay.
    pub(super) fn judge(&self, ask: DuplicateIds) -> Result<Option<String>> {
        if self.name_nothing() && ask == DuplicateIds::Check {
            return Err(self.refusal());
        }
        let Losers { groups, documents, different, .. } = self.losers;
        if groups == 0 {
            return Ok(None);
        }
        let count = if groups == 1 { "one id occurs".to_owned() } else { format!("{groups} ids occur") };
        let dropped = match (documents, different) {
            (1, 0) => "one row is dropped as `duplicate-id`, with the same text as".to_owned(),
            (1, _) => "one row is dropped as `duplicate-id`, with another text than".to_owned(),
            _ => format!(
                "{documents} rows are dropped as `duplicate-id`, {different} of them with another text than"
            ),
        };
        Ok(Some(format!(
            "{count} more than once{}: of each the row with the smallest text digest stays; {dropped} the one that stays; {}",
            self.place(),
            self.remedy("to keep them all, begin a new run")
        )))
    }

    /// What a later selection will say, for a corpus that was just read.
    pub(crate) fn forecast(&self) -> Option<String> {
        self.name_nothing().then(|| {
            let error = self.refusal();
            format!("{error}; a selection will be refused: {}", error.hint().unwrap_or_default())
        })
    }

    fn refusal(&self) -> Error {
        let Losers { documents, different, .. } = self.losers;
        let message = format!(
            "{documents} of {} documents repeat an id{}, and {different} of them have another text than the one that would stay: \
             the ids do not name documents",
            self.documents,
            self.place()
        );
        let hint = format!(
            "{}; if they are versions of one document each, add `--duplicate-ids one`",
            self.remedy("begin a new run")
        );
        Error::state(message, hint)
    }

    fn place(&self) -> String {
        self.example.as_ref().map_or_else(String::new, |(shard, row, id)| {
            format!(", such as that of shard `{shard}`, line {}, which is `{id}`", row + 1)
        })
    }

    /// What keeps these rows apart.
    fn remedy(&self, begin: &str) -> String {
        let text = "with `--id none`, where documents are known by their text";
        if self.losers.within_shard * 2 > self.losers.documents {
            return format!(
                "{begin} {text} (ids repeat within their shards, so `--qualify-ids` does not help)"
            );
        }
        format!("{begin} with `--qualify-ids`, where an id counts within its shard, or {text}")
    }
}

/// The documents by id; `None` without ids, where equal keys are equal texts.
pub(super) fn by_id(version: &CorpusVersion) -> Option<Equal<'static>> {
    (version.columns.id != IdColumn::FromText).then(|| Equal::new(version, IDS))
}

/// The first marked document.
fn example(
    run: &RunDirectory,
    shards: &[ShardRecord],
    marks: &Marks,
) -> Result<Option<(String, u64, String)>> {
    const COLUMNS: [&str; 2] = [column::ROW, column::ID];
    const CHARACTERS: usize = 80;
    for (shard, words) in shards.iter().zip(marks) {
        let Some(at) = words.iter().position(|word| *word != 0) else { continue };
        let mut document = at * 64 + words[at].trailing_zeros() as usize;
        for batch in run.read_inventory(&shard.path, SidecarColumns::Named(&COLUMNS))? {
            let batch = batch?;
            if document < batch.num_rows() {
                let of = |name: &str| batch.column_by_name(name).expect("the column was asked for");
                let row = of(column::ROW).as_primitive::<UInt64Type>().value(document);
                let ids = of(column::ID).as_string::<i32>();
                let id = if ids.is_valid(document) { ids.value(document) } else { "" };
                let id = id.chars().take(CHARACTERS).collect();
                return Ok(Some((shard.path.clone(), row, id)));
            }
            document -= batch.num_rows();
        }
    }
    Ok(None)
}
