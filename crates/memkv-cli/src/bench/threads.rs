//! `memkv bench --suite threads`: shared maps, used by several threads at once.
//!
//! Each structure is measured in a process of its own, at each number of threads. All threads load
//! the keys in a random order, each thread one slice. Then each workload runs for `--millis`. Rates
//! are operations a second of wall time of all threads together. The latency of one operation in
//! sixteen is recorded: a thread chooses sixteen operations, copies their keys, and runs them, so
//! that the cost of choosing stays small and outside the latency.
//!
//! The workloads A to F are those of Cooper et al., "Benchmarking cloud serving systems with YCSB",
//! 2010, with zipfian constant 0.99.

use super::measure::allocated;
use super::record::{Record, large, number, summary, table};
use super::shared::{SharedIndex, SharedRow};
use super::{BenchArgs, child};
use crate::keys::Keys;
use crate::rng::{Rng, hash};
use crate::source::Source;
use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::hint::black_box;
use std::io::Write;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// The hidden subcommand by which a measurement runs in a process of its own.
pub const CHILD: &str = "bench-threads-child";
/// Keys of a scan beside a writer, and the most of a scan of workload E.
const KEYS_PER_SCAN: usize = 100;
/// Keys that all threads update in the workload `hot`.
const HOT_KEYS: usize = 64;
/// How long all threads write while retired memory is watched.
const WATCH_TIME: Duration = Duration::from_millis(100);
/// Operations chosen together. The latency of the first is recorded.
const OPERATIONS_PER_GROUP: usize = 16;

/// What to measure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    row: String,
    source: Source,
    threads: usize,
    round: u64,
    millis: u64,
}

/// What was measured: by workload, operations a second and latencies in nanoseconds.
#[derive(Default, Serialize)]
pub(crate) struct Outcome {
    n: usize,
    raw_bytes: usize,
    overhead_per_key: f64,
    errors: usize,
    #[serde(flatten)]
    numbers: serde_json::Map<String, serde_json::Value>,
}

/// What a thread repeats.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Workload {
    Reads,
    /// This many of a hundred operations are updates, the others reads.
    Mixed(u64),
    /// Reads of recently inserted keys, and one insert in twenty.
    Latest,
    /// Short scans, and one insert in twenty.
    Scans,
    /// Half reads, half updates that depend on the old value.
    Modify,
    Hot,
    /// The first thread inserts and updates, the others scan.
    ScansBesideWriter,
}

const WORKLOADS: [(&str, Workload); 9] = [
    ("reads", Workload::Reads),
    ("A", Workload::Mixed(50)),
    ("B", Workload::Mixed(5)),
    ("C", Workload::Mixed(0)),
    ("D", Workload::Latest),
    ("E", Workload::Scans),
    ("F", Workload::Modify),
    ("hot", Workload::Hot),
    ("scan", Workload::ScansBesideWriter),
];

/// Zipf's law over `n` ranks, by Gray et al., "Quickly generating billion-record synthetic databases", 1994.
pub(super) struct Zipf {
    n: f64,
    theta: f64,
    zeta: f64,
    alpha: f64,
    eta: f64,
}

impl Zipf {
    pub(super) fn new(n: usize) -> Self {
        let theta = 0.99;
        let zeta = |n: usize| (1..=n).map(|i| (i as f64).powf(-theta)).sum::<f64>();
        let (all, two) = (zeta(n), zeta(2));
        let eta = (1.0 - (2.0 / n as f64).powf(1.0 - theta)) / (1.0 - two / all);
        Zipf { n: n as f64, theta, zeta: all, alpha: 1.0 / (1.0 - theta), eta }
    }

    pub(super) fn rank(&self, rng: &mut Rng) -> usize {
        let u = rng.unit();
        let uz = u * self.zeta;
        if uz < 1.0 {
            return 0;
        }
        if uz < 1.0 + 0.5f64.powf(self.theta) {
            return 1;
        }
        (self.n * (self.eta * u - self.eta + 1.0).powf(self.alpha)) as usize % self.n as usize
    }
}

