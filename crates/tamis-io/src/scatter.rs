//! Records of any length that are put in order although they do not fit into memory: divided into buckets first, each of
//! which does, and sorted within.
//!
//! A record is a *head* of one width, by which it is ordered as bytes, and a *body* of any length. The caller says which bucket a
//! record belongs to; where buckets are ranges of the order, buckets one after the other are all records in order. Heads and
//! bodies collect in a buffer for each bucket; one that is full goes to the end of a file without a name, which is gone with the process,
//! however that ends. Heads lie apart from bodies, so that the order is known without reading those.
//!
//! What comes out does not depend on the size of the buffers, nor on the order in which records came, as long as no two heads
//! are equal. Each byte is written once and read as often as its bucket is asked for.
//!
//! Not for records of one width, which [`crate::Sorter`] puts in order without being told of buckets.

use std::fs::File;
use std::io::{BufWriter, Write};

use crate::sorter::{Scratch, order};
use crate::store::{ChunkFile, StoreResult};

/// Behind a head: where its body starts in its bucket, and how long it is, both in 8 bytes.
const BESIDE_HEAD: usize = 16;

/// Heads are buffered in this share of what bodies are.
const HEADS_SHARE: usize = 8;

/// Some bytes of a stream, on disk.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    /// Where they start in the stream.
    start: u64,
    /// Where they start in the file.
    at: u64,
    bytes: u64,
}

/// What was written for one bucket: chunks on disk, then what is still in memory.
#[derive(Debug, Default)]
struct Stream {
    chunks: Vec<Chunk>,
    on_disk: u64,
    buffer: Vec<u8>,
}

impl Stream {
    fn length(&self) -> u64 {
        self.on_disk + self.buffer.len() as u64
    }
}

#[derive(Debug, Default)]
struct Bucket {
    heads: Stream,
    bodies: Stream,
}

/// Takes records, in any order.
#[derive(Debug)]
pub struct Scatter {
    scratch: Scratch,
    file: Option<BufWriter<File>>,
    end: u64,
    width: usize,
    buckets: Vec<Bucket>,
    buffer_bytes: usize,
}

impl Scatter {
    /// For heads of `width` bytes, at least 8, in so many buckets. Buffers take `memory_bytes` in all, or 4 KiB a bucket where that
    /// is more.
    ///
    /// # Panics
    /// A width below 8.
    #[must_use]
    pub fn new(width: usize, buckets: usize, memory_bytes: u64, scratch: Scratch) -> Self {
        assert!(width >= 8, "heads have at least 8 bytes, not {width}");
        let each = memory_bytes / (buckets.max(1) as u64);
        let buffer_bytes = usize::try_from(each.clamp(4 << 10, 1 << 20)).unwrap_or(1 << 20);
        let buckets = (0..buckets).map(|_| Bucket::default()).collect();
        Self { scratch, file: None, end: 0, width, buckets, buffer_bytes }
    }

    /// Adds a record to a bucket.
    ///
    /// # Errors
    /// No room for what does not fit into memory.
    ///
    /// # Panics
    /// A head of another width, or a bucket that there is not.
    pub fn add(&mut self, bucket: usize, head: &[u8], body: &[u8]) -> StoreResult<()> {
        assert_eq!(head.len(), self.width, "the width of a head");
        let at = self.buckets[bucket].bodies.length();
        if self.buckets[bucket].bodies.buffer.len() + body.len() > self.buffer_bytes {
            self.spill(bucket, |bucket| &mut bucket.bodies)?;
        }
        self.buckets[bucket].bodies.buffer.extend_from_slice(body);
        if self.buckets[bucket].heads.buffer.len() + head.len() + BESIDE_HEAD
            > self.buffer_bytes / HEADS_SHARE
        {
            self.spill(bucket, |bucket| &mut bucket.heads)?;
        }
        let heads = &mut self.buckets[bucket].heads.buffer;
        heads.extend_from_slice(head);
        heads.extend_from_slice(&at.to_be_bytes());
        heads.extend_from_slice(&(body.len() as u64).to_be_bytes());
        Ok(())
    }

