//! ARPA files, line by line.
//!
//! The format: comments, `\data\` with the number of n-grams of each length, then a section a length with
//! `log₁₀ p <tab> n-gram <tab> log₁₀ back-off weight`, then `\end\`. A file that is cut, miscounted or malformed in any line is
//! refused with that line; a model that is half there would score everything a little wrong.
//!
//! Pruned files of some tools keep an n-gram without the shorter one that it ends in. Such a one is added with the
//! probability that backing off gives it, which changes no probability; kenlm does the same.

use std::str;

use super::model::NgramModel;
use super::table::{Entry, Table, extend, hash_word};
use super::{BEGIN, END, MAX_ORDER, UNKNOWN};

/// Entries that room is made for because a header says so; more only as they come.
const TRUSTED: u64 = 1 << 20;
const KENLM_BINARY: &[u8] = b"mmap lm http://kheafield.com/code";

/// What the comments of a model of ours say: `# tamis.KEY: VALUE`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArpaHeader {
    /// Normalisation that its words had, by name.
    pub text: Option<String>,
    /// Digest of the tokenizer whose pieces are its words.
    pub tokenizer: Option<String>,
}

impl ArpaHeader {
    /// Start of the comments that hold it.
    pub(super) const PREFIX: &'static str = "# tamis.";

