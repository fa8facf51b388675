//! What is sent of a long document: always a beginning of it, cut by tokens where somebody can count them.

use std::sync::Arc;

use tamis_models::text_tokens::TextTokenizer;

use crate::error::{Error, Result};
use crate::retry::Failure;
use crate::server::{Kind, Server};

/// Bytes of one token at most, as far as cutting is concerned: more text than this for each token of the window is not even
/// shown to a tokenizer.
const TOKEN_BYTES: usize = 32;

/// Characters that one token stands for at least, where nobody can count tokens: English has four to five, and a document
/// that has more tokens than this is refused by the server rather than read in part.
const CHARACTERS_PER_TOKEN: usize = 3;

/// How documents are cut.
#[derive(Clone)]
pub(crate) enum Cut {
    /// At tokens that a tokenizer counts here.
    Local { tokenizer: Arc<dyn TextTokenizer>, most: usize },
    /// At tokens that the server counts.
    Server { most: usize },
    /// At characters.
    Characters { most: usize },
    /// The server cuts at so many tokens, and does not say whether it did.
    Silent { most: usize },
}

/// What limits a document.
pub(crate) struct Limits<'a> {
    /// What is sent around it.
    pub(crate) around: &'a [(&'a str, &'a str)],
    /// Tokens that the server adds: its template, special tokens, the answer.
    pub(crate) margin: usize,
    /// Tokens that the model reads, where neither the server nor the user says.
    pub(crate) assumed: usize,
    /// Asked for.
    pub(crate) most_tokens: Option<usize>,
    /// Asked for.
    pub(crate) most_characters: Option<usize>,
    /// Counts tokens here.
    pub(crate) tokenizer: Option<Arc<dyn TextTokenizer>>,
}

/// The beginning of a document that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    pub(crate) text: &'a str,
    /// Whether it is less than the document; `None`: the server may have cut it.
    pub(crate) truncated: Option<bool>,
    /// Tokens of the whole document, where they were counted.
    pub(crate) document_tokens: Option<usize>,
}

impl Cut {
    /// Chooses by what there is: a number of characters that was asked for, a tokenizer here, one on the server, characters.
    pub(crate) fn choose(server: &Server, limits: &Limits<'_>) -> Result<Self> {
        if let Some(most) = limits.most_characters {
            if limits.most_tokens.is_some() {
                let problem = "a limit in tokens and one in characters".to_owned();
                return Err(Error::Options { problem, hint: "give one of them" });
            }
            return Ok(Self::Characters { most: most.max(1) });
        }
        let context = server.context.unwrap_or(limits.assumed);
        let count = |text: &str| -> Result<Option<usize>> {
            match (&limits.tokenizer, text) {
                (_, "") => Ok(Some(0)),
                (Some(tokenizer), text) => Ok(Some(tokenizer.encode_template(text)?.len())),
                (None, text) => match server.tokenize(text) {
                    Some(Ok(tokens)) => Ok(Some(tokens.len())),
                    None | Some(Err(Failure::Refused { .. } | Failure::Unusable(_))) => Ok(None),
                    Some(Err(failure)) => Err(server.client.error(failure)),
                },
            }
        };
        let mut around = count("tokens")?.map(|_| 0);
        if around.is_some() {
            for (prefix, suffix) in limits.around {
                let both = count(prefix)?.zip(count(suffix)?).map(|(prefix, suffix)| prefix + suffix);
                around = around.max(both);
            }
        }
        let no_room = || Error::Options {
            problem: format!("the prompt leaves no room for a document in {context} tokens"),
            hint: "use a shorter prompt, or a model with a longer context",
        };
        if let Some(around) = around {
            let room = context.saturating_sub(around + limits.margin);
            let most = limits.most_tokens.unwrap_or(usize::MAX).min(room);
            return match (&limits.tokenizer, most) {
                (_, 0) => Err(no_room()),
                (Some(tokenizer), most) => Ok(Self::Local { tokenizer: Arc::clone(tokenizer), most }),
                (None, most) => Ok(Self::Server { most }),
            };
        }
        if limits.most_tokens.is_some() {
            return Err(Error::Options {
                problem: format!("{} does not count tokens", server.client.root()),
                hint: "add --tokenizer SOURCE, or give the limit as --max-document-characters N",
            });
        }
        let around =
            limits.around.iter().map(|(prefix, suffix)| prefix.chars().count() + suffix.chars().count());
        let used = around.max().unwrap_or(0) + CHARACTERS_PER_TOKEN * limits.margin;
        match (CHARACTERS_PER_TOKEN * context).saturating_sub(used) {
            0 => Err(no_room()),
            most => Ok(Self::Characters { most }),
        }
    }

