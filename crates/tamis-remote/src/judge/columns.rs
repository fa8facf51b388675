//! The value columns: those of the embedded engine, and four that say what the server did not show.

use tamis_models::ask_llm::columns::{More, Scored};

use crate::answer::{Seen, Side};
use crate::cut::Piece;

/// Probability of all tokens that the server did not show.
pub const P_UNSEEN: &str = "p_unseen";
/// Largest probability that yes may have, from `p_yes` to 1.
pub const P_YES_AT_MOST: &str = "p_yes_at_most";
/// Largest probability that no may have.
pub const P_NO_AT_MOST: &str = "p_no_at_most";
/// Whether `score` is a bound because one of the answers was not shown.
pub const BOUNDED: &str = "bounded";

pub(crate) const MORE: More = More { floats: &[P_UNSEEN, P_YES_AT_MOST, P_NO_AT_MOST], flags: &[BOUNDED] };

/// Means over the prompts of a row. `None` when some prompt showed neither answer. A mean is null where one of its terms is.
pub(crate) fn scored(
    seen: &[Seen],
    tokens: Option<u32>,
    piece: &Piece<'_>,
    delimiter_in_text: bool,
) -> Option<Scored> {
    let n = seen.len() as f64;
    let mean = |of: &dyn Fn(&Seen) -> Option<f64>| -> Option<f64> {
        seen.iter().map(of).sum::<Option<f64>>().map(|sum| sum / n)
    };
    let score = mean(&Seen::score)?;
    // One prompt's own logarithm: exp and ln would lose bits.
    let log_mean = |side: &dyn Fn(&Seen) -> Side| match seen {
        [one] => side(one).shown,
        _ => mean(&|seen| side(seen).shown.map(libm::exp)).map(libm::log),
    };
    let (log_yes, log_no) = (log_mean(&|seen| seen.yes), log_mean(&|seen| seen.no));
    let log_odds_by_prompt: Vec<Option<f64>> = seen.iter().map(Seen::log_odds).collect();
    let floats = [
        Some(score),
        log_yes,
        log_no,
        log_yes.map(libm::exp),
        log_no.map(libm::exp),
        log_yes.zip(log_no).map(|(yes, no)| 1.0 / (1.0 + libm::exp(no - yes))),
        mean(&Seen::log_odds),
    ];
    Some(Scored {
        floats,
        more: vec![
            mean(&|seen| Some(seen.unseen)),
            mean(&|seen| Some(libm::exp(seen.yes.log_at_most))),
            mean(&|seen| Some(libm::exp(seen.no.log_at_most))),
        ],
        flags: vec![log_odds_by_prompt.iter().any(Option::is_none)],
        tokens,
        document_tokens: piece.document_tokens.map(|tokens| u32::try_from(tokens).unwrap_or(u32::MAX)),
        truncated: piece.truncated,
        delimiter_in_text,
        log_odds_by_prompt,
    })
}
