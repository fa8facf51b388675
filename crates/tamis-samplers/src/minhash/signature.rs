//! From the shingles of a text to minima, band keys and the compact signature.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use tamis_core::Fingerprint;
use tamis_kernels::minhash::{Minima, Permutations};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::shingles::mix;
use super::{Banding, MinHashError, Shingles, words};

/// Shingles that are hashed together: as many as stay in the nearest cache.
const TOGETHER: usize = 512;

/// What decides a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinHashOptions {
    /// Units a shingle (n).
    pub ngram: usize,
    /// B · R.
    pub banding: Banding,
    /// Of the permutations. Signatures of different seeds have nothing to do with each other.
    pub seed: u64,
}

impl Default for MinHashOptions {
    /// Fourteen bands of eight rows, shingles of five units: what `FineWeb` was made with (arXiv:2406.17557, §3.4).
    fn default() -> Self {
        Self { ngram: 5, banding: Banding::default(), seed: 0 }
    }
}

/// Makes signatures.
///
/// Permutations are x ↦ m · x modulo 2⁵² of the lower 52 bits of shingles, the odd multipliers from `ChaCha8` of the seed; see
/// [`tamis_kernels::minhash`] for why. Signatures are the same on every machine.
#[derive(Clone, Debug)]
pub struct MinHasher {
    options: MinHashOptions,
    shingles: Shingles,
    permutations: Permutations,
}

/// The minima of one document, and its number of shingles.
#[derive(Clone, Debug)]
pub struct Signature {
    minima: Minima,
    shingles: u64,
    /// Shingles that are not hashed yet; kept so that it is allocated once.
    waiting: Vec<u64>,
}

impl Signature {
    /// The smallest image of a shingle under each permutation, below 2⁵²; row r of band b is at b · R + r.
    #[must_use]
    pub fn minima(&self) -> &[u64] {
        self.minima.values()
    }

    /// Shingles, those that repeat included: units − n + 1, or 1. Zero in a document without units, which has no signature.
    #[must_use]
    pub fn shingles(&self) -> u64 {
        self.shingles
    }
}

impl MinHasher {
    /// Checks the options and draws the permutations.
    ///
    /// # Errors
    /// [`MinHashError::Ngram`].
    pub fn new(options: MinHashOptions) -> Result<Self, MinHashError> {
        let shingles = Shingles::new(options.ngram)?;
        let mut generator = ChaCha8Rng::seed_from_u64(options.seed);
        let multipliers: Vec<u64> =
            (0..options.banding.permutations()).map(|_| generator.next_u64()).collect();
        Ok(Self { options, shingles, permutations: Permutations::new(&multipliers) })
    }

    /// What it was made of.
    #[must_use]
    pub fn options(&self) -> &MinHashOptions {
        &self.options
    }

    /// What texts are cut into.
    #[must_use]
    pub fn shingles(&self) -> &Shingles {
        &self.shingles
    }

    /// Adds everything that decides a signature.
    #[must_use]
    pub fn describe(&self, fingerprint: Fingerprint) -> Fingerprint {
        fingerprint
            .with("ngram", self.options.ngram)
            .with("bands", self.options.banding.bands())
            .with("rows", self.options.banding.rows())
            .with("seed", self.options.seed)
            .with("normalisation", words::NORMALISATION)
            .with("unicode", words::unicode_version())
    }

    /// A signature to be filled by [`MinHasher::sign`].
    #[must_use]
    pub fn start(&self) -> Signature {
        Signature { minima: self.permutations.start(), shingles: 0, waiting: Vec::with_capacity(TOGETHER) }
    }

    /// Replaces a signature of this hasher by that of a text. Whether the text has a unit: where it has none it has no
    /// signature, and is near nobody.
    ///
    /// Time is proportional to the text, memory constant.
    ///
    /// # Panics
    /// If the signature is of another number of permutations.
    pub fn sign(&self, text: &str, signature: &mut Signature) -> bool {
        let Signature { minima, shingles, waiting } = signature;
        minima.reset();
        waiting.clear();
        *shingles = 0;
        self.shingles.each(text, |shingle| {
            waiting.push(shingle);
            if waiting.len() == TOGETHER {
                *shingles += TOGETHER as u64;
                self.permutations.update(waiting, minima);
                waiting.clear();
            }
        });
        *shingles += waiting.len() as u64;
        self.permutations.update(waiting, minima);
        *shingles > 0
    }

    /// The signature of a text; none where it has no unit.
    #[must_use]
    pub fn signature(&self, text: &str) -> Option<Signature> {
        let mut signature = self.start();
        self.sign(text, &mut signature).then_some(signature)
    }

    /// The B band keys of a signature: xxh3 of a band's rows, with the band's number as seed, so that bands share no keys but by
    /// chance.
    pub fn band_keys<'a>(&self, signature: &'a Signature) -> impl Iterator<Item = u64> + use<'a> {
        let rows = self.options.banding.rows();
        let mut bytes = vec![0; 8 * rows];
        (0_u64..).zip(signature.minima().chunks_exact(rows)).map(move |(band, rows)| {
            for (to, row) in bytes.chunks_exact_mut(8).zip(rows) {
                to.copy_from_slice(&row.to_le_bytes());
            }
            xxh3_64_with_seed(&bytes, band)
        })
    }

    /// The compact signature: a byte a permutation, the lowest of the mixed minimum. (That of the minimum itself would depend on the
    /// lowest bytes of shingle and multiplier alone.) See [`super::estimate`].
    pub fn compact<'a>(&self, signature: &'a Signature) -> impl Iterator<Item = u8> + use<'a> {
        signature.minima().iter().map(|&minimum| mix(minimum).to_le_bytes()[0])
    }
}