    /// In words, for fingerprints and for people.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Local { tokenizer, most } => format!("{most} tokens by tokenizer {}", tokenizer.digest()),
            Self::Server { most } => format!("{most} tokens by the server's tokenizer"),
            Self::Characters { most } => format!("{most} characters"),
            Self::Silent { most } => format!("by the server, at {most} tokens"),
        }
    }

    /// Cuts without asking the server; `None`: it has to be asked ([`Cut::by_server`]).
    pub(crate) fn here<'a>(&self, text: &'a str) -> Result<Option<Piece<'a>>> {
        Ok(match self {
            Self::Local { tokenizer, most } => Some(local(&**tokenizer, text, *most)?),
            // No text has more tokens than bytes.
            Self::Server { most } if text.len() <= *most => {
                Some(Piece { text, truncated: Some(false), document_tokens: None })
            }
            Self::Server { .. } => None,
            Self::Characters { most } => {
                let head = characters(text, *most);
                Some(Piece { text: head, truncated: Some(head.len() < text.len()), document_tokens: None })
            }
            Self::Silent { most } => {
                let head = bytes(text, most.saturating_mul(TOKEN_BYTES));
                Some(Piece {
                    text: head,
                    truncated: (head.len() < text.len()).then_some(true),
                    document_tokens: None,
                })
            }
        })
    }

    /// Cuts at the server's tokens.
    pub(crate) fn by_server<'a>(&self, server: &Server, text: &'a str) -> Result<Piece<'a>, Failure> {
        let Self::Server { most } = *self else {
            return Ok(Piece { text, truncated: None, document_tokens: None });
        };
        let lost = || Failure::Unusable("it counts tokens no more".to_owned());
        let head = bytes(text, most.saturating_mul(TOKEN_BYTES));
        let tokens = server.tokenize(head).ok_or_else(lost)??;
        let whole = head.len() == text.len();
        let document_tokens = whole.then_some(tokens.len());
        if tokens.len() <= most {
            return Ok(Piece { text: head, truncated: Some(!whole), document_tokens });
        }
        let decoded = server.detokenize(&tokens[..most]).ok_or_else(lost)??;
        let kept = whole_characters(&decoded, head);
        let mut wanted = kept.chars().count();
        if head.starts_with(kept) {
            return Ok(Piece { text: characters(head, wanted), truncated: Some(true), document_tokens });
        }
        // A tokenizer that rewrites the text: as many characters, fewer where they have more tokens.
        loop {
            let cut = characters(head, wanted);
            if wanted <= 1 || server.tokenize(cut).ok_or_else(lost)??.len() <= most {
                return Ok(Piece { text: cut, truncated: Some(true), document_tokens });
            }
            wanted -= wanted.div_ceil(10);
        }
    }
}

/// Context of a model whose server does not say: the default of the software.
pub(crate) fn assumed_context(kind: Kind) -> usize {
    match kind {
        Kind::LlamaCppPython => 2048,
        _ => 4096,
    }
}

fn local<'a>(tokenizer: &dyn TextTokenizer, text: &'a str, most: usize) -> Result<Piece<'a>> {
    let count =
        |text: &str| -> Result<usize> { Ok(usize::try_from(tokenizer.count(text)?).unwrap_or(usize::MAX)) };
    let tokens = count(text)?;
    let piece = |text, truncated| Piece { text, truncated: Some(truncated), document_tokens: Some(tokens) };
    if tokens <= most {
        return Ok(piece(text, false));
    }
    let decoded = tokenizer.decode(&tokenizer.encode_head(text, most)?.tokens)?;
    let decoded = whole_characters(&decoded, text);
    if !decoded.is_empty() && text.starts_with(decoded) {
        return Ok(piece(&text[..decoded.len()], true));
    }
    // A tokenizer that rewrites the text: the longest beginning that has no more tokens.
    let (mut fits, mut too_long) = (0, bytes(text, most.saturating_mul(TOKEN_BYTES)).len() + 1);
    while too_long - fits > 1 {
        let middle = bytes(text, fits + (too_long - fits) / 2).len();
        let next = text[fits..].chars().next().map_or(text.len(), |next| fits + next.len_utf8());
        let middle = middle.max(next);
        if middle >= too_long {
            break;
        }
        if count(&text[..middle])? <= most {
            fits = middle;
        } else {
            too_long = middle;
        }
    }
    Ok(piece(&text[..fits], true))
}

