//! Who begins a signal decides the numeric path; everybody else follows, or is told that they cannot.

use std::collections::BTreeMap;

use serde_json::Value;
use tamis_core::Fingerprint;
use tamis_kernels::Path as NumericPath;

use crate::world::World;

const EMBED: &str = "score embed corpus --run run --embedder models/embedder";

/// A corpus of three shards, and the tiny embedder of the stored run.
fn world() -> World {
    let world = World::with_corpus();
    let embedder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/run_0_1/models/embedder");
    for entry in std::fs::read_dir(embedder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        world.write(&format!("models/embedder/{name}"), std::fs::read(&path).unwrap());
    }
    world
}

fn embeddings(world: &World) -> Vec<(String, Value)> {
    let files = world.files("run/signals");
    let records = files.iter().filter(|(path, _)| path.contains("embed@") && path.ends_with("signal.json"));
    records.map(|(path, bytes)| (path.clone(), serde_json::from_slice(bytes).unwrap())).collect()
}

#[test]
fn a_signal_that_was_begun_on_any_path_goes_on_there() {
    for path in NumericPath::supported() {
        let world = world();
        let path = path.name();
        let format = path.split('/').next().unwrap();
        let (code, report) = world.json(&format!("{EMBED} --worker 1/3 --dtype {path}"));
        assert_eq!((code, &report["unfinished_shards"]), (0, &2.into()), "{report:#}");
        let (_, plan) = world.json(&format!("{EMBED} --dry-run"));
        assert_eq!(plan["signal"]["standing"], "continues", "{plan:#}");
        assert_eq!(plan["signal"]["numeric_path"], path);
        // By what was asked for, and by nothing.
        world.json(&format!("{EMBED} --worker 2/3 --dtype {format}"));
        let (code, report) = world.json(EMBED);
        assert_eq!((code, &report["failed"]), (0, &0.into()), "{report:#}");
        let stored = embeddings(&world);
        assert_eq!(stored.len(), 1, "{path}");
        assert_eq!(stored[0].1["fingerprint"]["numeric_path"], path);
        // Another format is another signal.
        let other = if format == "f32" { "bf16" } else { "f32" };
        let before = world.files("run/signals");
        world.refuses(&format!("{EMBED} --dtype {other}"), 1, &["numeric_path", path, other]);
        let plan = world.ok(&format!("{EMBED} --dtype {other} --dry-run")).stdout;
        assert!(plan.contains(&format!("numeric path: stored `{path}`, asked `{other}`")), "{plan}");
        assert!(world.files("run/signals") == before, "a refused signal left files");
    }
}

/// Makes the stored embeddings, begun on `f32/portable`, those of a processor that has another path.
fn begun_elsewhere(world: &World, path: &str) {
    let (record, value) = embeddings(world).pop().unwrap();
    let mut fields: BTreeMap<String, String> = serde_json::from_value(value["fingerprint"].clone()).unwrap();
    let before = Fingerprint::from_fields(fields.clone());
    fields.insert("numeric_path".to_owned(), path.to_owned());
    let now = Fingerprint::from_fields(fields);
    let text = String::from_utf8(world.read(&format!("run/signals/{record}"))).unwrap();
    let text =
        text.replace("\"f32/portable\"", &format!("\"{path}\"")).replace(&before.digest(), &now.digest());
    let name = |fingerprint: &Fingerprint| format!("embed@{}", fingerprint.short());
    let folder = |fingerprint: &Fingerprint| format!("run/signals/{}", name(fingerprint));
    for (file, bytes) in world.files(&folder(&before)) {
        world.write(&format!("{}/{file}", folder(&now)), bytes);
    }
    world.write(&format!("{}/signal.json", folder(&now)), text.replace(&name(&before), &name(&now)));
    std::fs::remove_dir_all(world.path(&folder(&before))).unwrap();
}

#[test]
fn a_path_that_this_processor_lacks_is_named_before_any_work() {
    let Some(lacked) = NumericPath::ALL.into_iter().find(|path| !path.is_supported()) else { return };
    let lacked = lacked.name();
    let world = world();
    for dry in ["", " --dry-run"] {
        world.refuses(
            &format!("{EMBED} --dtype {lacked}{dry}"),
            2,
            &[lacked, "this processor lacks", "f32/portable"],
        );
    }
    assert!(!world.exists("run/signals"));
    world.json(&format!("{EMBED} --worker 1/3 --dtype f32/portable"));
    begun_elsewhere(&world, lacked);
    let remedy = [lacked, "this processor lacks", "--beside", "--dtype f32/avx2"];
    world.refuses(EMBED, 1, &remedy);
    let plan = world.ok(&format!("{EMBED} --dry-run")).stdout;
    assert!(plan.contains("which this processor lacks"), "{plan}");
}

#[test]
fn a_dry_run_says_which_path_a_new_signal_takes_and_why() {
    let world = world();
    let (_, plan) = world.json(&format!("{EMBED} --dry-run"));
    let path = plan["signal"]["numeric_path"].as_str().unwrap();
    assert!(NumericPath::from_name(path).unwrap().is_supported());
    let because = plan["signal"]["numeric_path_because"].as_str().unwrap();
    assert!(because.contains("measured"), "{because}");
    let lines = world.ok(&format!("{EMBED} --dry-run")).stdout;
    assert!(lines.lines().any(|line| line.starts_with(&format!("embed: numeric path {path}: "))), "{lines}");
    assert_eq!(world.json(EMBED).0, 0);
    assert_eq!(embeddings(&world)[0].1["fingerprint"]["numeric_path"], path);
    world.says(&format!("{EMBED} --dtype f16"), 2, &["f16", "bf16/avx512bf16"]);
}
