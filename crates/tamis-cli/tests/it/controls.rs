//! No control character of a document, an id, a file, a column, a model or an argument reaches the terminal; files keep them.

use std::path::Path;

use serde_json::json;

use crate::world::{Run, World, fixture};

/// What terminals act on: C0, DEL, C1, the bidirectional controls, and the two separators of lines and paragraphs.
fn controls() -> Vec<char> {
    let ranges = [
        (0x01, 0x1f),
        (0x7f, 0x9f),
        (0x61c, 0x61c),
        (0x200e, 0x200f),
        (0x2028, 0x2029),
        (0x202a, 0x202e),
        (0x2066, 0x2069),
    ];
    ranges.into_iter().flat_map(|(from, to)| from..=to).filter_map(char::from_u32).collect()
}

/// Nothing but line feeds, of which there are as many as the layout has.
fn assert_printable(run: &Run, what: &str) {
    for output in [&run.stdout, &run.stderr] {
        let found = output.chars().find(|c| *c != '\n' && (c.is_control() || controls().contains(c)));
        assert_eq!(found, None, "{what}: {output:?}");
    }
}

/// Runs the binary with these arguments, whatever is in them.
fn tamis(world: &World, arguments: &[&str]) -> Run {
    let run = Run::of(world.command("").args(arguments));
    assert!(!run.stderr.contains("panicked"), "{arguments:?}: {}", run.stderr);
    assert_printable(&run, &format!("{arguments:?}"));
    run
}

/// The line of a document whose id and text hold the character, and a column whose name does.
fn line(at: usize, hostile: &str) -> String {
    format!(
        "{}\n",
        json!({
            "id": format!("i{hostile}{at}"),
            "text": format!("word{hostile}word {at} {hostile}\r\u{1b}[2J end"),
            format!("q{hostile}"): at,
        })
    )
}

#[test]
fn no_output_of_any_command_holds_a_control_character() {
    let tiny = fixture("gguf_tiny.gguf").display().to_string();
    for characters in controls().chunks(24) {
        let hostile: String = characters.iter().collect();
        // A slash cannot be in a name, and a path has at most 255 bytes.
        let name = format!("s{hostile}");
        let world = World::new();
        let mut lines: String = (0..30).map(|at| line(at, &hostile)).collect();
        lines.push_str(&format!("{{\"id\": \"broken{}\", \"text\": 1}}\n", "\\u001b[2J"));
        world.write(&format!("c/{name}.jsonl"), &lines);
        let column = format!("column:q{hostile}");
        let (run, out) = (format!("run{hostile}"), format!("kept{hostile}"));
        let scored = tamis(&world, &["score", &column, "c", "--run", &run]);
        assert_eq!(scored.code, 3, "{scored:#?}");
        tamis(&world, &["score", &column, "c", "--run", &run, "--dry-run"]);
        let select =
            ["select", "c", "--by", &column, "--rate", "50%", "--run", &run, "--out", &out, "--name", "mine"];
        assert_eq!(tamis(&world, &select).code, 3);
        let again =
            tamis(&world, &["select", "c", "--by", "random", "--rate", "9%", "--run", &run, "--out", &out]);
        assert_eq!(again.code, 1, "{again:#?}");
        for json in [&[][..], &["--json"]] {
            let ask = |arguments: &[&str]| tamis(&world, &[arguments, json].concat());
            assert_eq!(ask(&["show", "--run", &run, "-n", "3"]).code, 0);
            assert_eq!(ask(&["show", "--run", &run, "--characters", "7"]).code, 0);
            assert_eq!(ask(&["why", &format!("i{hostile}3"), "--run", &run]).code, 0);
            assert_eq!(ask(&["why", &format!("{name}.jsonl:31"), "--run", &run]).code, 0);
            assert_ne!(ask(&["why", &format!("none{hostile}"), "--run", &run]).code, 0);
            for (wrong, code) in [
                (vec!["show", "--run", &name], 1),
                (vec!["show", "--run", &run, "--by", &column, "--around", &hostile], 2),
                (vec!["show", "--run", &run, "--by", &hostile], 2),
                (vec!["score", &hostile, "c", "--run", &run], 2),
                (vec!["score", "counts", &name, "--run", "other"], 1),
                (vec!["select", "c", "--by", "random", "--rate", &hostile, "--run", "other"], 2),
                (vec!["select", "c", "--by", "random", "--rate", "5%", "--run", "other", "--veto", &name], 2),
                (vec!["score", "counts", "c", "--run", "other", "--text", &hostile], 2),
                (vec!["score", "ask-llm", "c", "--run", "other", "--model", &hostile], 2),
                (vec!["score", "ask-llm", "c", "--run", "other", "--model", &tiny, "--prompt", &hostile], 2),
                (vec!["models", "pull", &hostile], 2),
                (vec!["models", "check", &hostile], 2),
                (vec!["models", &hostile], 2),
                (vec!["train-ngram", "c", "--out", "m.arpa", "--text", &hostile], 2),
                // Of clap.
                (vec![&hostile], 2),
                (vec!["show", "--run", &run, "--number", &hostile], 2),
                (vec!["score", "counts", "c", "--dtype", &hostile], 2),
                (vec!["score", "counts", "c", &format!("--{hostile}")], 2),
            ] {
                let found = ask(&wrong);
                assert!(found.code == code || found.code == 1, "{wrong:?}: {found:#?}");
            }
        }
        // What is kept is what came in.
        let kept = world.read(&format!("{out}/{name}.jsonl"));
        let whole: Vec<&str> = lines.split_inclusive('\n').take(30).collect();
        let kept = String::from_utf8(kept).unwrap();
        assert_eq!(kept.split_inclusive('\n').count(), 15);
        assert!(kept.split_inclusive('\n').all(|line| whole.contains(&line)), "{kept:?}");
    }
}

