//! `memkv bench --suite bulk`: loading in bulk, what shards cost, and how far it goes.
//!
//! * `load.rs`: every way to fill a map, on the same keys: time, memory of the result, the most memory on the way.
//! * `shards.rs`: lookups through shards beside lookups without, sizes of shards, and reads while a shard is split.
//! * `grow.rs`: one map that grows to `--n` generated keys, which are never all there as text.
//!
//! Each measurement is made by a process of its own. Rates of threads are of wall time.

mod grow;
mod load;
mod shards;

use super::record::{Record, large, number, ratio, summary, table};
use super::{BenchArgs, child, print_json_lines};
use crate::generate::Kind;
use crate::source::{Origin, Source};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::thread;

/// The hidden subcommand by which a measurement runs in a process of its own.
pub const CHILD: &str = "bench-bulk-child";
/// Shards of the maps, but where it says otherwise.
const SHARDS: usize = 64;

/// What to measure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    what: What,
    source: Source,
    threads: usize,
    round: u64,
    millis: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum What {
    Load { way: load::Way, sorted: bool },
    Routing,
    Balance,
    Split,
    Grow,
}

/// What was measured, by name.
type Numbers = Record;

fn put(numbers: &mut Numbers, name: &str, value: impl Into<serde_json::Value>) {
    numbers.insert(name.to_owned(), value.into());
}

/// The value of key `i`.
fn value_of(i: usize) -> u64 {
    crate::rng::hash(7, i as u64)
}

fn measure(job: &Job) -> Result<Numbers> {
    match job.what {
        What::Load { way, sorted } => load::measure(job, way, sorted),
        What::Routing => shards::routing(job),
        What::Balance => shards::balance(job),
        What::Split => shards::split(job),
        What::Grow => grow::measure(job),
    }
}

/// What [`CHILD`] does.
pub fn run_child() -> Result<()> {
    child::answer(|job: Job| measure(&job))
}

/// The numbers of a job in one round.
fn once(
    args: &BenchArgs,
    what: &What,
    source: &Source,
    threads: usize,
    round: u64,
) -> Result<Record> {
    let job =
        Job { what: what.clone(), source: source.clone(), threads, round, millis: args.millis };
    child::call(CHILD, &job, &[], super::TIMEOUT).with_context(|| format!("{what:?}"))
}

/// The numbers of a job, medians over rounds.
fn call(
    args: &BenchArgs,
    what: &What,
    source: &Source,
    threads: usize,
    rounds: u64,
) -> Result<Record> {
    Ok(summary(
        &(0..rounds)
            .map(|round| once(args, what, source, threads, round))
            .collect::<Result<Vec<_>>>()?,
    ))
}

/// Every way to fill a map, in turn in each round; compared with those of the same round.
fn loads(args: &BenchArgs, source: &Source, threads: &[usize]) -> Result<Vec<Record>> {
    let orders = load::Way::ALL.into_iter().flat_map(|way| [(way, false), (way, true)]);
    let rows: Vec<_> = orders
        .flat_map(|(way, sorted)| threads.iter().map(move |&threads| (way, sorted, threads)))
        .collect();
    let mut rounds = vec![Vec::new(); rows.len()];
    for round in 0..args.rounds {
        for (rounds, &(way, sorted, threads)) in rounds.iter_mut().zip(&rows) {
            rounds.push(once(args, &What::Load { way, sorted }, source, threads, round)?);
        }
    }
    let record = |(row, &(way, sorted, threads)): (usize, &(load::Way, bool, usize))| {
        let times = |base| {
            let base = rows.iter().position(|row| *row == base)?;
            ratio(&rounds[row], &rounds[base], "keys_per_s")
        };
        let mut record = summary(&rounds[row]);
        put(&mut record, "way", way.name());
        put(&mut record, "order", if sorted { "sorted" } else { "shuffled" });
        put(&mut record, "threads", threads);
        put(&mut record, "of_one_thread", times((way, sorted, 1)));
        put(&mut record, "of_inserts", times((load::Way::ALL[0], sorted, threads)));
        record
    };
    Ok(rows.iter().enumerate().map(record).collect())
}

