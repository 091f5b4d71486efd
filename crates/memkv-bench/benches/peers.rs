//! The table of `memkv bench` for ordered maps of other crates, and checks of these maps:
//! `cargo bench -p memkv-bench --bench peers -- --n 200k`, with the options of `memkv bench`.
//!
//! The tool measures and prints. Each check runs in a process of its own, so that a crash or an
//! endless loop is a finding as well.

use anyhow::Result;
use clap::Parser;
use memkv_bench::{
    probe::{self, Probe},
    rows,
};
use memkv_cli::bench::{
    self,
    row::{self, Row},
};
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
    let (mut rows, checks): (Vec<Row>, Vec<Probe>) = rows::peers().into_iter().unzip();
    rows.extend(rows::shared_peers());
    match run(&rows, &checks) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "peers: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the benchmark. Errors of a peer are results and do not change the exit status.
fn run(rows: &[Row], checks: &[Probe]) -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some(bench::child::CHILD) => return row::run_child(rows),
        Some(probe::CHILD) => return probe::run_child(rows, checks),
        _ => {}
    }
    let args = Cli::parse().bench;
    let out = &mut io::stdout().lock();
    bench::run(&args, rows, out)?;
    if !args.is_for_maps() {
        return Ok(());
    }
    writeln!(out, "\nIs it correct?\n")?;
    for row in args.choose(rows)? {
        writeln!(out, "{}: {}", row.name, probe::verdict(row)?)?;
    }
    Ok(())
}
