//! Laws that hold for every architecture, over tiny models with random weights.

mod tiny;

use std::collections::BTreeSet;

use candle_core::Tensor;
use proptest::prelude::*;
use tamis_kernels::Path;

use self::tiny::{
    CONTEXT, Poisoned, RandomWeights, VOCABULARY, architectures, bert, decoders, llama, t5, tokens,
};
use crate::build::{Backend, Dropout, T5Training, build_causal, build_encoder, build_encoder_decoder};
use crate::candle_backend::CandleBlocks;
use crate::error::{Error, Result};
use crate::graph::blocks::{Blocks, Queries};
use crate::graph::decoder::Decoder;
use crate::graph::pack::Pack;
use crate::graph::t5::SentenceT5;
use crate::graph::{Architecture, CausalLm, DecoderConfig, Encoder as _, Pair, Prefix, T5Config};
use crate::weights::Weights;

/// Everything that a model says about sequences: a decoder's logits and log probabilities, or an encoder's embeddings.
fn outputs(
    architecture: &Architecture,
    weights: &dyn Weights,
    backend: Backend,
    sequences: &[&[u32]],
) -> Result<Vec<Vec<f32>>> {
    let mut outputs = vec![Vec::new(); sequences.len()];
    let mut sink = |at: usize, values: &[f32]| outputs[at].extend_from_slice(values);
    match architecture {
        Architecture::Decoder(_) => {
            let model = build_causal(architecture, weights, backend)?;
            model.next_token_logits(None, sequences, &mut sink)?;
            model.token_log_probs(None, sequences, &mut sink)?;
        }
        Architecture::T5(T5Config { projection: None, .. }) => {
            let model = build_encoder_decoder(architecture, weights, backend)?;
            model.first_token_logits(sequences, &mut sink)?;
            model.logits(&pairs(sequences), &mut sink)?;
            model.token_log_probs(&pairs(sequences), &mut sink)?;
        }
        Architecture::T5(_) | Architecture::Bert(_) => {
            build_encoder(architecture, weights, backend)?.embed(sequences, &mut sink)?;
        }
    }
    Ok(outputs)
}

/// Each sequence with its own end as a target, some shorter and some longer than a handful.
fn pairs<'a>(sequences: &[&'a [u32]]) -> Vec<Pair<'a>> {
    let target = |input: &'a [u32]| &input[input.len() - input.len().min(1 + input.len() % 11)..];
    sequences.iter().map(|&input| Pair { input, target: target(input) }).collect()
}

fn decoder(config: &DecoderConfig, backend: Backend) -> Box<dyn CausalLm> {
    build_causal(&Architecture::Decoder(config.clone()), &RandomWeights, backend)
        .expect("the tiny models are valid")
}

fn logits(model: &dyn CausalLm, prefix: Option<&Prefix>, sequences: &[&[u32]]) -> Vec<Vec<f32>> {
    let mut all = Vec::new();
    let mut sink = |at: usize, values: &[f32]| {
        assert_eq!(at, all.len(), "in order");
        all.push(values.to_vec());
    };
    model.next_token_logits(prefix, sequences, &mut sink).expect("valid sequences");
    all
}

fn log_probs(model: &dyn CausalLm, prefix: Option<&Prefix>, sequences: &[&[u32]]) -> Vec<Vec<f32>> {
    let mut all = Vec::new();
    model
        .token_log_probs(prefix, sequences, &mut |_, values| all.push(values.to_vec()))
        .expect("valid sequences");
    all
}

fn largest_difference(left: &[f32], right: &[f32]) -> f32 {
    assert_eq!(left.len(), right.len());
    left.iter().zip(right).map(|(left, right)| (left - right).abs()).fold(0.0, f32::max)
}

fn bits(values: &[Vec<f32>]) -> Vec<Vec<u32>> {
    values.iter().map(|values| values.iter().map(|value| value.to_bits()).collect()).collect()
}

fn slices(sequences: &[Vec<u32>]) -> Vec<&[u32]> {
    sequences.iter().map(Vec::as_slice).collect()
}