/// Without the half of a character that a cut between tokens may leave at the end, unless it stands so in the text itself.
fn whole_characters<'d>(decoded: &'d str, text: &str) -> &'d str {
    if text.starts_with(decoded) { decoded } else { decoded.trim_end_matches('\u{fffd}') }
}

/// The first characters.
fn characters(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(end, _)| &text[..end])
}

/// At most the first so many bytes, whole characters.
fn bytes(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tamis_models::tokenizer::Head;

    use super::*;

    /// One token a character, its number; `lower` rewrites the text first, as BERT's tokenizers do.
    struct Letters {
        lower: bool,
    }

    impl Letters {
        fn tokens(&self, text: &str) -> Vec<u32> {
            let text = if self.lower { text.to_lowercase() } else { text.to_owned() };
            text.chars().map(u32::from).collect()
        }
    }

    impl TextTokenizer for Letters {
        fn encode_head(&self, text: &str, max_tokens: usize) -> tamis_models::Result<Head> {
            let mut tokens = self.tokens(text);
            let truncated = tokens.len() > max_tokens;
            tokens.truncate(max_tokens);
            Ok(Head { tokens, truncated })
        }

        fn count(&self, text: &str) -> tamis_models::Result<u64> {
            Ok(self.tokens(text).len() as u64)
        }

        fn encode_template(&self, text: &str) -> tamis_models::Result<Vec<u32>> {
            Ok(self.tokens(text))
        }

        fn decode(&self, tokens: &[u32]) -> tamis_models::Result<String> {
            Ok(tokens.iter().map(|token| char::from_u32(*token).unwrap()).collect())
        }

        fn token(&self, _: &str) -> Option<u32> {
            None
        }

        fn frame(&self) -> (&[u32], &[u32]) {
            (&[], &[])
        }

        fn digest(&self) -> &'static str {
            "letters"
        }
    }

    #[test]
    fn cut_is_a_beginning_of_the_text_even_where_the_tokenizer_rewrites_it() {
        for lower in [false, true] {
            let piece = |text, most| local(&Letters { lower }, text, most).unwrap();
            assert_eq!(piece("ÄBCdé", 3).text, "ÄBC");
            assert_eq!(
                piece("ÄBC", 3),
                Piece { text: "ÄBC", truncated: Some(false), document_tokens: Some(3) }
            );
            assert_eq!(piece("ÄBCdé", 3).document_tokens, Some(5));
            assert_eq!(piece("Ä\u{fffd}Cd", 2).text, "Ä\u{fffd}");
        }
        // Characters of three bytes before one of two: half way lies within a character.
        let text = "0ெ\u{cbc}®a0 Σⴧa A 𐏈A®\u{cca}";
        assert_eq!(local(&Letters { lower: true }, text, 14).unwrap().text.chars().count(), 14);
        // The small letter of İ is two characters.
        assert_eq!(local(&Letters { lower: true }, "İİİ", 3).unwrap().text, "İ");
    }

    proptest! {
        #[test]
        fn no_cut_has_too_many_tokens_or_too_few(text in "\\PC{0,60}", most in 1usize..40, lower in any::<bool>()) {
            let tokenizer = Letters { lower };
            let piece = local(&tokenizer, &text, most).unwrap();
            let count = |text: &str| tokenizer.tokens(text).len();
            prop_assert!(text.starts_with(piece.text) && count(piece.text) <= most);
            prop_assert_eq!(piece.truncated, Some(count(&text) > most));
            if let Some(next) = text[piece.text.len()..].chars().next() {
                prop_assert!(count(&format!("{}{next}", piece.text)) > most, "one more would fit");
            }
        }

        #[test]
        fn characters_and_bytes_are_cut_whole(text in "\\PC{0,40}", most in 0usize..60) {
            prop_assert_eq!(characters(&text, most).chars().count(), most.min(text.chars().count()));
            prop_assert!(bytes(&text, most).len() <= most && text.starts_with(bytes(&text, most)));
        }
    }
}