    fn comment(&mut self, line: &str) {
        let Some((key, value)) = line.strip_prefix(Self::PREFIX).and_then(|rest| rest.split_once(": "))
        else {
            return;
        };
        match key {
            "text" => self.text = Some(value.trim().to_owned()),
            "tokenizer" => self.tokenizer = Some(value.trim().to_owned()),
            _ => {}
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Head,
    Counts,
    /// Before the header of the n-grams of this length.
    Before(usize),
    /// Among the n-grams of this length.
    Grams(usize),
    BeforeEnd,
    End,
}

/// Reads an ARPA file that is given to it line by line.
#[derive(Debug)]
pub struct ArpaParser {
    place: Place,
    line: u64,
    counts: Vec<u64>,
    seen: u64,
    inserted: u64,
    unigrams: Table,
    longer: Table,
    header: ArpaHeader,
    /// Hashes of the words of the line, first word first.
    words: Vec<u64>,
}

impl Default for ArpaParser {
    fn default() -> Self {
        Self {
            place: Place::Head,
            line: 0,
            counts: Vec::new(),
            seen: 0,
            inserted: 0,
            unigrams: Table::with_capacity(0),
            longer: Table::with_capacity(0),
            header: ArpaHeader::default(),
            words: Vec::new(),
        }
    }
}

impl ArpaParser {
    /// Before the first line.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next line, without its newline.
    ///
    /// # Errors
    /// What is wrong with it; the parser is of no more use then.
    pub fn line(&mut self, bytes: &[u8]) -> Result<(), super::ArpaError> {
        self.line += 1;
        self.take(bytes).map_err(|problem| super::ArpaError { line: self.line, problem })
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), String> {
        if self.line == 1 && bytes.starts_with(KENLM_BINARY) {
            return Err(
                "this is a binary file of KenLM; give the ARPA file that it was built from".to_owned()
            );
        }
        let text = str::from_utf8(bytes).map_err(|_| format!("not UTF-8: {}", shown(bytes)))?;
        let text = text.trim_end_matches([' ', '\t', '\r']);
        match self.place {
            Place::Head if text == "\\data\\" => self.place = Place::Counts,
            Place::Head if text.is_empty() => {}
            Place::Head if text.starts_with('#') => self.header.comment(text),
            Place::Head => return Err(format!("expected `\\data\\` or a comment, got {}", shown(bytes))),
            Place::Counts if text.is_empty() => {
                if self.counts.is_empty() {
                    return Err("no counts follow `\\data\\`".to_owned());
                }
                self.unigrams = Table::with_capacity(self.counts[0].min(TRUSTED) as usize);
                let longer = self.counts[1..].iter().fold(0u64, |sum, count| sum.saturating_add(*count));
                self.longer = Table::with_capacity(longer.min(TRUSTED) as usize);
                self.place = Place::Before(1);
            }
            Place::Counts => self.count(text)?,
            Place::Before(_) if text.is_empty() => {}
            Place::Before(length) => {
                if text != format!("\\{length}-grams:") {
                    return Err(format!("expected `\\{length}-grams:`, got {}", shown(bytes)));
                }
                self.seen = 0;
                self.place = Place::Grams(length);
            }
            Place::Grams(length) if text.is_empty() || text.starts_with('\\') && !text.contains('\t') => {
                self.end_section(length)?;
                if !text.is_empty() {
                    self.take_after_section(text, bytes)?;
                }
            }
            Place::Grams(length) => self.gram(length, text)?,
            Place::BeforeEnd if text.is_empty() => {}
            Place::BeforeEnd => self.take_after_section(text, bytes)?,
            Place::End => {}
        }
        Ok(())
    }

    /// A line that must be the next section's head or the end.
    fn take_after_section(&mut self, text: &str, bytes: &[u8]) -> Result<(), String> {
        match self.place {
            Place::BeforeEnd if text == "\\end\\" => {
                self.place = Place::End;
                Ok(())
            }
            Place::BeforeEnd => Err(format!("expected `\\end\\`, got {}", shown(bytes))),
            _ => self.take(bytes),
        }
    }

    fn count(&mut self, text: &str) -> Result<(), String> {
        let wrong =
            || format!("expected `ngram {}=COUNT`, got {}", self.counts.len() + 1, shown(text.as_bytes()));
        let (length, count) =
            text.strip_prefix("ngram ").and_then(|rest| rest.split_once('=')).ok_or_else(wrong)?;
        let length: usize = length.trim().parse().map_err(|_| wrong())?;
        let count: u64 = count.trim().parse().map_err(|_| wrong())?;
        if length != self.counts.len() + 1 {
            return Err(wrong());
        }
        if length > MAX_ORDER {
            return Err(format!("the model has {length}-grams; at most {MAX_ORDER}-grams can be used"));
        }
        self.counts.push(count);
        Ok(())
    }

    fn end_section(&mut self, length: usize) -> Result<(), String> {
        let stated = self.counts[length - 1];
        if self.seen != stated {
            return Err(format!("the header states {stated} {length}-grams, the file has {}", self.seen));
        }
        if length == 1 {
            for needed in [UNKNOWN, BEGIN, END] {
                if self.unigrams.find(hash_word(needed)).is_none() {
                    return Err(format!("the 1-grams lack `{needed}`"));
                }
            }
        }
        self.place = if length == self.counts.len() { Place::BeforeEnd } else { Place::Before(length + 1) };
        Ok(())
    }

    fn gram(&mut self, length: usize, text: &str) -> Result<(), String> {
        if self.seen == self.counts[length - 1] {
            return Err(format!("more {length}-grams than the {} that the header states", self.seen));
        }
        let mut fields = text.split([' ', '\t']).filter(|field| !field.is_empty());
        let prob = number(fields.next().unwrap_or_default(), "a log probability")?;
        if prob > 0.0 {
            return Err(format!("the log probability `{prob}` is positive"));
        }
        self.words.clear();
        for _ in 0..length {
            let word = fields.next().ok_or_else(|| {
                format!("expected {length} words, got {}: {}", self.words.len(), shown(text.as_bytes()))
            })?;
            self.words.push(hash_word(word));
        }
        let backoff = match fields.next() {
            None => 0.0,
            Some(_) if length == self.counts.len() => {
                return Err(format!("more than {length} words, or a back-off weight of a longest n-gram"));
            }
            Some(field) => number(field, "a back-off weight")?,
        };
        if fields.next().is_some() {
            return Err(format!("more than a probability, {length} words and a back-off weight"));
        }
        self.seen += 1;
        let entry = Entry { prob, backoff, extends: false };
        if length == 1 {
            return if self.unigrams.insert(self.words[0], entry) {
                Ok(())
            } else {
                Err(format!("the word appears a second time: {}", shown(text.as_bytes())))
            };
        }
        if self.unigrams.find(self.words[0]).is_none() {
            return Err(self.unknown_word(0, text));
        }
        let key = self.link_suffix(text)?;
        if self.longer.insert(key, entry) {
            Ok(())
        } else {
            Err(format!("the n-gram appears a second time: {}", shown(text.as_bytes())))
        }
    }

    fn unknown_word(&self, at: usize, text: &str) -> String {
        let word = text.split([' ', '\t']).filter(|field| !field.is_empty()).nth(at + 1).unwrap_or_default();
        format!("the word {} is not among the 1-grams", shown(word.as_bytes()))
    }

    /// Marks the n-gram that the one in `words` ends in, adding it and what it ends in where they are missing. Returns the key
    /// of the whole.
    fn link_suffix(&mut self, text: &str) -> Result<u64, String> {
        let length = self.words.len();
        let mut keys = [0u64; MAX_ORDER];
        keys[0] = self.words[length - 1];
        for at in 1..length {
            keys[at] = extend(keys[at - 1], self.words[length - 1 - at]);
        }
        let suffix = length - 1;
        let marked =
            if suffix == 1 { self.unigrams.mark(keys[0]) } else { self.longer.mark(keys[suffix - 1]) };
        if marked {
            return Ok(keys[length - 1]);
        }
        for at in 0..length {
            if self.unigrams.find(self.words[at]).is_none() {
                return Err(self.unknown_word(at, text));
            }
        }
        self.unigrams.mark(keys[0]);
        let mut prob = self.unigrams.find(keys[0]).map_or(0.0, |entry| entry.prob);
        for shorter in 2..=suffix {
            let key = keys[shorter - 1];
            match self.longer.find(key) {
                Some(entry) => prob = entry.prob,
                None => {
                    prob += self.backoff(&self.words[length - shorter..length - 1]);
                    self.longer.insert(key, Entry { prob: prob.min(0.0), backoff: 0.0, extends: true });
                    self.inserted += 1;
                }
            }
            self.longer.mark(key);
        }
        Ok(keys[length - 1])
    }

    /// Back-off weight of a context, first word first; 0 where none is stored.
    fn backoff(&self, context: &[u64]) -> f32 {
        let last = context[context.len() - 1];
        let key = context[..context.len() - 1].iter().rev().fold(last, |key, word| extend(key, *word));
        let table = if context.len() == 1 { &self.unigrams } else { &self.longer };
        table.find(key).map_or(0.0, |entry| entry.backoff)
    }

    /// The model, once all lines were given.
    ///
    /// # Errors
    /// The file ends early.
    pub fn finish(self) -> Result<NgramModel, super::ArpaError> {
        if self.place != Place::End {
            let problem = match self.place {
                Place::Head => "the file ends without `\\data\\`: it is empty or no ARPA file".to_owned(),
                Place::Grams(length) => format!(
                    "the file ends among the {length}-grams, after {} of {}: it is cut",
                    self.seen,
                    self.counts[length - 1]
                ),
                _ => "the file ends before `\\end\\`: it is cut".to_owned(),
            };
            return Err(super::ArpaError { line: self.line, problem });
        }
        let unknown = self.unigrams.find(hash_word(UNKNOWN)).expect("checked after the 1-grams");
        Ok(NgramModel {
            order: self.counts.len(),
            counts: self.counts,
            inserted: self.inserted,
            unigrams: self.unigrams,
            longer: self.longer,
            unknown,
            header: self.header,
        })
    }
}

fn number(field: &str, what: &str) -> Result<f32, String> {
    match field.parse::<f32>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(format!("expected {what}, got {}", shown(field.as_bytes()))),
    }
}

/// The beginning of a line, fit for a message.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]);
    let head: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    format!("`{head}`")
}
