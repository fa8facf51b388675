//! The rendered prompt of one document, for eyes.

use std::fmt;

/// One prompt with a document in it, as the model reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownPrompt {
    /// Name of the prompt.
    pub name: String,
    /// Text before the document and its number of tokens.
    pub prefix: (String, usize),
    /// What is read of the document, window by window, each with its number of tokens.
    pub windows: Vec<(String, usize)>,
    /// Tokens of the whole document.
    pub document_tokens: usize,
    /// Text after the document and its number of tokens.
    pub suffix: (String, usize),
    /// The spellings that count as yes, and as no.
    pub labels: (String, String),
    /// Whether "no" speaks for the document.
    pub reversed: bool,
}

impl fmt::Display for ShownPrompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, prefix, windows, document_tokens, suffix, labels, reversed } = self;
        for (at, (text, tokens)) in windows.iter().enumerate() {
            let window = if windows.len() == 1 {
                String::new()
            } else {
                format!(", window {} of {}", at + 1, windows.len())
            };
            writeln!(f, "[prompt `{name}`{window}: {} tokens before the document]", prefix.1)?;
            writeln!(f, "{}", prefix.0)?;
            writeln!(f, "[document: {tokens} of {document_tokens} tokens]")?;
            writeln!(f, "{text}")?;
            writeln!(f, "[{} tokens after the document]", suffix.1)?;
            writeln!(f, "{}", suffix.0)?;
        }
        let reversed = if *reversed { "; no speaks for the document" } else { "" };
        writeln!(f, "[answer: yes is {}; no is {}{reversed}]", labels.0, labels.1)
    }
}
