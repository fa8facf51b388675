//! The `tamis` binary: flags to validated options, the library's results to tables or JSON, errors to exit codes.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage, 3 finished but more rows failed than `--max-failed` allows, 4 waiting for other
//! workers.

mod args;
mod commands;
mod flags;
mod options;
mod output;
mod printable;
mod progress;

use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory, FromArgMatches};

use args::{Cli, Command};
use commands::Context;
use flags::Given;
use progress::Terminal;

const FAILED: u8 = 1;
const WRONG_USAGE: u8 = 2;
const TOO_MANY_FAILED: u8 = 3;
const WAITING: u8 = 4;

fn main() -> ExitCode {
    let (cli, given) = match parse(std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(error) => return refuse(error),
    };
    let terminal = Arc::new(Terminal::new(cli.global.quiet));
    let context = Context { global: &cli.global, terminal: &terminal, given: &given };
    let result = match &cli.command {
        Command::Select(select) => commands::select::run(&context, select),
        Command::Score(score) => commands::score::run(&context, score),
        Command::Apply(args) => commands::apply::run(&context, args),
        Command::Plan(args) => commands::plan::run(&context, args),
        Command::Init(args) => commands::init::run(&context, args),
        Command::TrainNgram(train) => commands::train_ngram::run(&context, train),
        Command::Export(export) => commands::export::run(&context, export),
        Command::Table(table) => commands::table::run(&context, table),
        Command::Show(show) => commands::show::run(&context, show),
        Command::Why(why) => commands::why::run(&context, why),
        Command::Demo(demo) => commands::demo::run(&context, demo),
        Command::Samplers => Ok(commands::samplers::run(&context)),
        Command::Models(models) => commands::models::run(&context, models),
    };
    match result {
        Ok(commands::Outcome::Done) => ExitCode::SUCCESS,
        Ok(commands::Outcome::TooManyFailed) => ExitCode::from(TOO_MANY_FAILED),
        Err(error) => ExitCode::from(report(&error, cli.global.json)),
    }
}

/// The command, and which of its flags were given.
fn parse(
    arguments: impl IntoIterator<Item = impl Into<std::ffi::OsString> + Clone>,
) -> Result<(Cli, Given), clap::Error> {
    let mut command = Cli::command();
    let matches = command.try_get_matches_from_mut(arguments)?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    Ok((cli, Given::of(&matches)))
}

/// Prints what clap says: help, or an argument that is wrong, which may be a secret in the wrong place, or hold control
/// characters.
fn refuse(error: clap::Error) -> ExitCode {
    let arguments: Vec<String> =
        std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let printable: Vec<_> = arguments.iter().map(|argument| printable::one_line(argument)).collect();
    // clap takes such characters out of what it quotes, or prints them; asked again with escaped ones, it says what was wrong.
    let error = match printable.iter().zip(&arguments).all(|(shown, argument)| *shown == **argument) {
        true => error,
        false => parse(printable.iter().map(std::convert::AsRef::<str>::as_ref)).err().unwrap_or(error),
    };
    let message = error.to_string();
    let redacted = tamis::without_secrets(&message);
    if error.use_stderr() && arguments.iter().any(|argument| argument == "--json") {
        let said = redacted.trim_end();
        let (first, rest) = said.split_once("\n\n").unwrap_or((said, ""));
        let hint = Some(rest.trim()).filter(|rest| !rest.is_empty());
        let first = first.strip_prefix("error: ").unwrap_or(first);
        output::print_json(&serde_json::json!({ "error": first, "hint": hint }));
    }
    if redacted == message && !message.chars().any(|c| printable::is_control(c) && c != '\n') {
        error.exit();
    }
    output::error_lines(redacted.trim_end());
    ExitCode::from(WRONG_USAGE)
}

/// Prints an error with its causes and its remedy, without secrets; returns the exit code.
fn report(error: &anyhow::Error, json: bool) -> u8 {
    let own = error.downcast_ref::<tamis::Error>();
    let hint = own.and_then(tamis::Error::hint);
    let usage = own.is_some_and(tamis::Error::is_usage);
    let mut message = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !message.contains(&cause) {
            message += &format!(": {cause}");
        }
    }
    let message = tamis::without_secrets(&message);
    let hint = hint.map(|hint| tamis::without_secrets(&hint));
    output::error_line(&format!("error: {message}"));
    if let Some(hint) = &hint {
        output::error_line(&format!("hint: {hint}"));
    }
    if json {
        output::print_json(&serde_json::json!({ "error": message, "hint": hint }));
    }
    match own {
        Some(tamis::Error::Waiting { .. }) => WAITING,
        _ if usage => WRONG_USAGE,
        _ => FAILED,
    }
}
