//! A small corpus of documents out of a large one, and what it says of the whole.

use std::path::Path;
use std::time::Instant;

use tamis_core::Digest;
use tamis_io::corpus::{IdMode, Shard};
use tamis_io::store::Store;

use crate::corpus_options::{CorpusOptions, Ids};
use crate::project::Project;
use crate::{Error, Result};

/// Shards that are looked into.
const MOST_SHARDS: usize = 32;

/// What was found.
pub(super) struct Sample {
    /// Documents that were drawn.
    pub(super) documents: u64,
    /// Documents of the whole corpus, and bytes of their text; estimated unless `is_exact`.
    pub(super) total: f64,
    pub(super) total_bytes: f64,
    pub(super) is_exact: bool,
    /// Bytes of files that a thread reads and decodes in a second.
    pub(super) read_rate: f64,
    /// The corpus that was written.
    pub(super) corpus: CorpusOptions,
}

/// Shards at even distances in the bytes of all.
fn spread(shards: &[Shard]) -> Vec<&Shard> {
    let total: u64 = shards.iter().map(|shard| shard.size_bytes).sum();
    let step = (total / MOST_SHARDS as u64).max(1);
    let (mut before, mut next) = (0, step / 2);
    let mut chosen = Vec::new();
    for shard in shards {
        before += shard.size_bytes;
        if before > next || shards.len() <= MOST_SHARDS {
            chosen.push(shard);
            next = (before / step) * step + step / 2;
        }
    }
    chosen
}

impl Project {
    /// Writes about `wanted` documents from the beginnings of shards into a folder, in the corpus' own layout.
    ///
    /// # Errors
    /// Shards that cannot be read or hold no document; a folder that cannot be written.
    pub(super) fn rehearsal_corpus(&self, folder: &Path, wanted: u64) -> Result<Sample> {
        let out = Store::local(folder);
        let shards = spread(self.corpus.shards());
        let of_each = wanted.div_ceil(shards.len().max(1) as u64).max(1);
        let (mut drawn, mut documents, mut text_bytes, mut file_bytes, mut decoded_bytes) =
            (0_u64, 0_u64, 0_u64, 0_u64, 0_u64);
        let mut seconds = 0.0;
        let mut all_read = shards.len() == self.corpus.shards().len();
        for shard in shards {
            let began = Instant::now();
            let mut reader = self.corpus.open(shard, 0)?;
            let Some(block) = reader.next_block()? else { continue };
            let decoded = block.decode(&self.columns)?;
            seconds += began.elapsed().as_secs_f64();
            let whole = reader.next_block()?.is_none();
            all_read &= whole;
            let rows = decoded.documents.len() as u64;
            documents += rows;
            text_bytes +=
                decoded.documents.texts().iter().flatten().map(|text| text.len() as u64).sum::<u64>();
            // What was read of the file may reach beyond the block; of a small file it is all.
            let share = if whole { shard.size_bytes } else { reader.file_bytes().min(shard.size_bytes) / 2 };
            file_bytes += share.max(1);
            decoded_bytes += block.size_bytes();
            if rows == 0 {
                continue;
            }
            // Every so many documents, from one that the shard's name decides.
            let step = (rows as f64 / of_each as f64).max(1.0);
            let first = u64::from(Digest::of(shard.path.as_bytes()).to_string().as_bytes()[0]) as f64 % step;
            let chosen: Vec<u64> = (0..)
                .map(|at| (first + step * f64::from(at)) as usize)
                .take_while(|at| (*at as u64) < rows)
                .map(|at| decoded.documents.rows().value(at))
                .collect();
            drawn += chosen.len() as u64;
            let mut writer = self.corpus.kept_writer(shard, &out, &shard.path)?;
            block.write_kept(&mut |row| chosen.binary_search(&row).is_ok(), &mut writer)?;
            writer.replace()?;
        }
        if drawn == 0 {
            return Err(Error::state(
                format!("the shards of `{}` begin with no document", self.location),
                "look at what is wrong with their first lines: `tamis select … --by random --dry-run` says it",
            ));
        }
        let columns = self.corpus_columns();
        let mut total = Some((0_u64, 0_u64));
        for shard in self.corpus.shards() {
            let receipt = self.run.inventory_receipt(&shard.path, &columns)?;
            total = total.zip(receipt).map(|((documents, bytes), receipt)| {
                (documents + receipt.shard.documents, bytes + receipt.shard.text_bytes())
            });
        }
        if all_read {
            total = total.or(Some((documents, text_bytes)));
        }
        let size: u64 = self.corpus.shards().iter().map(|shard| shard.size_bytes).sum();
        let scale = size as f64 / file_bytes as f64;
        let (all, all_bytes) = match total {
            Some((documents, bytes)) => (documents as f64, bytes as f64),
            None => (documents as f64 * scale, text_bytes as f64 * scale),
        };
        Ok(Sample {
            documents: drawn,
            total: all,
            total_bytes: all_bytes,
            is_exact: total.is_some(),
            read_rate: decoded_bytes as f64 / seconds.max(1e-6) * file_bytes as f64
                / decoded_bytes.max(1) as f64,
            corpus: CorpusOptions {
                location: folder.display().to_string(),
                text: Some(self.columns.text.clone()),
                id: match &self.columns.id {
                    IdMode::Column(name) => Ids::Column(name.clone()),
                    IdMode::Qualified(name) => Ids::Qualified(Some(name.clone())),
                    IdMode::FromText => Ids::FromText,
                },
                namespace: Some(self.columns.namespace.clone()),
                carry: Some(self.columns.carry.iter().chain(&self.later).cloned().collect()),
                max_line_bytes: Some(self.max_line_bytes),
            },
        })
    }
}
