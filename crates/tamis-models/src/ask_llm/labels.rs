//! The two answers and how a vocabulary spells them.
//!
//! The paper's score is the probability of the token "yes". A decoder's vocabulary has several tokens that a reader takes
//! for yes ("yes", " yes", "Yes", " Yes"): their probabilities are added. A label for which the vocabulary has no single
//! token is scored as a sequence: the product of its tokens' probabilities.

use crate::error::Result;
use crate::prompt::PromptError;
use crate::text_tokens::TextTokenizer;
use crate::tokenizer::Joint;

/// Words for the answer that counts for a document and the one that counts against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    /// Counts for the document.
    pub yes: String,
    /// Counts against it.
    pub no: String,
}

impl Default for Labels {
    fn default() -> Self {
        Self { yes: "yes".to_owned(), no: "no".to_owned() }
    }
}

/// How one label is found in the model's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LabelTokens {
    /// Single tokens with their spellings; their probabilities are added.
    Single(Vec<(u32, String)>),
    /// The tokens of one spelling; their probabilities are multiplied.
    Sequence(Vec<u32>, String),
}

impl LabelTokens {
    /// Finds the tokens of `label`. `after` is what the model has read before it answers, which decides whether a
    /// sequence starts with a space, and how it goes on from there.
    pub(crate) fn find(
        tokenizer: &dyn TextTokenizer,
        label: &str,
        (after, joint): (&str, Joint),
    ) -> Result<Self> {
        let mut single: Vec<(u32, String)> = Vec::new();
        for spelling in spellings(label) {
            for token in single_tokens(tokenizer, &spelling)? {
                if single.iter().all(|(known, _)| *known != token) {
                    single.push((token, tokenizer.decode(&[token])?));
                }
            }
        }
        if !single.is_empty() {
            single.sort();
            return Ok(Self::Single(single));
        }
        let spaced = after.chars().next_back().is_none_or(char::is_whitespace)
            || label.starts_with(char::is_whitespace);
        let spelling = if spaced { label.to_owned() } else { format!(" {label}") };
        let tokens = tokenizer.encode_head_at(&spelling, usize::MAX, joint)?.tokens;
        if tokens.is_empty() {
            return Err(PromptError::LabelWithoutTokens { label: label.to_owned() }.into());
        }
        Ok(Self::Sequence(tokens, spelling))
    }

    /// The tokens and their spellings for `signal.json`, e.g. `"yes"=10407, " yes"=9805`.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Single(tokens) => tokens
                .iter()
                .map(|(token, spelling)| format!("{spelling:?}={token}"))
                .collect::<Vec<_>>()
                .join(", "),
            Self::Sequence(tokens, spelling) => format!("sequence {spelling:?}={tokens:?}"),
        }
    }

    /// Refuses two labels that could not be told apart.
    pub(crate) fn check_apart(&self, other: &Self, labels: &Labels) -> Result<()> {
        let shared = match (self, other) {
            (Self::Single(yes), Self::Single(no)) => {
                yes.iter().find(|token| no.contains(token)).map(|t| &t.1)
            }
            (Self::Sequence(yes, spelling), Self::Sequence(no, _)) if yes == no => Some(spelling),
            _ => None,
        };
        match shared {
            Some(token) => Err(PromptError::SharedToken {
                yes: labels.yes.clone(),
                no: labels.no.clone(),
                token: token.clone(),
            }
            .into()),
            None => Ok(()),
        }
    }
}

/// The label as given, in lower case, capitalised and in upper case, each with and without a space before it.
#[must_use]
pub fn spellings(label: &str) -> Vec<String> {
    let word = label.trim();
    let lower = word.to_lowercase();
    let mut letters = lower.chars();
    let capitalised =
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect());
    let mut all = Vec::new();
    for form in [word.to_owned(), lower.clone(), capitalised, lower.to_uppercase()] {
        for spelling in [form.clone(), format!(" {form}")] {
            if !form.is_empty() && !all.contains(&spelling) {
                all.push(spelling);
            }
        }
    }
    all
}

/// Tokens that spell exactly this, up to white space at the ends: what encoding gives if it is one token, and the
/// vocabulary's entries under the three conventions for a space (byte-level `Ġ`, `SentencePiece`'s `▁`, none).
fn single_tokens(tokenizer: &dyn TextTokenizer, spelling: &str) -> Result<Vec<u32>> {
    let mut candidates = Vec::new();
    if let [token] = tokenizer.encode_head(spelling, usize::MAX)?.tokens[..] {
        candidates.push(token);
    }
    let word = spelling.trim_start();
    let pieces = if word.len() < spelling.len() {
        vec![format!("Ġ{word}"), format!("▁{word}")]
    } else {
        vec![word.to_owned()]
    };
    candidates.extend(pieces.iter().filter_map(|piece| tokenizer.token(piece)));
    let mut found = Vec::new();
    for token in candidates {
        // An unknown-token or a special one can be a single token too.
        if !found.contains(&token) && tokenizer.decode(&[token])?.trim() == word.trim() {
            found.push(token);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask_llm::fake::FakeTokenizer;

    #[test]
    fn all_single_token_spellings_are_found_and_listed() {
        let tokenizer = FakeTokenizer::new(&["yes", " yes", "Yes", "no", " no", "NO"]);
        let yes = LabelTokens::find(&tokenizer, "yes", ("", Joint::Joined)).unwrap();
        let no = LabelTokens::find(&tokenizer, "no", ("", Joint::Joined)).unwrap();
        assert_eq!(yes.describe(), "\"yes\"=256, \" yes\"=257, \"Yes\"=258");
        assert_eq!(no.describe(), "\"no\"=259, \" no\"=260, \"NO\"=261");
        yes.check_apart(&no, &Labels::default()).unwrap();
    }

    #[test]
    fn label_without_a_token_of_its_own_becomes_a_sequence() {
        let tokenizer = FakeTokenizer::new(&["go"]);
        let find = |after| LabelTokens::find(&tokenizer, "good", (after, Joint::Joined)).unwrap();
        assert_eq!(find("Answer:"), LabelTokens::Sequence(vec![32, 256, 111, 100], " good".to_owned()));
        assert_eq!(find("Answer:\n"), LabelTokens::Sequence(vec![256, 111, 100], "good".to_owned()));
    }

    #[test]
    fn labels_that_cannot_be_told_apart_or_found_are_errors() {
        let tokenizer = FakeTokenizer::new(&["yes"]);
        let yes = LabelTokens::find(&tokenizer, "yes", ("", Joint::Joined)).unwrap();
        let labels = Labels { yes: "yes".to_owned(), no: "Yes".to_owned() };
        let same = LabelTokens::find(&tokenizer, "YES", ("", Joint::Joined)).unwrap();
        let error = yes.check_apart(&same, &labels).unwrap_err();
        assert_eq!(error.to_string(), "labels `yes` and `Yes`: both are spelled by token `yes`");
        let error = LabelTokens::find(&tokenizer, "", ("\n", Joint::Joined)).unwrap_err();
        assert_eq!(error.to_string(), "label ``: the model's tokenizer makes no token of it");
    }
}
