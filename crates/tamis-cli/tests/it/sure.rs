//! The binary among others of its kind, killed, and on disks that are full or cannot be written: the same bytes in the end.

use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::world::{World, fixture, shard_text};

/// Files of a run and of the kept documents, without records of commands and locks; places are masked.
fn made(world: &World, run: &str, kept: &str) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for folder in [run, kept] {
        if !world.exists(folder) {
            continue;
        }
        for (name, bytes) in world.all_files(folder) {
            if name.starts_with("audit/") || name.starts_with(".locks/") || name.contains(".tamis-tmp-") {
                continue;
            }
            let text = String::from_utf8_lossy(&bytes);
            let masked = text.replace(&format!("\"{kept}\""), "\"KEPT\"").into_bytes();
            let bytes = if name.ends_with(".json") { masked } else { bytes };
            files.insert(format!("{}/{name}", if folder == run { "run" } else { "kept" }), bytes);
        }
    }
    files
}

fn assert_same(found: &BTreeMap<String, Vec<u8>>, expected: &BTreeMap<String, Vec<u8>>, what: &str) {
    let names = found.keys().chain(expected.keys());
    let differing: Vec<_> = names.filter(|name| found.get(*name) != expected.get(*name)).collect();
    assert!(differing.is_empty(), "{what}: {differing:?}");
}

/// Larger than one part of a judge, so that a process can be met in the middle of a shard.
fn world() -> World {
    let world = World::with_corpus();
    for (at, documents) in [(3, 400), (4, 150), (5, 1)] {
        world.write(&format!("corpus/sub/s{at}.jsonl"), shard_text(at, documents));
    }
    world.write("prompt.txt", "{document}\nGood? yes or no:");
    world
}

/// What is done to a run, one command after the other.
fn commands(run: &str, kept: &str) -> Vec<String> {
    vec![
        format!("score column:q corpus --run {run} --threads 2"),
        format!("{} --threads 2", judge(run)),
        format!("select corpus --by ask-llm --rate 10%,30% --run {run} --out {kept} --threads 2"),
    ]
}

fn judge(run: &str) -> String {
    let model = fixture("gguf_tiny.gguf").display().to_string();
    format!("score ask-llm corpus --run {run} --model {model} --prompt prompt.txt --dtype f32")
}

