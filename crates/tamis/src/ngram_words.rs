//! What n-gram models take for words, when they are trained and when they score.

use serde::{Deserialize, Serialize};
use tamis_models::tokenizer::Tokenizer;
use tamis_samplers::ngram::{Normalisation, Segment};

use crate::{Observer, Result, models};

/// What is done to text before it is cut into words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NgramWords {
    /// Nothing: words stand between white space, as for kenlm.
    #[default]
    Plain,
    /// Lower case.
    Lower,
    /// Lower case, no accents, digits as 0, ASCII punctuation: as CCNet has it.
    Ccnet,
}

pub(crate) fn normalisation(words: NgramWords) -> Normalisation {
    match words {
        NgramWords::Plain => Normalisation::Plain,
        NgramWords::Lower => Normalisation::Lower,
        NgramWords::Ccnet => Normalisation::Ccnet,
    }
}

/// Pieces of a tokenizer as words, as CCNet's models have them.
pub(crate) struct Pieces {
    tokenizer: Tokenizer,
    names: Vec<String>,
    normalisation: Normalisation,
}

impl Pieces {
    /// Digest of the tokenizer.
    pub(crate) fn digest(&self) -> &str {
        self.tokenizer.digest()
    }

    pub(crate) fn open(source: &str, normalisation: Normalisation, observer: &dyn Observer) -> Result<Self> {
        let tokenizer = models::open_tokenizer(source, observer)?.0;
        let names = (0..tokenizer.vocab_size() as u32)
            .map(|token| match tokenizer.piece(token) {
                Some(piece) if !piece.is_empty() && !piece.contains(|c: char| c.is_ascii_whitespace()) => {
                    piece
                }
                // A file of words between white space cannot hold such a piece.
                _ => format!("token:{token}"),
            })
            .collect();
        Ok(Self { tokenizer, names, normalisation })
    }
}

impl Segment for Pieces {
    fn each_word(&self, line: &str, each: &mut dyn FnMut(&str)) -> std::result::Result<(), String> {
        let line = self.normalisation.apply(line);
        if line.trim().is_empty() {
            return Ok(());
        }
        for token in self.tokenizer.encode(&line).map_err(|error| error.to_string())? {
            each(self.names.get(token as usize).map_or("<unk>", String::as_str));
        }
        Ok(())
    }

    fn name(&self) -> String {
        format!("{} {}", self.normalisation, self.tokenizer.digest())
    }
}
