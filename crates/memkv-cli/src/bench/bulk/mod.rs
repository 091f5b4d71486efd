//! `memkv bench --suite bulk`: bulk loads, the cost of shards, and the growth of one map.
//!
//! * `load.rs`: all ways to fill a map with the same keys: time, memory of the result, peak memory.
//! * `shards.rs`: lookups with and without shards, sizes of shards, reads while a shard is split.
//! * `grow.rs`: one map that grows to `--n` generated keys, which are never all in memory as text.
//!   `grow_value.rs`: its values; `grown_layer.rs`: its frozen layer, which is written to a file.
//!
//! Each measurement runs in a process of its own. Rates of several threads are of wall time.

mod grow;
mod grow_value;
mod grown_layer;
mod load;
mod shards;

use super::args::BenchArgs;
use super::record::{
    Column, Record, all_correct, cell, cells, large, put, times, titled, titles, wrapped,
    write_error, write_json,
};
use super::row::{Job, Measured, Order, Row, Suite, measure_all};
use crate::generate::Kind;
use crate::source::{Origin, Source};
use anyhow::{Result, ensure};
use load::SHARDS;
use std::io::Write;
use std::thread;

/// Returns the rows of the suite, which cannot be chosen by name.
pub(super) fn rows() -> Vec<Row> {
    let row = |name, measure| Row::new(Suite::Bulk, name, measure);
    let ways = load::WAYS.map(|(name, _)| row(name, load::measure));
    let parts = [
        row("routing", shards::routing),
        row("balance", shards::balance),
        row("split", shards::split),
        row("grow", grow::measure),
    ];
    ways.into_iter().chain(parts).collect()
}

/// Measures all ways to fill a map. Ratios are those of the same round.
fn loads(args: &BenchArgs, source: &Source, threads: &[usize]) -> Result<Vec<Record>> {
    let orders = [Order::Shuffled, Order::Sorted];
    let rows = load::WAYS.iter().flat_map(|way| orders.map(|order| (way.0, order)));
    let jobs = rows.flat_map(|(name, order)| {
        threads.iter().map(move |&threads| Job { order, ..args.job(name, source, threads) })
    });
    let measured = measure_all(jobs.collect(), args.rounds, &[])?;
    let record = |result: &Measured| {
        let job = &result.job;
        let ratio = |row: &str, threads: usize| {
            let base = measured.iter().find(|base| {
                base.job.row == row && base.job.order == job.order && base.job.threads == threads
            });
            result.ratio(base?, "keys_per_s")
        };
        let mut record = result.summary.clone();
        put(&mut record, "part", "load");
        put(&mut record, "way", &*job.row);
        put(&mut record, "order", if job.order == Order::Sorted { "sorted" } else { "shuffled" });
        put(&mut record, "threads", job.threads);
        put(&mut record, "of_one_thread", ratio(&job.row, 1));
        put(&mut record, "of_inserts", ratio(load::WAYS[0].0, job.threads));
        record
    };
    Ok(measured.iter().map(record).collect())
}

/// Runs the suite and returns whether all results were correct.
pub(super) fn run(args: &BenchArgs, source: &Source, out: &mut impl Write) -> Result<bool> {
    ensure!(args.plot.is_none(), "the suite bulk draws nothing");
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let threads: Vec<usize> = args
        .threads
        .iter()
        .map(|&threads| threads.into())
        .filter(|&threads| threads <= processors.max(2))
        .collect();
    let only = |part: &str| args.parts.is_empty() || args.parts.iter().any(|name| name == part);
    let mut records = Vec::new();
    // Before the part grow, whose keys may be more than all ways at once can hold.
    if only("load") {
        records.extend(loads(args, source, &threads)?);
    }
    let mut measure = |part: &str, source: &Source, threads: usize, rounds: u64| -> Result<()> {
        let measured = measure_all(vec![args.job(part, source, threads)], rounds, &[])?;
        records.extend(measured.into_iter().map(|Measured { job, mut summary, .. }| {
            put(&mut summary, "part", &*job.row);
            if part == "balance" {
                put(&mut summary, "keys", job.source.name());
            }
            summary
        }));
        Ok(())
    };
    if only("shards") {
        measure("routing", source, 1, args.rounds)?;
        measure("split", source, 1, args.rounds)?;
        let other = |kind| Source::generated(kind, source.n, source.seed);
        for source in [source.clone(), other(Kind::Paths), other(Kind::Random64)] {
            measure("balance", &source, processors, 1)?;
        }
    }
    if only("grow") && matches!(source.origin, Origin::Generated { .. }) {
        measure("grow", source, threads.iter().copied().max().unwrap_or(1), 1)?;
    }
    if args.json {
        write_json(out, &records)?;
    } else {
        print(source, &records, out)?;
    }
    Ok(all_correct(&records))
}

