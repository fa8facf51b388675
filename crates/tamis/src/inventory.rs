//! The first pass over a shard: which documents there are, who they are, and which rows cannot be used.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::RecordBatch;
use tamis_io::corpus::{Block, Chunk, Container, FailedRow, Shard, ShardReader};
use tamis_io::run::{
    CorpusColumns, CorpusVersion, InventoryWriter, KeepText, QuarantineWriter, Quarantined, RunError,
    ShardEnd, ShardRecord,
};

use crate::pool::{self, InOrder};
use crate::prefetch::Prefetch;
use crate::project::Project;
use crate::{Error, Result};

/// What one shard's blocks are folded into, in block order.
struct Assembly {
    inventory: Option<InventoryWriter>,
    quarantine: Option<QuarantineWriter>,
    failed: BTreeMap<String, u64>,
    /// What was prefetched of its blocks; `None` once one was not.
    prefetched: Option<Vec<Chunk>>,
}

struct OpenShard<'s> {
    shard: &'s Shard,
    blocks: InOrder<Piece>,
    assembly: Mutex<Assembly>,
}

enum Piece {
    Rows { rows: RecordBatch, failures: Vec<FailedRow>, prefetched: Option<Chunk> },
    End(ShardEnd),
}

enum Item {
    Block(Block),
    End(ShardEnd),
}

impl Project {
    /// Reads every shard that has no inventory yet, checks that the others are as they were, and returns the version of the
    /// corpus that they make. Carried columns that are not in the inventories are completed.
    ///
    /// # Errors
    /// A shard that changed, vanished, or cannot be read to its end; a corpus that holds no document, or whose rows have no
    /// column of the text's, the id's or a carried one's name, before anything of it is recorded.
    pub fn inventory(&self) -> Result<CorpusVersion> {
        let (version, read) = self.inventory_with(None)?;
        if read > 0 {
            self.forecast_ids(&version)?;
        }
        Ok(version)
    }

    /// As [`Project::inventory`], with the number of shards that were read.
    pub(crate) fn inventory_with(&self, prefetch: Option<&Prefetch>) -> Result<(CorpusVersion, usize)> {
        let unsure = self.check_carried()?;
        self.check_beginnings()?;
        let columns = self.corpus_columns();
        if self.run.latest_corpus()?.is_none()
            && let Some(begun) = self.run.begun_columns()?
        {
            refuse_begun_otherwise(&begun, &columns)?;
        }
        let mut fresh = Vec::new();
        let mut records = Vec::new();
        for shard in self.corpus.shards() {
            match self.run.inventory_receipt(&shard.path, &columns)? {
                Some(receipt) => {
                    if receipt.shard.version != shard.version || receipt.shard.bytes != shard.size_bytes {
                        self.check_unchanged(shard, &receipt.shard)?;
                    }
                    records.push(receipt.shard);
                }
                None => fresh.push(shard),
            }
        }
        // What of a shard cannot be read or kept is told before a pass over any.
        let check = |shard: &Shard, _: &pool::Feed<'_, ()>| Ok(self.corpus.check_schema(shard)?);
        let parquet = fresh.iter().copied().filter(|shard: &&Shard| shard.container == Container::Parquet);
        pool::run(parquet.collect(), self.threads, check, |()| Ok(()))?;
        let read = fresh.len();
        if read > 0 {
            self.begin_columns(&columns)?;
            self.observer.begin("read corpus", fresh.iter().map(|shard| shard.size_bytes).sum());
            let done = Mutex::new(Vec::new());
            let sources = fresh.len();
            pool::run(
                fresh,
                self.threads,
                |shard, feed| {
                    let open = self.open_shard(shard, sources)?;
                    self.read_shard(&open, |at, item| {
                        open.blocks.wait_for_room(at, feed) && feed.push((Arc::clone(&open), at, item))
                    })
                },
                |(open, at, item)| {
                    let piece = self.decode(item, prefetch)?;
                    open.blocks.push(at, piece, |piece| {
                        if let Some(record) = self.assemble(&open, piece, prefetch)? {
                            done.lock().unwrap_or_else(PoisonError::into_inner).push(record);
                        }
                        Ok(())
                    })
                },
            )?;
            self.observer.end();
            records.extend(done.into_inner().unwrap_or_else(PoisonError::into_inner));
        }
        let version = CorpusVersion::new(self.absolute_location(), columns, records);
        let version = self.run.write_next_corpus(version)?;
        self.carry_asked(&version, &unsure)?;
        Ok((version, read))
    }

