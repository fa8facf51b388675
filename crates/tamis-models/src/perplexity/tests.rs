use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt32Type};
use arrow_select::concat::concat_batches;
use proptest::prelude::*;
use tamis_core::column;

use super::columns::{
    DOCUMENT_TOKENS, MEAN_NLL, NLL, NLL_PER_BYTE, PERPLEXITY, PREDICTED_TOKENS, TOKENS, TRUNCATED, WINDOWS,
};
use super::*;
use crate::ask_llm::fake::{FakeModel, FakeTokenizer};

const BOS: u32 = 299;

fn reader(context: usize, before: &[u32]) -> Predictor {
    let mut tokenizer = FakeTokenizer::new(&[]);
    tokenizer.frame = (before.to_vec(), Vec::new());
    Predictor {
        model: Likelihood::Causal(Arc::new(FakeModel::new(context))),
        identity: crate::ask_llm::fake::identity(tokenizer, None),
    }
}

fn annotate(context: usize, before: &[u32], options: &PerplexityOptions, texts: &[&str]) -> RecordBatch {
    let signal = Perplexity::new(reader(context, before), options).unwrap();
    signal.annotate(DocumentBatch::from_texts(texts.iter().copied()).as_arrow()).unwrap()
}

fn number(batch: &RecordBatch, name: &str, at: usize) -> f64 {
    batch.column_by_name(name).unwrap().as_primitive::<Float64Type>().value(at)
}

fn count(batch: &RecordBatch, name: &str, at: usize) -> u32 {
    batch.column_by_name(name).unwrap().as_primitive::<UInt32Type>().value(at)
}

/// −ln P of the last token of what was read, from the fake model's logits, in f64.
fn nll(read: &[u8], before: &[u32]) -> f64 {
    let read: Vec<u32> = before.iter().copied().chain(read.iter().map(|byte| u32::from(*byte))).collect();
    let (token, earlier) = read.split_last().unwrap();
    let logits = FakeModel::new(99).logits(earlier);
    let sum: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
    sum.ln() - f64::from(logits[*token as usize])
}

#[test]
fn likelihoods_add_up_with_and_without_a_beginning() {
    for before in [&[][..], &[BOS]] {
        let batch = annotate(50, before, &PerplexityOptions::default(), &["abcd"]);
        let first = usize::from(before.is_empty());
        let expected: f64 = (first..4).map(|at| nll(&b"abcd"[..=at], before)).sum();
        let predicted = 4 - first;
        assert!((number(&batch, NLL, 0) - expected).abs() < 1e-5, "{expected}");
        let mean = expected / predicted as f64;
        assert!((number(&batch, MEAN_NLL, 0) - mean).abs() < 1e-5);
        assert!((number(&batch, NLL_PER_BYTE, 0) - mean).abs() < 1e-5, "one byte a token");
        assert!((number(&batch, PERPLEXITY, 0).ln() - mean).abs() < 1e-5);
        assert_eq!(count(&batch, PREDICTED_TOKENS, 0) as usize, predicted);
        assert_eq!((count(&batch, TOKENS, 0), count(&batch, WINDOWS, 0)), (4, 1));
    }
}

#[test]
fn long_documents_are_read_in_windows_as_the_reference_reads_them() {
    let text: Vec<u8> = (0..23u8).map(|at| b'a' + at).collect();
    let options =
        PerplexityOptions { window_tokens: Some(8), stride_tokens: Some(3), ..PerplexityOptions::default() };
    for before in [&[][..], &[BOS]] {
        let room = 8 - before.len();
        // The guide's loop: windows begin at multiples of the stride, and what was not yet predicted counts.
        let (mut expected, mut end) = (0.0, usize::from(before.is_empty()));
        for begin in (0..).step_by(3).take_while(|begin| begin + room < 23 + 3) {
            for at in end..(begin + room).min(23) {
                expected += nll(&text[begin..=at], before);
            }
            end = (begin + room).min(23);
        }
        let text = str::from_utf8(&text).unwrap();
        let batch = annotate(60, before, &options, &[text]);
        assert!((number(&batch, NLL, 0) - expected).abs() < 1e-4, "{before:?}");
        assert!(count(&batch, WINDOWS, 0) > 3 && count(&batch, TOKENS, 0) > 23);
        assert!(!batch.column_by_name(TRUNCATED).unwrap().as_boolean().value(0));
    }
}

