//! Overlapping windows over a document that is longer than the context.
//!
//! As in the guide "Perplexity of fixed-length models" of transformers: window k begins at k · stride, and of its tokens
//! those count that no earlier window held, so that each has at least (room − stride) tokens before it. A stride of the whole
//! room costs one pass and gives the first tokens of every window hardly any context; a stride of one is exact and costs a
//! pass a token.

use std::ops::Range;

use crate::error::{Error, Result};

/// How a document is cut into windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Windows {
    /// Tokens of the document in a window.
    room: usize,
    stride: usize,
    /// First tokens of a document that have no likelihood, since nothing precedes them: one or none.
    given: usize,
}

/// One window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// Tokens of the document that are read.
    pub(super) read: Range<usize>,
    /// How many of them count, the last ones.
    pub(super) counted: usize,
}

impl Windows {
    /// Windows of `window` tokens, of which `before` are what the model expects before every text.
    ///
    /// # Errors
    /// A window that is longer than the context or has nothing to predict; a stride that would leave tokens out.
    pub(super) fn new(window: usize, context: usize, before: usize, stride: Option<usize>) -> Result<Self> {
        let given = usize::from(before == 0);
        let room = window.saturating_sub(before);
        if window > context || room <= given {
            return Err(Error::Window { window, around: before, least: before + given + 1, context });
        }
        let most = room - given;
        let stride = stride.unwrap_or(room.div_ceil(2));
        if stride == 0 || stride > most {
            return Err(Error::Stride { stride, most });
        }
        Ok(Self { room, stride, given })
    }

    pub(super) fn stride(self) -> usize {
        self.stride
    }

    pub(super) fn given(self) -> usize {
        self.given
    }

    /// The windows of a document, in order; none where nothing can be predicted.
    pub(super) fn of(self, tokens: usize) -> impl Iterator<Item = Window> {
        let mut counted_to = self.given;
        (0..).map(move |at| at * self.stride).map_while(move |begin| {
            (counted_to < tokens).then(|| {
                let end = (begin + self.room).min(tokens);
                let counted = end - counted_to;
                counted_to = end;
                Window { read: begin..end, counted }
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn windows(window: usize, before: usize, stride: usize, tokens: usize) -> Vec<(Range<usize>, usize)> {
        let windows = Windows::new(window, window, before, Some(stride)).unwrap();
        windows.of(tokens).map(|window| (window.read, window.counted)).collect()
    }

    #[test]
    fn windows_advance_by_the_stride_and_count_what_is_new() {
        assert_eq!(windows(4, 0, 2, 9), [(0..4, 3), (2..6, 2), (4..8, 2), (6..9, 1)]);
        assert_eq!(windows(5, 1, 4, 9), [(0..4, 4), (4..8, 4), (8..9, 1)]);
        assert_eq!(windows(4, 0, 2, 4), [(0..4, 3)]);
        assert!(windows(4, 0, 2, 1).is_empty() && windows(4, 0, 2, 0).is_empty());
        assert_eq!(windows(4, 1, 2, 1), [(0..1, 1)]);
    }

    #[test]
    fn windows_without_room_and_strides_with_gaps_are_refused() {
        for (window, before) in [(0, 0), (1, 0), (1, 1), (2, 2), (9, 0)] {
            assert!(matches!(Windows::new(window, 8, before, None), Err(Error::Window { .. })), "{window}");
        }
        assert!(matches!(Windows::new(4, 8, 0, Some(4)), Err(Error::Stride { most: 3, .. })));
        assert!(matches!(Windows::new(4, 8, 1, Some(0)), Err(Error::Stride { .. })));
        assert!(Windows::new(4, 8, 1, Some(3)).is_ok());
        assert!(Windows::new(2, 2, 0, None).is_ok() && Windows::new(2, 2, 1, None).is_ok());
    }

    proptest! {
        #[test]
        fn every_token_counts_once_and_has_something_before_it(
            window in 2usize..40,
            before in 0usize..3,
            stride in 1usize..40,
            tokens in 0usize..300,
        ) {
            let Ok(windows) = Windows::new(window, 40, before, Some(stride)) else { return Ok(()) };
            let mut next = windows.given();
            for Window { read, counted } in windows.of(tokens) {
                prop_assert!(read.len() + before <= window && counted > 0 && counted <= read.len());
                prop_assert_eq!(read.end - counted, next);
                prop_assert!(read.end - counted > read.start || before > 0);
                next = read.end;
            }
            prop_assert_eq!(next, tokens.max(windows.given()));
        }
    }
}
