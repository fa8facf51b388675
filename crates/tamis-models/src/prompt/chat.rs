//! A model's own chat template, put around a prompt.
//!
//! Templates are Jinja, as Hugging Face models and GGUF files carry them. The prompt becomes the one message of the
//! user, with a mark where the document goes; the rendered text is split at the mark, so that the document itself never
//! passes through the template and cannot change it.

use minijinja::{Environment, Error as JinjaError, ErrorKind, Value, context};

use super::{Prompt, PromptError};

/// Stands for the document while the template is rendered: private-use characters that no template writes.
const MARK: &str = "\u{f8f1}tamis\u{f8f2}";

/// Instructions of the template engine after which a template is given up.
const FUEL: u64 = 1_000_000;

/// A model's chat template and the special tokens that it may name.
#[derive(Clone, Debug, Default)]
pub struct ChatTemplate {
    /// The Jinja source.
    pub source: String,
    /// Text of the token that begins a sequence, if there is one.
    pub bos_token: Option<String>,
    /// Text of the token that ends a sequence, if there is one.
    pub eos_token: Option<String>,
}

impl ChatTemplate {
    /// The prompt as the user's turn, up to where the assistant's answer begins. `model` is for messages.
    ///
    /// # Errors
    /// [`PromptError::ChatTemplate`] when the template fails, or does not hold the message exactly once.
    pub fn render(&self, prompt: &Prompt, model: &str) -> Result<Prompt, PromptError> {
        let failed = |problem: String| PromptError::ChatTemplate { model: model.to_owned(), problem };
        let content = format!("{}{MARK}{}", prompt.prefix(), prompt.suffix());
        let text = self.render_message(&content).map_err(|error| failed(error.to_string()))?;
        match (text.split_once(MARK), text.matches(MARK).count()) {
            (Some((prefix, suffix)), 1) => Ok(prompt.with_text(prefix.to_owned(), suffix.to_owned())),
            (_, count) => {
                Err(failed(format!("expected the message once in what it renders, got it {count} times")))
            }
        }
    }

    fn render_message(&self, content: &str) -> Result<String, JinjaError> {
        let mut environment = Environment::new();
        environment.set_fuel(Some(FUEL));
        // Hugging Face renders with these two on.
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |message: String| -> Result<Value, JinjaError> {
            Err(JinjaError::new(ErrorKind::InvalidOperation, message))
        });
        let template = environment.template_from_str(&self.source)?;
        template.render(context! {
            messages => [context! { role => "user", content => content }],
            add_generation_prompt => true,
            bos_token => self.bos_token.as_deref().unwrap_or_default(),
            eos_token => self.eos_token.as_deref().unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt() -> Prompt {
        Prompt::parse("mine", "Text: {document}\nGood?").unwrap()
    }

    fn render(source: &str) -> Result<Prompt, PromptError> {
        let bos_token = Some("<s>".to_owned());
        ChatTemplate { source: source.to_owned(), bos_token, eos_token: None }.render(&prompt(), "m")
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
}
