//! Parts of a document, cut out and predicted from the rest by an encoder–decoder.
//!
//! The paper (Sachdeva et al., arXiv 2402.09668, App. B) filters by the perplexity of T5 models without saying of what. Two
//! readings are offered, and a fingerprint names which:
//! - [`Objective::Span`]: T5's own training, Raffel et al., arXiv 1910.10683, §3.1.4: 15 % of the tokens in spans of 3 on
//!   average are replaced by sentinels; what is predicted is each sentinel and the span behind it. Which tokens is drawn
//!   from the document's key, so it is the same in every batch and run.
//! - [`Objective::Prefix`]: the second half of the tokens, given the first.
//!
//! A document that does not fit a window is cut into as few windows as will do, of even lengths, each an example of its own.
//! Likelihoods are of the document's own tokens: sentinels and the end of the text are given like everything before, but
//! not counted.

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use tamis_core::{DocKey, Fingerprint};
use xxhash_rust::xxh3::xxh3_128;

use super::{Document, Objective, PerplexityOptions, Prediction, Sums};
use crate::error::{Error, Result};
use crate::graph::{EncoderDecoder, Pair};
use crate::packs::packs;
use crate::text_tokens::TextTokenizer;

/// Share of the tokens that are cut out for [`Objective::Span`], in percent.
const NOISE_PERCENT: usize = 15;
/// Tokens of a span on average.
const MEAN_SPAN: usize = 3;
/// Tokens of the smallest window: even windows then have two or more, the least that can be cut in two.
const LEAST_ROOM: usize = 4;

/// An encoder–decoder with an objective.
pub(super) struct Denoising {
    model: Arc<dyn EncoderDecoder>,
    tokenizer: Arc<dyn TextTokenizer>,
    cutter: Cutter,
    window_tokens: usize,
    /// Tokens of the document in a window.
    room: usize,
}

/// Makes examples of windows.
struct Cutter {
    objective: Objective,
    /// `<extra_id_0>` and those after it.
    sentinels: Vec<u32>,
    /// What the tokenizer puts before and after a text.
    frame: (Vec<u32>, Vec<u32>),
}

/// What the model reads, what it predicts, and which tokens of the document that is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Example {
    input: Vec<u32>,
    target: Vec<u32>,
    /// For each token of the target its place in the document, if it is of the document.
    places: Vec<Option<usize>>,
}

impl Example {
    fn predict(&mut self, token: u32, place: Option<usize>) {
        self.target.push(token);
        self.places.push(place);
    }
}

impl Denoising {
    /// Finds the sentinels in the tokenizer.
    ///
    /// # Errors
    /// [`Error::NoSentinels`] when the objective needs sentinels and the tokenizer has none, [`Error::Window`] for a window
    /// without room, [`Error::NoStride`].
    pub(super) fn new(
        model: Arc<dyn EncoderDecoder>,
        tokenizer: Arc<dyn TextTokenizer>,
        objective: Objective,
        options: &PerplexityOptions,
    ) -> Result<Self> {
        let sentinels: Vec<u32> =
            (0..).map_while(|at| tokenizer.token(&format!("<extra_id_{at}>"))).collect();
        if sentinels.is_empty() && objective == Objective::Span {
            return Err(Error::NoSentinels);
        }
        if options.stride_tokens.is_some() {
            return Err(Error::NoStride);
        }
        let frame = (tokenizer.frame().0.to_vec(), tokenizer.frame().1.to_vec());
        let (around, context) = (frame.0.len() + frame.1.len(), model.longest());
        let window = options.window_tokens.unwrap_or_else(|| model.context());
        let room = window.saturating_sub(around);
        if window > context || room < LEAST_ROOM {
            return Err(Error::Window { window, around, least: around + LEAST_ROOM, context });
        }
        let cutter = Cutter { objective, sentinels, frame };
        Ok(Self { model, tokenizer, cutter, window_tokens: window, room })
    }

    /// The windows of a document; none for a document that cannot be cut in two.
    fn examples(&self, document: &Document<'_>) -> Vec<Example> {
        let tokens = document.tokens.len();
        if tokens < 2 {
            return Vec::new();
        }
        let windows = tokens.div_ceil(self.room);
        (0..windows)
            .map(|at| {
                let (begin, end) = (at * tokens / windows, (at + 1) * tokens / windows);
                self.cutter.example(&document.tokens[begin..end], begin, document.key)
            })
            .collect()
    }
}

impl Cutter {
    /// The example of a window of at least two tokens that begins at a place of the document.
    fn example(&self, tokens: &[u32], begin: usize, key: DocKey) -> Example {
        let cuts = match self.objective {
            Objective::Span => noise_spans(tokens.len(), self.sentinels.len(), &mut generator(key, begin)),
            _ => vec![(tokens.len() / 2, tokens.len().div_ceil(2))],
        };
        let mut example = Example { input: self.frame.0.clone(), ..Example::default() };
        let mut at = 0;
        for (span, (kept, cut)) in cuts.into_iter().enumerate() {
            example.input.extend_from_slice(&tokens[at..at + kept]);
            if self.objective == Objective::Span {
                example.input.push(self.sentinels[span]);
                example.predict(self.sentinels[span], None);
            }
            for (place, &token) in tokens.iter().enumerate().skip(at + kept).take(cut) {
                example.predict(token, Some(begin + place));
            }
            at += kept + cut;
        }
        for &token in &self.frame.1 {
            example.input.push(token);
            example.predict(token, None);
        }
        example
    }
}