    /// Puts the buffer of a stream on disk. A body never lies in two chunks.
    fn spill(&mut self, bucket: usize, stream: impl Fn(&mut Bucket) -> &mut Stream) -> StoreResult<()> {
        let stream = stream(&mut self.buckets[bucket]);
        if stream.buffer.is_empty() {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(self.scratch.create()?),
        };
        file.write_all(&stream.buffer).map_err(|error| self.scratch.failed("write", error))?;
        let bytes = stream.buffer.len() as u64;
        stream.chunks.push(Chunk { start: stream.on_disk, at: self.end, bytes });
        stream.on_disk += bytes;
        self.end += bytes;
        // A record that was larger than a buffer leaves no large one behind.
        if stream.buffer.capacity() > 2 * self.buffer_bytes {
            stream.buffer = Vec::new();
        }
        stream.buffer.clear();
        Ok(())
    }

    /// All records, to be read bucket by bucket.
    ///
    /// # Errors
    /// As [`Scatter::add`].
    pub fn finish(self) -> StoreResult<Scattered> {
        let file = match self.file {
            None => None,
            Some(file) => {
                let file = self.scratch.written(file)?;
                Some(ChunkFile::of_file(file, &self.scratch.location())?)
            }
        };
        Ok(Scattered { scratch: self.scratch, file, width: self.width, buckets: self.buckets })
    }
}

/// Records in buckets; any thread may read any of them.
#[derive(Debug)]
pub struct Scattered {
    scratch: Scratch,
    file: Option<ChunkFile>,
    width: usize,
    buckets: Vec<Bucket>,
}

impl Scattered {
    /// Number of buckets.
    #[must_use]
    pub fn buckets(&self) -> usize {
        self.buckets.len()
    }

    /// Bytes that a bucket takes in memory while it is read whole.
    #[must_use]
    pub fn bytes(&self, bucket: usize) -> u64 {
        let Bucket { heads, bodies } = &self.buckets[bucket];
        // The order of the heads takes about as much as a fifth of them.
        heads.length() + heads.length() / 4 + bodies.length()
    }

    /// The heads of a bucket in order.
    ///
    /// # Errors
    /// A disk that does not give back what was written.
    pub fn entries(&self, bucket: usize) -> StoreResult<Entries> {
        let bytes = self.whole(&self.buckets[bucket].heads)?;
        let width = self.width + BESIDE_HEAD;
        let order = order(&bytes, width);
        Ok(Entries { bytes, width, order })
    }

    /// The bodies of a bucket: held in memory where they are not more than `most_bytes`, else read one by one.
    ///
    /// # Errors
    /// As [`Scattered::entries`].
    pub fn bodies(&self, bucket: usize, most_bytes: u64) -> StoreResult<Bodies<'_>> {
        let stream = &self.buckets[bucket].bodies;
        let held = if stream.length() <= most_bytes { Some(self.whole(stream)?) } else { None };
        Ok(Bodies { scattered: self, stream, held })
    }

    fn whole(&self, stream: &Stream) -> StoreResult<Vec<u8>> {
        let mut bytes = Vec::with_capacity(usize::try_from(stream.length()).unwrap_or(0));
        for chunk in &stream.chunks {
            self.read(chunk.at, chunk.bytes, &mut bytes)?;
        }
        bytes.extend_from_slice(&stream.buffer);
        Ok(bytes)
    }

    fn read(&self, at: u64, length: u64, out: &mut Vec<u8>) -> StoreResult<()> {
        let file = self.file.as_ref().expect("chunks lie in a file");
        let bytes = file.read_at(at, usize::try_from(length).unwrap_or(usize::MAX));
        out.extend_from_slice(&bytes.map_err(|error| self.scratch.failed("read", error))?);
        Ok(())
    }
}

