use std::path::Path;

use super::*;

fn parse(text: &str) -> Result<Recipe> {
    Recipe::parse("r.toml", text, Path::new("/recipes"))
}

const WHOLE: &str = r#"
run = "run"

[corpus]
location = "data"
id = "key"
carry = ["source"]

[signals.judge]
signal = "ask-llm"
on = "clean:rate-50"
max-tokens = 256
server = { concurrency = 8 }

[signals.counts]

[selections.best]
on = "clean"
by = "judge.p_yes"
rates = ["10%", "20%"]
target-tokens = "2M"

[selections.clean]
filters = ["counts.words>=20"]
rates = ["50%"]
seed = 3
"#;

#[test]
fn a_recipe_is_read_and_put_in_order() {
    let recipe = parse(&WHOLE.replace("target-tokens = \"2M\"\n", "")).unwrap();
    assert_eq!(recipe.run.as_deref(), Some(Path::new("/recipes/run")));
    assert_eq!(recipe.corpus.location.as_deref(), Some("/recipes/data"));
    let names: Vec<&str> = recipe.signals.iter().map(|signal| signal.name.as_str()).collect();
    assert_eq!(names, ["judge", "counts"], "in the order of the file");
    let crate::options::SignalOptions::AskLlm(ask) = &recipe.signals[0].options else { panic!("{recipe:?}") };
    assert_eq!((ask.max_tokens, ask.server.concurrency), (Some(256), 8));
    use order::Step::{Selection, Signal};
    assert_eq!(recipe.order().unwrap(), [Signal(1), Selection(1), Signal(0), Selection(0)]);
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (from, to, message, hint) in [
        (
            "rates = [\"10%\"",
            "raets = [\"10%\"",
            "r.toml:20:1: unknown key `raets` in [selections.best]",
            "`rates`",
        ),
        (
            "max-tokens",
            "max-token",
            "r.toml:12:1: unknown key `max-token` in [signals.judge]",
            "`max-tokens`",
        ),
        (
            "256",
            "\"many\"",
            "r.toml:12:14: `max-tokens` in [signals.judge] is not what it takes",
            "recipes.md",
        ),
        ("\"ask-llm\"", "\"ask-lm\"", "r.toml:9:10: [signals.judge] unknown signal `ask-lm`", "`ask-llm`"),
        ("location =", "location", "r.toml:5:1", "recipes.md"),
        (
            "\"10%\", \"20%\"",
            "\"110%\"",
            "r.toml:20:9: `rates` in [selections.best] is not a rate",
            "recipes.md",
        ),
        ("\"2M\"", "\"2X\"", "`target-tokens` in [selections.best] is not a number", "recipes.md"),
        (">=20", ">=many", "[selections.clean] `many` in the filter", "limit"),
        ("on = \"clean\"\n", "on = \"clena\"\n", "`best` names the selection `clena`", "`clean`"),
        (
            "rates = [\"50%\"]",
            "rates = [\"50%\"]\non = \"best\"",
            "each waits for the next: `clean` → `best`",
            "on",
        ),
        ("run = \"run\"", "run = 7", "r.toml:2:7: `run` in the recipe is not a string", "recipes.md"),
        (
            "[signals.counts]",
            "[signals.counts]\n[signal.x]",
            "unknown key `signal` in the recipe",
            "`signals`",
        ),
    ] {
        let text = WHOLE.replacen(from, to, 1);
        assert_ne!(text, WHOLE, "{from}");
        let error = parse(&text).unwrap_err();
        assert!(error.to_string().contains(message), "{error}\nnot {message}");
        assert!(error.is_usage() && error.hint().unwrap().contains(hint), "{message}: {:?}", error.hint());
    }
}

#[test]
fn amounts_are_powers_of_a_thousand() {
    let of = |text: &str| amount(&Value::from(text));
    assert_eq!(of("100B"), Ok(100_000_000_000));
    assert_eq!((of("5GB"), of("1.5K"), of("12")), (Ok(5_000_000_000), Ok(1_500), Ok(12)));
    assert_eq!(amount(&Value::from(7)), Ok(7));
    for wrong in ["", "B", "-3", "5GiB", "0", "1e3x"] {
        assert!(of(wrong).is_err(), "{wrong}");
    }
}
