//! A model's own chat template, put around a prompt.
//!
//! Templates are Jinja, as Hugging Face models and GGUF files carry them. The prompt becomes the one message of the
//! user, with a mark where the document goes; the rendered text is split at the mark, so that the document itself never
//! passes through the template and cannot change it. A template that changes what a message says (escapes it, writes it in
//! capitals) changes the mark too, and is refused.
//!
//! What is rendered is what `transformers` renders by `apply_chat_template(messages, add_generation_prompt=True,
//! enable_thinking=False)`: without tools and documents, with the special tokens that the model's files name, in
//! [`jinja`](super::jinja) as there. A model that can answer with or without a thought is asked to answer; one that always
//! thinks first is told by [`Prompt::open_thought`].

use std::collections::BTreeMap;

use minijinja::{Error as JinjaError, Value};

use super::{Prompt, PromptError, jinja};

/// Stands for the document while the template is rendered: private-use characters that no template writes, around what a
/// template that escapes, strips or recases text would not leave as it is.
const MARK: &str = "\u{f8f1}taMis \"\\ \n\n <&>' É\u{f8f2}";

/// A model's chat template and the special tokens that it may name.
#[derive(Clone, Debug, Default)]
pub struct ChatTemplate {
    /// The Jinja source.
    pub source: String,
    /// Spellings of special tokens by the name that a template has for them (`bos_token`, `eos_token`, …). What is not
    /// here is undefined in the template.
    pub special_tokens: BTreeMap<String, String>,
}

impl ChatTemplate {
    /// The prompt as the user's turn, up to where the assistant's answer begins. `model` is for messages.
    ///
    /// # Errors
    /// [`PromptError::ChatTemplate`] when the template fails, or does not hold the message exactly once and unchanged.
    pub fn render(&self, prompt: &Prompt, model: &str) -> Result<Prompt, PromptError> {
        let failed = |problem: String| PromptError::ChatTemplate { model: model.to_owned(), problem };
        let content = format!("{}{MARK}{}", prompt.prefix(), prompt.suffix());
        let text = self.render_message(&content).map_err(|error| failed(error.to_string()))?;
        match (text.split_once(MARK), text.matches(MARK).count()) {
            (Some((prefix, suffix)), 1) => Ok(prompt.with_text(prefix.to_owned(), suffix.to_owned())),
            (_, count) => Err(failed(format!(
                "expected the message once and unchanged in what it renders, got it {count} times"
            ))),
        }
    }

    fn render_message(&self, content: &str) -> Result<String, JinjaError> {
        let message = Value::from_iter([("role", "user"), ("content", content)]);
        let mut values: BTreeMap<&str, Value> =
            self.special_tokens.iter().map(|(name, token)| (name.as_str(), token.as_str().into())).collect();
        values.extend([
            ("messages", Value::from(vec![message])),
            ("tools", Value::from(())),
            ("documents", Value::from(())),
            ("add_generation_prompt", Value::from(true)),
            ("enable_thinking", Value::from(false)),
        ]);
        jinja::render(&self.source, &Value::from_iter(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt() -> Prompt {
        Prompt::parse("mine", "Text: {document}\nGood?").unwrap()
    }

    fn render(source: &str) -> Result<Prompt, PromptError> {
        let special_tokens = BTreeMap::from([("bos_token".to_owned(), "<s>".to_owned())]);
        ChatTemplate { source: source.to_owned(), special_tokens }.render(&prompt(), "m")
    }

    #[test]
    fn prompt_becomes_the_users_turn() {
        let chatml = "{{ bos_token }}{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}\
            {{ '<|im_start|>system\nBe brief.<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + \
            message['content'].strip() + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}\
            {{ '<|im_start|>assistant\n' }}{% endif %}";
        let rendered = render(chatml).unwrap();
        assert_eq!(rendered.prefix(), "<s><|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nText: ");
        assert_eq!(rendered.suffix(), "\nGood?<|im_end|>\n<|im_start|>assistant\n");
    }

    #[test]
    fn hostile_or_unfit_templates_are_errors() {
        let message = |source: &str| render(source).unwrap_err().to_string();
        assert!(message("{% for x in %}").starts_with("model `m`: chat template: "));
        assert!(message("no message").ends_with("got it 0 times"));
        assert!(message("{{ messages[0].content ~ messages[0].content }}").ends_with("got it 2 times"));
        assert!(message("{{ raise_exception('only tools') }}").contains("only tools"));
        assert!(
            message("{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}").len()
                < 1000
        );
    }

    #[test]
    fn templates_that_change_what_the_message_says_are_refused() {
        for filter in ["tojson", "e", "upper", "lower", "title", "replace('\\n', ' ')", "capitalize"] {
            let error = render(&format!("{{{{ messages[0].content | {filter} }}}}")).unwrap_err();
            assert!(error.to_string().ends_with("unchanged in what it renders, got it 0 times"), "{filter}");
        }
        assert_eq!(render("{{ messages[0].content | trim }}").unwrap(), prompt());
    }

    #[test]
    fn special_tokens_that_no_file_names_are_undefined() {
        let source = "{{ bos_token }}{{ eos_token }}{% if pad_token is defined %}pad{% endif %}{{ messages[0].content }}";
        assert_eq!(render(source).unwrap().prefix(), "<s>Text: ");
    }
}
