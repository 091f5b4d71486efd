//! `memkv bench --suite map`: the table of single-threaded maps.

use super::args::{BenchArgs, KeyInput, heading};
use super::measure::{KEYS_PER_CALL, KEYS_PER_SCAN};
use super::plot;
use super::record::{
    Column, Record, all_correct, cell, cells, large, mebibytes, number, put, times, titled, titles,
    wrapped, write_error, write_json,
};
use super::row::{Job, Measured, Order, Row, measure_all, write_notes};
use crate::generate::Kind;
use anyhow::{Context, Result};
use std::io::Write;

/// The row that the others are compared with.
const BASE: &str = "btreemap";

const COLUMNS: [Column; 17] = [
    ("memory", "mem_bytes", mebibytes),
    ("bytes/key", "bytes_per_key", |bytes| format!("{bytes:.1}")),
    ("overhead/key", "overhead_per_key", |bytes| format!("{bytes:+.1}")),
    ("resident", "rss_bytes", mebibytes),
    ("inserts/s", "insert_per_s", large),
    ("lookups/s", "get_per_s", large),
    ("zipfian/s", "zipf_get_per_s", large),
    ("200 hot/s", "hot_200_get_per_s", large),
    ("2k hot/s", "hot_2000_get_per_s", large),
    ("50k hot/s", "hot_50000_get_per_s", large),
    ("get_many/s", "get_many_per_s", large),
    ("misses/s", "miss_per_s", large),
    ("scan keys/s", "scan_keys_per_s", large),
    ("removes/s", "remove_per_s", large),
    ("half left", "mem_half_bytes", mebibytes),
    ("none left", "mem_empty_bytes", mebibytes),
    ("errors", "errors", |errors| format!("{errors:.0}")),
];

/// The rows of the kinds of keys.
const KIND_ROWS: [&str; 3] = ["fastart", "fastart-symbols", BASE];
const KIND_COLUMNS: [&str; 12] = [
    "keys",
    "n",
    "raw/key",
    "bytes/key",
    "",
    "symbols",
    "overhead/key",
    "",
    "inserts/s",
    "",
    "lookups/s",
    "",
];

