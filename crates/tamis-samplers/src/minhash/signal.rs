//! Band keys and compact signatures of documents, as a signal.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, FixedSizeBinaryArray, FixedSizeListArray, RecordBatch, StringArray, UInt64Array,
};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, Schema};
use tamis_core::{
    DocumentBatch, Fingerprint, Input, Parallelism, Result, Signal, SignalInfo, column, reason,
};

use super::{MinHashError, MinHashOptions, MinHasher};

/// Column of the band keys: fixed-size list of B u64.
pub const BANDS: &str = "bands";
/// Column of the compact signature: B · R bytes, see [`super::estimate`].
pub const COMPACT: &str = "compact";
/// Column of the number of shingles, those that repeat included: u64.
pub const SHINGLES: &str = "shingles";

/// Signatures of documents. Columns: `bands`, `compact`, `shingles`, `failed`.
///
/// A document takes 8 · B + B · R + 8 bytes: 232 with the default of fourteen bands of eight rows, nothing of which compresses.
/// (The minima themselves would be 896.) One without letters and digits is null, with the reason `no-words`: it is near nobody.
#[derive(Clone, Debug)]
pub struct MinHashSignal {
    hasher: MinHasher,
    info: SignalInfo,
}

impl MinHashSignal {
    /// Its name.
    pub const NAME: &'static str = "minhash-signature";
    /// Version of the signatures; raised only when values change.
    const VERSION: u32 = 1;

    /// The signal of these options.
    ///
    /// # Errors
    /// What [`MinHasher::new`] refuses.
    pub fn new(options: MinHashOptions) -> std::result::Result<Self, MinHashError> {
        let hasher = MinHasher::new(options)?;
        let banding = hasher.options().banding;
        let schema = Schema::new(vec![
            Field::new(BANDS, DataType::FixedSizeList(Self::key_field(), width(banding.bands())), true),
            Field::new(COMPACT, DataType::FixedSizeBinary(width(banding.permutations())), true),
            Field::new(SHINGLES, DataType::UInt64, true),
            Field::new(column::FAILED, DataType::Utf8, true),
        ]);
        let notes = BTreeMap::from([
            ("bytes_per_document".to_owned(), (8 * banding.bands() + banding.permutations() + 8).to_string()),
            (
                "candidates".to_owned(),
                format!(
                    "half of the pairs at a Jaccard similarity of {:.2}, 95 % at {:.2}, 5 % at {:.2}",
                    banding.similarity_found_with(0.5),
                    banding.similarity_found_with(0.95),
                    banding.similarity_found_with(0.05),
                ),
            ),
        ]);
        let info = SignalInfo {
            name: Self::NAME.to_owned(),
            fingerprint: hasher.describe(Fingerprint::new(Self::NAME, Self::VERSION)),
            input: Input::DOCUMENTS,
            parallelism: Parallelism::PerCore,
            schema: Arc::new(schema),
            ranking: None,
            part_bytes: 256 << 20,
            notes,
        };
        Ok(Self { hasher, info })
    }

    /// What makes the signatures.
    #[must_use]
    pub fn hasher(&self) -> &MinHasher {
        &self.hasher
    }

    fn key_field() -> Arc<Field> {
        Arc::new(Field::new("item", DataType::UInt64, false))
    }
}

fn width(count: usize) -> i32 {
    i32::try_from(count).expect("a banding has at most 2¹⁴ permutations")
}

impl Signal for MinHashSignal {
    fn info(&self) -> &SignalInfo {
        &self.info
    }

    fn annotate(&self, input: &RecordBatch) -> Result<RecordBatch> {
        let documents = DocumentBatch::new(input.clone())?;
        let texts = documents.texts();
        let banding = self.hasher.options().banding;
        let count = documents.len();
        let mut keys = Vec::with_capacity(count * banding.bands());
        let mut compact = Vec::with_capacity(count * banding.permutations());
        let mut shingles = Vec::with_capacity(count);
        let mut signature = self.hasher.start();
        for at in 0..count {
            let signed = self.hasher.sign(texts.value(at), &mut signature);
            if signed {
                keys.extend(self.hasher.band_keys(&signature));
                compact.extend(self.hasher.compact(&signature));
            } else {
                keys.resize(keys.len() + banding.bands(), 0);
                compact.resize(compact.len() + banding.permutations(), 0);
            }
            shingles.push(signed.then_some(signature.shingles()));
        }
        let valid = NullBuffer::from_iter(shingles.iter().map(Option::is_some));
        let failed: StringArray =
            shingles.iter().map(|count| count.is_none().then_some(reason::NO_WORDS)).collect();
        let keys = Arc::new(UInt64Array::from(keys));
        let bands = FixedSizeListArray::try_new(
            Self::key_field(),
            width(banding.bands()),
            keys,
            Some(valid.clone()),
        )?;
        let compact =
            FixedSizeBinaryArray::try_new(width(banding.permutations()), compact.into(), Some(valid))?;
        let columns: Vec<ArrayRef> =
            vec![Arc::new(bands), Arc::new(compact), Arc::new(UInt64Array::from(shingles)), Arc::new(failed)];
        Ok(RecordBatch::try_new(Arc::clone(&self.info.schema), columns)?)
    }
}
