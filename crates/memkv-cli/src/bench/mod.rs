//! `memkv bench`: memory and speed of the maps beside other structures.
//!
//! Each measurement of a structure is made by a process of its own, with the same keys, allocator and checks. With
//! several rounds, every structure is measured once a round, so that what disturbs the machine for a while disturbs
//! all; medians are shown.

pub mod bulk;
pub mod child;
pub mod external;
mod frozen;
mod hybrid;
pub mod index;
mod measure;
mod plot;
mod record;
pub mod shared;
pub mod threads;

use crate::{
    generate::Kind,
    source::{self, Origin, STDIN, Source},
};
use anyhow::{Context, Result, bail, ensure};
use child::{answer, call};
use clap::{Args, ValueEnum};
use index::Row;
use indicatif::{ProgressBar, ProgressStyle};
use measure::{BATCH, Job, Order, SCAN};
use record::{Record, large, mebibytes, number, ratio, summary, table};
use shared::SharedRow;
use std::{
    io::{Read, Write},
    path::PathBuf,
    time::Duration,
};

/// The hidden subcommand by which a measurement runs in a process of its own.
pub const CHILD: &str = "bench-child";
/// Something hangs, if a single measurement takes longer.
const TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
/// What the others are compared with.
const BASE: &str = "btreemap";
const DEFAULT_N: u64 = 1_000_000;

/// Measure memory and speed beside other structures.
///
/// Each structure is measured in a process of its own, with jemalloc and random 64-bit values. Every result is
/// checked; with a wrong one, the exit status is 1. Overhead is bytes allocated, values included, less the bytes of
/// the keys themselves. Rates are operations a second of CPU time.
#[derive(Args, Debug)]
pub struct BenchArgs {
    /// What to measure.
    #[arg(long, value_enum, default_value_t = Suite::Map)]
    suite: Suite,
    /// A file with a key on each line: plain, .gz, .zst, or - for the standard input. [default: generated keys]
    #[arg(long, value_name = "FILE")]
    keys: Option<String>,
    /// The kind of the generated keys.
    #[arg(long, conflicts_with = "keys", default_value_t = Kind::Urls)]
    kind: Kind,
    /// Number of keys, as in 500k, 2m or 1_000_000; a random sample of a file's. [default: 1m, or the whole file]
    #[arg(long, short, value_name = "COUNT", value_parser = parse_count)]
    n: Option<u64>,
    /// Seed of the keys, the values, the sample and the orders.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Order of insertion.
    #[arg(long, value_enum, default_value_t = Order::Shuffled)]
    order: Order,
    /// The structures to measure, separated by commas.
    #[arg(long = "impl", value_name = "NAMES", value_delimiter = ',')]
    pub impls: Vec<String>,
    /// Times to measure each structure.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// Compare FastArt with BTreeMap on other kinds of keys, too.
    #[arg(long)]
    kinds: bool,
    /// Print a JSON object for each structure, instead of tables.
    #[arg(long)]
    json: bool,
    /// Numbers of threads, separated by commas, for the suite `threads`.
    #[arg(long, value_name = "COUNTS", value_delimiter = ',', default_value = "1,2,4", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Vec<u16>,
    /// Milliseconds that each workload of the suite `threads` runs.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    millis: u64,
    /// Parts of the suite `bulk`, separated by commas: load, shards, grow. [default: all] Of the suite `frozen` there is one that is measured only if
    /// named here, and then alone, as it takes long: external, a build of more text than fits in the memory it is given.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = ["load", "shards", "grow", "external"])]
    parts: Vec<String>,
    /// Draw the results into an SVG file.
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

impl BenchArgs {
    /// Whether shared maps are to be measured.
    pub fn is_for_threads(&self) -> bool {
        self.suite == Suite::Threads
    }
}

/// A group of measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Suite {
    /// Single-threaded maps.
    Map,
    /// Shared maps, used by several threads at a time.
    Threads,
    /// Frozen layers and fst::Map: sizes, reads, builds and automata; of the options, --keys, --kind, --n, --seed, --rounds, --parts and
    /// --json count.
    Frozen,
    /// A hybrid store beside its base, while it is compacted, and its log; of the options, those count that count for `frozen`.
    Hybrid,
    /// Bulk loading and shards: ways to load, what shards cost, and how far one map goes; of the options, --keys, --kind, --n, --seed, --rounds,
    /// --threads, --millis, --parts and --json count.
    Bulk,
}

