//! Long texts in pieces, cut where no token can reach across.
//!
//! A tokenizer needs about a hundred times the memory of its text, and the beginning of a 100 MB document must not cost
//! the tokenization of all of it. So a text is cut into pieces of about 16 KiB, and the tokens of the pieces joined are
//! the tokens of the text. That holds where the pre-tokenizer always splits, whatever stands around:
//!
//! - between a visible character and a space (U+0020). No alternative of the regular expressions below matches a
//!   visible character followed by a space, none looks behind, and none looks further ahead than past a run of white
//!   space; BERT's pre-tokenizer and the metaspace split before a space in any case.
//! - between a letter or digit (ASCII, kana, Han, Hangul) and a line break or one of a list of punctuation marks, for
//!   text without spaces. Runs of letters and of digits end there in all of them; the apostrophe is not in the list
//!   because `'s` and the like are pieces of their own. Not with a prefix space, which would be put before a piece that
//!   begins with anything else.
//!
//! Normalizers of the list do not compose or remove anything across either border. A tokenizer whose parts are not all
//! on the lists is given pieces of 1 MiB, and there may differ from Hugging Face's at a border.
//!
//! A tokenizer that writes `▁` even before a piece that begins with a space (Llama 2's, by its normalizer) is given each piece
//! but the first as one that goes on from another.
//!
//! A run of 256 KiB without any border (a blob, a hundred megabytes of one letter) is cut all the same: the time for one
//! word grows faster than its length. Only such a run is tokenized otherwise than by Hugging Face.

use serde_json::Value;
use tokenizers::AddedToken;

use super::Joint;
use super::sentencepiece::SPACE;

/// GPT-2's split, which the byte-level pre-tokenizer has built in.
pub(super) const GPT2_REGEX: &str =
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
/// Llama 3's.
pub(super) const LLAMA3_REGEX: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Qwen 2's: Llama 3's with single digits.
pub(super) const QWEN2_REGEX: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// The first of the four splits that llama.cpp calls `default`.
pub(super) const LLAMA_CPP_DEFAULT_PUNCTUATION: &str = r"[\p{P}\$\+<=>\^~\|]+";

/// Bytes after which a piece ends at the next border.
const PIECE_BYTES: usize = 16 << 10;
/// Bytes after which a piece ends without a border.
const LONGEST_PIECE_BYTES: usize = 256 << 10;
/// Both of these for a tokenizer of which nothing is known.
const UNKNOWN_PIECE_BYTES: usize = 1 << 20;

/// Line break and punctuation, in ASCII and East Asian text, at which a run of letters or digits ends.
const ENDS_A_WORD: &str = "\n.,;:!?()\"-/、。，．！？；：（）「」『』《》…“”・";

/// Where a text may be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Borders {
    /// Before a space.
    Spaces,
    /// Also before punctuation and line breaks.
    SpacesAndPunctuation,
}

/// How a text is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pieces {
    borders: Borders,
    target: usize,
    longest: usize,
    /// How each piece but the first begins.
    joint: Joint,
}

impl Pieces {
    /// Reads off a tokenizer where it splits.
    pub(super) fn of(tokenizer: &tokenizers::Tokenizer) -> tokenizers::Result<Self> {
        let pre_tokenizer = serde_json::to_value(tokenizer.get_pre_tokenizer())?;
        let normalizer = serde_json::to_value(tokenizer.get_normalizer())?;
        let added = tokenizer.get_added_tokens_decoder();
        let joint = if prepends(&normalizer) { Joint::Joined } else { Joint::Apart };
        let borders = match borders_of(&pre_tokenizer) {
            Some(Splits { borders, always: true })
                if is_local(&normalizer) && added.values().all(stays_within_a_word) =>
            {
                borders
            }
            _ if keeps_spaces_in_front(tokenizer, &pre_tokenizer, &normalizer)
                && added.values().all(|token| token.special || !token.content.contains(' ')) =>
            {
                Borders::Spaces
            }
            _ => {
                let (target, longest) = (UNKNOWN_PIECE_BYTES, UNKNOWN_PIECE_BYTES + LONGEST_PIECE_BYTES);
                return Ok(Self { borders: Borders::Spaces, target, longest, joint });
            }
        };
        Ok(Self { borders, target: PIECE_BYTES, longest: LONGEST_PIECE_BYTES, joint })
    }

    /// How each piece but the first begins.
    pub(super) fn joint(&self) -> Joint {
        self.joint
    }

    /// The pieces of a text, in order; together they are the text.
    pub(super) fn split<'a>(&self, text: &'a str) -> impl Iterator<Item = &'a str> + use<'a> {
        let (this, mut rest) = (*self, text);
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let (piece, after) = rest.split_at(this.end(rest));
            rest = after;
            Some(piece)
        })
    }

    /// Where the first piece of `text` ends.
    fn end(&self, text: &str) -> usize {
        let from = text.floor_char_boundary(self.target);
        let to = text.floor_char_boundary(self.longest);
        if to == text.len() && from == to {
            return to;
        }
        let mut before = text[..from].chars().next_back();
        for (at, next) in text[from..to].char_indices() {
            if before.is_some_and(|before| self.is_border(before, next)) {
                return from + at;
            }
            before = Some(next);
        }
        to
    }

    fn is_border(&self, before: char, next: char) -> bool {
        if next == ' ' {
            return before.is_alphanumeric() || before.is_ascii_graphic();
        }
        self.borders == Borders::SpacesAndPunctuation && is_plain_letter(before) && ENDS_A_WORD.contains(next)
    }
}