fn start(world: &World, arguments: &str) -> Child {
    world.command(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn whole(world: &World) -> BTreeMap<String, Vec<u8>> {
    commands("alone", "alone-kept").iter().for_each(|command| drop(world.ok(command)));
    made(world, "alone", "alone-kept")
}

#[test]
fn two_and_three_processes_at_once_make_what_one_makes() {
    let world = world();
    let expected = whole(&world);
    for processes in [2, 3] {
        let (run, kept) = (format!("run{processes}"), format!("kept{processes}"));
        for command in commands(&run, &kept) {
            let children: Vec<Child> = (0..processes).map(|_| start(&world, &command)).collect();
            for child in children {
                let output = child.wait_with_output().unwrap();
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{processes} of `{command}`: {said}");
            }
        }
        assert_same(&made(&world, &run, &kept), &expected, &format!("{processes} processes"));
    }
}

#[test]
fn three_workers_make_what_one_process_makes() {
    let world = world();
    let expected = whole(&world);
    for at_once in [true, false] {
        let (run, kept) = (format!("run-{at_once}"), format!("kept-{at_once}"));
        for command in [format!("score column:q corpus --run {run}"), judge(&run)] {
            let mut children = Vec::new();
            for worker in ["3/3", "1/3", "2/3"] {
                let mut child = start(&world, &format!("{command} --worker {worker} --threads 1"));
                if at_once {
                    children.push(child);
                } else {
                    assert!(child.wait().unwrap().success());
                }
            }
            for child in children {
                let output = child.wait_with_output().unwrap();
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            }
            let (_, report) = world.json(&command);
            assert_eq!(
                (&report["computed"], &report["unfinished_shards"]),
                (&0.into(), &0.into()),
                "{report}"
            );
        }
        world.ok(&commands(&run, &kept)[2]);
        assert_same(&made(&world, &run, &kept), &expected, &format!("workers, at once: {at_once}"));
    }
}

#[test]
fn the_binary_killed_at_any_time_is_gone_on_from() {
    let world = world();
    let began = Instant::now();
    let expected = whole(&world);
    let took = began.elapsed() / 3;
    let kills = std::env::var("TAMIS_KILLS").map_or(50_u32, |kills| kills.parse().unwrap()).div_ceil(5);
    let mut killed = 0;
    for at in 0..kills {
        let (run, kept) = (format!("run{at}"), format!("kept{at}"));
        for command in commands(&run, &kept) {
            let mut child = start(&world, &command);
            std::thread::sleep(Duration::from_millis(1) + took * at / kills);
            child.kill().unwrap();
            killed += u32::from(!child.wait().unwrap().success());
            world.ok(&command);
        }
        assert_same(&made(&world, &run, &kept), &expected, &format!("kill {at}"));
        for folder in [run, kept] {
            std::fs::remove_dir_all(world.path(&folder)).unwrap();
        }
    }
    assert!(killed >= kills / 2, "{killed} of {} processes were killed before their end", 3 * kills);
    println!("{killed} of {} processes were killed before their end", 3 * kills);
}

/// A file system in memory of so many KiB, where the test may mount one.
struct Mounted(std::path::PathBuf);

impl Mounted {
    #[expect(clippy::print_stdout, reason = "who reads the test's output must know what was not tried")]
    fn new(world: &World, name: &str, options: &str) -> Option<Self> {
        let place = world.path(name);
        std::fs::create_dir_all(&place).unwrap();
        let mounted = Self::mount(&["-t", "tmpfs", "-o", options, "tmpfs", place.to_str().unwrap()]);
        if !mounted {
            println!("skipped: a file system can be mounted by root only, on Linux");
        }
        mounted.then_some(Self(place))
    }

    fn mount(arguments: &[&str]) -> bool {
        let mount = std::process::Command::new("mount").args(arguments).stderr(Stdio::null()).status();
        mount.is_ok_and(|status| status.success())
    }

    fn again(&self, options: &str) {
        assert!(Self::mount(&["-o", &format!("remount,{options}"), self.0.to_str().unwrap()]));
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_is_really_full_is_told_and_gone_on_from() {
    let world = world();
    let expected = whole(&world);
    let mut full = 0;
    for size in [4, 16, 40, 80, 120, 160, 200, 240, 280, 320] {
        let Some(disk) = Mounted::new(&world, "disk", &format!("size={size}k")) else { return };
        for command in commands("disk/run", "disk/kept") {
            let run = world.run(&command);
            if run.code == 0 {
                continue;
            }
            full += 1;
            assert_eq!(run.code, 1, "{size} KiB, {command}: {run:#?}");
            for word in ["error: ", "disk/", "No space left on device", "hint: make room"] {
                assert!(run.stderr.contains(word), "{size} KiB: expected `{word}` in:\n{}", run.stderr);
            }
            for (name, bytes) in made(&world, "disk/run", "disk/kept") {
                assert!(
                    name.contains("/.parts/") || expected.get(&name) == Some(&bytes),
                    "{size} KiB: {name}"
                );
            }
            disk.again("size=64m");
            world.ok(&command);
        }
        disk.again("size=64m");
        commands("disk/run", "disk/kept").iter().for_each(|command| drop(world.ok(command)));
        assert_same(&made(&world, "disk/run", "disk/kept"), &expected, &format!("{size} KiB"));
    }
    assert!(full >= 5, "the disk was full {full} times");
    println!("the disk was full {full} times");
}

#[test]
fn a_file_system_that_cannot_be_written_is_told() {
    let world = world();
    let Some(disk) = Mounted::new(&world, "disk", "size=64m") else { return };
    let commands = commands("disk/run", "disk/kept");
    world.ok(&commands[0]);
    let before = world.all_files("disk");
    disk.again("ro");
    for command in &commands[1..] {
        let run = world.run(command);
        assert_eq!(run.code, 1, "{run:#?}");
        for word in ["error: ", "disk/run", "Read-only file system", "hint: "] {
            assert!(run.stderr.contains(word), "expected `{word}` in:\n{}", run.stderr);
        }
    }
    assert_eq!(world.all_files("disk"), before);
    // Looking needs no writing.
    world.ok("why d1-3 --run disk/run");
    disk.again("rw");
    commands.iter().for_each(|command| drop(world.ok(command)));
}