/// Runs the suite and returns whether all results were right.
pub(super) fn run(args: &BenchArgs, source: &Source, out: &mut impl Write) -> Result<bool> {
    ensure!(args.impls.is_empty(), "the suite bulk has no structures to choose");
    ensure!(
        args.parts.iter().all(|part| part != "external"),
        "the part external is one of the suite frozen"
    );
    let mut records = Vec::new();
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let threads: Vec<usize> = args
        .threads
        .iter()
        .map(|&threads| threads.into())
        .filter(|&threads| threads <= processors.max(2))
        .collect();
    let only = |part: &str| args.parts.is_empty() || args.parts.iter().any(|name| name == part);
    let mut note = |part: &str, mut record: Record| {
        put(&mut record, "part", part);
        records.push(record);
    };
    // What is generated may be more than all ways at once can hold.
    if only("load") {
        loads(args, source, &threads)?.into_iter().for_each(|record| note("load", record));
    }
    if only("shards") {
        note("routing", call(args, &What::Routing, source, 1, args.rounds)?);
        note("split", call(args, &What::Split, source, 1, args.rounds)?);
        let other = |kind| Source::generated(kind, source.n, source.seed);
        for source in [source.clone(), other(Kind::Paths), other(Kind::Random64)] {
            let mut record = call(args, &What::Balance, &source, processors, 1)?;
            put(&mut record, "keys", source.name());
            note("balance", record);
        }
    }
    if only("grow") && matches!(source.origin, Origin::Generated { .. }) {
        note(
            "grow",
            call(args, &What::Grow, source, threads.iter().copied().max().unwrap_or(1), 1)?,
        );
    }
    let right = records.iter().all(|record| number(record, "errors") == Some(0.0));
    if args.json {
        print_json_lines(out, records.into_iter())?;
    } else {
        print(source, &records, out)?;
    }
    Ok(right)
}

fn print(source: &Source, records: &[Record], out: &mut impl Write) -> Result<()> {
    let of = |part: &'static str| {
        records
            .iter()
            .filter(move |record| record.get("part").and_then(|name| name.as_str()) == Some(part))
    };
    let text = |record: &Record, name: &str| {
        record.get(name).and_then(|text| text.as_str()).unwrap_or("-").to_owned()
    };
    let cell = |record: &Record, name: &str, show: fn(f64) -> String| {
        number(record, name).map_or("-".to_owned(), show)
    };
    writeln!(out, "{}: {} keys, seed {}; {SHARDS} shards\n", source.name(), source.n, source.seed)?;
    let mut lines = vec![
        [
            "load",
            "order",
            "threads",
            "keys/s",
            "of one thread",
            "of inserts",
            "overhead/key",
            "peak over index, of raw keys",
            "errors",
        ]
        .map(String::from)
        .to_vec(),
    ];
    for record in of("load") {
        lines.push(vec![
            text(record, "way"),
            text(record, "order"),
            cell(record, "threads", |n| format!("{n}")),
            cell(record, "keys_per_s", large),
            cell(record, "of_one_thread", |ratio| format!("{ratio:.2}x")),
            cell(record, "of_inserts", |ratio| format!("{ratio:.2}x")),
            cell(record, "overhead_per_key", |bytes| format!("{bytes:+.2}")),
            cell(record, "peak_over_index_of_raw", |ratio| format!("{ratio:.3}")),
            cell(record, "errors", |n| format!("{n}")),
        ]);
    }
    if lines.len() > 1 {
        writeln!(out, "{}", table(&lines))?;
    }
    for record in of("routing") {
        writeln!(
            out,
            "get, ShardedArt : ConcurrentArt, CPU time: {}; pinned: {}; get_many: {}; misses: {}; inserts: {}",
            cell(record, "get_ratio", |r| format!("{r:.3}x")),
            cell(record, "pinned_ratio", |r| format!("{r:.3}x")),
            cell(record, "get_many_ratio", |r| format!("{r:.3}x")),
            cell(record, "miss_ratio", |r| format!("{r:.3}x")),
            cell(record, "insert_ratio", |r| format!("{r:.3}x")),
        )?;
    }
    for record in of("split") {
        let micros = |name: &str| cell(record, name, |ns| format!("{:.1}", ns / 1000.0));
        writeln!(
            out,
            "reads, p50 / p99 / p99.9 in µs: alone {} / {} / {}; beside a writer {} / {} / {}; beside a split {} / {} / {} ({} keys moved, {} keys/s)",
            micros("alone_p50"),
            micros("alone_p99"),
            micros("alone_p999"),
            micros("writer_p50"),
            micros("writer_p99"),
            micros("writer_p999"),
            micros("split_p50"),
            micros("split_p99"),
            micros("split_p999"),
            cell(record, "moved", large),
            cell(record, "moved_per_s", large),
        )?;
    }
    for record in of("balance") {
        writeln!(
            out,
            "{}: {} shards, the largest {} of the mean in keys, {} in bytes",
            text(record, "keys"),
            cell(record, "shards", |n| format!("{n}")),
            cell(record, "largest", |r| format!("{r:.3}x")),
            cell(record, "largest_bytes", |r| format!("{r:.3}x")),
        )?;
    }
    for record in of("grow") {
        grow::print(record, out)?;
    }
    Ok(())
}