const LOAD_COLUMNS: [Column; 7] = [
    ("threads", "threads", |n| format!("{n}")),
    ("keys/s", "keys_per_s", large),
    ("of one thread", "of_one_thread", times),
    ("of inserts", "of_inserts", times),
    ("overhead/key", "overhead_per_key", |bytes| format!("{bytes:+.2}")),
    ("peak over index, of raw keys", "peak_over_index_of_raw", |ratio| format!("{ratio:.3}")),
    ("errors", "errors", |n| format!("{n}")),
];

fn text(record: &Record, field: &str) -> String {
    record.get(field).and_then(|text| text.as_str()).unwrap_or("-").to_owned()
}

fn print(source: &Source, records: &[Record], out: &mut impl Write) -> Result<()> {
    writeln!(out, "{}: {} keys, seed {}; {SHARDS} shards\n", source.name(), source.n, source.seed)?;
    let (loads, others): (Vec<_>, Vec<_>) =
        records.iter().partition(|record| text(record, "part") == "load");
    if !loads.is_empty() {
        let lines = loads.iter().map(|record| {
            let names = ["way", "order"].map(|field| text(record, field));
            names.into_iter().chain(cells(record, &LOAD_COLUMNS)).collect()
        });
        let what = "ways to fill a map with the same keys: wall time; overhead is allocated bytes, \
            with values of 8 bytes, less those of the keys";
        writeln!(out, "{}", wrapped(what))?;
        writeln!(out, "{}", titled(3, &titles(&["load", "order"], &LOAD_COLUMNS), lines))?;
    }
    for record in &loads {
        write_error(out, &text(record, "way"), record)?;
    }
    for record in others {
        let part = text(record, "part");
        let ratio = |field: &str| cell(record, field, |ratio| format!("{ratio:.3}x"));
        let micros = |reads: &str| {
            let percentiles = ["p50", "p99", "p999"].map(|what| format!("{reads}_{what}"));
            let micros = |ns: f64| format!("{:.1}", ns / 1000.0);
            percentiles.map(|field| cell(record, &field, micros)).join(" / ")
        };
        match &*part {
            "routing" => {
                let [get, pinned, many, miss, insert] = shards::RATIOS.map(ratio);
                let text = format!(
                    "get, ShardedArt : ConcurrentArt, CPU time: {get}; pinned: {pinned}; \
                     get_many: {many}; misses: {miss}; inserts: {insert}"
                );
                write!(out, "{}", wrapped(&text))?;
            }
            "split" => {
                let text = format!(
                    "reads, p50 / p99 / p99.9 in µs: alone {}; beside a writer {}; beside a split \
                     {} ({} keys moved, {} keys/s)",
                    micros("alone"),
                    micros("writer"),
                    micros("split"),
                    cell(record, "moved", large),
                    cell(record, "moved_per_s", large),
                );
                write!(out, "{}", wrapped(&text))?;
            }
            "balance" => writeln!(
                out,
                "{}: {} shards, the largest {} of the mean in keys, {} in bytes",
                text(record, "keys"),
                cell(record, "shards", |n| format!("{n}")),
                ratio("largest"),
                ratio("largest_bytes"),
            )?,
            _ => grow::print(record, out)?,
        }
        write_error(out, &part, record)?;
    }
    Ok(())
}
