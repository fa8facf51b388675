//! What a graph is built from, as settings that people and fingerprints can compare.
//!
//! Names are those of Hugging Face's `config.json` where it has one. Two architectures have the same settings when, and only
//! when, they are equal: every field is taken apart by name, so that one that is added later cannot be forgotten here.
//!
//! The spelling is stored in runs and must not change. A setting that a later version adds is written only where its value
//! is not what all models had before, so that what was stored stays what it is.

use tamis_core::Settings;

use super::config::{
    Architecture, AttentionBias, BertActivation, BertConfig, BlockNorms, DecoderConfig, Gate, Head,
    HeadNorms, Llama3Scaling, LocalAttention, RopeConfig, RopeScaling, T5Activation, T5Config, T5Head,
};

impl Architecture {
    /// The settings.
    #[must_use]
    pub fn settings(&self) -> Settings {
        match self {
            Self::Decoder(config) => decoder(config),
            Self::Bert(config) => bert(config),
            Self::T5(config) => t5(config),
        }
    }
}

fn decoder(config: &DecoderConfig) -> Settings {
    let DecoderConfig {
        family,
        vocabulary,
        hidden,
        layers,
        heads,
        kv_heads,
        head_dim,
        feed_forward,
        context,
        norm_epsilon,
        norm_offset,
        rope,
        local,
        head,
        attention_bias,
        head_norms,
        block_norms,
        gate,
        embedding_scale,
        score_scale,
    } = config;
    let settings = Settings::new()
        .with("model_type", family)
        .with("vocab_size", vocabulary)
        .with("hidden_size", hidden)
        .with("num_hidden_layers", layers)
        .with("num_attention_heads", heads)
        .with("num_key_value_heads", kv_heads)
        .with("head_dim", head_dim)
        .with("intermediate_size", feed_forward)
        .with("max_position_embeddings", context)
        .with("rms_norm_eps", norm_epsilon)
        .with("rms_norm_offset", norm_offset)
        .with(
            "tie_word_embeddings",
            match head {
                Head::Tied => "true",
                Head::Untied => "false",
            },
        )
        .with(
            "attention_bias",
            match attention_bias {
                AttentionBias::None => "none",
                AttentionBias::QueryKeyValue => "query, key, value",
                AttentionBias::All => "query, key, value, output",
            },
        )
        .with(
            "head_norms",
            match head_norms {
                HeadNorms::Absent => "none",
                HeadNorms::Present => "query, key",
            },
        )
        .with(
            "block_norms",
            match block_norms {
                BlockNorms::Before => "before",
                BlockNorms::BeforeAndAfter => "before and after",
            },
        )
        .with(
            "hidden_act",
            match gate {
                Gate::Silu => "silu",
                Gate::GeluTanh => "gelu_pytorch_tanh",
            },
        )
        .with("embedding_scale", embedding_scale)
        .with("score_scale", score_scale);
    let settings = with_rope(settings, "", rope);
    match local {
        None => settings,
        Some(LocalAttention { window, rope, layers }) => with_rope(
            settings.with("sliding_window", window).with("sliding_window_layers", places(layers)),
            "sliding_window_",
            rope,
        ),
    }
}

/// Rotary positions; `start` begins the names of the settings.
fn with_rope(settings: Settings, start: &str, RopeConfig { theta, scaling }: &RopeConfig) -> Settings {
    let name = |name: &str| format!("{start}rope_{name}");
    let settings = settings.with(&name("theta"), theta);
    match scaling {
        None => settings,
        Some(RopeScaling::Linear { factor }) => {
            settings.with(&name("type"), "linear").with(&name("factor"), factor)
        }
        Some(RopeScaling::Llama3(scaling)) => {
            let Llama3Scaling { factor, low_frequency_factor, high_frequency_factor, original_context } =
                scaling;
            settings
                .with(&name("type"), "llama3")
                .with(&name("factor"), factor)
                .with(&name("low_freq_factor"), low_frequency_factor)
                .with(&name("high_freq_factor"), high_frequency_factor)
                .with(&name("original_max_position_embeddings"), original_context)
        }
        Some(RopeScaling::Factors(factors)) => {
            let factors: Vec<String> = factors.iter().map(f32::to_string).collect();
            settings.with(&name("type"), "factors").with(&name("factors"), factors.join(" "))
        }
    }
}

