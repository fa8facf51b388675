//! The nineteen samplers of the paper by name (arXiv 2402.09668, section 4 and appendix B): what makes each here, what it costs
//! a token, and whether its model is on this machine.
//!
//! FLOPs are two a weight of every linear layer that a token passes, from the published shapes of the models; attention over the
//! other tokens (a few percent at 512 tokens) and embeddings looked up are left out. A judge reads a document with its encoder
//! and answers with one step of its decoder; span corruption shows 90 tokens of 100 to the encoder, sentinels included, and
//! predicts 20.

use serde::Serialize;
use tamis_models::source::{default_cache, is_at_hand};

/// One of the paper's samplers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PaperSampler {
    /// As the paper calls it.
    pub name: String,
    /// What keeps 20 % by it, of a corpus `CORPUS` in a run `RUN`.
    pub command: String,
    /// The model that scores, by its source; `None` where there is none, or none that is published.
    pub model: Option<String>,
    /// FLOPs of a token of the corpus; 0 where no model is asked, `None` where its shape is not published.
    pub flops_a_token: Option<f64>,
    /// Whether the model is on this machine; `None` where there is none.
    pub at_hand: Option<bool>,
    /// What there is to know beside that.
    pub note: Option<&'static str>,
}

/// Sizes of a T5 that its cost follows from.
struct Shape {
    name: &'static str,
    width: f64,
    layers: f64,
    feed_forward: f64,
    /// Heads times the width of one.
    attention: f64,
    /// Matrices of a feed-forward layer: 3 where it is gated.
    matrices: f64,
}

const fn shape(name: &'static str, [width, layers, feed_forward, heads]: [u32; 4], matrices: u32) -> Shape {
    Shape {
        name,
        width: width as f64,
        layers: layers as f64,
        feed_forward: feed_forward as f64,
        attention: (heads * 64) as f64,
        matrices: matrices as f64,
    }
}

/// T5 1.1, of which FLAN-T5 is too: width, layers, feed-forward width, heads of 64.
const T5: [Shape; 5] = [
    shape("small", [512, 8, 1024, 6], 3),
    shape("base", [768, 12, 2048, 12], 3),
    shape("large", [1024, 24, 2816, 16], 3),
    shape("xl", [2048, 24, 5120, 32], 3),
    shape("xxl", [4096, 24, 10240, 64], 3),
];

/// The encoder of Sentence-T5-Base is that of the first T5.
const SENTENCE_T5_BASE: Shape = shape("base", [768, 12, 3072, 12], 2);

/// Pieces of T5's vocabulary, which the decoder chooses among.
const VOCABULARY: f64 = 32_128.0;

impl Shape {
    /// Weights of the encoder's linear layers.
    fn encoder(&self) -> f64 {
        self.layers * self.width * (4.0 * self.attention + self.matrices * self.feed_forward)
    }

    /// Weights of the decoder's, with the head.
    fn decoder(&self) -> f64 {
        self.layers * self.width * (8.0 * self.attention + self.matrices * self.feed_forward)
            + self.width * VOCABULARY
    }

    fn judge_flops(&self) -> f64 {
        2.0 * self.encoder()
    }

    fn span_corruption_flops(&self) -> f64 {
        2.0 * (0.9 * self.encoder() + 0.2 * self.decoder())
    }
}

/// Steps after which the paper took checkpoints of T5-Large, in thousands.
const CHECKPOINTS: [u32; 5] = [20, 100, 300, 500, 700];

const EMBEDDER: &str = "hf:sentence-transformers/sentence-t5-base";
const OF_CLUSTERS: &str = "and 2·k·D a document and iteration for the clusters";
const UNPUBLISHED: &str = "the paper's checkpoints are not published: name your own";

/// All nineteen, in the paper's order.
#[must_use]
pub fn paper_samplers() -> Vec<PaperSampler> {
    let select = |rest: &str| format!("tamis select CORPUS --run RUN --rate 20% {rest}");
    let of_embeddings = |name: &str, rest: &str, note| PaperSampler {
        name: name.to_owned(),
        command: select(&format!("{rest} --embedder {EMBEDDER}")),
        model: Some(EMBEDDER.to_owned()),
        flops_a_token: Some(SENTENCE_T5_BASE.judge_flops()),
        at_hand: None,
        note,
    };
    let mut samplers = vec![
        PaperSampler {
            name: "Random".to_owned(),
            command: select("--by random"),
            model: None,
            flops_a_token: Some(0.0),
            at_hand: None,
            note: None,
        },
        of_embeddings("Density", "--by density", None),
        of_embeddings("SemDeDup", "--by semdedup", Some(OF_CLUSTERS)),
        of_embeddings("SSL Prototypes", "--by prototypes", Some(OF_CLUSTERS)),
    ];
    for shape in &T5 {
        let model = format!("hf:google/t5-v1_1-{}", shape.name);
        samplers.push(PaperSampler {
            name: format!("Perplexity (T5-{})", title(shape.name)),
            command: select(&format!("--by perplexity:{0} --model {0}={model}", shape.name)),
            model: Some(model),
            flops_a_token: Some(shape.span_corruption_flops()),
            at_hand: None,
            note: None,
        });
    }
    for thousand in CHECKPOINTS {
        samplers.push(PaperSampler {
            name: format!("Perplexity (T5-Large, {thousand}k steps)"),
            command: select(&format!("--by perplexity:{thousand}k --model {thousand}k=FOLDER")),
            model: None,
            flops_a_token: Some(T5[2].span_corruption_flops()),
            at_hand: None,
            note: Some(UNPUBLISHED),
        });
    }
    for shape in &T5 {
        let model = format!("hf:google/flan-t5-{}", shape.name);
        samplers.push(PaperSampler {
            name: format!("Ask-LLM (FLAN-T5-{})", title(shape.name)),
            command: select(&format!("--by ask-llm --beside --model {model}")),
            model: Some(model),
            flops_a_token: Some(shape.judge_flops()),
            at_hand: None,
            note: None,
        });
    }
    let cache = default_cache();
    for sampler in &mut samplers {
        sampler.at_hand = sampler.model.as_ref().map(|model| is_at_hand(model, &cache));
    }
    samplers
}

fn title(size: &str) -> String {
    match size {
        "xl" | "xxl" => size.to_uppercase(),
        size => size[..1].to_uppercase() + &size[1..],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals::SignalOptions;

    #[test]
    fn there_are_nineteen_and_each_names_a_signal() {
        let samplers = paper_samplers();
        assert_eq!(samplers.len(), 19);
        for sampler in &samplers {
            let by = sampler.command.split("--by ").nth(1).unwrap().split(' ').next().unwrap();
            assert!(by == "random" || SignalOptions::named(by).is_ok(), "{}", sampler.command);
            assert_eq!(sampler.model.is_some(), sampler.at_hand.is_some());
        }
        let names: std::collections::BTreeSet<_> = samplers.iter().map(|sampler| &sampler.name).collect();
        assert_eq!(names.len(), 19);
    }

    #[test]
    fn costs_are_those_of_the_published_sizes() {
        // google/t5-v1_1-small has 76,961,152 parameters, -large 783,150,080: embeddings and norms aside, these are them.
        let linear = |shape: &Shape| shape.encoder() + shape.decoder();
        let embeddings = |shape: &Shape| shape.width * VOCABULARY;
        assert!((linear(&T5[0]) + embeddings(&T5[0]) - 76.96e6).abs() < 0.1e6);
        assert!((linear(&T5[2]) + embeddings(&T5[2]) - 783.15e6).abs() < 0.5e6);
    }
}
