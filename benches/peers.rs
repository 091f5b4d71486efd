//! The table of `memkv bench` for other crates' ordered maps, and whether these are right:
//! `cargo bench --features cli --bench peers -- --n 200k`, with the options of `memkv bench`.
//!
//! Measuring, checking and printing are the tool's own modules. Rightness is probed in processes of their own, one for
//! each check, so that a crash or an endless loop is a finding, too.

// A benchmark has `cfg(test)` but no harness, so that of the modules' tests only the helpers are left.
#![cfg_attr(test, allow(dead_code, unused_imports))]

#[path = "../src/bin/memkv/bench/mod.rs"]
mod bench;
#[path = "../src/bin/memkv/build.rs"]
mod build;
#[path = "../src/bin/memkv/generate.rs"]
mod generate;
#[path = "../src/bin/memkv/keys.rs"]
mod keys;
#[path = "../src/bin/memkv/layer.rs"]
mod layer;
#[path = "../src/bin/memkv/lines.rs"]
mod lines;
#[path = "peers/probe.rs"]
mod probe;
#[path = "../src/bin/memkv/progress.rs"]
mod progress;
#[path = "../src/bin/memkv/rng.rs"]
mod rng;
#[path = "peers/rows.rs"]
mod rows;
#[path = "../src/bin/memkv/sort/mod.rs"]
mod sort;
#[path = "../src/bin/memkv/source.rs"]
mod source;

use anyhow::Result;
use clap::Parser;
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