impl Prediction for Denoising {
    fn describe(&self, fingerprint: Fingerprint) -> Fingerprint {
        let objective = match self.cutter.objective {
            Objective::Span => format!("span, {NOISE_PERCENT} %, mean span {MEAN_SPAN}"),
            _ => "prefix, second half given the first".to_owned(),
        };
        let (before, after) = &self.cutter.frame;
        let around: Vec<String> = before.iter().chain(after).map(u32::to_string).collect();
        fingerprint
            .with("numeric_path", self.model.numeric_path())
            .with("objective", objective)
            .with("around", around.join(" "))
            .with("window_tokens", self.window_tokens)
    }

    fn sums(&self, documents: &[Document<'_>], pack_tokens: usize) -> Result<Vec<Sums>> {
        let mut rows = vec![Sums::default(); documents.len()];
        let mut jobs: Vec<(usize, Example)> = Vec::new();
        for (row, document) in documents.iter().enumerate() {
            let ends = self.tokenizer.token_ends(document.text, document.tokens.len())?;
            let end = |place: usize| ends[..=place].last().copied().unwrap_or(0);
            for example in self.examples(document) {
                for place in example.places.iter().flatten() {
                    let before = place.checked_sub(1).map_or(0, end);
                    rows[row].bytes += end(*place).saturating_sub(before);
                    rows[row].predicted += 1;
                }
                jobs.push((row, example));
            }
        }
        let lengths: Vec<usize> =
            jobs.iter().map(|(_, example)| example.input.len() + example.target.len()).collect();
        let (order, packs) = packs(&lengths, pack_tokens);
        let mut sums = vec![f64::NAN; jobs.len()];
        for pack in packs {
            let pack = &order[pack];
            let pairs: Vec<Pair<'_>> = pack
                .iter()
                .map(|&at| Pair { input: &jobs[at].1.input, target: &jobs[at].1.target })
                .collect();
            self.model.token_log_probs(&pairs, &mut |at, log_probs| {
                let counted = log_probs.iter().zip(&jobs[pack[at]].1.places);
                sums[pack[at]] =
                    counted.filter(|(_, place)| place.is_some()).map(|(value, _)| f64::from(*value)).sum();
            })?;
        }
        for (((row, _), sum), read) in jobs.iter().zip(sums).zip(lengths) {
            rows[*row].add(-sum, read);
        }
        Ok(rows)
    }
}

/// The generator of one window.
fn generator(key: DocKey, begin: usize) -> ChaCha8Rng {
    let mut hashed = b"span corruption".to_vec();
    hashed.extend_from_slice(&key.to_bytes());
    hashed.extend_from_slice(&(begin as u64).to_le_bytes());
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
        fn spans_cover_the_text_and_cut_fifteen_percent(tokens in 2_usize..3000, most in 1_usize..120, document: u64) {
            let spans = noise_spans(tokens, most, &mut generator(key(document), 0));
            prop_assert_eq!(spans.iter().map(|(kept, cut)| kept + cut).sum::<usize>(), tokens);
            prop_assert!(spans.iter().all(|&(kept, cut)| kept > 0 && cut > 0) && spans.len() <= most);
            let noise: usize = spans.iter().map(|(_, cut)| cut).sum();
            prop_assert!((noise as f64 - 0.15 * tokens as f64).abs() <= 0.5 || noise == 1);
            prop_assert_eq!(&spans, &noise_spans(tokens, most, &mut generator(key(document), 0)));
        }
    }

    proptest! {
        #[test]
        fn an_exercise_holds_every_token_of_its_window_once(
            tokens in 2_usize..600,
            begin in 0_usize..9,
            span: bool,
            document: u64,
        ) {
            let objective = if span { Objective::Span } else { Objective::Prefix };
            let cutter = Cutter { objective, sentinels: (1000..1050).collect(), frame: (Vec::new(), vec![2000]) };
            let window: Vec<u32> = (0..tokens as u32).collect();
            let Example { input, target, places } = cutter.example(&window, begin, key(document));
            prop_assert_eq!((input.last(), target.last()), (Some(&2000), Some(&2000)));
            // What follows each sentinel of the target, put where the input has that sentinel.
            let mut spans: Vec<(u32, Vec<u32>)> = Vec::new();
            let mut counted = Vec::new();
            for (&token, place) in target[..target.len() - 1].iter().zip(&places) {
                match place {
                    None => spans.push((token, Vec::new())),
                    Some(place) => {
                        prop_assert_eq!(*place, begin + token as usize);
                        if !span && spans.is_empty() {
                            spans.push((2000, Vec::new()));
                        }
                        spans.last_mut().unwrap().1.push(token);
                        counted.push(token);
                    }
                }
            }
            prop_assert!(places.last().unwrap().is_none() && counted.is_sorted());
            let mut whole = Vec::new();
            let mut spans = spans.into_iter();
            for &token in &input {
                if token >= 1000 {
                    let Some((sentinel, cut)) = spans.next() else { break };
                    prop_assert_eq!(sentinel, token);
                    whole.extend(cut);
                } else {
                    whole.push(token);
                }
            }
            prop_assert_eq!(whole, window);
        }
    }

    #[test]
    fn documents_and_windows_are_cut_differently_and_every_place_alike() {
        let of = |at, begin| noise_spans(200, 100, &mut generator(key(at), begin));
        assert_ne!(of(1, 0), of(2, 0));
        assert_ne!(of(1, 0), of(1, 200));
        // 30 of 200 tokens in 10 spans; how often each place is cut out, over 4,000 documents: 600 but for the edges.
        let mut counts = [0_u32; 200];
        for at in 0..4000 {
            let mut place = 0;
            for (kept, cut) in of(at, 0) {
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
