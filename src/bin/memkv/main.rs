//! The command-line tool `memkv`. This file only reads the command line; each subcommand is a module.
//!
//! Exit status: 0 if all went well, 1 if not, 2 for a wrong command line. Output to a closed pipe ends the program
//! quietly, as with `memkv bench | head -1`.

#![forbid(unsafe_code)]

mod bench;
mod generate;
mod keys;
mod rng;
mod source;

use clap::{Parser, Subcommand};
use std::{
    io::{self, Write},
    process::ExitCode,
};

/// All structures are measured with the same allocator, which tells how much of it is in use.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// An ordered in-memory index for string keys.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Bench(bench::BenchArgs),
    #[command(hide = true, name = bench::CHILD)]
    BenchChild,
    #[command(hide = true, name = bench::threads::CHILD)]
    BenchThreadsChild,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Bench(args) => bench::run(&args, &bench::index::rows(), &bench::shared::rows(), &mut io::stdout().lock()),
        Command::BenchChild => bench::run_child(&bench::index::rows()).map(|()| true),
        Command::BenchThreadsChild => bench::threads::run_child(&bench::shared::rows()).map(|()| true),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if this fails, too.
            let _ = writeln!(io::stderr(), "memkv: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe))
}