/// Letters and digits that every Unicode version and every normal form agrees on.
fn is_plain_letter(letter: char) -> bool {
    matches!(letter, '0'..='9' | 'A'..='Z' | 'a'..='z' | 'ぁ'..='ゖ' | 'ァ'..='ヺ' | '一'..='\u{9fa5}' | '가'..='힣')
}

/// What a pre-tokenizer does at a border.
#[derive(Clone, Copy, Debug)]
struct Splits {
    /// At borders of this kind it never joins what the cut separates.
    borders: Borders,
    /// And it always splits there itself; without that, another part of a sequence has to.
    always: bool,
}

fn borders_of(pre_tokenizer: &Value) -> Option<Splits> {
    use Borders::{Spaces, SpacesAndPunctuation};
    let flag = |name: &str| pre_tokenizer.get(name).and_then(Value::as_bool).unwrap_or(false);
    let splits = |borders, always| Some(Splits { borders, always });
    match pre_tokenizer.get("type")?.as_str()? {
        "ByteLevel" => {
            let borders = if flag("add_prefix_space") { Spaces } else { SpacesAndPunctuation };
            splits(borders, flag("use_regex"))
        }
        "BertPreTokenizer" | "Whitespace" => splits(SpacesAndPunctuation, true),
        "WhitespaceSplit" => splits(Spaces, true),
        "Metaspace" => splits(Spaces, flag("split")),
        "Digits" => splits(SpacesAndPunctuation, false),
        "Split" => {
            let regex = pre_tokenizer.get("pattern")?.get("Regex")?.as_str()?;
            match regex {
                GPT2_REGEX | LLAMA3_REGEX | QWEN2_REGEX => splits(SpacesAndPunctuation, true),
                LLAMA_CPP_DEFAULT_PUNCTUATION | r"\p{N}+" | r"\p{N}" | "[0-9][0-9][0-9]" => {
                    splits(SpacesAndPunctuation, false)
                }
                _ => None,
            }
        }
        "Sequence" => {
            let mut all = Splits { borders: SpacesAndPunctuation, always: false };
            for part in pre_tokenizer.get("pretokenizers")?.as_array()? {
                let part = borders_of(part)?;
                if part.borders == Spaces {
                    all.borders = Spaces;
                }
                all.always |= part.always;
            }
            Some(all)
        }
        _ => None,
    }
}

/// Whether a normalizer works on each side of a border as it would on the whole.
fn is_local(normalizer: &Value) -> bool {
    if normalizer.is_null() {
        return true;
    }
    match normalizer.get("type").and_then(Value::as_str) {
        Some(
            "BertNormalizer" | "NFC" | "NFD" | "NFKC" | "NFKD" | "Lowercase" | "StripAccents" | "Nmt"
            | "Precompiled",
        ) => true,
        // SentencePiece's: white space at the end of a text is dropped, and a run of spaces, which no border cuts, becomes
        // one.
        Some("Strip") => normalizer.get("strip_left") == Some(&Value::Bool(false)),
        Some("Replace") => {
            normalizer.get("pattern").and_then(|pattern| pattern.get("Regex")?.as_str()) == Some(" {2,}")
        }
        Some("Sequence") => normalizer
            .get("normalizers")
            .and_then(Value::as_array)
            .is_some_and(|parts| parts.iter().all(is_local)),
        _ => false,
    }
}

/// Whether a normalizer writes something before whatever it is given.
fn prepends(normalizer: &Value) -> bool {
    match normalizer.get("type").and_then(Value::as_str) {
        Some("Prepend") => true,
        Some("Sequence") => parts_of(normalizer).iter().any(prepends),
        _ => false,
    }
}

fn parts_of(normalizer: &Value) -> &[Value] {
    normalizer.get("normalizers").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Whether this is SentencePiece's BPE that writes spaces as U+2581, with or without one in front of a text, and no token of
/// the vocabulary has one behind another character: then no merge reaches across the border before a space.
fn keeps_spaces_in_front(
    tokenizer: &tokenizers::Tokenizer,
    pre_tokenizer: &Value,
    normalizer: &Value,
) -> bool {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let of_space = |value: &Value| value.get("pattern").and_then(|pattern| text(pattern, "String"));
    let normalizer = match parts_of(normalizer) {
        [first, second] if text(first, "prepend").as_deref() == Some(SPACE) => second,
        _ => normalizer,
    };
    let writes_spaces = text(normalizer, "type").as_deref() == Some("Replace")
        && of_space(normalizer).as_deref() == Some(" ")
        && text(normalizer, "content").as_deref() == Some(SPACE);
    // Behind this normalizer there is no space left for it to split at.
    let splits_nothing = pre_tokenizer.is_null()
        || text(pre_tokenizer, "type").as_deref() == Some("Split")
            && of_space(pre_tokenizer).as_deref() == Some(" ");
    let has_space_behind = |token: &String| token.trim_start_matches(SPACE).contains(SPACE);
    writes_spaces && splits_nothing && !tokenizer.get_vocab(false).keys().any(has_space_behind)
}

/// Added tokens that are not special are found in documents, before anything else happens.
fn stays_within_a_word(token: &AddedToken) -> bool {
    token.special
        || !(token.lstrip
            || token.rstrip
            || token.single_word
            || token.content.chars().any(|c| c == ' ' || ENDS_A_WORD.contains(c)))
}

#[cfg(test)]
impl Pieces {
    /// The same borders with pieces of other sizes, so that tests need no long texts.
    pub(super) fn with_sizes(self, target: usize, longest: usize) -> Self {
        Self { target, longest, ..self }
    }
}
