//! The table of `memkv bench` for other crates' ordered maps, and whether these are right:
//! `cargo bench -p memkv-bench --bench peers -- --n 200k`, with the options of `memkv bench`.
//!
//! Measuring and printing are the tool's. Rightness is probed in processes of their own, one for
//! each check, so that a crash or an endless loop is a finding, too.

use anyhow::Result;
use clap::Parser;
use memkv_bench::{probe, rows};
use memkv_cli::bench;
use std::{
    io::{self, Write},
    process::ExitCode,
};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Measure other crates' ordered maps beside memkv's.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    bench: bench::BenchArgs,
    /// What `cargo bench` passes to every benchmark.
    #[arg(long = "bench", hide = true)]
    _bench: bool,
}

fn main() -> ExitCode {
    let (rows, checks) = rows::peers().into_iter().unzip();
    match run(rows, checks) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "peers: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A peer's mistakes are results, not failures, so they do not show in the exit status.
fn run(rows: Vec<bench::index::Row>, checks: Vec<probe::Probe>) -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some(bench::threads::CHILD) => return bench::threads::run_child(&rows::shared_peers()),
        Some(bench::bulk::CHILD) => return bench::bulk::run_child(),
        Some(bench::external::CHILD) => return bench::external::run_child(),
        Some(bench::CHILD) => return bench::run_child(&rows),
        Some(probe::CHILD) => return probe::run_child(&rows, &checks),
        _ => {}
    }
    let args = Cli::parse().bench;
    let out = &mut io::stdout().lock();
    bench::run(&args, &rows, &rows::shared_peers(), out)?;
    if args.is_for_threads() {
        return Ok(());
    }
    writeln!(out, "\nIs it right?\n")?;
    for row in bench::choose(&args.impls, &rows)? {
        writeln!(out, "{}: {}", row.name, probe::verdict(row)?)?;
    }
    Ok(())
}
