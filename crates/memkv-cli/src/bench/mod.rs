//! `memkv bench`: memory and speed of the maps against other structures.
//!
//! The suites `map`, `threads` and `bulk` measure each row in a process of its own, with the same
//! keys, allocator and checks. `sizes` has one process for each size, in which two structures take
//! turns. With several rounds each row is measured once a round, so that a disturbance of the
//! machine affects all. The results are medians over the rounds.
//!
//! * `args`: the options. `row`: a row, its job, and the rounds. `child`: child processes.
//! * `index`: the traits of structures. `rows`, `shared_rows`, `coded`: the structures.
//! * `measure` and `map`, `sizes`, `threads`, `frozen`, `external`, `hybrid`, `bulk`: the suites.
//! * `absent`, `timer`, `memory`, `latencies`: tools to measure with.
//! * `record`: figures, tables and JSON. `plot`: drawings.

mod absent;
mod args;
mod bulk;
pub mod child;
mod coded;
mod external;
mod frozen;
mod hybrid;
pub mod index;
mod latencies;
mod map;
mod measure;
mod memory;
mod plot;
mod record;
pub mod row;
pub mod rows;
pub mod shared_rows;
mod sizes;
mod threads;
mod timer;

pub use args::BenchArgs;

use anyhow::{Result, ensure};
use row::{Row, Suite};
use std::io::Write;

/// Runs the suite that the options choose and returns whether all results were correct.
///
/// # Errors
///
/// If the options do not fit together, the keys cannot be read, or the output cannot be written.
pub fn run(args: &BenchArgs, rows: &[Row], out: &mut impl Write) -> Result<bool> {
    let (suite, is_external) = (args.suite, args.parts.iter().any(|part| part == "external"));
    let has_choice = matches!(suite, Suite::Map | Suite::Threads);
    ensure!(args.impls.is_empty() || has_choice, "this suite has no structures to choose");
    ensure!(suite != Suite::Bulk || !is_external, "the part external belongs to the suite frozen");
    if suite == Suite::Frozen && is_external {
        return external::run(args, out);
    }
    let chosen = args.choose(rows)?;
    let keys = args.key_input()?;
    if matches!(suite, Suite::Threads | Suite::Bulk) {
        ensure!(keys.stdin.is_empty(), "this suite does not read the standard input");
    }
    match suite {
        Suite::Map => map::run(args, &chosen, &keys, out),
        Suite::Sizes => sizes::run(args, &keys, out),
        Suite::Threads => threads::run(args, &chosen, &keys.source, out),
        Suite::Bulk => bulk::run(args, &keys.source, out),
        Suite::Frozen => frozen::run(args, &keys, out),
        Suite::Hybrid => hybrid::run(args, &keys, out),
    }
}