#[test]
fn documents_without_a_likelihood_fail_with_their_reason() {
    let failed = |before: &[u32]| {
        let batch = annotate(50, before, &PerplexityOptions::default(), &["", "a", "no!x", "ab"]);
        let failed = batch.column_by_name(column::FAILED).unwrap().as_string::<i32>();
        for name in [NLL, NLL_PER_BYTE, PERPLEXITY, MEAN_NLL] {
            let values = batch.column_by_name(name).unwrap();
            assert!((0..4).all(|at| values.is_null(at) == failed.is_valid(at)), "{name}");
        }
        failed.iter().map(|reason| reason.map(str::to_owned)).collect::<Vec<_>>()
    };
    let reason = |reason: &str| Some(reason.to_owned());
    let (none, one, infinite) =
        (reason(reason::NO_TOKENS), reason(reason::ONE_TOKEN), reason(reason::NOT_FINITE));
    assert_eq!(failed(&[]), [none.clone(), one, infinite.clone(), None]);
    assert_eq!(failed(&[BOS]), [none, None, infinite, None]);
}

#[test]
fn a_cut_document_is_scored_as_its_beginning_and_says_so() {
    let options = PerplexityOptions { max_document_tokens: 5, ..PerplexityOptions::default() };
    let batch = annotate(50, &[], &options, &["abcdefgh", "abcde"]);
    assert_eq!(number(&batch, NLL_PER_BYTE, 0), number(&batch, NLL_PER_BYTE, 1));
    let truncated = batch.column_by_name(TRUNCATED).unwrap().as_boolean();
    assert!(truncated.value(0) && !truncated.value(1));
    assert_eq!((count(&batch, DOCUMENT_TOKENS, 0), count(&batch, TOKENS, 0)), (8, 5));
}

#[test]
fn windows_that_leave_nothing_to_predict_are_refused() {
    let error = |context: usize, before: &[u32], window, stride| {
        let options = PerplexityOptions {
            window_tokens: window,
            stride_tokens: stride,
            ..PerplexityOptions::default()
        };
        let error = Perplexity::new(reader(context, before), &options).unwrap_err();
        assert!(error.hint().is_some(), "{error}");
        error.to_string()
    };
    assert!(error(1, &[BOS], None, None).contains("1 tokens, 1 of them beside the text"));
    assert!(error(50, &[BOS], Some(51), None).contains("context of 50"));
    assert!(error(50, &[], Some(8), Some(8)).contains("stride of 8"));
    assert_eq!("prefix".parse(), Ok(Objective::Prefix));
    assert!("spans".parse::<Objective>().is_err());
}

#[test]
fn fingerprint_follows_windows_but_not_packs_or_names() {
    let of = |options: PerplexityOptions| {
        Perplexity::new(reader(50, &[]), &options).unwrap().info().fingerprint.digest()
    };
    let default = PerplexityOptions::default;
    let base = of(default());
    let name = "perplexity-a".to_owned();
    assert_eq!(base, of(PerplexityOptions { pack_tokens: 9, part_bytes: 1, name, ..default() }));
    assert_eq!(base, of(PerplexityOptions { window_tokens: Some(50), stride_tokens: Some(25), ..default() }));
    assert_ne!(base, of(PerplexityOptions { window_tokens: Some(40), ..default() }));
    assert_ne!(base, of(PerplexityOptions { stride_tokens: Some(7), ..default() }));
    assert_ne!(base, of(PerplexityOptions { max_document_tokens: 7, ..default() }));
    let with_bos = Perplexity::new(reader(50, &[BOS]), &default()).unwrap();
    assert_ne!(base, with_bos.info().fingerprint.digest());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn rows_do_not_depend_on_their_batch(
        texts in proptest::collection::vec("[a-d!]{0,25}", 1..8),
        pack_tokens in 1usize..60,
        begins in any::<bool>(),
    ) {
        let options = PerplexityOptions { pack_tokens, window_tokens: Some(9), ..PerplexityOptions::default() };
        let before: &[u32] = if begins { &[BOS] } else { &[] };
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let all = annotate(40, before, &options, &texts);
        let single: Vec<_> = texts.iter().map(|text| annotate(40, before, &options, &[text])).collect();
        prop_assert_eq!(concat_batches(&all.schema(), &single).unwrap(), all);
    }
}
