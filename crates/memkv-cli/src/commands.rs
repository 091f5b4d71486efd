//! The command line. This file only parses it; each subcommand is a module.
//!
//! Exit status: 0 on success, 1 on an error, 2 for a wrong command line. For `get` and `search`, 1
//! means that there is no such key, and 2 an error. A closed output pipe ends the program quietly,
//! as in `memkv bench | head -1`.

use crate::{bench, build, get, merge, repair, scan, search, stats, verify};
use clap::{Parser, Subcommand};
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
    Repair(repair::RepairArgs),
    Bench(bench::BenchArgs),
    #[command(hide = true, name = bench::child::CHILD)]
    BenchChild,
}

/// Runs the command in the process's arguments, and returns its exit status.
pub fn run() -> ExitCode {
    let out = &mut io::stdout().lock();
    let command = Cli::parse().command;
    // For these commands 1 means no.
    let trouble = if matches!(command, Command::Get(_) | Command::Search(_)) { 2 } else { 1 };
    let result = match command {
        Command::Build(args) => build::run(&args).map(|()| true),
        Command::Get(args) => get::run(&args, out),
        Command::Scan(args) => scan::run(&args, out).map(|()| true),
        Command::Search(args) => search::run(&args, out),
        Command::Stats(args) => stats::run(&args, out).map(|()| true),
        Command::Verify(args) => verify::run(&args, out),
        Command::Merge(args) => merge::run(&args).map(|()| true),
        Command::Repair(args) => repair::run(&args, out),
        Command::Bench(args) => bench::run(&args, &bench::rows::rows(), out),
        Command::BenchChild => bench::row::run_child(&bench::rows::rows()).map(|()| true),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // An error of this write cannot be reported.
            let _ = writeln!(io::stderr(), "memkv: {error:#}");
            ExitCode::from(trouble)
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
