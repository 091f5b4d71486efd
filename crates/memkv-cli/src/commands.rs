//! The command line. This file only parses it; each subcommand is a module.
//!
//! Exit status: 0 if what was asked for is found or done, 1 if a command that prints keys or values
//! finds none, 2 on an error, for a wrong command line, and if something is damaged. A closed
//! output pipe ends the program quietly, as in `memkv bench | head -1`.

use crate::{
    bench, build, get, merge, repair, scan, search,
    sets::{self, Operation},
    stats, text, vacuum, verify,
};
use anyhow::{Context, Result};
use clap::{CommandFactory, Parser, Subcommand};
use std::{
    io::{self, Write},
    process::ExitCode,
};

/// An ordered in-memory index for string keys.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Build(build::BuildArgs),
    Get(get::GetArgs),
    Scan(scan::ScanArgs),
    Search(search::SearchArgs),
    Stats(stats::StatsArgs),
    Verify(verify::VerifyArgs),
    Merge(merge::MergeArgs),
    /// Print the keys that are in all of several layers, or write a layer of them.
    Intersection(sets::SetArgs),
    /// Print the keys that are in the first of several layers alone, or write a layer of them.
    Difference(sets::SetArgs),
    /// Print the keys that are in an odd number of layers, or write a layer of them.
    SymmetricDifference(sets::SetArgs),
    Vacuum(vacuum::VacuumArgs),
    Repair(repair::RepairArgs),
    Bench(bench::BenchArgs),
    /// Print a script that completes command lines in a shell.
    Completions {
        shell: clap_complete::Shell,
    },
    /// Print the manual page of the program, or of a command, for man.
    Man {
        command: Option<String>,
    },
    #[command(hide = true, name = bench::child::CHILD)]
    BenchChild,
}

/// The exit status of a command that finds nothing.
const NOTHING: u8 = 1;
/// The exit status of errors and of damage.
const TROUBLE: u8 = 2;
const NAME: &str = "memkv";

/// Prints what is wrong with a command line, or the help that it asks for.
fn explain(error: &clap::Error, out: &mut impl Write) -> ExitCode {
    let text = error.render().to_string();
    // An error of these writes cannot be reported.
    if !error.use_stderr() {
        let _ = out.write_all(text.as_bytes());
        return ExitCode::SUCCESS;
    }
    let _ = write!(io::stderr(), "memkv: {}", text.strip_prefix("error: ").unwrap_or(&text));
    ExitCode::from(TROUBLE)
}

/// Prints the manual page of the program, or of a command.
fn man(name: Option<&str>, out: &mut impl Write) -> Result<()> {
    let mut all = Cli::command();
    all.build();
    let command = match name {
        None => all,
        Some(name) => {
            all.find_subcommand(name).with_context(|| format!("no such command: {name}"))?.clone()
        }
    };
    Ok(clap_mangen::Man::new(command).render(out)?)
}

/// Runs the command in the process's arguments, and returns its exit status.
pub fn run() -> ExitCode {
    let out = &mut io::stdout().lock();
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(error) => return explain(&error, out),
    };
    // For these commands false means that something is damaged or wrong, for the others that
    // nothing is found.
    let is_check = matches!(command, Command::Verify(_) | Command::Repair(_) | Command::Bench(_));
    let no = if is_check { TROUBLE } else { NOTHING };
    let result = match command {
        Command::Build(args) => build::run(&args, out).map(|()| true),
        Command::Get(args) => get::run(&args, out),
        Command::Scan(args) => scan::run(&args, out),
        Command::Search(args) => search::run(&args, out),
        Command::Stats(args) => stats::run(&args, out).map(|()| true),
        Command::Verify(args) => verify::run(&args, out),
        Command::Merge(args) => merge::run(&args, out).map(|()| true),
        Command::Intersection(args) => sets::run(&args, Operation::Intersection, out),
        Command::Difference(args) => sets::run(&args, Operation::Difference, out),
        Command::SymmetricDifference(args) => sets::run(&args, Operation::SymmetricDifference, out),
        Command::Vacuum(args) => vacuum::run(&args, out).map(|()| true),
        Command::Repair(args) => repair::run(&args, out),
        Command::Bench(args) => bench::run(&args, &bench::rows::rows(), out),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), NAME, out);
            Ok(true)
        }
        Command::Man { command } => man(command.as_deref(), out).map(|()| true),
        Command::BenchChild => bench::row::run_child(&bench::rows::rows()).map(|()| true),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(no),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // An error of this write cannot be reported.
            let _ = writeln!(io::stderr(), "memkv: {}", text::message(&error));
            ExitCode::from(TROUBLE)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}
