//! Chat templates as transformers renders them, by what `fixtures/make_chat_templates.py` wrote, out of folders.

use serde_json::Value;
use tamis_models::prompt::{Prompt, PromptError};
use tamis_models::source::open_model;

use crate::sources::write_folder;
use crate::weights::fixture;

fn golden() -> Value {
    serde_json::from_slice(&std::fs::read(fixture("chat_templates.json")).unwrap()).unwrap()
}

/// The prompt as a model renders it whose folder has this `tokenizer_config.json`.
fn render(config: &Value, prompt: &Prompt) -> Result<Prompt, PromptError> {
    let folder = tempfile::tempdir().unwrap();
    write_folder(folder.path());
    std::fs::write(folder.path().join("tokenizer_config.json"), config.to_string()).unwrap();
    let model = open_model(folder.path().to_str().unwrap(), folder.path(), &|_| ()).unwrap();
    model.chat_template.unwrap().render(prompt, "m")
}

#[test]
fn templates_of_every_family_render_as_transformers_renders_them() {
    let golden = golden();
    let content = golden["content"].as_str().unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() >= 11);
    for document in ["mat", "The cat's"] {
        let prompt = Prompt::parse("mine", &content.replacen(document, "{document}", 1)).unwrap();
        for case in cases {
            let rendered = render(&case["config"], &prompt).unwrap();
            let text = [rendered.prefix(), document, rendered.suffix()].concat();
            assert_eq!(text, case["rendered"].as_str().unwrap(), "{}", case["name"]);
        }
    }
}

#[test]
fn only_the_template_that_opens_a_thought_asks_within_one() {
    let golden = golden();
    let prompt = Prompt::parse("mine", "{document}\nGood?").unwrap();
    for case in golden["cases"].as_array().unwrap() {
        let opened = render(&case["config"], &prompt).unwrap().open_thought();
        assert_eq!(opened, (case["name"] == "open-thought").then_some("<think>"), "{}", case["name"]);
    }
}

/// The file of its own is read by Python with its line ends made plain already; the string in a JSON file is not.
#[test]
fn a_template_in_a_file_of_its_own_has_the_same_line_ends() {
    let golden = golden();
    let cases = golden["cases"].as_array().unwrap();
    let case = cases.iter().find(|case| case["name"] == "line-ends").unwrap();
    let template = case["config"]["chat_template"].as_str().unwrap();
    assert!(template.contains("\r\n") && template.contains("\r{%"));
    let folder = tempfile::tempdir().unwrap();
    write_folder(folder.path());
    let mut config = case["config"].clone();
    config["chat_template"] = "another".into();
    std::fs::write(folder.path().join("tokenizer_config.json"), config.to_string()).unwrap();
    std::fs::write(folder.path().join("chat_template.jinja"), template).unwrap();
    let model = open_model(folder.path().to_str().unwrap(), folder.path(), &|_| ()).unwrap();
    let content = golden["content"].as_str().unwrap();
    let prompt = Prompt::parse("mine", &content.replacen("mat", "{document}", 1)).unwrap();
    let rendered = model.chat_template.unwrap().render(&prompt, "m").unwrap();
    let text = [rendered.prefix(), "mat", rendered.suffix()].concat();
    assert_eq!(text, case["rendered"].as_str().unwrap());
}