/// State shared by all threads.
struct Bench<'a, I> {
    map: &'a I,
    keys: &'a Keys,
    /// Number of keys loaded first. Workloads insert the keys after them.
    loaded: usize,
    /// Number of keys in the map or being inserted.
    next: AtomicUsize,
    zipf: Zipf,
    seed: u64,
    errors: AtomicUsize,
}

/// An operation on a key.
#[derive(Clone, Copy)]
enum Operation {
    Read { there: bool },
    Insert(u64),
    Add,
    Scan(usize),
}

/// Operations with copies of their keys.
#[derive(Default)]
struct Group {
    keys: Keys,
    operations: Vec<Operation>,
}

impl Group {
    fn fill(&mut self, keys: &Keys, chosen: impl Iterator<Item = (usize, Operation)>) {
        self.keys.clear();
        self.operations.clear();
        for (i, operation) in chosen {
            self.keys.push(keys.get(i));
            self.operations.push(operation);
        }
    }

    fn iter(&self) -> impl Iterator<Item = (&[u8], Operation)> {
        self.keys.iter().zip(self.operations.iter().copied())
    }
}

/// Creates a histogram of latencies up to a minute, with three digits.
pub(super) fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_max(60_000_000_000, 3)?)
}

fn value_of(i: usize) -> u64 {
    hash(7, i as u64)
}

