//! Sketch files.
//!
//! Magic, version, parameters, fingerprint of the embeddings, N; then the counters as zstd of, for each row, the number of
//! counters that are not 0 and for each of these the distance from the one before and its value, as LEB128; then a checksum.
//! Every row must add up to N, so a file that decodes is one that counting can have made. The counters are checked as a stream
//! before memory is taken for them: a file of a few bytes cannot claim gigabytes by its header alone.

use std::io::{BufReader, Read};
use std::sync::Arc;

use tamis_core::{Error, Result};

use super::sketch::WHAT;
use super::{Kernel, Preset, Projection, RaceHasher, RaceParameters, RaceSketch};
use crate::bytes::{ByteReader, finish, start};

const MAGIC: [u8; 8] = *b"tamis-RS";
const VERSION: u32 = 1;
const LEVEL: i32 = 3;
impl RaceSketch {
    /// Everything before the counters.
    pub(super) fn header(&self) -> Vec<u8> {
        let p = self.parameters();
        let mut out = start(MAGIC, VERSION);
        for value in [p.dimension, p.repetitions, p.buckets, p.hashes] {
            out.extend_from_slice(&value.to_le_bytes());
        }
        let (kernel, bandwidth) = match p.kernel {
            Kernel::L2 { bandwidth } => (0, bandwidth),
            Kernel::Cosine => (1, 0.0),
        };
        out.push(kernel);
        out.extend_from_slice(&bandwidth.to_bits().to_le_bytes());
        out.push(match p.projection {
            Projection::Gaussian => 0,
            Projection::Hadamard => 1,
        });
        out.push(match p.preset {
            Preset::Mixed => 0,
            Preset::Literal => 1,
        });
        out.extend_from_slice(&p.seed.to_le_bytes());
        out.extend_from_slice(&(self.embedding.len() as u16).to_le_bytes());
        out.extend_from_slice(self.embedding.as_bytes());
        out.extend_from_slice(&self.documents.to_le_bytes());
        out
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut plain = Vec::new();
        for row in self.counters.chunks_exact(self.parameters().buckets as usize) {
            write_varint(&mut plain, row.iter().filter(|&&counter| counter > 0).count() as u64);
            let mut next = 0;
            for (bucket, &counter) in row.iter().enumerate().filter(|&(_, &counter)| counter > 0) {
                write_varint(&mut plain, (bucket - next) as u64);
                write_varint(&mut plain, u64::from(counter));
                next = bucket + 1;
            }
        }
        let mut out = self.header();
        out.extend_from_slice(
            &zstd::bulk::compress(&plain, LEVEL)
                .expect("compression into memory that grows has no way to fail"),
        );
        finish(out)
    }

    /// Reads a sketch whose counters take at most `memory_bytes`. [`tamis_core::Summary::decode`] allows what parameters
    /// can ask for, so that whatever was written can be read; a caller that knows how large its sketch is says so here.
    ///
    /// # Errors
    /// [`Error::Corrupt`]; never a panic, and never more memory than allowed, whatever the bytes.
    pub fn decode_within(bytes: &[u8], memory_bytes: u64) -> Result<Self> {
        let mut reader = ByteReader::open(WHAT, MAGIC, VERSION, bytes)?;
        let (dimension, repetitions, buckets, hashes) =
            (reader.u32()?, reader.u32()?, reader.u32()?, reader.u32()?);
        let (kernel, bandwidth) = (reader.u8()?, f64::from_bits(reader.u64()?));
        let kernel = match kernel {
            0 => Kernel::L2 { bandwidth },
            1 => Kernel::Cosine,
            other => return Err(reader.corrupt(format!("kernel {other} is unknown"))),
        };
        let projection = match reader.u8()? {
            0 => Projection::Gaussian,
            1 => Projection::Hadamard,
            other => return Err(reader.corrupt(format!("projection {other} is unknown"))),
        };
        let preset = match reader.u8()? {
            0 => Preset::Mixed,
            1 => Preset::Literal,
            other => return Err(reader.corrupt(format!("preset {other} is unknown"))),
        };
        let seed = reader.u64()?;
        let parameters =
            RaceParameters { dimension, repetitions, buckets, hashes, kernel, projection, preset, seed };
        let length = usize::from(reader.u16()?);
        let embedding = std::str::from_utf8(reader.take(length)?)
            .map_err(|_| Error::Corrupt { what: WHAT, problem: "the fingerprint is not UTF-8".to_owned() })?
            .to_owned();
        let documents = reader.u64()?;
        let needed = parameters.memory_bytes();
        let hasher = RaceHasher::new(parameters).map_err(|error| reader.corrupt(error.to_string()))?;
        if needed > memory_bytes {
            return Err(
                reader.corrupt(format!("its counters take {needed} bytes, {memory_bytes} are allowed"))
            );
        }
        let counters = checked_counters(reader.rest(), repetitions, buckets, documents)
            .map_err(|problem| Error::Corrupt { what: WHAT, problem })?;
        Ok(Self { hasher: Arc::new(hasher), embedding, documents, counters })
    }
}

/// The counters, once it is sure that they are all there.
fn checked_counters(
    compressed: &[u8],
    repetitions: u32,
    buckets: u32,
    documents: u64,
) -> std::result::Result<Vec<u32>, String> {
    for_each_counter(compressed, repetitions, buckets, documents, |_, _| {})?;
    let count = repetitions as usize * buckets as usize;
    // Whether so much can be had is asked before it is taken: a refusal is an error, and does not end the process.
    Vec::<u32>::new()
        .try_reserve_exact(count)
        .map_err(|_| format!("there is no memory for its {count} counters"))?;
    // Zeroed memory that is not touched is not taken.
    let mut counters = vec![0u32; count];
    for_each_counter(compressed, repetitions, buckets, documents, |at, value| counters[at] = value)?;
    Ok(counters)
}

/// Calls `each` with the place and value of every counter that is not 0, in memory that does not depend on their number.
fn for_each_counter(
    compressed: &[u8],
    repetitions: u32,
    buckets: u32,
    documents: u64,
    mut each: impl FnMut(usize, u32),
) -> std::result::Result<(), String> {
    let unreadable = |error: std::io::Error| format!("the counters cannot be read: {error}");
    let mut plain = BufReader::new(zstd::Decoder::new(compressed).map_err(unreadable)?);
    for row in 0..repetitions as usize {
        let (mut next, mut sum) = (0u64, 0u64);
        for _ in 0..read_varint(&mut plain)? {
            let bucket = next.saturating_add(read_varint(&mut plain)?);
            let count = read_varint(&mut plain)?;
            match u32::try_from(count) {
                Ok(count @ 1..) if bucket < u64::from(buckets) => {
                    each(row * buckets as usize + bucket as usize, count);
                }
                _ => return Err("a counter is impossible".to_owned()),
            }
            next = bucket + 1;
            sum = sum.saturating_add(count);
        }
        if sum != documents {
            return Err(format!("a row counts {sum} documents, the header {documents}"));
        }
    }
    match plain.read(&mut [0]) {
        Ok(0) => Ok(()),
        Ok(_) => Err("there are more counters than the header says".to_owned()),
        Err(error) => Err(unreadable(error)),
    }
}

fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn read_varint(input: &mut impl Read) -> std::result::Result<u64, String> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let mut byte = [0];
        input.read_exact(&mut byte).map_err(|error| format!("the counters end early: {error}"))?;
        value |= u64::from(byte[0] & 0x7f) << shift;
        if byte[0] < 0x80 {
            return Ok(value);
        }
    }
    Err("a number is too long".to_owned())
}
