//! `init`, `plan` and `apply`, as a person types them.

use serde_json::Value;

use crate::world::World;

const RECIPE: &str = r#"
run = "run"

[corpus]
location = "corpus"

[signals.counts]

[selections.long]
filters = ["counts.words>=3"]

[signals.quality]
signal = "column:q"
on = "long"

[selections.best]
on = "long"
by = "quality"
rates = ["10%", "50%"]

[outputs.data]
selection = "best"
out = "data"
"#;

#[test]
fn a_recipe_is_applied_with_a_plan_and_without() {
    let world = World::with_corpus();
    world.write("r.toml", RECIPE);
    let run = world.ok("apply r.toml");
    for line in [
        "score counts    all           120",
        "keep best      long           120   60   50.0 %",
        "write data     best            60   60",
    ] {
        assert!(run.stdout.contains(line), "{line} in\n{}", run.stdout);
    }
    assert!(!run.stdout.contains("planned"), "{}", run.stdout);
    assert!(world.exists("data/export.json") && world.exists("run/signals"));

    let other = World::with_corpus();
    other.write("r.toml", RECIPE);
    let plan = other.ok("plan r.toml --dollars-per-hour 3");
    assert!(plan.stdout.contains("120 documents") && plan.stdout.contains("dollars"), "{}", plan.stdout);
    let run = other.ok("apply r.toml");
    assert!(run.stdout.contains("planned") && run.stdout.contains("60 documents"), "{}", run.stdout);
    // Applied again there is nothing to compare, and nothing to do.
    let (code, again) = other.json("apply r.toml");
    assert_eq!(code, 0);
    assert!(again["stages"].as_array().unwrap().iter().all(|stage| stage["computed"] == 0), "{again}");
}

#[test]
fn what_is_left_is_listed_and_nothing_is_made_to_say_so() {
    let world = World::with_corpus();
    world.write("r.toml", RECIPE);
    let (code, tasks) = world.json("plan r.toml --tasks");
    let of = |tasks: &Value, name: &str| {
        tasks["tasks"].as_array().unwrap().iter().filter(|task| task["signal"] == name).count()
    };
    assert_eq!((code, of(&tasks, "counts"), of(&tasks, "quality")), (0, 3, 3));
    world.ok("apply r.toml --dry-run");
    assert!(!world.exists("run"));
    world.ok("apply r.toml");
    let (_, tasks) = world.json("plan r.toml --tasks");
    assert_eq!(of(&tasks, "counts"), 0);
}

#[test]
fn mistakes_are_said_with_their_place_before_anything_is_made() {
    let world = World::with_corpus();
    for (from, to, says) in [
        ("rates =", "raets =", "r.toml:19:1: unknown key `raets` in [selections.best]"),
        ("\"column:q\"", "\"column:nothing\"", "[signals.quality]"),
        ("by = \"quality\"", "by = \"quality.nothing\"", "has no column `nothing`"),
        ("out = \"data\"", "out = \"corpus/data\"", "[outputs.data]"),
        ("location = \"corpus\"", "location = \"nowhere\"", "nowhere"),
        ("selection = \"best\"", "selection = \"bset\"", "`bset`"),
    ] {
        let text = RECIPE.replacen(from, to, 1);
        assert_ne!(text, RECIPE, "{from}");
        world.write("r.toml", text);
        let run = world.run("apply r.toml");
        assert!(
            run.code != 0 && run.stderr.contains(says) && run.stderr.contains("hint: "),
            "{says}\n{run:#?}"
        );
        assert!(!world.exists("run/signals") && !world.exists("data"), "{from}");
    }
    world.write("r.toml", RECIPE.replace("run = \"run\"\n", ""));
    assert_eq!(world.run("apply r.toml").code, 2);
    assert_eq!(world.run("apply none.toml").code, 2);
}

#[test]
fn a_recipe_that_was_looked_for_can_be_applied() {
    let world = World::with_corpus();
    let shown = world.ok("init corpus").stdout;
    world.ok("init corpus --out r.toml");
    assert_eq!(String::from_utf8(world.read("r.toml")).unwrap().trim_end(), shown.trim_end());
    assert!(shown.contains("text = \"text\"\nid = \"id\""), "{shown}");
    assert_eq!(world.run("init corpus --out r.toml").code, 2, "it is never overwritten");
    world.ok("apply r.toml --dry-run");
}

#[test]
fn why_names_the_filter_and_what_was_not_asked() {
    let world = World::with_corpus();
    world.write(
        "r.toml",
        RECIPE.replace("words>=3", "words>=1000").replace("rates = [\"10%\", \"50%\"]", "rates = [\"10%\"]"),
    );
    // Nothing passes, so that nothing can be asked of it; what was done stays.
    let run = world.run("apply r.toml");
    assert!(
        run.code == 1
            && run.stderr.contains("[signals.quality] selection")
            && run.stderr.contains("keeps no document"),
        "{run:#?}"
    );
    let said = world.ok("why d0-3 --run run").stdout;
    assert!(said.contains("not kept: counts.words < 1000"), "{said}");
    world.ok("select corpus --by random --documents 1 --run run --name one --decide-only");
    world.ok("select corpus --by column:q --rate 100% --on one --run run --name on --decide-only");
    let said = world.ok("why d0-3 --run run").stdout;
    let other = world.ok("why d0-4 --run run").stdout;
    let not_asked =
        [&said, &other].into_iter().find(|said| said.contains("it was not asked of this document")).unwrap();
    assert!(not_asked.contains("not kept: selection `one` does not keep it"), "{not_asked}");
}