/// A count above 0 with underscores and the suffixes `k` and `m` for thousands and millions.
fn parse_count(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let (digits, unit) = match (lower.strip_suffix('k'), lower.strip_suffix('m')) {
        (Some(digits), _) => (digits, 1000),
        (_, Some(digits)) => (digits, 1_000_000),
        _ => (&lower[..], 1),
    };
    let count =
        digits.replace('_', "").parse::<u64>().ok().and_then(|count| count.checked_mul(unit));
    match count {
        Some(count @ 1..=0xffff_ffff) => Ok(count),
        Some(_) => Err("out of the range from 1 to 4294967295".to_owned()),
        None => Err("not a number".to_owned()),
    }
}

/// All rounds of one structure on one key set.
struct Measured {
    rounds: Vec<Record>,
    summary: Record,
}

impl Measured {
    fn name(&self) -> &str {
        self.summary["impl"].as_str().unwrap_or_default()
    }
}

/// Runs the benchmark of `rows` and returns whether all results were right.
pub fn run(
    args: &BenchArgs,
    rows: &[Row],
    shared: &[SharedRow],
    out: &mut impl Write,
) -> Result<bool> {
    if args.is_for_threads() {
        let (source, input) = source(args)?;
        ensure!(input.is_empty(), "the suite threads does not read the standard input");
        return threads::run(args, shared, &source, out);
    }
    if args.suite == Suite::Bulk {
        let (source, input) = source(args)?;
        ensure!(input.is_empty(), "the suite bulk does not read the standard input");
        ensure!(args.plot.is_none(), "the suite bulk draws nothing");
        return bulk::run(args, &source, out);
    }
    if args.suite == Suite::Frozen && args.parts.iter().any(|part| part == "external") {
        return external::run(args, out);
    }
    let chosen = choose(&args.impls, rows)?;
    let (source, input) = source(args)?;
    if matches!(args.suite, Suite::Frozen | Suite::Hybrid) {
        let (keys, held) = source.load_from(&input[..])?;
        let mut sizes = Record::new();
        sizes.insert("n".to_owned(), keys.len().into());
        sizes.insert("raw_bytes".to_owned(), keys.raw_bytes().into());
        let heading = heading(&source, &[sizes]);
        return if args.suite == Suite::Hybrid {
            hybrid::run(args, &heading, &keys, out)
        } else {
            frozen::run(args, &heading, &keys, &held, out)
        };
    }
    let kinds = if args.kinds { kinds(args) } else { Vec::new() };
    // What the kinds are measured with.
    let pair = choose(&["fastart".to_owned(), BASE.to_owned()], rows)?;
    let per_round = chosen.len() + kinds.len() * pair.len();
    let progress = ProgressBar::new(per_round as u64 * args.rounds).with_style(
        ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {msg}")
            .context("the progress bar's template")?,
    );
    progress.enable_steady_tick(Duration::from_secs(1));

    let measured = measure_all(&chosen, &source, args.order, args.rounds, &input, &progress)?;
    let on_kinds = kinds
        .iter()
        .map(|(_, source, order)| measure_all(&pair, source, *order, args.rounds, &[], &progress))
        .collect::<Result<Vec<_>>>()?;
    progress.finish_and_clear();

    if let Some(path) = &args.plot {
        let summaries: Vec<Record> =
            measured.iter().map(|measured| measured.summary.clone()).collect();
        std::fs::write(path, plot::svg(&heading(&source, &summaries), &plot::ALONE, &summaries))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    print(out, args, &source, &chosen, &measured)?;
    print_kinds(out, args, &kinds, &on_kinds)?;
    Ok(on_kinds.iter().chain([&measured]).all(|measured| all_right(measured)))
}

/// What [`CHILD`] does.
pub fn run_child(rows: &[Row]) -> Result<()> {
    answer(|job: Job| {
        let row = rows.iter().find(|row| row.name == job.row).context("no such structure")?;
        (row.measure)(&job)
    })
}

/// The rows of some names, or those of the default table if none are named.
pub fn choose<'a>(names: &[String], rows: &'a [Row]) -> Result<Vec<&'a Row>> {
    if names.is_empty() {
        return Ok(rows.iter().filter(|row| row.by_default).collect());
    }
    let find = |name: &String| {
        let known = || rows.iter().map(|row| row.name).collect::<Vec<_>>().join(", ");
        let row = rows.iter().find(|row| row.name == name);
        row.with_context(|| format!("no structure is called {name:?}; there are {}", known()))
    };
    names.iter().map(find).collect()
}

