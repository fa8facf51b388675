//! A tokenizer and a model small enough to reason about, for tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Result;
use crate::graph::{CausalLm, Prefix, Sink};
use crate::identity::ModelIdentity;
use crate::text_tokens::TextTokenizer;
use crate::tokenizer::Head;

/// Bytes are tokens 0 to 255; some longer pieces follow, and the longest piece that fits is taken.
pub(crate) struct FakeTokenizer {
    pieces: Vec<String>,
    pub(crate) frame: (Vec<u32>, Vec<u32>),
}

impl FakeTokenizer {
    pub(crate) fn new(pieces: &[&str]) -> Self {
        Self {
            pieces: pieces.iter().map(|&piece| piece.to_owned()).collect(),
            frame: (Vec::new(), Vec::new()),
        }
    }
}

impl TextTokenizer for FakeTokenizer {
    fn encode_head(&self, text: &str, max_tokens: usize) -> Result<Head> {
        let mut tokens = self.encode_template(text)?;
        let truncated = tokens.len() > max_tokens;
        tokens.truncate(max_tokens);
        Ok(Head { tokens, truncated })
    }

    fn count(&self, text: &str) -> Result<u64> {
        Ok(self.encode_template(text)?.len() as u64)
    }

    fn encode_template(&self, text: &str) -> Result<Vec<u32>> {
        let (mut tokens, mut rest) = (Vec::new(), text.as_bytes());
        while let Some(&byte) = rest.first() {
            let fits = |piece: &(usize, &String)| rest.starts_with(piece.1.as_bytes());
            match self.pieces.iter().enumerate().filter(fits).max_by_key(|piece| piece.1.len()) {
                Some((at, piece)) => {
                    tokens.push(256 + at as u32);
                    rest = &rest[piece.len()..];
                }
                None => {
                    tokens.push(u32::from(byte));
                    rest = &rest[1..];
                }
            }
        }
        Ok(tokens)
    }

    fn decode(&self, tokens: &[u32]) -> Result<String> {
        let mut bytes = Vec::new();
        for &token in tokens {
            match token.checked_sub(256) {
                Some(at) => bytes.extend_from_slice(self.pieces[at as usize].as_bytes()),
                None => bytes.push(token as u8),
            }
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn token(&self, piece: &str) -> Option<u32> {
        self.pieces.iter().position(|known| known == piece).map(|at| 256 + at as u32)
    }

    fn frame(&self) -> (&[u32], &[u32]) {
        (&self.frame.0, &self.frame.1)
    }

    fn digest(&self) -> &str {
        "fake tokenizer"
    }
}

/// Logits are a hash of everything that was read; byte `!` (33) makes them NaN.
pub(crate) struct FakeModel {
    pub(crate) context: usize,
    pub(crate) largest_pack_tokens: AtomicUsize,
    pub(crate) prefixes: AtomicUsize,
}

impl FakeModel {
    pub(crate) fn new(context: usize) -> Self {
        Self { context, largest_pack_tokens: AtomicUsize::new(0), prefixes: AtomicUsize::new(0) }
    }

    /// The logit of `token` after `read`, in [-8, 8).
    fn logit(read: &[u32], token: u32) -> f32 {
        if read.contains(&33) {
            return f32::NAN;
        }
        let bytes: Vec<u8> = read.iter().chain([&token]).flat_map(|token| token.to_le_bytes()).collect();
        (xxhash_rust::xxh3::xxh3_64(&bytes) % 1600) as f32 / 100.0 - 8.0
    }

    pub(crate) fn logits(&self, read: &[u32]) -> Vec<f32> {
        (0..self.vocabulary() as u32).map(|token| Self::logit(read, token)).collect()
    }

    fn whole(prefix: Option<&Prefix>, sequence: &[u32]) -> Vec<u32> {
        let before = prefix.and_then(Prefix::state::<Vec<u32>>);
        before.into_iter().flatten().chain(sequence).copied().collect()
    }
}

impl CausalLm for FakeModel {
    fn context(&self) -> usize {
        self.context
    }

    fn vocabulary(&self) -> usize {
        600
    }

    fn numeric_path(&self) -> String {
        "fake".to_owned()
    }

    fn prefix(&self, tokens: &[u32]) -> Result<Prefix> {
        self.prefixes.fetch_add(1, Ordering::Relaxed);
        Ok(Prefix::new(tokens.len(), Box::new(tokens.to_vec())))
    }

    fn next_token_logits(
        &self,
        prefix: Option<&Prefix>,
        sequences: &[&[u32]],
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let tokens = sequences.iter().map(|sequence| sequence.len()).sum();
        self.largest_pack_tokens.fetch_max(tokens, Ordering::Relaxed);
        for (at, sequence) in sequences.iter().enumerate() {
            let read = Self::whole(prefix, sequence);
            assert!(!sequence.is_empty() && read.len() <= self.context, "a sequence must fit the context");
            sink(at, &self.logits(&read));
        }
        Ok(())
    }

    fn token_log_probs(
        &self,
        prefix: Option<&Prefix>,
        sequences: &[&[u32]],
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        for (at, sequence) in sequences.iter().enumerate() {
            let read = Self::whole(prefix, sequence);
            assert!(read.len() <= self.context, "a sequence must fit the context");
            let first = prefix.map_or(1, Prefix::tokens);
            let log_probs: Vec<f32> = (first..read.len())
                .map(|at| {
                    let logits = self.logits(&read[..at]);
                    let sum: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
                    (f64::from(logits[read[at] as usize]) - sum.ln()) as f32
                })
                .collect();
            sink(at, &log_probs);
        }
        Ok(())
    }
}

/// The identity of a model that exists in tests alone.
pub(crate) fn identity(tokenizer: impl TextTokenizer + 'static, license: Option<&str>) -> ModelIdentity {
    ModelIdentity {
        source: "fake".to_owned(),
        digest: "fake weights".to_owned(),
        settings: None,
        license: license.map(str::to_owned),
        tokenizer: Arc::new(tokenizer),
    }
}
