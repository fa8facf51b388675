//! From a server's answer to vectors, in the order of the texts; and what is wrong with one that holds none.

use serde_json::Value;

use crate::server::Kind;

/// Why an answer holds no vectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A vector for each token of a text.
    ByToken { vectors: usize },
    /// Bytes in base64.
    Base64,
    /// Anything else, in words.
    Other(String),
}

impl Shape {
    /// In words.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::ByToken { vectors } => {
                format!(
                    "an embedding is a list of {vectors} vectors, as one for each token, instead of one vector"
                )
            }
            Self::Base64 => "an embedding is a string, as of base64, instead of a list of numbers".to_owned(),
            Self::Other(problem) => problem.clone(),
        }
    }

    /// What to do about it where the server is started.
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::ByToken { .. } => {
                "let the server pool them: llama-server with --pooling mean (or cls, last, as the model was trained), \
                 llama-cpp-python with a model whose file names its pooling, vLLM with --runner pooling"
            }
            Self::Base64 => {
                "numbers are asked for (`encoding_format` `float`): let the server, or a gateway before it, pass that on"
            }
            Self::Other(_) => {
                "name a server that embeds: text-embeddings-inference, or one with `/v1/embeddings`"
            }
        }
    }
}

/// As many vectors as texts, in their order; a number that is none is NaN. Where a width is given, each has it.
pub(super) fn read(
    kind: Kind,
    answer: &Value,
    count: usize,
    dimension: Option<usize>,
) -> Result<Vec<Vec<f32>>, Shape> {
    let other = |problem: String| Shape::Other(problem);
    let list = match kind {
        Kind::Tei => answer,
        _ => &answer["data"],
    };
    let list = list.as_array().ok_or_else(|| other("its answer holds no list of embeddings".to_owned()))?;
    if list.len() != count {
        return Err(other(format!("expected {count} embeddings, got {}", list.len())));
    }
    let mut vectors: Vec<Option<Vec<f32>>> = vec![None; count];
    for (at, item) in list.iter().enumerate() {
        let (at, numbers) = match kind {
            Kind::Tei => (at, item),
            // The order is the server's own; an answer without numbers is in ours.
            _ => (
                item["index"].as_u64().map_or(at, |at| usize::try_from(at).unwrap_or(usize::MAX)),
                &item["embedding"],
            ),
        };
        let numbers = match numbers {
            Value::Array(numbers) => numbers,
            Value::String(_) => return Err(Shape::Base64),
            _ => return Err(other("an embedding that is no list of numbers".to_owned())),
        };
        if numbers.iter().any(Value::is_array) {
            return Err(Shape::ByToken { vectors: numbers.len() });
        }
        if numbers.is_empty() || dimension.is_some_and(|dimension| dimension != numbers.len()) {
            let expected = dimension
                .map_or("at least one dimension".to_owned(), |dimension| format!("{dimension} dimensions"));
            return Err(other(format!("expected {expected}, got {}", numbers.len())));
        }
        let place = vectors
            .get_mut(at)
            .ok_or_else(|| other(format!("an embedding of number {at} for {count} texts")))?;
        let numbers = numbers.iter().map(|number| number.as_f64().map_or(f32::NAN, |number| number as f32));
        if place.replace(numbers.collect()).is_some() {
            return Err(other(format!("two embeddings of number {at}")));
        }
    }
    Ok(vectors
        .into_iter()
        .map(|vector| vector.expect("as many places as embeddings, each taken once"))
        .collect())
}

/// The vector at length 1; `None` where it has no direction: a number that is none, or nothing but zeros.
pub(super) fn unit(vector: &[f32]) -> Option<Vec<f32>> {
    let norm = vector.iter().map(|value| f64::from(*value) * f64::from(*value)).sum::<f64>().sqrt();
    if !norm.is_finite() || norm < 1e-12 {
        return None;
    }
    Some(vector.iter().map(|value| (f64::from(*value) / norm) as f32).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn order_is_the_index_and_wrong_shapes_are_errors() {
        let answer = json!({ "data": [{ "index": 1, "embedding": [3.0, 4.0] }, { "index": 0, "embedding": [1, null] }] });
        let vectors = read(Kind::OpenAi, &answer, 2, Some(2)).unwrap();
        assert_eq!(vectors[1], [3.0, 4.0]);
        assert_eq!(unit(&vectors[1]).unwrap(), [0.6, 0.8]);
        assert_eq!(unit(&vectors[0]), None);
        assert_eq!(unit(&[0.0, 0.0]), None);
        let bare = json!([[1.0], [2.0]]);
        assert_eq!(read(Kind::Tei, &bare, 2, None).unwrap(), [[1.0], [2.0]]);
        for (wrong, count, dimension) in [
            (json!({ "data": [{ "embedding": [1] }] }), 2, None),
            (
                json!({ "data": [{ "index": 0, "embedding": [1] }, { "index": 0, "embedding": [2] }] }),
                2,
                None,
            ),
            (json!({ "data": [{ "index": 7, "embedding": [1] }] }), 1, None),
            (json!({ "data": [{ "embedding": [] }] }), 1, None),
            (json!({ "data": [{ "embedding": { "dense": [1] } }] }), 1, None),
            (json!({ "data": [{ "embedding": [1] }] }), 1, Some(2)),
            (json!({ "data": {} }), 1, None),
            (json!("text"), 1, None),
        ] {
            assert!(matches!(read(Kind::OpenAi, &wrong, count, dimension), Err(Shape::Other(_))), "{wrong}");
        }
    }

    #[test]
    fn vectors_by_token_and_base64_are_told_apart_from_vectors() {
        for (kind, nested) in [
            (
                Kind::LlamaServer,
                json!({ "data": [{ "index": 0, "embedding": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]] }] }),
            ),
            (Kind::Tei, json!([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])),
        ] {
            assert_eq!(read(kind, &nested, 1, None), Err(Shape::ByToken { vectors: 3 }));
            assert_eq!(
                read(kind, &nested, 1, Some(3)),
                Err(Shape::ByToken { vectors: 3 }),
                "the width of a text of 3 tokens"
            );
        }
        let base64 = json!({ "data": [{ "index": 0, "embedding": "AACAPwAAAEA=" }] });
        assert_eq!(read(Kind::OpenAi, &base64, 1, None), Err(Shape::Base64));
    }

    proptest! {
        #[test]
        fn no_answer_panics(text in "[\\[\\]{}\":,a-z0-9.-]{0,60}", count in 0usize..3) {
            if let Ok(value) = serde_json::from_str::<Value>(&text) {
                let _ = read(Kind::Tei, &value, count, None);
                let _ = read(Kind::OpenAi, &json!({ "data": value }), count, Some(1));
                let _ = read(Kind::OpenAi, &json!({ "data": [{ "index": 0, "embedding": value }] }), 1, None);
            }
        }
    }
}