impl<I: SharedIndex> Bench<'_, I> {
    /// Returns the key index of a rank. Frequent ranks are spread over all keys.
    fn spread(&self, rank: usize) -> usize {
        (hash(self.seed, rank as u64) % self.loaded as u64) as usize
    }

    fn scan(&self, from: &[u8], count: usize) {
        let mut last: Vec<u8> = Vec::new();
        self.map.scan(from, count, |key, value| {
            self.note(key > &last[..] || last.is_empty());
            last.clear();
            last.extend_from_slice(key);
            black_box(value);
        });
    }

    /// Returns the index of a random loaded key.
    fn any(&self, rng: &mut Rng) -> usize {
        rng.below(self.loaded as u64) as usize
    }

    /// Returns the next key to insert, or one to update if none is left.
    fn further(&self, rng: &mut Rng) -> (usize, Operation) {
        let i = self.next.fetch_add(1, Relaxed);
        let i = if i < self.keys.len() { i } else { self.any(rng) };
        (i, Operation::Insert(value_of(i)))
    }

    /// Chooses an operation and the index of its key.
    fn choose(&self, workload: Workload, thread: usize, rng: &mut Rng) -> (usize, Operation) {
        let zipf = |rng: &mut Rng| self.spread(self.zipf.rank(rng));
        // A key that a workload inserts may not be present yet.
        let read = |i: usize| (i, Operation::Read { there: i < self.loaded });
        match workload {
            Workload::Reads => read(self.any(rng)),
            Workload::Mixed(updates) => {
                let i = zipf(rng);
                if rng.below(100) < updates { (i, Operation::Insert(rng.next())) } else { read(i) }
            }
            Workload::Latest | Workload::Scans if rng.below(20) == 0 => self.further(rng),
            Workload::Latest => {
                // Not the last keys, which other threads are inserting.
                let last =
                    self.next.load(Relaxed).min(self.keys.len()).saturating_sub(4 * OPERATIONS_PER_GROUP).max(1);
                read((last - 1).saturating_sub(self.zipf.rank(rng)).min(self.loaded.max(last) - 1))
            }
            Workload::Scans => (zipf(rng), Operation::Scan(1 + rng.below(KEYS_PER_SCAN as u64) as usize)),
            Workload::Modify => {
                let i = zipf(rng);
                if rng.below(2) == 0 { (i, Operation::Add) } else { read(i) }
            }
            Workload::Hot => (self.spread(rng.below(HOT_KEYS as u64) as usize), Operation::Add),
            Workload::ScansBesideWriter if thread == 0 && rng.below(2) == 0 => self.further(rng),
            Workload::ScansBesideWriter if thread == 0 => {
                (self.any(rng), Operation::Insert(rng.next()))
            }
            Workload::ScansBesideWriter => (self.any(rng), Operation::Scan(KEYS_PER_SCAN)),
        }
    }

    fn perform(&self, key: &[u8], operation: Operation) {
        match operation {
            Operation::Read { there } => self.note(self.map.get(key).is_some() || !there),
            Operation::Insert(value) => self.map.insert(key, value),
            Operation::Add => self.map.add(key, 1),
            Operation::Scan(count) => self.scan(key, count),
        }
    }

    /// Runs a workload. Returns the rate, the latencies, and the restarts in a million operations.
    fn run(
        &self,
        workload: Workload,
        threads: usize,
        time: Duration,
    ) -> Result<(f64, Histogram<u64>, Option<f64>)> {
        let restarts = I::restarts();
        // Beside a writer only the scans count.
        let writer = workload == Workload::ScansBesideWriter;
        let threads = threads + usize::from(writer);
        let (barrier, stop) = (Barrier::new(threads + 1), AtomicBool::new(false));
        let mut all = histogram()?;
        let (mut done, mut elapsed) = (0, 0.0);
        thread::scope(|scope| -> Result<()> {
            let (barrier, stop) = (&barrier, &stop);
            let work = move |t: usize| -> Result<(u64, Histogram<u64>)> {
                let (mut rng, mut latencies, mut done) =
                    (Rng::new(hash(self.seed, t as u64)), histogram()?, 0);
                let mut group = Group::default();
                barrier.wait();
                // At least once, even if the thread starts late.
                loop {
                    group.fill(self.keys, (0..OPERATIONS_PER_GROUP).map(|_| self.choose(workload, t, &mut rng)));
                    let mut operations = group.iter();
                    let begin = Instant::now();
                    operations
                        .by_ref()
                        .take(1)
                        .for_each(|(key, operation)| self.perform(key, operation));
                    latencies.saturating_record(begin.elapsed().as_nanos() as u64);
                    operations.for_each(|(key, operation)| self.perform(key, operation));
                    done += OPERATIONS_PER_GROUP as u64;
                    if stop.load(Relaxed) {
                        return Ok((done, latencies));
                    }
                }
            };
            let handles: Vec<_> = (0..threads).map(|t| scope.spawn(move || work(t))).collect();
            barrier.wait();
            let begin = Instant::now();
            thread::sleep(time);
            stop.store(true, Relaxed);
            for (t, handle) in handles.into_iter().enumerate() {
                let (count, latencies) =
                    handle.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
                if !(writer && t == 0) {
                    done += count;
                    all.add(latencies)?;
                }
            }
            elapsed = begin.elapsed().as_secs_f64();
            Ok(())
        })?;
        let restarts = restarts
            .zip(I::restarts())
            .map(|(before, after)| (after - before) as f64 * 1e6 / (done.max(1)) as f64);
        Ok((done as f64 / elapsed, all, restarts))
    }

    /// Loads the keys, one slice by each thread. Returns keys a second.
    fn load(&self, threads: usize) -> f64 {
        let barrier = Barrier::new(threads + 1);
        thread::scope(|scope| {
            let barrier = &barrier;
            let handles: Vec<_> = (0..threads)
                .map(|t| {
                    scope.spawn(move || {
                        barrier.wait();
                        (self.loaded * t / threads..self.loaded * (t + 1) / threads)
                            .for_each(|i| self.map.insert(self.keys.get(i), value_of(i)));
                    })
                })
                .collect();
            barrier.wait();
            let begin = Instant::now();
            handles.into_iter().for_each(|handle| self.note(handle.join().is_ok()));
            self.loaded as f64 / begin.elapsed().as_secs_f64()
        })
    }

    /// Returns the most retired bytes while all threads remove and insert, with or without a reader
    /// that stays pinned.
    fn peak(&self, threads: usize, pinned: bool) -> Option<usize> {
        let mut peak = self.map.retired()?;
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for t in 0..threads {
                let stop = &stop;
                scope.spawn(move || {
                    let mut rng = Rng::new(hash(self.seed, t as u64));
                    while !stop.load(Relaxed) {
                        // Each thread has its own keys.
                        let i =
                            rng.below((self.loaded / threads).max(1) as u64) as usize * threads + t;
                        let key = self.keys.get(i % self.loaded);
                        self.map.remove(key);
                        self.map.insert(key, value_of(i % self.loaded));
                    }
                });
            }
            let mut watch = || {
                let begin = Instant::now();
                while begin.elapsed() < WATCH_TIME {
                    thread::sleep(Duration::from_millis(1));
                    peak = peak.max(self.map.retired().unwrap_or(0));
                }
            };
            if pinned {
                self.map.pinned(watch)
            } else {
                watch()
            }
            stop.store(true, Relaxed);
        });
        self.map.settle();
        Some(peak)
    }

    fn note(&self, right: bool) {
        if !right {
            self.errors.fetch_add(1, Relaxed);
        }
    }
}