/// The layers that are marked, and how many there are: `0-4 6-10 of 12`.
fn places(marks: &[bool]) -> String {
    let mut parts = Vec::new();
    let mut at = 0;
    while at < marks.len() {
        let run = marks[at..].iter().take_while(|mark| **mark == marks[at]).count();
        match (marks[at], run) {
            (false, _) => {}
            (true, 1) => parts.push(at.to_string()),
            (true, _) => parts.push(format!("{at}-{}", at + run - 1)),
        }
        at += run;
    }
    parts.push(format!("of {}", marks.len()));
    parts.join(" ")
}

fn bert(config: &BertConfig) -> Settings {
    let BertConfig {
        vocabulary,
        hidden,
        layers,
        heads,
        feed_forward,
        context,
        token_types,
        norm_epsilon,
        activation,
    } = config;
    Settings::new()
        .with("model_type", "bert")
        .with("vocab_size", vocabulary)
        .with("hidden_size", hidden)
        .with("num_hidden_layers", layers)
        .with("num_attention_heads", heads)
        .with("intermediate_size", feed_forward)
        .with("max_position_embeddings", context)
        .with("type_vocab_size", token_types)
        .with("layer_norm_eps", norm_epsilon)
        .with(
            "hidden_act",
            match activation {
                BertActivation::GeluErf => "gelu",
                BertActivation::GeluTanh => "gelu_pytorch_tanh",
            },
        )
}

fn t5(config: &T5Config) -> Settings {
    let T5Config {
        vocabulary,
        hidden,
        encoder_layers,
        decoder_layers,
        heads,
        head_dim,
        feed_forward,
        activation,
        buckets,
        max_distance,
        norm_epsilon,
        head,
        start,
        context,
        projection,
    } = config;
    let settings = Settings::new()
        .with("model_type", "t5")
        .with("vocab_size", vocabulary)
        .with("d_model", hidden)
        .with("num_layers", encoder_layers)
        .with("num_decoder_layers", decoder_layers)
        .with("num_heads", heads)
        .with("d_kv", head_dim)
        .with("d_ff", feed_forward)
        .with(
            "feed_forward_proj",
            match activation {
                T5Activation::Relu => "relu",
                T5Activation::GatedGelu => "gated-gelu",
            },
        )
        .with("relative_attention_num_buckets", buckets)
        .with("relative_attention_max_distance", max_distance)
        .with("layer_norm_epsilon", norm_epsilon)
        .with(
            "head",
            match head {
                T5Head::TiedAndScaled => "tied, states scaled",
                T5Head::Tied => "tied",
                T5Head::Untied => "untied",
                T5Head::UntiedWhereThere => "untied where there is one",
            },
        )
        .with("decoder_start_token_id", start)
        .with("n_positions", context);
    match projection {
        None => settings,
        Some(outputs) => settings.with("dense_out_features", outputs).with("dense_activation", "identity"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_layers_are_told_apart() {
        let marks = |text: &str| places(&text.chars().map(|mark| mark == 'x').collect::<Vec<_>>());
        assert_eq!(marks("xxxxx.xxxxx."), "0-4 6-10 of 12");
        assert_eq!(marks(".x.xx"), "1 3-4 of 5");
        let all: Vec<String> = (0..64_u32)
            .map(|bits| places(&(0..6).map(|at| bits >> at & 1 == 1).collect::<Vec<_>>()))
            .chain([places(&[]), places(&[false])])
            .collect();
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len());
    }
}