/// The keys to measure with, and the standard input if they come from there.
fn source(args: &BenchArgs) -> Result<(Source, Vec<u8>)> {
    let mut input = Vec::new();
    let source = match args.keys.as_deref() {
        None => Source::generated(args.kind, args.n.unwrap_or(DEFAULT_N), args.seed),
        Some(STDIN) => {
            std::io::stdin()
                .lock()
                .read_to_end(&mut input)
                .context("cannot read the standard input")?;
            Source::file(STDIN, &input[..], args.n, args.seed)?
        }
        Some(path) => Source::file(path, source::open(path)?, args.n, args.seed)?,
    };
    if matches!(source.origin, Origin::File { lines: 0x1_0000_0000.., .. }) && args.n.is_none() {
        bail!("{} has over 2^32 lines; choose how many with --n", source.name());
    }
    Ok((source, input))
}

/// Measures each structure once a round. A process that fails gives a record with the failure as its error.
fn measure_all(
    rows: &[&Row],
    source: &Source,
    order: Order,
    rounds: u64,
    input: &[u8],
    progress: &ProgressBar,
) -> Result<Vec<Measured>> {
    let mut records: Vec<Vec<Record>> = rows.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for (row, records) in rows.iter().zip(&mut records) {
            progress.set_message(format!("{} on {}", row.name, source.name()));
            let job = Job { row: row.name.to_owned(), source: source.clone(), order, round };
            let mut record = Record::new();
            record.insert("impl".to_owned(), row.name.into());
            match call::<Record>(CHILD, &job, input, TIMEOUT) {
                Ok(outcome) => record.extend(outcome),
                Err(error) => {
                    record.insert("errors".to_owned(), 1.into());
                    record.insert("first_error".to_owned(), format!("{error:#}").into());
                }
            }
            record.insert("rounds".to_owned(), rounds.into());
            record.insert("order".to_owned(), serde_json::to_value(order)?);
            records.push(record);
            progress.inc(1);
        }
    }
    Ok(records.into_iter().map(|rounds| Measured { summary: summary(&rounds), rounds }).collect())
}

fn all_right(measured: &[Measured]) -> bool {
    measured.iter().all(|measured| number(&measured.summary, "errors") == Some(0.0))
}

/// A column: its title, the field shown, and how to print its numbers.
type Column = (&'static str, &'static str, fn(f64) -> String);

const COLUMNS: [Column; 13] = [
    ("memory", "mem_bytes", mebibytes),
    ("bytes/key", "bytes_per_key", |bytes| format!("{bytes:.1}")),
    ("overhead/key", "overhead_per_key", |bytes| format!("{bytes:+.1}")),
    ("resident", "rss_bytes", mebibytes),
    ("inserts/s", "insert_per_s", large),
    ("lookups/s", "get_per_s", large),
    ("get_many/s", "get_many_per_s", large),
    ("misses/s", "miss_per_s", large),
    ("scan keys/s", "scan_keys_per_s", large),
    ("removes/s", "remove_per_s", large),
    ("half left", "mem_half_bytes", mebibytes),
    ("none left", "mem_empty_bytes", mebibytes),
    ("errors", "errors", |errors| format!("{errors:.0}")),
];

