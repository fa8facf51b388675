//! What goes to standard output: tables for people, one JSON object for programs. Nothing is printed but through here and
//! [`crate::progress`], so that no control character of a document reaches a terminal.

use std::borrow::Cow;
use std::io::Write;

use crate::printable::{self, one_line};

/// Writes lines to standard output; a closed pipe ends the program quietly, as `head` expects.
pub(crate) fn print_line(text: &str) {
    write_out(&printable::lines(text));
}

fn write_out(text: &str) {
    let mut stdout = std::io::stdout().lock();
    if writeln!(stdout, "{text}").is_err() {
        std::process::exit(0);
    }
}

/// Writes a message, one line, to standard error.
pub(crate) fn error_line(text: &str) {
    write_error(&one_line(text));
}

/// Writes a message of several lines to standard error.
pub(crate) fn error_lines(text: &str) {
    write_error(&printable::lines(text));
}

fn write_error(text: &str) {
    let mut stderr = std::io::stderr().lock();
    // A line of progress may stand open on a terminal.
    let lead = if std::io::IsTerminal::is_terminal(&stderr) { "\r\x1b[K" } else { "" };
    // Nothing is left to tell when standard error is closed.
    let _closed = writeln!(stderr, "{lead}{text}");
}

/// Writes one JSON object to standard output.
pub(crate) fn print_json(value: &serde_json::Value) {
    write_out(&printable::json(value));
}

/// Rows of cells under a header, columns aligned: the first to the left, the others to the right. Widths are those of what is
/// seen, escapes included.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let header: Vec<_> = header.iter().map(|cell| one_line(cell)).collect();
    let rows: Vec<Vec<_>> = rows.iter().map(|row| row.iter().map(|cell| one_line(cell)).collect()).collect();
    let columns = header.len();
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
        cells.chain([header[at].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |cells: &[Cow<'_, str>]| {
        let mut text = String::new();
        for (at, cell) in cells.iter().enumerate() {
            let pad = " ".repeat(widths[at].saturating_sub(cell.chars().count()));
            text += &if at == 0 { format!("{cell}{pad}") } else { format!("  {pad}{cell}") };
        }
        text.trim_end().to_owned()
    };
    let rule = widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>().join("  ");
    let mut lines = vec![line(&header), rule];
    lines.extend(rows.iter().map(|row| line(row)));
    lines.join("\n")
}

/// A text on one line, cut to some characters as they are seen: an escape counts as long as it is, and is not cut through.
pub(crate) fn snippet(text: &str, characters: usize) -> String {
    let folded = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // Where the text has to end if it is to be cut; the mark takes one character.
    let (mut shown, mut width, mut fits) = (String::new(), 0, 0);
    for character in folded.chars() {
        let character = character.to_string();
        let character = one_line(&character);
        width += character.chars().count();
        if width > characters {
            shown.truncate(fits);
            shown.push('…');
            return shown;
        }
        shown.push_str(&character);
        if width < characters {
            fits = shown.len();
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = vec![vec!["a".to_owned(), "12".to_owned()], vec!["long".to_owned(), "3".to_owned()]];
        assert_eq!(table(&["name", "n"], &rows), "name   n\n----  --\na     12\nlong   3");
    }

    #[test]
    fn snippets_are_cut_by_characters() {
        assert_eq!(snippet("é é\n é é", 5), "é é …");
        assert_eq!(snippet("short", 5), "short");
        assert_eq!(snippet("long", 0), "…");
    }

    #[test]
    fn escapes_count_as_long_as_they_are_seen() {
        let rows =
            vec![vec!["\u{1b}[31m".to_owned(), "1\n2".to_owned()], vec!["b".to_owned(), "3".to_owned()]];
        assert_eq!(
            table(&["na\u{202e}me", "n"], &rows),
            "na\\u{202e}me     n\n------------  ----\n\\u{1b}[31m    1\\n2\nb                3"
        );
        assert_eq!(snippet("ab\u{1b}[2J", 12), "ab\\u{1b}[2J");
        assert_eq!(snippet("ab\u{1b}[2J", 10), "ab\\u{1b}[…");
        assert_eq!(snippet("ab\u{1b}[2J", 8), "ab…");
        assert_eq!(snippet("a\u{85}\u{2028}\rb", 8), "a b");
    }
}
