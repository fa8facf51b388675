//! Documents in the order of a signal, or of the disagreement of two.

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, RecordBatch};
use serde::{Serialize, Serializer};
use serde_json::json;
use tamis_core::{DocKey, column};
use tamis_io::run::{CorpusVersion, ShardRecord, inventory_column};
use tamis_io::sidecar::SidecarColumns;

use super::{Identity, Place, Scale};
use crate::project::Project;
use crate::{Error, Result};

/// Which documents to show.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Those that the signal would keep first.
    Top,
    /// Those that it would keep last.
    Bottom,
    /// Those nearest to a percentile.
    Around(f64),
    /// Those whose percentiles under two signals differ most.
    Disagree(String, String),
}

/// One document with where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownDocument {
    /// Who and where.
    pub identity: Identity,
    /// Score and percentile in keep order under each signal of [`ShowReport::signals`]; `None` where it failed.
    pub standings: Vec<Option<(f64, f64)>>,
    /// Its text.
    pub text: String,
}

/// What `show` found.
#[derive(Clone, Debug, PartialEq)]
pub struct ShowReport {
    /// Names of the signals, in the order of the standings.
    pub signals: Vec<String>,
    /// Documents with a score under the ordering signal.
    pub documents: usize,
    /// The documents asked for.
    pub shown: Vec<ShownDocument>,
}

impl ShowReport {
    /// Leaves of every text the first so many characters.
    pub fn shorten_texts(&mut self, characters: usize) {
        for document in &mut self.shown {
            if let Some((end, _)) = document.text.char_indices().nth(characters) {
                document.text.truncate(end);
            }
        }
    }
}

/// The object that `--json` prints: the number of documents with a score, and of each that is shown who it is and where it
/// stands under every signal (null where it failed).
impl Serialize for ShowReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shown = self.shown.iter().map(|document| {
            let standing = |standing: &Option<(f64, f64)>| {
                standing.map(|(score, percentile)| json!({ "score": score, "percentile": percentile }))
            };
            let standings = self.signals.iter().zip(document.standings.iter().map(standing));
            let mut object = document.identity.json();
            object["bytes"] = json!(document.identity.bytes);
            object["signals"] =
                standings.map(|(signal, standing)| (signal.clone(), json!(standing))).collect();
            object["text"] = json!(document.text);
            object
        });
        json!({ "documents": self.documents, "shown": shown.collect::<Vec<_>>() }).serialize(serializer)
    }
}

impl Project {
    /// Shows `number` documents in an order; `by` is a signal, with an optional column.
    ///
    /// # Errors
    /// No finished signal, an unknown one, or several when none is named.
    pub fn show(&self, by: Option<&str>, order: &Order, number: usize) -> Result<ShowReport> {
        let version = self.latest_version()?;
        // Names that nothing has are told before the scores of all signals are read.
        let named = match order {
            Order::Disagree(a, b) => vec![a.as_str(), b.as_str()],
            _ => by.into_iter().collect(),
        };
        for name in named {
            self.resolve_score(name)?;
        }
        let mut scales = self.scales(&version)?;
        let mut find = |name: &str| -> Result<usize> {
            let (signal, column) = self.resolve_score(name)?;
            let source = (signal.full_name().to_owned(), column.clone());
            Ok(match scales.iter().position(|other| other.source == source) {
                Some(at) => at,
                None => {
                    let scale = match order {
                        Order::Disagree(..) => self.scale_so_far(&version, &signal, &column)?,
                        _ => self.scale(&version, &signal, &column)?,
                    };
                    scales.push(scale);
                    scales.len() - 1
                }
            })
        };
        let (by, other) = match (order, by) {
            (Order::Disagree(a, b), _) => (Some(find(a)?), Some(find(b)?)),
            (_, Some(name)) => (Some(find(name)?), None),
            (_, None) => (None, None),
        };
        let by = match by {
            Some(by) => by,
            None if scales.len() == 1 => 0,
            None if scales.is_empty() => {
                return Err(Error::state("no signal is finished in this run", "run `tamis score` first"));
            }
            None => {
                let names: Vec<&str> = scales.iter().map(|scale| scale.name.as_str()).collect();
                return Err(Error::usage(
                    "several signals are finished",
                    format!("say --by {}", names.join(" or --by ")),
                ));
            }
        };
        let mut ranked: Vec<(f64, Place)> = Vec::new();
        for (shard, scores) in scales[by].scores.iter().enumerate() {
            for document in 0..scores.len() {
                let place = Place { shard, document };
                let Some(percentile) = scales[by].percentile_at(place) else { continue };
                let key = match (order, other) {
                    (Order::Bottom, _) => percentile,
                    (Order::Around(around), _) => (percentile - around).abs(),
                    (Order::Disagree(..), Some(other)) => match scales[other].percentile_at(place) {
                        Some(second) => -(percentile - second).abs(),
                        None => continue,
                    },
                    _ => -percentile,
                };
                ranked.push((key, place));
            }
        }
        let documents = ranked.len();
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        ranked.truncate(number);
        let shown = ranked
            .iter()
            .map(|&(_, place)| self.shown(&version, &scales, place))
            .collect::<Result<Vec<_>>>()?;
        Ok(ShowReport { signals: scales.into_iter().map(|scale| scale.name).collect(), documents, shown })
    }

    fn shown(&self, version: &CorpusVersion, scales: &[Scale], place: Place) -> Result<ShownDocument> {
        let shard = &version.shards[place.shard];
        let identity = self.identity_at(shard, place.document)?;
        let text = self.text_of(shard, identity.row)?.unwrap_or_default();
        let standings = scales
            .iter()
            .map(|scale| scale.score(place).map(|score| (score, scale.percentile(score))))
            .collect();
        Ok(ShownDocument { identity, standings, text })
    }

    /// Who the `at`-th document of a shard is.
    pub(super) fn identity_at(&self, shard: &ShardRecord, at: usize) -> Result<Identity> {
        let mut before = 0;
        for batch in self.run.read_inventory(&shard.path, SidecarColumns::Named(&IDENTITY))? {
            let batch = batch?;
            if at < before + batch.num_rows() {
                return Ok(identity(shard, &batch, at - before));
            }
            before += batch.num_rows();
        }
        let message = format!("shard `{}`: the inventory has no document {at}", shard.path);
        Err(Error::state(message, "the run is damaged; begin a new one"))
    }
}

/// Columns that [`identity`] reads.
pub(super) const IDENTITY: [&str; 4] = [column::ROW, column::ID, column::DOC_KEY, inventory_column::BYTES];

pub(super) fn identity(shard: &ShardRecord, batch: &RecordBatch, at: usize) -> Identity {
    let column = |name: &str| batch.column_by_name(name).expect("the column was asked for");
    let ids = column(column::ID).as_string::<i32>();
    let key = column(column::DOC_KEY).as_fixed_size_binary().value(at);
    Identity {
        id: ids.is_valid(at).then(|| ids.value(at).to_owned()),
        key: DocKey::from_bytes(key.try_into().expect("16 bytes by the inventory's schema")),
        shard: shard.path.clone(),
        row: column(column::ROW).as_primitive::<UInt64Type>().value(at),
        bytes: column(inventory_column::BYTES).as_primitive::<UInt64Type>().value(at),
    }
}
