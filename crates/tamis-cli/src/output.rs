//! What goes to standard output: tables for people, one JSON object for programs.

use std::io::Write;

/// Writes a line to standard output; a closed pipe ends the program quietly, as `head` expects.
pub(crate) fn print_line(text: &str) {
    let mut stdout = std::io::stdout().lock();
    if writeln!(stdout, "{text}").is_err() {
        std::process::exit(0);
    }
}

/// Writes a line to standard error.
pub(crate) fn error_line(text: &str) {
    let mut stderr = std::io::stderr().lock();
    // A line of progress may stand open on a terminal.
    let lead = if std::io::IsTerminal::is_terminal(&stderr) { "\r\x1b[K" } else { "" };
    // Nothing is left to tell when standard error is closed.
    let _closed = writeln!(stderr, "{lead}{text}");
}

/// Writes one JSON object to standard output.
pub(crate) fn print_json(value: &serde_json::Value) {
    print_line(&format!("{value:#}"));
}

/// Rows of cells under a header, columns aligned: the first to the left, the others to the right.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let columns = header.len();
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
        cells.chain([header[at].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |cells: Vec<&str>| {
        let mut text = String::new();
        for (at, cell) in cells.iter().enumerate() {
            let pad = " ".repeat(widths[at].saturating_sub(cell.chars().count()));
            text += &if at == 0 { format!("{cell}{pad}") } else { format!("  {pad}{cell}") };
        }
        text.trim_end().to_owned()
    };
    let rule = widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>().join("  ");
    let mut lines = vec![line(header.to_vec()), rule];
    lines.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    lines.join("\n")
}

/// A text on one line, cut to some characters.
pub(crate) fn snippet(text: &str, characters: usize) -> String {
    let folded = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if folded.chars().count() <= characters {
        return folded;
    }
    folded.chars().take(characters.saturating_sub(1)).chain(['…']).collect()
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
    }
}
