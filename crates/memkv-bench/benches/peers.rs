//! The table of `memkv bench` for ordered maps of other crates, and checks of these maps:
//! `cargo bench -p memkv-bench --bench peers -- --n 200k`, with the options of `memkv bench`.
//!
//! The tool measures and prints. Each check runs in a process of its own, so that a crash or an
//! endless loop is a finding as well.

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

/// Measure ordered maps of other crates and those of memkv.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    bench: bench::BenchArgs,
    /// `cargo bench` passes this to every benchmark.
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

/// Runs the benchmark. Errors of a peer are results and do not change the exit status.
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
    writeln!(out, "\nIs it correct?\n")?;
    for row in bench::choose(&args.impls, &rows)? {
        writeln!(out, "{}: {}", row.name, probe::verdict(row)?)?;
    }
    Ok(())
}
