//! Prompts after which a model is within a thought.
//!
//! Some models think before they answer, and their chat templates open the thought themselves (DeepSeek-R1, Qwen3
//! Thinking). What follows such a prompt is the first word of a thought and not an answer: little of its probability is on
//! yes and no, and which of them has more says hardly anything.

/// What opens a thought in published chat templates.
const OPENINGS: [&str; 8] = [
    "<think>",
    "<thinking>",
    "<thought>",
    "<reasoning>",
    "<seed:think>",
    "[THINK]",
    "◁think▷",
    "<|START_THINKING|>",
];

/// What opens the thought that a text ends in, white space left out of account.
pub(super) fn open_thought(text: &str) -> Option<&'static str> {
    OPENINGS.into_iter().find(|opening| text.trim_end().ends_with(opening))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_thought_that_is_still_open_is_one() {
        assert_eq!(open_thought("<|Assistant|><think>\n"), Some("<think>"));
        assert_eq!(open_thought("assistant\n<think>\n\n</think>\n\n"), None);
        assert_eq!(open_thought("put your thoughts into <think>, then answer\n"), None);
    }
}
