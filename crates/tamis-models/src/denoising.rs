//! How probable a document is to an encoder–decoder: parts of it are cut out and predicted from the rest.
//!
//! The paper (Sachdeva et al., arXiv 2402.09668, App. B) filters by the perplexity of T5 models without saying of what. Two
//! readings are offered, and a signal's fingerprint names which:
//! - [`Objective::Span`]: T5's own training, Raffel et al., arXiv 1910.10683, §3.1.4: 15 % of the tokens in spans of 3 on
//!   average are replaced by sentinels; what is predicted is each sentinel and the span behind it. Which tokens is drawn
//!   from a seed and the document's key, so it is the same in every batch and run.
//! - [`Objective::Prefix`]: the second half of the tokens, given the first.
//!
//! Probabilities are of the document's own tokens: sentinels and the end of the text are given like everything before, but
//! not counted.
//!
//! Not for: what lies beyond the model's context (the caller cuts or windows), sums and averages (a signal's work).

use std::fmt;
use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use tamis_core::DocKey;
use xxhash_rust::xxh3::xxh3_128;

use crate::error::{Error, Result};
use crate::graph::{EncoderDecoder, Pair, Sink};
use crate::packs::packs;
use crate::text_tokens::TextTokenizer;

/// Share of the tokens that are cut out for [`Objective::Span`], in percent.
const NOISE_PERCENT: usize = 15;
/// Tokens of a span on average.
const MEAN_SPAN: usize = 3;

/// What is predicted from what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objective {
    /// Spans that were cut out, from the text around them.
    Span {
        /// Decides, with the document's key, which.
        seed: u64,
    },
    /// The second half, from the first.
    Prefix,
}

impl Objective {
    /// The objective in words, for the fingerprint.
    #[must_use]
    pub fn describe(self) -> String {
        match self {
            Self::Span { seed } => format!("span, {NOISE_PERCENT} %, mean span {MEAN_SPAN}, seed {seed}"),
            Self::Prefix => "prefix, second half given the first".to_owned(),
        }
    }
}

/// A model with an objective.
#[derive(Clone)]
pub struct Denoiser {
    model: Arc<dyn EncoderDecoder>,
    objective: Objective,
    /// `<extra_id_0>` and those after it.
    sentinels: Vec<u32>,
    /// What the tokenizer puts after a text.
    after: Vec<u32>,
}

impl fmt::Debug for Denoiser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Denoiser").field("objective", &self.objective).finish_non_exhaustive()
    }
}

/// What the model reads, what it predicts, and which of that are tokens of the document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Exercise {
    input: Vec<u32>,
    target: Vec<u32>,
    counted: Vec<bool>,
}

impl Exercise {
    fn predict(&mut self, tokens: &[u32], counted: bool) {
        self.target.extend_from_slice(tokens);
        self.counted.resize(self.target.len(), counted);
    }
}

impl Denoiser {
    /// Finds the sentinels in the tokenizer.
    ///
    /// # Errors
    /// [`Error::NoSentinels`] when the objective needs sentinels and the tokenizer has none.
    pub fn new(
        model: Arc<dyn EncoderDecoder>,
        tokenizer: &dyn TextTokenizer,
        objective: Objective,
    ) -> Result<Self> {
        let sentinels: Vec<u32> =
            (0..).map_while(|at| tokenizer.token(&format!("<extra_id_{at}>"))).collect();
        if sentinels.is_empty() && matches!(objective, Objective::Span { .. }) {
            return Err(Error::NoSentinels);
        }
        Ok(Self { model, objective, sentinels, after: tokenizer.frame().1.to_vec() })
    }

    /// Most tokens of a document that the model was trained to read at once.
    #[must_use]
    pub fn max_document_tokens(&self) -> usize {
        self.model.context().saturating_sub(self.after.len())
    }

    /// Hands ln P of the predicted tokens of each document, in the order of the text, to the sink; the order of the
    /// documents is not kept. A document of fewer than two tokens has none.
    ///
    /// `max_pack_tokens` bounds what one call of the model gets, if a document is not longer. Decides speed and memory, not
    /// values.
    ///
    /// # Errors
    /// When a document is longer than the model takes, or names a token outside the vocabulary.
    pub fn token_log_probs(
        &self,
        documents: &[(DocKey, &[u32])],
        max_pack_tokens: usize,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let exercises: Vec<Exercise> =
            documents.iter().map(|(key, tokens)| self.exercise(*key, tokens)).collect();
        let possible: Vec<usize> =
            (0..exercises.len()).filter(|&at| !exercises[at].target.is_empty()).collect();
        let length = |exercise: &Exercise| exercise.input.len() + exercise.target.len();
        let lengths: Vec<usize> = possible.iter().map(|&at| length(&exercises[at])).collect();
        for (at, _) in exercises.iter().enumerate().filter(|(_, exercise)| exercise.target.is_empty()) {
            sink(at, &[]);
        }
        let (order, packs) = packs(&lengths, max_pack_tokens);
        for pack in packs {
            let own: Vec<usize> = order[pack].iter().map(|&at| possible[at]).collect();
            let pairs: Vec<Pair<'_>> = own
                .iter()
                .map(|&at| Pair { input: &exercises[at].input, target: &exercises[at].target })
                .collect();
            self.model.token_log_probs(&pairs, &mut |at, values| {
                let counted = values.iter().zip(&exercises[own[at]].counted);
                let values: Vec<f32> =
                    counted.filter(|(_, counted)| **counted).map(|(value, _)| *value).collect();
                sink(own[at], &values);
            })?;
        }
        Ok(())
    }