#[test]
fn native_and_candle_agree_for_every_architecture() {
    let sequences: Vec<Vec<u32>> =
        [1, 2, 17, 49, 130].iter().map(|&length| tokens(length, length as u64)).collect();
    for (name, architecture) in architectures() {
        let candle =
            outputs(&architecture, &RandomWeights, Backend::Candle, &slices(&sequences)).expect(name);
        for path in Path::supported() {
            let native = outputs(&architecture, &RandomWeights, Backend::Native(path), &slices(&sequences))
                .expect(name);
            let tolerance = if path.dtype() == tamis_kernels::Dtype::F32 { 1e-5 } else { 0.1 };
            for (native, candle) in native.iter().zip(&candle) {
                let difference = largest_difference(native, candle);
                assert!(difference < tolerance, "{name}, {}: {difference}", path.name());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn a_sequence_gives_the_same_bits_in_every_pack(lengths in prop::collection::vec(1..90_usize, 1..9), seed: u64) {
        let sequences: Vec<Vec<u32>> =
            lengths.iter().enumerate().map(|(at, &length)| tokens(length, seed ^ at as u64)).collect();
        for (name, architecture) in architectures() {
            for path in Path::supported() {
                let backend = Backend::Native(path);
                let together = outputs(&architecture, &RandomWeights, backend, &slices(&sequences)).expect(name);
                for (sequence, together) in sequences.iter().zip(together) {
                    let alone = outputs(&architecture, &RandomWeights, backend, &[sequence]).expect(name);
                    prop_assert_eq!(bits(&alone), bits(&[together]), "{}, {}", name, path.name());
                }
            }
        }
    }

    #[test]
    fn a_prefix_computed_once_gives_the_bits_of_the_whole_sequence(
        prefix_length in 1..70_usize,
        lengths in prop::collection::vec(1..70_usize, 1..6),
        seed: u64,
    ) {
        let beginning = tokens(prefix_length, seed);
        let endings: Vec<Vec<u32>> =
            lengths.iter().enumerate().map(|(at, &length)| tokens(length, seed ^ (at as u64 + 1))).collect();
        let whole: Vec<Vec<u32>> = endings.iter().map(|ending| [&beginning[..], ending].concat()).collect();
        for (name, config) in decoders() {
            for path in Path::supported() {
                let model = decoder(&config, Backend::Native(path));
                let prefix = model.prefix(&beginning).expect(name);
                prop_assert_eq!(prefix.tokens(), prefix_length);
                let shared = logits(&*model, Some(&prefix), &slices(&endings));
                prop_assert_eq!(
                    bits(&shared), bits(&logits(&*model, None, &slices(&whole))), "{}, {}", name, path.name()
                );
                let shared = log_probs(&*model, Some(&prefix), &slices(&endings));
                let all = log_probs(&*model, None, &slices(&whole));
                for ((shared, all), ending) in shared.iter().zip(all).zip(&endings) {
                    prop_assert_eq!(shared.len(), ending.len());
                    prop_assert_eq!(&shared[..], &all[all.len() - ending.len()..], "{}, {}", name, path.name());
                }
            }
        }
    }
}

#[test]
fn candle_gives_the_same_with_a_prefix_within_rounding() {
    let (beginning, ending) = (tokens(30, 1), tokens(20, 2));
    let whole = [&beginning[..], &ending].concat();
    for (name, config) in decoders() {
        let model = decoder(&config, Backend::Candle);
        let prefix = model.prefix(&beginning).expect(name);
        let shared = logits(&*model, Some(&prefix), &[&ending]);
        assert!(largest_difference(&shared[0], &logits(&*model, None, &[&whole])[0]) < 1e-5, "{name}");
        let shared = log_probs(&*model, Some(&prefix), &[&ending]);
        assert!(
            largest_difference(&shared[0], &log_probs(&*model, None, &[&whole])[0][29..]) < 1e-5,
            "{name}"
        );
    }
}

#[test]
fn log_probs_are_the_log_softmax_of_the_logits_before_each_token() {
    let sequence = tokens(40, 3);
    let model = decoder(&llama(), Backend::Native(Path::F32Portable));
    let heads: Vec<&[u32]> = (1..sequence.len()).map(|end| &sequence[..end]).collect();
    let expected: Vec<f32> = logits(&*model, None, &heads)
        .iter()
        .zip(&sequence[1..])
        .map(|(logits, &token)| {
            let sum: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
            (f64::from(logits[token as usize]) - sum.ln()) as f32
        })
        .collect();
    assert!(largest_difference(&log_probs(&*model, None, &[&sequence])[0], &expected) < 1e-6);
    assert_eq!(log_probs(&*model, None, &[&sequence[..1]]), [Vec::<f32>::new()]);
}

#[test]
fn embeddings_have_length_one() {
    let model =
        build_encoder(&Architecture::Bert(bert()), &RandomWeights, Backend::Native(Path::F32Portable));
    let model = model.expect("the tiny models are valid");
    let mut seen = 0;
    let mut sink = |_: usize, values: &[f32]| {
        seen += 1;
        assert_eq!(values.len(), model.dimension());
        assert!((values.iter().map(|value| value * value).sum::<f32>() - 1.0).abs() < 1e-5);
    };
    model.embed(&[&tokens(5, 1), &tokens(150, 2)], &mut sink).expect("valid sequences");
    assert_eq!(seen, 2);
}

#[test]
fn sequences_that_no_model_can_take_are_refused_before_anything_is_computed() {
    let (good, long) = (tokens(5, 1), tokens(CONTEXT + 1, 2));
    for backend in [Backend::Native(Path::F32Portable), Backend::Candle] {
        for (name, architecture) in architectures() {
            let run =
                |bad: &[u32]| outputs(&architecture, &RandomWeights, backend, &[&good, bad]).expect_err(name);
            assert!(matches!(run(&[]), Error::EmptySequence { sequence: 1 }));
            if !matches!(architecture, Architecture::T5(_)) {
                let error = run(&long);
                assert!(matches!(
                    error,
                    Error::SequenceTooLong { sequence: 1, tokens: 201, context: CONTEXT, .. }
                ));
                assert!(error.to_string().ends_with("exceed the context of 200"), "{error}");
            }
            assert!(matches!(run(&[VOCABULARY as u32]), Error::UnknownToken { sequence: 1, token: 61, .. }));
            assert!(outputs(&architecture, &RandomWeights, backend, &[]).expect(name).is_empty());
        }
        let model = decoder(&llama(), backend);
        let prefix = model.prefix(&good).expect("valid prefix");
        let error =
            model.next_token_logits(Some(&prefix), &[&long[..196]], &mut |_, _| ()).expect_err("too long");
        assert!(matches!(error, Error::SequenceTooLong { prefix: 5, tokens: 196, .. }));
        assert!(error.hint().expect("a remedy").contains("195"));
        let other = decoder(&llama(), backend);
        let error = other.next_token_logits(Some(&prefix), &[&good], &mut |_, _| ()).expect_err("foreign");
        assert!(matches!(error, Error::ForeignPrefix));
        assert!(matches!(model.prefix(&[]), Err(Error::EmptySequence { .. })));
    }
}

#[test]
fn weights_that_are_not_numbers_reach_the_caller_as_such() {
    let sequence = tokens(20, 4);
    let native = Path::supported().into_iter().map(Backend::Native);
    for backend in native.chain([Backend::Candle]) {
        for (name, architecture) in architectures() {
            let clean = outputs(&architecture, &RandomWeights, backend, &[&sequence]).expect(name);
            assert!(clean[0].iter().all(|value| value.is_finite()), "{name}");
            let mut reached = 0;
            for tensor in [
                "norm.weight",
                "Norm.weight",
                "o_proj.weight",
                "output.dense.weight",
                "v_proj.weight",
                ".wo.weight",
                "bias.weight",
            ] {
                let values = outputs(&architecture, &Poisoned(tensor), backend, &[&sequence]).expect(name);
                if bits(&clean) != bits(&values) {
                    reached += 1;
                    assert!(
                        values[0].iter().any(|value| !value.is_finite()),
                        "{name}, {tensor}, {backend:?}"
                    );
                }
            }
            assert!(reached >= 2, "{name}: {reached} of its tensors were poisoned");
        }
    }
}

#[test]
fn configurations_that_fit_no_model_are_refused_before_weights_are_read() {
    let cases = [
        ("hidden_size", DecoderConfig { hidden: usize::MAX, ..llama() }),
        ("num_hidden_layers", DecoderConfig { layers: 0, ..llama() }),
        ("num_attention_heads", DecoderConfig { kv_heads: 4, ..llama() }),
        ("head_dim", DecoderConfig { head_dim: 7, ..llama() }),
        ("rms_norm_eps", DecoderConfig { norm_epsilon: f32::NAN, ..llama() }),
    ];
    for (wrong, config) in cases {
        let built = build_causal(&Architecture::Decoder(config), &RandomWeights, Backend::Candle);
        let Err(Error::Config { field, .. }) = built else { panic!("`{wrong}` was accepted") };
        assert_eq!(field, wrong);
    }
    let wrong = T5Config { start: VOCABULARY as u32, ..t5() };
    let built = build_encoder_decoder(&Architecture::T5(wrong), &RandomWeights, Backend::Candle);
    assert!(matches!(built.err(), Some(Error::Config { field: "decoder_start_token_id", .. })));
    let error = build_encoder(&Architecture::Decoder(llama()), &RandomWeights, Backend::Candle).err();
    assert!(error.expect("a decoder does not embed").to_string().contains("`llama`"));
}

#[test]
fn a_gradient_reaches_every_parameter() {
    let sequences = [tokens(12, 5), tokens(3, 6)];
    let pack = Pack::new(&slices(&sequences), 0);
    for (name, architecture) in architectures() {
        let (loss, variables) = match &architecture {
            Architecture::Decoder(config) => {
                let model = Decoder::load(CandleBlocks::trainable(), config, &RandomWeights).expect(name);
                let states = model.states(&pack, None, Queries::All, None).expect(name);
                let loss = model
                    .blocks
                    .log_probs(&states, Some(&model.norm), &model.head, pack.tokens())
                    .expect(name);
                (loss, model.blocks.variables())
            }
            Architecture::T5(config) if config.projection.is_none() => {
                let mut model = T5Training::new(config, &RandomWeights).expect(name);
                let loss = model.loss(&pairs(&slices(&sequences)), None).expect(name);
                (loss, model.parameters())
            }
            Architecture::T5(config) => {
                let model = SentenceT5::load(CandleBlocks::trainable(), config, &RandomWeights).expect(name);
                let pooled = model.pooled(&pack).expect(name);
                let direction =
                    Tensor::arange(0.0_f32, model.dimension() as f32, pooled.device()).expect(name);
                (pooled.broadcast_mul(&direction).expect(name), model.blocks.variables())
            }
            Architecture::Bert(config) => {
                let model = crate::graph::bert::Bert::load(CandleBlocks::trainable(), config, &RandomWeights)
                    .expect(name);
                let pooled = model.pooled(&pack).expect(name);
                let direction = Tensor::arange(0.0_f32, config.hidden as f32, pooled.device()).expect(name);
                (pooled.broadcast_mul(&direction).expect(name), model.blocks.variables())
            }
        };
        let gradients = loss.sum_all().and_then(|loss| loss.backward()).expect(name);
        let missing: BTreeSet<&String> = variables
            .iter()
            .filter(|(_, variable)| {
                let gradient = gradients.get(variable);
                let size = gradient.map(|gradient| gradient.abs()?.sum_all()?.to_scalar::<f32>());
                !size.is_some_and(|size| size.is_ok_and(|size| size > 0.0))
            })
            .map(|(name, _)| name)
            .collect();
        // A constant added to every key changes no softmax: its gradient is zero but for rounding, and it may be zero.
        let missing: Vec<_> = missing.into_iter().filter(|name| !name.contains("key.bias")).collect();
        assert!(missing.is_empty(), "{name}: {missing:?}");
        assert!(variables.len() >= 20, "{name}: {} parameters", variables.len());
    }
}

#[test]
fn the_first_target_is_predicted_alike_with_and_without_the_others() {
    let inputs = [tokens(12, 5), tokens(70, 6)];
    for path in Path::supported().into_iter().filter(|path| path.dtype() == tamis_kernels::Dtype::F32) {
        let model = build_encoder_decoder(&Architecture::T5(t5()), &RandomWeights, Backend::Native(path));
        let model = model.expect("the tiny models are valid");
        let mut alone = Vec::new();
        model
            .first_token_logits(&slices(&inputs), &mut |_, values| alone.push(values.to_vec()))
            .expect("valid");
        let mut seen = 0;
        // Nine targets go through keys and values, one goes through the states themselves.
        let pairs: Vec<Pair<'_>> = inputs.iter().map(|input| Pair { input, target: &input[..9] }).collect();
        let mut sink = |at: usize, values: &[f32]| {
            let difference = largest_difference(&alone[at], &values[..VOCABULARY]);
            assert!(difference < 1e-5, "{}: {difference}", path.name());
            assert_eq!(values.len(), 9 * VOCABULARY);
            seen += 1;
        };
        model.logits(&pairs, &mut sink).expect("valid");
        assert_eq!(seen, 2);
    }
}

#[test]
fn dropout_follows_its_seed_keeps_the_mean_and_can_be_switched_off() {
    let sequences = [tokens(30, 5), tokens(9, 6)];
    let sequences = slices(&sequences);
    let mut model = T5Training::new(&t5(), &RandomWeights).expect("the tiny models are valid");
    let mut loss = |dropout: Option<Dropout>| {
        let loss = model.loss(&pairs(&sequences), dropout).expect("valid pairs");
        loss.to_scalar::<f32>().expect("a scalar")
    };
    let plain = loss(None);
    let dropped = |seed| Some(Dropout { rate: 0.1, seed });
    assert_eq!(loss(dropped(1)), loss(dropped(1)));
    assert_ne!(loss(dropped(1)), loss(dropped(2)));
    assert_eq!(loss(Some(Dropout { rate: 0.0, seed: 1 })), plain);
    let mean = (0..40).map(|seed| loss(dropped(seed))).sum::<f32>() / 40.0;
    assert!((mean - plain).abs() < 0.1 * plain, "{mean} with dropout, {plain} without");
    assert_eq!(loss(None), plain);
}