/// Measures one structure at one number of threads.
pub(crate) fn measure<I: SharedIndex>(job: &Job) -> Result<Outcome> {
    let (keys, _) = job.source.load()?;
    let sorted = keys.sorted();
    let mut distinct: Vec<u32> = sorted
        .chunk_by(|&a, &b| keys.get(a as usize) == keys.get(b as usize))
        .map(|equal| equal[0])
        .collect();
    let seed = hash(job.source.seed, job.round);
    Rng::new(seed).shuffle(&mut distinct);
    let keys = keys.select(&distinct);
    let loaded = (keys.len() * 9 / 10).max(1);
    let raw_bytes: usize = (0..loaded).map(|i| keys.get(i).len()).sum();
    let zipf = Zipf::new(loaded);
    let before = allocated()?;
    let map = I::new();
    let bench =
        Bench { map: &map, keys: &keys, loaded, next: loaded.into(), zipf, seed, errors: 0.into() };
    let mut outcome = Outcome { n: loaded, raw_bytes, ..Outcome::default() };
    outcome.numbers.insert("load_per_s".to_owned(), bench.load(job.threads).into());
    map.settle();
    outcome.overhead_per_key = ((allocated()? - before) - raw_bytes as i64) as f64 / loaded as f64;
    (0..loaded).step_by(7).for_each(|i| bench.note(map.get(keys.get(i)) == Some(value_of(i))));
    for (name, workload) in WORKLOADS {
        let (rate, latencies, restarts) =
            bench.run(workload, job.threads, Duration::from_millis(job.millis))?;
        outcome.numbers.insert(format!("{name}_per_s"), rate.into());
        if let Some(restarts) = restarts {
            outcome.numbers.insert(format!("{name}_restarts_per_million"), restarts.into());
        }
        for (percentile, at) in [("p50", 50.0), ("p99", 99.0), ("p999", 99.9), ("max", 100.0)] {
            outcome.numbers.insert(
                format!("{name}_{percentile}_ns"),
                latencies.value_at_percentile(at).into(),
            );
        }
    }
    for (field, pinned) in [("retired_peak", false), ("retired_peak_pinned", true)] {
        if let Some(peak) = bench.peak(job.threads, pinned) {
            outcome.numbers.insert(field.to_owned(), peak.into());
        }
    }
    outcome.errors = bench.errors.into_inner();
    Ok(outcome)
}