fn heading(source: &Source, records: &[Record]) -> String {
    let count = records.iter().find_map(|record| number(record, "n")).unwrap_or(source.n as f64);
    let raw = records.iter().find_map(|record| number(record, "raw_bytes")).unwrap_or(0.0);
    let what = match &source.origin {
        Origin::Generated { kind } => format!("generated keys ({kind})"),
        Origin::File { path, .. } => match path.as_str() {
            STDIN => "keys from the standard input".to_owned(),
            path => format!("keys of {}", path.rsplit('/').next().unwrap_or(path)),
        },
    };
    format!("{count:.0} {what}, {:.1} bytes each on average", raw / count)
}

fn print(
    out: &mut impl Write,
    args: &BenchArgs,
    source: &Source,
    rows: &[&Row],
    measured: &[Measured],
) -> Result<()> {
    if args.json {
        return print_json(out, source.name(), measured);
    }
    let summaries: Vec<Record> = measured.iter().map(|measured| measured.summary.clone()).collect();
    let order = format!("{:?}", args.order).to_lowercase();
    writeln!(out, "{}; inserted {order}, seed {}\n", heading(source, &summaries), args.seed)?;
    let mut lines = vec![vec!["implementation".to_owned()]];
    lines[0].extend(COLUMNS.iter().map(|column| column.0.to_owned()));
    for measured in measured {
        let cell =
            |column: &Column| number(&measured.summary, column.1).map_or("-".to_owned(), column.2);
        lines.push(
            [measured.name().to_owned()].into_iter().chain(COLUMNS.iter().map(cell)).collect(),
        );
    }
    if let Some(base) = measured.iter().find(|measured| measured.name() == BASE) {
        for measured in measured.iter().filter(|measured| measured.name() != BASE) {
            let cell = |column: &Column| {
                // A ratio of numbers that may be negative or 0 says nothing.
                let comparable =
                    !matches!(column.1, "overhead_per_key" | "mem_empty_bytes" | "errors");
                let ratio = ratio(&measured.rounds, &base.rounds, column.1).filter(|_| comparable);
                ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}x"))
            };
            let name = format!("{} : {BASE}", measured.name());
            lines.push([name].into_iter().chain(COLUMNS.iter().map(cell)).collect());
        }
    }
    writeln!(out, "{}", table(&lines))?;
    for row in rows.iter().filter(|row| !row.note.is_empty()) {
        writeln!(out, "{}: {}", row.name, row.note)?;
    }
    let rounds = if args.rounds == 1 {
        "one round".to_owned()
    } else {
        format!("medians of {} rounds", args.rounds)
    };
    writeln!(
        out,
        "get_many in batches of {BATCH}; scans of {SCAN} keys; rates of CPU time; {rounds}"
    )?;
    print_errors(out, measured)
}

fn print_errors(out: &mut impl Write, measured: &[Measured]) -> Result<()> {
    for measured in measured {
        if let Some(error) = measured.summary.get("first_error").and_then(|error| error.as_str()) {
            writeln!(out, "{}: wrong: {error}", measured.name())?;
        }
    }
    Ok(())
}

fn print_json(out: &mut impl Write, keys: &str, measured: &[Measured]) -> Result<()> {
    let with_keys = |measured: &Measured| {
        let mut record = measured.summary.clone();
        record.insert("keys".to_owned(), keys.into());
        record
    };
    print_json_lines(out, measured.iter().map(with_keys))
}

fn print_json_lines(out: &mut impl Write, records: impl Iterator<Item = Record>) -> Result<()> {
    for record in records {
        writeln!(out, "{}", serde_json::to_string(&record)?)?;
    }
    Ok(())
}

/// The key sets of `--kinds`.
fn kinds(args: &BenchArgs) -> Vec<(String, Source, Order)> {
    let source = |kind| Source::generated(kind, args.n.unwrap_or(DEFAULT_N), args.seed);
    let others = Kind::ALL.iter().filter(|(kind, _)| *kind != Kind::Urls).map(|&(kind, name)| {
        let order = if kind == Kind::Sequential64 { Order::Sorted } else { Order::Shuffled };
        (name.to_owned(), source(kind), order)
    });
    let descending = ("urls, descending".to_owned(), source(Kind::Urls), Order::Descending);
    others.chain([descending]).collect()
}

const KIND_COLUMNS: [&str; 11] =
    ["keys", "n", "raw/key", "bytes/key", "", "overhead/key", "", "inserts/s", "", "lookups/s", ""];

