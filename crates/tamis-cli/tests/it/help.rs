//! Help texts, word for word.

use crate::world::World;

fn help(arguments: &str) -> String {
    let world = World::new();
    let mut command = world.command(arguments);
    let run = crate::world::Run::of(command.env("COLUMNS", "100"));
    assert_eq!(run.code, 0);
    run.stdout
}

#[test]
fn help_of_the_program() {
    insta::assert_snapshot!("help", help("--help"));
}

#[test]
fn help_of_select() {
    insta::assert_snapshot!("help_select", help("select --help"));
}

#[test]
fn help_of_export() {
    insta::assert_snapshot!("help_export", help("export --help"));
}

#[test]
fn help_of_table() {
    insta::assert_snapshot!("help_table", help("table --help"));
}

#[test]
fn the_version_is_that_of_the_package() {
    assert_eq!(help("--version"), format!("tamis {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn no_arguments_and_unknown_ones_are_wrong_usage() {
    let world = World::new();
    assert_eq!(world.run("").code, 2);
    let run = world.run("selct corpus");
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("select"), "{}", run.stderr);
}