    fn exercise(&self, key: DocKey, tokens: &[u32]) -> Exercise {
        let mut exercise = Exercise::default();
        if tokens.len() < 2 {
            return exercise;
        }
        match self.objective {
            Objective::Prefix => {
                let (first, second) = tokens.split_at(tokens.len() / 2);
                exercise.input.extend_from_slice(first);
                exercise.predict(second, true);
            }
            Objective::Span { seed } => {
                let mut rest = tokens;
                let spans = noise_spans(tokens.len(), self.sentinels.len(), &mut generator(seed, key));
                for ((kept, cut), &sentinel) in spans.into_iter().zip(&self.sentinels) {
                    exercise.input.extend_from_slice(&rest[..kept]);
                    exercise.input.push(sentinel);
                    exercise.predict(&[sentinel], false);
                    exercise.predict(&rest[kept..kept + cut], true);
                    rest = &rest[kept + cut..];
                }
            }
        }
        exercise.input.extend_from_slice(&self.after);
        exercise.predict(&self.after, false);
        exercise
    }
}

/// The generator of one document.
fn generator(seed: u64, key: DocKey) -> ChaCha8Rng {
    let mut hashed = seed.to_le_bytes().to_vec();
    hashed.extend_from_slice(b"span corruption");
    hashed.extend_from_slice(&key.to_bytes());
    let mut state = [0; 32];
    state[..16].copy_from_slice(&xxh3_128(&hashed).to_le_bytes());
    ChaCha8Rng::from_seed(state)
}

/// Lengths of what is kept and what is cut out, in turns, together `tokens` (at least 2); as in T5, a text begins with
/// what is kept and ends with what is cut out.
fn noise_spans(tokens: usize, most_spans: usize, generator: &mut ChaCha8Rng) -> Vec<(usize, usize)> {
    let noise = ((tokens * NOISE_PERCENT + 50) / 100).clamp(1, tokens - 1);
    let spans = ((noise + MEAN_SPAN / 2) / MEAN_SPAN).clamp(1, most_spans.max(1)).min(tokens - noise);
    let cut = composition(noise, spans, generator);
    composition(tokens - noise, spans, generator).into_iter().zip(cut).collect()
}

/// `total` as a sum of `parts` positive numbers, every such sum equally likely.
fn composition(total: usize, parts: usize, generator: &mut ChaCha8Rng) -> Vec<usize> {
    // Distinct places to cut at, drawn by the beginning of a Fisher–Yates shuffle.
    let mut places: Vec<usize> = (1..total).collect();
    for at in 0..parts - 1 {
        let left = (places.len() - at) as u64;
        // Of 2³² equally likely numbers each place gets as many as any other, but for one.
        let drawn = (u64::from(generator.next_u32()) * left) >> 32;
        places.swap(at, at + drawn as usize);
    }
    places.truncate(parts - 1);
    places.sort_unstable();
    places.push(total);
    let mut before = 0;
    places.into_iter().map(|place| place - std::mem::replace(&mut before, place)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(at: u64) -> DocKey {
        DocKey::from_id("", &at.to_string())
    }

    proptest! {
        #[test]
        fn spans_cover_the_text_and_cut_fifteen_percent(tokens in 2_usize..3000, most in 1_usize..120, seed: u64) {
            let spans = noise_spans(tokens, most, &mut generator(seed, key(1)));
            prop_assert_eq!(spans.iter().map(|(kept, cut)| kept + cut).sum::<usize>(), tokens);
            prop_assert!(spans.iter().all(|&(kept, cut)| kept > 0 && cut > 0) && spans.len() <= most);
            let noise: usize = spans.iter().map(|(_, cut)| cut).sum();
            prop_assert!((noise as f64 - 0.15 * tokens as f64).abs() <= 0.5 || noise == 1);
            prop_assert_eq!(&spans, &noise_spans(tokens, most, &mut generator(seed, key(1))));
        }
    }

    #[test]
    fn documents_and_seeds_are_cut_differently_and_every_place_alike() {
        let of = |seed, at| noise_spans(200, 100, &mut generator(seed, key(at)));
        assert_ne!(of(1, 1), of(1, 2));
        assert_ne!(of(1, 1), of(2, 1));
        // 30 of 200 tokens in 10 spans; how often each place is cut out, over 4,000 documents: 600 but for the edges.
        let mut counts = [0_u32; 200];
        for at in 0..4000 {
            let mut place = 0;
            for (kept, cut) in of(7, at) {
                counts[place + kept..place + kept + cut].iter_mut().for_each(|count| *count += 1);
                place += kept + cut;
            }
        }
        assert_eq!(counts.iter().sum::<u32>(), 4000 * 30);
        // Standard deviation 22.6; a composition is uniform inside, while its ends are kept and cut out respectively.
        let inside = &counts[40..160];
        assert!(inside.iter().all(|count| (480..720).contains(count)), "{inside:?}");
    }
}