fn print_kinds(
    out: &mut impl Write,
    args: &BenchArgs,
    kinds: &[(String, Source, Order)],
    measured: &[Vec<Measured>],
) -> Result<()> {
    let named = || kinds.iter().map(|(name, ..)| name).zip(measured);
    if args.json {
        return named().try_for_each(|(name, measured)| print_json(out, name, measured));
    }
    if !kinds.is_empty() {
        let mut lines = vec![KIND_COLUMNS.map(String::from).to_vec()];
        lines.extend(named().map(|(name, measured)| kind_line(name, measured)));
        writeln!(out, "\nFastArt : BTreeMap on other keys\n\n{}", table(&lines))?;
        named().try_for_each(|(_, measured)| print_errors(out, measured))?;
    }
    Ok(())
}

fn kind_line(name: &str, measured: &[Measured]) -> Vec<String> {
    let [ours, base] = measured else { return vec![name.to_owned()] };
    let pair = |field, print: fn(f64) -> String| {
        let text =
            |measured: &Measured| number(&measured.summary, field).map_or("-".to_owned(), print);
        format!("{} : {}", text(ours), text(base))
    };
    let ratio = |field| {
        ratio(&ours.rounds, &base.rounds, field)
            .map_or("-".to_owned(), |ratio| format!("{ratio:.2}x"))
    };
    let n = number(&base.summary, "n").unwrap_or(0.0);
    let raw = number(&base.summary, "raw_bytes").unwrap_or(0.0) / n;
    let difference =
        number(&ours.summary, "overhead_per_key").zip(number(&base.summary, "overhead_per_key"));
    vec![
        name.to_owned(),
        large(n),
        format!("{raw:.1}"),
        pair("bytes_per_key", |bytes| format!("{bytes:.1}")),
        ratio("bytes_per_key"),
        pair("overhead_per_key", |bytes| format!("{bytes:+.1}")),
        difference.map_or("-".to_owned(), |(ours, base)| format!("{:+.1}", ours - base)),
        pair("insert_per_s", large),
        ratio("insert_per_s"),
        pair("get_per_s", large),
        ratio("get_per_s"),
    ]
}

#[cfg(test)]
mod tests {
    use super::{BenchArgs, choose, index::rows, parse_count};
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        bench: BenchArgs,
    }

    #[test]
    fn counts() {
        for (text, count) in
            [("7", 7), ("1_000", 1000), ("20k", 20_000), ("2m", 2_000_000), ("1_0M", 10_000_000)]
        {
            assert_eq!(parse_count(text), Ok(count), "{text}");
        }
        for text in ["", "0", "k", "-1", "1.5m", "2g", "5000m", "99999999999999999999"] {
            assert!(parse_count(text).is_err(), "{text}");
        }
    }

    #[test]
    fn arguments() {
        let args = |line: &str| {
            Cli::try_parse_from(format!("x {line}").split_whitespace()).map(|cli| cli.bench)
        };
        let default = args("").unwrap();
        assert_eq!((default.n, default.rounds, default.seed), (None, 1, 1));
        let named = args("--n 5k --impl fst,btreemap --order sorted --suite map --kinds").unwrap();
        assert_eq!((named.n, named.kinds), (Some(5000), true));
        let rows = rows();
        let chosen: Vec<&str> =
            choose(&named.impls, &rows).unwrap().iter().map(|row| row.name).collect();
        assert_eq!(chosen, ["fst", "btreemap"]);
        let chosen: Vec<&str> = choose(&[], &rows).unwrap().iter().map(|row| row.name).collect();
        let usual = [
            "fastart",
            "arenaart",
            "concurrent-art",
            "sharded-art",
            "btreemap",
            "hashbrown",
            "frozenlayer",
            "hybridstore",
            "fst",
        ];
        assert_eq!(chosen, usual);
        assert!(choose(&["none".to_owned()], &rows).is_err());
        for bad in [
            "--suite all",
            "--rounds 0",
            "--n x",
            "--order random",
            "--kind x",
            "--keys a --kind words",
        ] {
            assert!(args(bad).is_err(), "{bad}");
        }
    }
}
