//! Which tokens of a document the judge reads.

use std::ops::Range;

/// What is read of a document that is longer than the judge's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Long {
    /// Its beginning.
    #[default]
    Head,
    /// All of it, in windows whose answers are averaged; at most `most` of them.
    Windows {
        /// Largest number of windows of one document, at least 1; beyond it they lie evenly spread with gaps between.
        most: usize,
    },
}

impl Long {
    /// Windows without a document paying for more than this many, unless the user says otherwise.
    pub const DEFAULT_WINDOWS: usize = 16;

    /// The option in words, for the fingerprint.
    #[must_use]
    pub fn describe(self) -> String {
        match self {
            Self::Head => "head".to_owned(),
            Self::Windows { most } => format!("windows, at most {most}"),
        }
    }

    /// The ranges of tokens that are read, in order and not empty; none for a document without tokens.
    ///
    /// Windows are of nearly equal length and cover the document exactly; when there would be more than `most`, they are
    /// `window` tokens each, the first at the beginning and the last at the end.
    pub(crate) fn spans(self, tokens: usize, window: usize) -> Vec<Range<usize>> {
        if tokens == 0 || window == 0 {
            return Vec::new();
        }
        match self {
            Self::Head => vec![0..tokens.min(window)],
            Self::Windows { most } => {
                let most = most.max(1);
                let count = tokens.div_ceil(window);
                if count <= most {
                    (0..count).map(|i| i * tokens / count..(i + 1) * tokens / count).collect()
                } else if most == 1 {
                    vec![0..window]
                } else {
                    (0..most)
                        .map(|i| i * (tokens - window) / (most - 1))
                        .map(|start| start..start + window)
                        .collect()
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn head_is_the_beginning_and_windows_are_even() {
        assert_eq!(Long::Head.spans(10, 4), [0..4]);
        assert_eq!(Long::Head.spans(3, 4), [0..3]);
        assert_eq!(Long::Windows { most: 9 }.spans(10, 4), [0..3, 3..6, 6..10]);
        assert_eq!(Long::Windows { most: 2 }.spans(10, 4), [0..4, 6..10]);
        assert_eq!(Long::Windows { most: 1 }.spans(10, 4), [0..4]);
        assert!(Long::Head.spans(0, 4).is_empty());
    }

    proptest! {
        #[test]
        fn windows_cover_the_document_within_their_size(tokens in 1usize..5000, window in 1usize..600, most in 1usize..40) {
            let spans = Long::Windows { most }.spans(tokens, window);
            prop_assert!(spans.len() <= most && !spans.is_empty());
            prop_assert!(spans.iter().all(|span| !span.is_empty() && span.len() <= window && span.end <= tokens));
            prop_assert!(spans.windows(2).all(|pair| pair[0].start < pair[1].start));
            prop_assert_eq!(spans[0].start, 0);
            if tokens.div_ceil(window) <= most {
                prop_assert!(spans.windows(2).all(|pair| pair[0].end == pair[1].start));
                prop_assert_eq!(spans[spans.len() - 1].end, tokens);
            }
        }
    }
}