/// Runs the suite and returns whether all results were right.
pub(super) fn run(
    args: &BenchArgs,
    rows: &[SharedRow],
    source: &Source,
    out: &mut impl Write,
) -> Result<bool> {
    let chosen: Vec<&SharedRow> = match &args.impls[..] {
        [] => rows.iter().collect(),
        names => {
            let known = || rows.iter().map(|row| row.name).collect::<Vec<_>>().join(", ");
            let find = |name: &String| {
                rows.iter().find(|row| row.name == name).with_context(|| {
                    format!("unknown structure {name:?}; known are {}", known())
                })
            };
            names.iter().map(find).collect::<Result<_>>()?
        }
    };
    let mut results: Vec<(&SharedRow, usize, Vec<Record>)> = chosen
        .iter()
        .flat_map(|&row| args.threads.iter().map(move |&threads| (row, threads.into(), Vec::new())))
        .collect();
    for round in 0..args.rounds {
        for (row, threads, records) in &mut results {
            let job = Job {
                row: row.name.to_owned(),
                source: source.clone(),
                threads: *threads,
                round,
                millis: args.millis,
            };
            let mut record = Record::new();
            record.insert("impl".to_owned(), row.name.into());
            record.insert("threads".to_owned(), (*threads).into());
            match child::call::<Record>(CHILD, &job, &[], super::TIMEOUT) {
                Ok(outcome) => record.extend(outcome),
                Err(error) => {
                    record.insert("errors".to_owned(), 1.into());
                    record.insert("first_error".to_owned(), format!("{error:#}").into());
                }
            }
            records.push(record);
        }
    }
    let results: Vec<(&SharedRow, usize, Record)> =
        results.into_iter().map(|(row, t, rounds)| (row, t, summary(&rounds))).collect();
    if let Some(path) = &args.plot {
        let bars = results.iter().map(|(row, threads, record)| {
            let mut bar = record.clone();
            bar.insert("impl".to_owned(), format!("{}, {threads}", row.name).into());
            bar
        });
        let title =
            format!("{} of {} keys by threads, operations a second", source.name(), source.n);
        std::fs::write(
            path,
            super::plot::svg(&title, &super::plot::SHARED, &bars.collect::<Vec<_>>()),
        )
        .with_context(|| path.display().to_string())?;
    }
    if args.json {
        for (.., record) in &results {
            writeln!(out, "{}", serde_json::to_string(record)?)?;
        }
    } else {
        print(args, source, &results, out)?;
    }
    Ok(results.iter().all(|(.., record)| number(record, "errors") == Some(0.0)))
}