/// Runs the suite and returns whether all results were correct.
pub(super) fn run(
    args: &BenchArgs,
    rows: &[&Row],
    keys: &KeyInput,
    out: &mut impl Write,
) -> Result<bool> {
    let source = &keys.source;
    let names: Vec<&str> = rows.iter().map(|row| row.name).collect();
    let measured = measure(args, &names, keys, (source.name(), args.order))?;
    let mut on_kinds = Vec::new();
    for (name, kind, order) in kinds(args) {
        let keys = KeyInput { source: args.generated(kind), stdin: Vec::new() };
        on_kinds.push((measure(args, &KIND_ROWS, &keys, (&name, order))?, name));
    }
    let summaries = || measured.iter().map(|measured| &measured.summary);
    let figure = |field| summaries().find_map(|record| number(record, field));
    let count = figure("n").unwrap_or(source.n as f64);
    let heading = heading(source, count, figure("raw_bytes").unwrap_or(0.0));
    if let Some(path) = &args.plot {
        let records: Vec<Record> = summaries().cloned().collect();
        std::fs::write(path, plot::svg(&heading, &plot::ALONE, &records))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let all = || on_kinds.iter().flat_map(|(measured, _)| measured).map(|m| &m.summary);
    if args.json {
        write_json(out, summaries().chain(all()))?;
    } else {
        let order = format!("{:?}", args.order).to_lowercase();
        let what = "memory is what is allocated, with values of 8 bytes, and overhead the same \
            less the bytes of the keys; half and none left: memory after removes; rates are of CPU \
            time, one thread";
        let heading = format!("{heading}; inserted {order}, seed {}", args.seed);
        writeln!(out, "{}", wrapped(&format!("{heading}\n{what}")))?;
        print(args, rows, &measured, out)?;
        if !on_kinds.is_empty() {
            let lines = on_kinds.iter().map(|(measured, name)| kind_line(name, measured));
            let table = titled(1, &KIND_COLUMNS, lines);
            let what = wrapped(
                "FastArt : BTreeMap on other keys, and the ratio, of overhead the difference; \
                 allocated bytes a key, overhead less the key's own, symbols: those of \
                 fastart-symbols; rates of CPU time, one thread",
            );
            writeln!(out, "\n{what}\n{table}")?;
            all().try_for_each(|record| write_error(out, name(record), record))?;
        }
    }
    Ok(all_correct(summaries().chain(all())))
}

/// Measures rows and adds the fields that name a measurement.
fn measure(
    args: &BenchArgs,
    rows: &[&str],
    keys: &KeyInput,
    (name, order): (&str, Order),
) -> Result<Vec<Measured>> {
    let jobs = rows.iter().map(|row| Job { order, ..args.job(row, &keys.source, 1) });
    let mut measured = measure_all(jobs.collect(), args.rounds, &keys.stdin)?;
    for Measured { job, summary, .. } in &mut measured {
        put(summary, "impl", &*job.row);
        put(summary, "rounds", args.rounds);
        put(summary, "order", serde_json::to_value(order)?);
        put(summary, "keys", name);
    }
    Ok(measured)
}

fn name(record: &Record) -> &str {
    record["impl"].as_str().unwrap_or_default()
}

fn print(
    args: &BenchArgs,
    rows: &[&Row],
    measured: &[Measured],
    out: &mut impl Write,
) -> Result<()> {
    let mut lines = Vec::new();
    for Measured { job, summary, .. } in measured {
        lines.push([job.row.clone()].into_iter().chain(cells(summary, &COLUMNS)).collect());
    }
    if let Some(base) = measured.iter().find(|measured| measured.job.row == BASE) {
        for measured in measured.iter().filter(|measured| measured.job.row != BASE) {
            let cell = |&(_, field, _): &Column| {
                // Ratios of numbers that may be negative or 0 have no meaning.
                let comparable =
                    !matches!(field, "overhead_per_key" | "mem_empty_bytes" | "errors");
                let ratio = measured.ratio(base, field).filter(|_| comparable);
                ratio.map_or("-".to_owned(), times)
            };
            let name = format!("{} : {BASE}", measured.job.row);
            lines.push([name].into_iter().chain(COLUMNS.iter().map(cell)).collect());
        }
    }
    writeln!(out, "{}", titled(1, &titles(&["implementation"], &COLUMNS), lines))?;
    write_notes(out, rows)?;
    let rounds = match args.rounds {
        1 => "one round".to_owned(),
        rounds => format!("medians of {rounds} rounds"),
    };
    let what = format!(
        "zipfian: lookups with a theta of 0.99, as YCSB's; hot: lookups in a set of as many random \
         keys; get_many with {KEYS_PER_CALL} keys; scans of {KEYS_PER_SCAN} keys; {rounds}"
    );
    write!(out, "{}", wrapped(&what))?;
    measured.iter().try_for_each(|m| write_error(out, &m.job.row, &m.summary))
}

/// Returns the key sets of `--kinds`: name, kind and order of insertion.
fn kinds(args: &BenchArgs) -> Vec<(String, Kind, Order)> {
    if !args.kinds {
        return Vec::new();
    }
    let others = Kind::ALL.iter().filter(|(kind, _)| *kind != Kind::Urls).map(|&(kind, name)| {
        let order = if kind == Kind::Sequential64 { Order::Sorted } else { Order::Shuffled };
        (name.to_owned(), kind, order)
    });
    others.chain([("urls, descending".to_owned(), Kind::Urls, Order::Descending)]).collect()
}

fn kind_line(name: &str, measured: &[Measured]) -> Vec<String> {
    let [ours, symbols, base] = measured else { return vec![name.to_owned()] };
    let pair = |field, show: fn(f64) -> String| {
        format!("{} : {}", cell(&ours.summary, field, show), cell(&base.summary, field, show))
    };
    let ratio = |field| ours.ratio(base, field).map_or("-".to_owned(), times);
    let figure = |field| number(&base.summary, field).unwrap_or(0.0);
    let difference = number(&ours.summary, "overhead_per_key")
        .map_or("-".to_owned(), |ours| format!("{:+.1}", ours - figure("overhead_per_key")));
    vec![
        name.to_owned(),
        large(figure("n")),
        format!("{:.1}", figure("raw_bytes") / figure("n")),
        pair("bytes_per_key", |bytes| format!("{bytes:.1}")),
        ratio("bytes_per_key"),
        cell(&symbols.summary, "bytes_per_key", |bytes| format!("{bytes:.1}")),
        pair("overhead_per_key", |bytes| format!("{bytes:+.1}")),
        difference,
        pair("insert_per_s", large),
        ratio("insert_per_s"),
        pair("get_per_s", large),
        ratio("get_per_s"),
    ]
}