#[test]
fn what_is_escaped_can_still_be_told() {
    let world = World::new();
    let hostile = "\u{1b}[2J\u{7}\u{202e}\u{9b}31m\u{7f}";
    world.write("c/s.jsonl", (0..3).map(|at| line(at, hostile)).collect::<String>());
    let score = ["score", &format!("column:q{hostile}"), "c", "--run", "run"];
    assert_eq!(tamis(&world, &score).code, 0);
    let shown = tamis(&world, &["show", "--run", "run", "-n", "1"]).stdout;
    assert!(shown.contains(r"i\u{1b}[2J\u{7}\u{202e}\u{9b}31m\u{7f}2   s.jsonl:3"), "{shown}");
    assert!(shown.contains(r"word\u{1b}[2J\u{7}\u{202e}\u{9b}31m\u{7f}word 2"), "{shown}");
    // For programs it is the same text: JSON's escapes say it.
    let shown = tamis(&world, &["show", "--run", "run", "-n", "1", "--json"]).stdout;
    assert!(shown.contains(r"\u202e\u009b31m\u007f"), "{shown}");
    let value: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(value["shown"][0]["id"], format!("i{hostile}2"));
    // An argument that clap refuses is quoted whole.
    let refused = tamis(&world, &["show", "--run", "run", "--number", hostile]);
    assert!(refused.stderr.contains(r"'\u{1b}[2J\u{7}\u{202e}\u{9b}31m\u{7f}'"), "{}", refused.stderr);
    // A line feed in a name makes no line of its own.
    let refused = tamis(&world, &["score", "counts", "x\nerror: all is lost", "--run", "run2"]);
    assert!(refused.stderr.contains(r"x\nerror: all is lost"), "{}", refused.stderr);
    assert_eq!(refused.stderr.lines().filter(|line| line.starts_with("error: ")).count(), 1);
}

#[test]
fn a_prompt_is_shown_with_its_own_line_feeds_and_tabs() {
    let world = World::new();
    world.write("p.txt", "{document}\nGood? yes or no:");
    world.write("c.jsonl", format!("{}\n", json!({ "text": "fn main() {\n\tlet x = '\u{1b}[2J';\r\n}" })));
    let arguments = format!(
        "score ask-llm c.jsonl --prompt p.txt --show-prompt --model {}",
        fixture("gguf_tiny.gguf").display()
    );
    let shown = world.ok(&arguments).stdout;
    assert!(shown.contains("fn main() {\n\tlet x = '\\u{1b}[2J';\\r\n}"), "{shown:?}");
    let mut object = Run::of(world.command(&arguments).arg("--json"));
    assert!(!object.stdout.contains('\t'), "{object:?}");
    object.stdout.retain(|c| c != '\n');
    let object: serde_json::Value = serde_json::from_str(&object.stdout).unwrap();
    assert!(object["prompt"].as_str().unwrap().contains("\tlet x = '\u{1b}[2J';\r\n}"), "{object}");
}

#[cfg(unix)]
#[test]
fn arguments_that_are_no_text_are_recorded_and_not_fatal() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let world = World::with_corpus();
    let folder = Path::new(OsStr::from_bytes(b"run\xff"));
    let mut command = world.command("score counts corpus --run");
    let run = Run::of(command.arg(folder));
    assert_eq!(run.code, 0, "{run:#?}");
    assert_eq!(std::fs::read_dir(world.path(".").join(folder).join("audit")).unwrap().count(), 1);
}