fn print(
    args: &BenchArgs,
    source: &Source,
    results: &[(&SharedRow, usize, Record)],
    out: &mut impl Write,
) -> Result<()> {
    writeln!(
        out,
        "{}: {} keys, nine tenths of them loaded; {} ms a workload\n",
        source.name(),
        source.n,
        args.millis
    )?;
    let mut lines = vec![vec![
        "operations/s".to_owned(),
        "threads".to_owned(),
        "overhead/key".to_owned(),
        "load".to_owned(),
    ]];
    lines[0].extend(WORKLOADS.iter().map(|(name, _)| (*name).to_owned()));
    lines[0].push("errors".to_owned());
    for (row, threads, record) in results {
        let first =
            results.iter().find(|(other, ..)| other.name == row.name).map(|(.., record)| record);
        // The rate, and how many times that of the first number of threads it is.
        let rate = |name: &str| {
            let field = format!("{name}_per_s");
            let rate = number(record, &field)?;
            let base = number(first?, &field).filter(|&base| base > 0.0)?;
            Some(format!("{} {:.2}x", large(rate), rate / base))
        };
        let cell = |text: Option<String>| text.unwrap_or("-".to_owned());
        let mut line = vec![row.name.to_owned(), threads.to_string()];
        line.push(cell(number(record, "overhead_per_key").map(|bytes| format!("{bytes:+.1}"))));
        line.extend(
            ["load"]
                .into_iter()
                .chain(WORKLOADS.iter().map(|(name, _)| *name))
                .map(|name| cell(rate(name))),
        );
        line.push(cell(number(record, "errors").map(|errors| format!("{errors:.0}"))));
        lines.push(line);
    }
    writeln!(out, "{}", table(&lines))?;
    let mut lines = vec![vec!["p50 / p99 / p99.9 / max, µs".to_owned(), "threads".to_owned()]];
    lines[0].extend(WORKLOADS.iter().map(|(name, _)| (*name).to_owned()));
    for (row, threads, record) in results {
        let micros = |name: &str, what: &str| {
            number(record, &format!("{name}_{what}_ns"))
                .map_or("-".to_owned(), |ns| format!("{:.1}", ns / 1000.0))
        };
        let mut line = vec![row.name.to_owned(), threads.to_string()];
        line.extend(WORKLOADS.iter().map(|(name, _)| {
            ["p50", "p99", "p999", "max"].map(|what| micros(name, what)).join(" / ")
        }));
        lines.push(line);
    }
    writeln!(out, "{}", table(&lines))?;
    let mut lines = vec![vec!["restarts per million".to_owned(), "threads".to_owned()]];
    lines[0].extend(WORKLOADS.iter().map(|(name, _)| (*name).to_owned()));
    lines[0].extend(["retired, MiB".to_owned(), "with a reader pinned".to_owned()]);
    for (row, threads, record) in
        results.iter().filter(|(.., record)| record.contains_key("retired_peak"))
    {
        let cell = |field: &str, unit: f64, digits: usize| {
            number(record, field)
                .map_or("-".to_owned(), |value| format!("{:.digits$}", value / unit))
        };
        let mut line = vec![row.name.to_owned(), threads.to_string()];
        line.extend(
            WORKLOADS.iter().map(|(name, _)| cell(&format!("{name}_restarts_per_million"), 1.0, 0)),
        );
        line.extend(["retired_peak", "retired_peak_pinned"].map(|field| cell(field, 1048576.0, 1)));
        lines.push(line);
    }
    if lines.len() > 1 {
        writeln!(out, "{}", table(&lines))?;
        writeln!(
            out,
            "Retired: the peak while all threads remove and insert for {} ms.\n",
            WATCH_TIME.as_millis()
        )?;
    }
    for (row, threads, record) in results {
        if let Some(error) = record.get("first_error").and_then(|error| error.as_str()) {
            writeln!(out, "{} at {threads}: wrong: {error}", row.name)?;
        }
    }
    let mut noted: Vec<_> =
        results.iter().map(|(row, ..)| row).filter(|row| !row.note.is_empty()).collect();
    noted.dedup_by_key(|row| row.name);
    for row in noted {
        writeln!(out, "{}: {}", row.name, row.note)?;
    }
    Ok(())
}

/// What [`CHILD`] does.
pub fn run_child(rows: &[SharedRow]) -> Result<()> {
    child::answer(|job: Job| {
        let row = rows.iter().find(|row| row.name == job.row).context("no such structure")?;
        (row.measure)(&job)
    })
}

#[cfg(test)]
mod tests {
    use super::{Rng, Zipf};

    #[test]
    fn low_ranks_are_most_frequent() {
        let (zipf, mut rng, mut seen) = (Zipf::new(1000), Rng::new(3), vec![0u32; 1000]);
        (0..100_000).for_each(|_| seen[zipf.rank(&mut rng)] += 1);
        // With constant 0.99 the first rank has a share of 1/zeta(1000).
        assert!((12_000..14_500).contains(&seen[0]), "{}", seen[0]);
        assert!(seen[0] > seen[1] && seen[1] > seen[10] && seen[10] > seen[900]);
        assert!(seen[500..].iter().sum::<u32>() > 1000);
    }
}
