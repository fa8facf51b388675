//! Reading and writing of the little-endian, checksummed records that summaries are stored as.
//!
//! A reader never trusts a length: it can only take what is there, so hostile bytes end in an error before anything is
//! allocated for them.

use tamis_core::Error;
use xxhash_rust::xxh3::xxh3_64;

/// Starts a record: magic and format version.
pub(crate) fn start(magic: [u8; 8], version: u32) -> Vec<u8> {
    let mut out = magic.to_vec();
    out.extend_from_slice(&version.to_le_bytes());
    out
}

/// Ends a record with the checksum of everything before it.
pub(crate) fn finish(mut out: Vec<u8>) -> Vec<u8> {
    let sum = xxh3_64(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

/// Takes a record apart, front to back.
pub(crate) struct ByteReader<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> ByteReader<'a> {
    /// Checks magic, version and checksum.
    pub(crate) fn open(
        what: &'static str,
        magic: [u8; 8],
        version: u32,
        bytes: &'a [u8],
    ) -> Result<Self, Error> {
        let corrupt = |problem: String| Error::Corrupt { what, problem };
        let Some((body, sum)) = bytes.split_last_chunk::<8>() else {
            return Err(corrupt(format!("{} bytes are too few", bytes.len())));
        };
        let Some(rest) = body.strip_prefix(&magic[..]) else {
            return Err(corrupt("it starts with other bytes than such a file does".to_owned()));
        };
        let mut reader = Self { what, rest };
        let found = reader.u32()?;
        if found != version {
            return Err(corrupt(format!("format version {found}, this program reads {version}")));
        }
        if xxh3_64(body) != u64::from_le_bytes(*sum) {
            return Err(corrupt("the checksum does not match".to_owned()));
        }
        Ok(reader)
    }

    /// An error about this record.
    pub(crate) fn corrupt(&self, problem: impl Into<String>) -> Error {
        Error::Corrupt { what: self.what, problem: problem.into() }
    }

    /// The next `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        match self.rest.split_at_checked(count) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(self.corrupt(format!("{count} bytes expected, {} left", self.rest.len()))),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        Ok(self.take(N)?.try_into().expect("take returns what was asked for"))
    }

    /// One byte.
    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        Ok(self.array::<1>()?[0])
    }

    /// A little-endian u16.
    pub(crate) fn u16(&mut self) -> Result<u16, Error> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// A little-endian u32.
    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// A little-endian u64.
    pub(crate) fn u64(&mut self) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A little-endian u128.
    pub(crate) fn u128(&mut self) -> Result<u128, Error> {
        Ok(u128::from_le_bytes(self.array()?))
    }

    /// 32 bytes as they are.
    pub(crate) fn bytes32(&mut self) -> Result<[u8; 32], Error> {
        self.array()
    }

    /// Everything that is left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Nothing may be left.
    pub(crate) fn end(&self) -> Result<(), Error> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.corrupt(format!("{} bytes too many", self.rest.len())))
        }
    }
}