/// The heads of one bucket, in order.
#[derive(Debug)]
pub struct Entries {
    bytes: Vec<u8>,
    width: usize,
    order: Vec<(u64, u32)>,
}

/// A record without its body.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'e> {
    /// Its head.
    pub head: &'e [u8],
    /// Where its body starts in the bucket.
    pub at: u64,
    /// Bytes of its body.
    pub length: u64,
}

impl Entries {
    /// How many they are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The n-th in order.
    ///
    /// # Panics
    /// Where there are fewer.
    #[must_use]
    pub fn get(&self, n: usize) -> Entry<'_> {
        let record = &self.bytes[self.order[n].1 as usize * self.width..][..self.width];
        let (head, rest) = record.split_at(self.width - BESIDE_HEAD);
        let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().expect("8 bytes"));
        Entry { head, at: number(&rest[..8]), length: number(&rest[8..]) }
    }
}

/// The bodies of one bucket.
#[derive(Debug)]
pub struct Bodies<'s> {
    scattered: &'s Scattered,
    stream: &'s Stream,
    held: Option<Vec<u8>>,
}

impl Bodies<'_> {
    /// The body of a record; `scratch` is memory for one that is not held.
    ///
    /// # Errors
    /// As [`Scattered::entries`].
    pub fn get<'b>(&'b self, entry: &Entry<'_>, scratch: &'b mut Vec<u8>) -> StoreResult<&'b [u8]> {
        let within = |bytes: &'b [u8], from: u64| {
            let start = usize::try_from(entry.at - from).unwrap_or(usize::MAX);
            &bytes[start..start + usize::try_from(entry.length).unwrap_or(usize::MAX)]
        };
        if let Some(held) = &self.held {
            return Ok(within(held, 0));
        }
        if entry.at >= self.stream.on_disk {
            return Ok(within(&self.stream.buffer, self.stream.on_disk));
        }
        let chunks = &self.stream.chunks;
        let chunk = &chunks[chunks.partition_point(|chunk| chunk.start <= entry.at) - 1];
        scratch.clear();
        self.scattered.read(chunk.at + (entry.at - chunk.start), entry.length, scratch)?;
        Ok(scratch)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::Store;

    proptest! {
        #[test]
        fn memory_and_arrival_do_not_matter(
            lengths in proptest::collection::vec(0_usize..9_000, 0..120),
            memory in 1_u64..200_000,
            held in 0_u64..60_000,
            buckets in 1_usize..5,
        ) {
            let store = Store::local(std::env::temp_dir());
            let mut scatter = Scatter::new(9, buckets, memory, Scratch::beside(&store));
            let record = |n: usize| {
                let head = [&(n as u64 * 0x9e37_79b9 % 1_000).to_be_bytes()[..], &[n as u8]].concat();
                (head, vec![n as u8; lengths[n]])
            };
            for n in (0..lengths.len()).rev() {
                let (head, body) = record(n);
                scatter.add(n % buckets, &head, &body).unwrap();
            }
            let scattered = scatter.finish().unwrap();
            prop_assert_eq!(scattered.buckets(), buckets);
            for bucket in 0..buckets {
                let mut expected: Vec<_> = (0..lengths.len()).filter(|n| n % buckets == bucket).map(record).collect();
                expected.sort();
                let entries = scattered.entries(bucket).unwrap();
                let bodies = scattered.bodies(bucket, held).unwrap();
                prop_assert_eq!(entries.len(), expected.len());
                prop_assert_eq!(entries.is_empty(), expected.is_empty());
                let mut scratch = Vec::new();
                for (n, (head, body)) in expected.iter().enumerate() {
                    let entry = entries.get(n);
                    prop_assert_eq!(entry.head, &head[..]);
                    prop_assert_eq!(bodies.get(&entry, &mut scratch).unwrap(), &body[..]);
                }
            }
        }
    }
}