    /// Refuses shards that have vanished since they were read, or have another size, from their listing alone.
    ///
    /// # Errors
    /// Such a shard.
    pub(crate) fn check_listed(&self) -> Result<()> {
        let Some(version) = self.run.latest_corpus()? else { return Ok(()) };
        let mut problems = Vec::new();
        for listed in &version.shards {
            match self.corpus.shards().iter().find(|shard| shard.path == listed.path) {
                None => problems.push(format!("shard `{}` has vanished", listed.path)),
                Some(shard) if shard.size_bytes != listed.bytes => problems.push(format!(
                    "shard `{}` changed since it was read: {} bytes then, {} now",
                    listed.path, listed.bytes, shard.size_bytes
                )),
                Some(_) => {}
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(RunError::CorpusChanged { problems }.into()) }
    }

    /// Fixes how rows are read, before the first is.
    ///
    /// # Errors
    /// Another process that began the run meanwhile, and reads it otherwise.
    fn begin_columns(&self, columns: &CorpusColumns) -> Result<()> {
        if self.run.latest_corpus()?.is_some() {
            return Ok(());
        }
        refuse_begun_otherwise(&self.run.begin_columns(columns)?, columns)
    }

    /// Begins a shard, one of `sources`.
    fn open_shard<'s>(&self, shard: &'s Shard, sources: usize) -> Result<Arc<OpenShard<'s>>> {
        let keep = if self.keep_text { KeepText::Cut } else { KeepText::No };
        Ok(Arc::new(OpenShard {
            shard,
            blocks: InOrder::new(self.threads, sources),
            assembly: Mutex::new(Assembly {
                inventory: Some(self.run.inventory_writer(&shard.path, &self.corpus_columns())?),
                quarantine: Some(self.run.quarantine_writer(&shard.path, keep)?),
                failed: BTreeMap::new(),
                prefetched: Some(Vec::new()),
            }),
        }))
    }

    fn read_shard(&self, open: &OpenShard<'_>, mut push: impl FnMut(usize, Item) -> bool) -> Result<()> {
        let mut reader = self.corpus.open(open.shard, 0)?;
        let (mut at, mut rows, mut reported) = (0, 0, 0);
        while let Some(block) = reader.next_block()? {
            rows = block.first_row() + block.rows();
            reported += self.tell(&reader, reported);
            if !push(at, Item::Block(block)) {
                return Ok(());
            }
            at += 1;
        }
        self.tell(&reader, reported);
        let end = ShardEnd {
            rows,
            failed: BTreeMap::new(),
            bytes: open.shard.size_bytes,
            digest: self.digest_of(&reader, open.shard)?,
            version: open.shard.version.clone(),
        };
        let _stopped = push(at, Item::End(end));
        Ok(())
    }

    fn decode(&self, item: Item, prefetch: Option<&Prefetch>) -> Result<Piece> {
        self.go_on()?;
        Ok(match item {
            Item::End(end) => Piece::End(end),
            Item::Block(block) => {
                let measured = block.measure(&self.columns)?;
                let prefetched = prefetch.and_then(|prefetch| prefetch.add(&block, &measured.documents));
                Piece::Rows { rows: measured.documents, failures: measured.failures, prefetched }
            }
        })
    }

    /// Consumes the pieces of a shard in order; the last one gives its record.
    fn assemble(
        &self,
        open: &OpenShard<'_>,
        piece: Piece,
        prefetch: Option<&Prefetch>,
    ) -> Result<Option<ShardRecord>> {
        let mut assembly = open.assembly.lock().unwrap_or_else(PoisonError::into_inner);
        match piece {
            Piece::Rows { rows, failures, prefetched } => {
                assembly.prefetched =
                    assembly.prefetched.take().zip(prefetched).map(|(mut chunks, chunk)| {
                        chunks.push(chunk);
                        chunks
                    });
                for failure in &failures {
                    *assembly.failed.entry(failure.reason.to_owned()).or_default() += 1;
                    if let Some(quarantine) = &mut assembly.quarantine {
                        quarantine.add(&Quarantined {
                            row: failure.row,
                            line: (open.shard.container == Container::Jsonl).then_some(failure.row + 1),
                            reason: failure.reason,
                            detail: &failure.detail,
                            raw: &failure.raw,
                        })?;
                    }
                }
                if let Some(inventory) = &mut assembly.inventory {
                    inventory.write(&rows)?;
                }
                self.observer.advance(rows.num_rows() as u64, 0, 0);
                Ok(None)
            }
            Piece::End(mut end) => {
                end.failed = std::mem::take(&mut assembly.failed);
                // The quarantine first: once the inventory has its receipt, nothing reads the shard for failures again.
                if let Some(quarantine) = assembly.quarantine.take() {
                    quarantine.commit()?;
                }
                let receipt = match assembly.inventory.take() {
                    Some(inventory) => inventory.commit(end)?,
                    None => return Ok(None),
                };
                if let (Some(prefetch), Some(chunks)) = (prefetch, assembly.prefetched.take()) {
                    prefetch.spool.complete(&open.shard.path, &receipt.shard.digest, chunks);
                }
                Ok(Some(receipt.shard))
            }
        }
    }

    /// Reports the bytes of a file that were read since `told`; returns how many.
    pub(crate) fn tell(&self, reader: &ShardReader, reported: u64) -> u64 {
        let more = reader.file_bytes().saturating_sub(reported);
        self.observer.advance(0, 0, more);
        more
    }

    /// A shard whose time or size differs from what was recorded: it may have been copied, so its content decides.
    fn check_unchanged(&self, shard: &Shard, listed: &ShardRecord) -> Result<()> {
        let digest = &listed.digest;
        let mut reader = self.corpus.open(shard, 0)?;
        while reader.next_block()?.is_some() {}
        let found = self.digest_of(&reader, shard)?;
        if found == *digest {
            // Of Parquet that is the footer, which other values may share.
            return match shard.container {
                Container::Parquet => self.check_same_rows(listed, shard),
                Container::Jsonl => Ok(()),
            };
        }
        let problem =
            format!("shard `{}` changed since it was read: digest {digest} then, {found} now", shard.path);
        Err(RunError::CorpusChanged { problems: vec![problem] }.into())
    }

    /// Digest of a shard that was read to its end.
    pub(crate) fn digest_of(&self, reader: &ShardReader, shard: &Shard) -> Result<String> {
        let digest = reader.digest().ok_or_else(|| {
            Error::state(format!("shard `{}` was not read to its end", shard.path), "this is a bug of tamis")
        })?;
        Ok(digest.to_string())
    }

    fn absolute_location(&self) -> String {
        let location = &self.location;
        if location.contains("://") {
            return location.clone();
        }
        match std::path::absolute(location) {
            Ok(path) => path.display().to_string(),
            Err(_) => location.clone(),
        }
    }
}

/// Of two processes that begin one run, the second reads the corpus as the first does.
fn refuse_begun_otherwise(begun: &CorpusColumns, columns: &CorpusColumns) -> Result<()> {
    let problems = begun.differences(columns);
    if problems.is_empty() {
        return Ok(());
    }
    Err(Error::state(
        format!(
            "another process began this run just now and reads the corpus otherwise: {}",
            problems.join("; ")
        ),
        "give the same command again: columns to carry are added to what was begun; all else has to be as it was begun, or in \
         another run directory",
    ))
}
