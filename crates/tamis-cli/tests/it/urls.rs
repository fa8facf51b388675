//! Corpora, runs and kept documents that are named by URLs.

use crate::world::World;

/// A folder of the world as a URL.
fn url(world: &World, name: &str) -> String {
    format!("file://{}", world.path(name).display())
}

#[test]
fn a_run_that_is_named_by_its_url_is_the_run_in_its_folder() {
    let world = World::with_corpus();
    let [corpus, run, kept] = ["corpus", "run", "kept"].map(|name| url(&world, name));
    world.ok("select corpus --by column:q --rate 25% --run plain --out plain-kept");
    world.ok(&format!("score column:q {corpus} --run {run}"));
    // What one spelling began, the other goes on with.
    let select = |run: &str, out: &str| {
        world.json(&format!("select --by column:q --rate 25% --run {run} --out {out}"))
    };
    let (code, report) = select("run", &kept);
    assert_eq!((code, &report["kept"]), (0, &30.into()), "{report:#}");
    assert_eq!(world.files("kept"), world.files("plain-kept"));
    let before = world.all_files("run");
    let (code, again) = select(&run, "kept");
    assert_eq!((code, &again["kept"]), (0, &30.into()), "{again:#}");
    assert_eq!(world.files("kept"), world.files("plain-kept"));
    let sidecars = |files: &std::collections::BTreeMap<String, Vec<u8>>| {
        files.clone().into_iter().filter(|(name, _)| name.starts_with("signals/")).collect::<Vec<_>>()
    };
    assert_eq!(sidecars(&before), sidecars(&world.all_files("run")));
    assert_eq!(sidecars(&before), sidecars(&world.all_files("plain")));
    assert_eq!(world.ok(&format!("show --run {run}")).stdout, world.ok("show --run run").stdout);
    // Places are told apart however they are spelt.
    for (run, out, words) in [
        (run.as_str(), "run", "are one folder"),
        ("run", &run, "are one folder"),
        (&run, "corpus/kept", "lies inside the corpus"),
        ("new", &url(&world, "corpus/kept"), "lies inside the corpus"),
    ] {
        let arguments = format!("select {corpus} --by random --rate 10% --run {run} --out {out}");
        world.refuses(&arguments, 2, &[words]);
    }
    assert!(!world.exists("new"));
}

#[test]
fn a_run_in_an_object_store_gives_the_documents_of_one_in_a_folder() {
    let world = World::with_corpus();
    for by in ["random", "column:q", "counts.words"] {
        let plain = format!("plain/{by}");
        world.ok(&format!("select corpus --by {by} --rate 10%,25% --run run --out {plain}"));
        world.ok(&format!("select corpus --by {by} --rate 10%,25% --run memory://runs/a --out stored/{by}"));
        assert_eq!(world.files(&plain), world.files(&format!("stored/{by}")), "{by}");
        // Kept documents too; they end with the process.
        let (code, report) = world
            .json(&format!("select corpus --by {by} --rate 25% --run other/{by} --out memory://runs/kept"));
        assert_eq!((code, &report["kept"]), (0, &30.into()), "{report:#}");
        assert_eq!(report["out"], "memory://runs/kept");
    }
    world.refuses(
        "select corpus --by random --rate 10% --run memory://a/b --out memory://a/b",
        2,
        &["one folder"],
    );
    world.refuses("select corpus --by random --rate 10% --run ftp://a/b", 1, &["unknown scheme `ftp`"]);
    world.refuses("select corpus --by random --rate 10% --run s3://a/b", 1, &["without feature `aws`"]);
    world.refuses("show --run memory://a/b", 1, &["memory://a/b"]);
}

#[test]
fn places_are_the_same_however_their_urls_are_spelt() {
    let world = World::new();
    world.write("my corpus/s.jsonl", crate::world::shard_text(0, 40));
    let root = url(&world, "");
    for (run, out, words) in [
        ("run", format!("{root}my%20corpus/kept"), "lies inside the corpus"),
        (
            "run",
            format!("{root}m%79%20corpus/kept").replace("file://", "file://localhost"),
            "lies inside the corpus",
        ),
        ("my%20run", format!("{root}my%2520run/kept"), "lies inside --run"),
    ] {
        let corpus = format!("{root}my%20corpus");
        world.refuses(
            &format!("select {corpus} --by random --rate 10% --run {run} --out {out}"),
            2,
            &[words],
        );
    }
    world.refuses(
        &format!("select {root}my%20corpus --by random --rate 10% --run run --out file://"),
        1,
        &["`file://`"],
    );
    let said = world.says(
        &format!("select {root}my%20corpus --by random --rate 10% --out memory://gone/kept"),
        0,
        &["nothing of it stays when it ends"],
    );
    assert!(said.stderr.contains("--out") && said.stderr.contains("--run"), "{}", said.stderr);
}

#[test]
fn workers_name_one_place_in_any_spelling_or_are_told() {
    let world = World::with_corpus();
    let select = |out: &str, worker: &str| {
        world.run(&format!("select corpus --by column:q --rate 25% --run run --out {out} --worker {worker}"))
    };
    let absolute = world.path("kept").display().to_string();
    // The first wants scores of the second, the second documents of the first.
    for (out, worker, code) in
        [("kept", "1/2", 4), ("kept/", "2/2", 4), ("./kept", "1/2", 0), (&absolute, "2/2", 0)]
    {
        assert_eq!(select(out, worker).code, code, "{out} {worker}");
    }
    assert_eq!(select(&url(&world, "kept"), "1/2").code, 0);
    world.ok("select corpus --by column:q --rate 25% --run alone --out alone-kept");
    assert_eq!(world.files("kept"), world.files("alone-kept"));

    let select = |out: &str, worker: &str| {
        world.run(&format!("select corpus --by column:q --rate 50% --run run --out {out} --worker {worker}"))
    };
    assert_eq!(select("one", "1/2").code, 4);
    let run = select("other", "2/2");
    assert_eq!(run.code, 4);
    assert!(run.stderr.contains("need the same --out"), "{}", run.stderr);
}

#[test]
fn flags_that_would_say_nothing_are_refused() {
    let world = World::with_corpus();
    world.refuses(
        "select corpus --by column:q --rule top --around 50% --rate 10% --out o",
        2,
        &["`--rule top`"],
    );
    world.refuses("select corpus --by embed --rate 10% --out o --dry-run", 2, &["`embed` is not a score"]);
    world.refuses("score ask-llm corpus --run run --against x --dry-run", 2, &["`--against`", "`--sample`"]);
    assert!(!world.exists("o"));
    world.ok("score counts corpus --run run --worker 1/2");
    let (_, plan) = world.json("select corpus --by counts --rate 10% --run run --worker 1/2 --dry-run");
    assert_eq!(plan["signal"]["documents_to_compute"], 0, "{plan:#}");
    let (_, plan) = world.json("select corpus --by counts --rate 10% --run run --worker 2/2 --dry-run");
    assert_eq!(plan["signal"]["documents_to_compute"], 40, "{plan:#}");
}
