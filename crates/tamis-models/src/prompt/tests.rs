use proptest::prelude::*;

use super::*;

#[test]
fn paper_prompt_has_the_papers_wording() {
    let set = PromptSet::resolve("paper", "").unwrap();
    assert_eq!(set.prompts().len(), 1);
    let prompt = &set.prompts()[0];
    assert_eq!(prompt.prefix(), "###\n");
    let words: Vec<&str> = prompt.suffix().split_whitespace().collect();
    assert_eq!(
        words.join(" "),
        "### Does the previous paragraph demarcated within ### and ### contain informative signal for pre-training a \
         large-language model? An informative datapoint should be well-formatted, contain some usable knowledge of the \
         world, and strictly NOT have any harmful, racist, sexist, etc. content. OPTIONS: - yes - no"
    );
    assert!(prompt.suffix().trim_end().ends_with("OPTIONS:\n- yes\n- no"));
}

#[test]
fn every_builtin_set_resolves_and_auto_falls_back_to_the_paper() {
    for name in builtin::names() {
        let set = PromptSet::resolve(name, "").unwrap();
        assert_eq!(set.name(), name);
        for prompt in set.prompts() {
            assert!(prompt.suffix().contains('?'), "{name} asks nothing");
        }
    }
    assert_eq!(PromptSet::resolve("auto", "of no known model").unwrap().name(), builtin::PAPER);
}

#[test]
fn contrast_is_the_few_shot_prompt_and_a_reversed_one_in_short_windows() {
    let contrast = builtin::set(builtin::FEW_SHOT_CONTRAST).unwrap();
    let [first, second] = contrast.prompts() else { panic!("two prompts") };
    assert_eq!(builtin::set(builtin::FEW_SHOT).unwrap().prompts(), std::slice::from_ref(first));
    assert!(!first.is_reversed() && second.is_reversed());
    assert_eq!(second.template().matches("Answer: yes").count(), 2);
    let windows = |name: &str| builtin::window_tokens(name);
    assert!(
        builtin::names().iter().all(|name| windows(name).is_some() == (*name == builtin::FEW_SHOT_CONTRAST))
    );
    assert_ne!(second.digest(), second.clone().reverse().digest());
}

#[test]
fn prompt_text_errors_name_the_prompt_and_the_count() {
    let message = |text: &str| Prompt::parse("mine", text).unwrap_err().to_string();
    assert_eq!(message(" \n"), "prompt `mine`: the text is empty");
    assert_eq!(message("Good?"), "prompt `mine`: expected `{document}` exactly once, got it 0 times");
    assert_eq!(
        message("{document} {document}"),
        "prompt `mine`: expected `{document}` exactly once, got it 2 times"
    );
    assert_eq!(message("\n{document}\n"), "prompt `mine`: no text beside `{document}`, so nothing is asked");
    for text in ["", "Good?", "{document}"] {
        assert!(Prompt::parse("mine", text).unwrap_err().hint().unwrap().contains("{document}"));
    }
}

#[test]
fn files_lose_one_final_line_break_and_a_byte_order_mark() {
    let read = |bytes: &[u8]| Prompt::from_bytes("mine", bytes).unwrap().template();
    assert_eq!(read(b"{document}\nGood?\n"), "{document}\nGood?");
    assert_eq!(read(b"\xef\xbb\xbf{document}\r\nGood?\r\n\r\n"), "{document}\nGood?\n");
    let error = Prompt::from_bytes("mine", b"{document} \xff").unwrap_err();
    assert_eq!(error.to_string(), "prompt `mine`, byte 11: not UTF-8");
}

#[test]
fn prompt_files_are_found_and_typos_get_the_nearest_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("useful.txt");
    std::fs::write(&path, "{document}\nUseful?\n").unwrap();
    let set = PromptSet::resolve(path.to_str().unwrap(), "").unwrap();
    assert_eq!((set.name(), set.prompts()[0].suffix()), ("useful", "\nUseful?"));
    let both = PromptSet::resolve(&format!("paper,{}", path.display()), "").unwrap();
    assert_eq!(both.prompts().len(), 2);

    let missing = PromptSet::resolve("no/such.txt", "").unwrap_err();
    assert!(missing.to_string().starts_with("prompt file `no/such.txt`: "));
    let typo = PromptSet::resolve("papr", "").unwrap_err();
    assert!(typo.hint().unwrap().starts_with("did you mean `paper`?"));
    std::fs::write(folder.path().join("big.txt"), vec![b'x'; (1 << 20) + 1]).unwrap();
    let big = PromptSet::resolve(folder.path().join("big.txt").to_str().unwrap(), "").unwrap_err();
    assert!(matches!(big, PromptError::TooLarge { .. }));
}

#[test]
fn delimiters_hold_the_papers_and_the_prompts_own() {
    let prompt = Prompt::parse("mine", "Text:\n{document}\n---END---\nGood?\nAnswer:").unwrap();
    assert_eq!(prompt.delimiters(), ["###", "---END---", "Answer:", "OPTIONS:"]);
}

proptest! {
    #[test]
    fn any_bytes_are_a_prompt_or_an_error_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(prompt) = Prompt::from_bytes("any", &bytes) {
            prop_assert_eq!(Prompt::parse("any", &prompt.template()).unwrap(), prompt);
        }
    }

    #[test]
    fn template_round_trips(prefix in "[a-z#\n ]{0,20}", suffix in "[a-z#\n ]{0,20}q") {
        let prompt = Prompt::parse("any", &format!("{prefix}{{document}}{suffix}")).unwrap();
        prop_assert_eq!((prompt.prefix(), prompt.suffix()), (prefix.as_str(), suffix.as_str()));
    }
}
