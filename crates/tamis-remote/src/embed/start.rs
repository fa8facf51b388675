//! What an embedder's server is asked before the first document: whether it embeds, and each text by itself.

use crate::client::Patience;
use crate::error::{Error, Result};
use crate::retry::Failure;
use crate::server::Server;

use super::answer::{Shape, read, unit};
use super::{MOST_DIMENSIONS, PROBE, asked, path};

/// Texts of one request, among them [`PROBE`]: turned round, or sorted by length either way, it stands elsewhere.
const TOGETHER: [&str; 4] = [
    "Water boils at 100 degrees Celsius.",
    PROBE,
    "Der Zug nach Lyon hat leider Verspätung.",
    "CLICK HERE!!! best cheap deals online buy now >> home | login",
];
const PROBE_AT: usize = 1;

/// What the server was found to do.
pub(super) struct Found {
    pub(super) dimension: usize,
    /// Texts that one request may hold, where that was found out here.
    pub(super) batch: Option<usize>,
    pub(super) remarks: Vec<String>,
}

/// Embeds a text alone and among others.
///
/// # Errors
/// A server that embeds nothing, each token, or all texts alike; vectors without a direction; another order in a request of
/// several texts than was asked for.
pub(super) fn check(server: &Server) -> Result<Found> {
    let wrong = |problem: String, hint: &str| Error::Answer {
        server: server.client.root().to_owned(),
        problem: server.client.shown(&problem),
        hint: hint.to_owned(),
    };
    let shape = |shape: &Shape| wrong(shape.describe(), shape.remedy());
    // Read here, so that an answer of a wrong shape is not asked for time and again.
    let alone = asked(server, &[PROBE], None, Patience::Answering, |answer| Ok(answer.clone()));
    let alone = alone.map_err(|failure| refusal(server, failure))?;
    let alone = read(server.kind, &alone, 1, None).map_err(|problem| shape(&problem))?;
    let alone = alone.first().map_or(&[][..], Vec::as_slice);
    let dimension = alone.len();
    if dimension == 0 || dimension > MOST_DIMENSIONS {
        return Err(wrong(
            format!("embeddings of {dimension} dimensions"),
            "name a server whose model embeds",
        ));
    }
    if let Some(at) = alone.iter().position(|value| !value.is_finite()) {
        return Err(wrong(
            format!("its embedding of a short text has no number at place {at} of {dimension}"),
            "the model overflows: serve it in another number format, such as bfloat16 or float32",
        ));
    }
    let Some(alone) = unit(alone) else {
        return Err(wrong(
            format!("its embedding of a short text is {dimension} zeros"),
            "serve a model that embeds, with the pooling that it was trained with",
        ));
    };
    let found = Found { dimension, batch: None, remarks: Vec::new() };
    let texts = &TOGETHER[..server.batch.unwrap_or(TOGETHER.len()).min(TOGETHER.len())];
    if texts.len() <= PROBE_AT {
        return Ok(found);
    }
    let together = asked(server, texts, Some(dimension), Patience::Answering, |answer| Ok(answer.clone()));
    let together = match together {
        Ok(answer) => match read(server.kind, &answer, texts.len(), Some(dimension)) {
            Ok(vectors) => vectors,
            Err(problem) => {
                return Ok(one_by_one(found, &problem.describe()));
            }
        },
        Err(failure @ (Failure::Refused { .. } | Failure::Unusable(_))) if !is_final(&failure) => {
            return Ok(one_by_one(found, &server.client.shown(&failure.describe())));
        }
        Err(failure) => return Err(server.client.error(failure)),
    };
    let likeness: Vec<f64> = together
        .iter()
        .map(|vector| {
            let vector = unit(vector).unwrap_or_default();
            vector.iter().zip(&alone).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        })
        .collect();
    if likeness.iter().all(|likeness| *likeness > 1.0 - 1e-6) {
        return Err(wrong(
            "it embeds different texts alike".to_owned(),
            "serve a model that embeds, with the pooling that it was trained with",
        ));
    }
    let own = likeness[PROBE_AT];
    if likeness.iter().any(|other| *other > own) {
        let problem = "in a request of several texts the vectors are in another order than the texts";
        return Ok(one_by_one(found, problem));
    }
    Ok(found)
}

fn one_by_one(found: Found, problem: &str) -> Found {
    let remark = format!("texts are sent one to a request, which is slower: {problem}");
    Found { batch: Some(1), remarks: [found.remarks, vec![remark]].concat(), ..found }
}

/// Whether a refusal speaks of the server and not of the request.
fn is_final(failure: &Failure) -> bool {
    matches!(failure, Failure::Refused { status: 401 | 403 | 404, .. })
}

fn refusal(server: &Server, failure: Failure) -> Error {
    let answer = |problem: String, hint: &str| Error::Answer {
        server: server.client.root().to_owned(),
        problem,
        hint: hint.to_owned(),
    };
    match failure {
        Failure::Refused { status: status @ (404 | 405 | 501), message, .. } => answer(
            format!("has no `{}`: status {status}: {message}", path(server.kind)),
            "name a server that embeds: text-embeddings-inference, or one with `/v1/embeddings`",
        ),
        Failure::Refused { status, message, .. } if message.to_lowercase().contains("pooling") => {
            answer(format!("status {status}: {message}"), Shape::ByToken { vectors: 0 }.remedy())
        }
        failure => server.client.error(failure),
    }
}
