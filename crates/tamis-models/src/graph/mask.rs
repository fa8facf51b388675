//! Which tokens a token sees.

/// Who sees whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mask {
    /// A token sees itself and what is before it.
    Causal,
    /// A token sees its whole sequence.
    Full,
}
