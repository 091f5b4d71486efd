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

use super::args::BenchArgs;
use super::index::SharedIndex;
use super::latencies::{Latencies, PERCENTILES};
use super::memory::allocated;
use super::plot;
use super::record::{
    Record, all_correct, cell, large, number, put, titled, wrapped, write_error, write_json,
};
use super::row::{Job, Measured, Row, measure_all, value_of, write_notes};
use crate::keys::KeyList;
use crate::rng::{Rng, Zipf, hash};
use crate::source::Source;
use anyhow::{Context, Result, anyhow};
use std::hint::black_box;
use std::io::Write;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Keys of a scan beside a writer, and the most of a scan of workload E.
const KEYS_PER_SCAN: usize = 100;
/// Keys that all threads update in the workload `hot`.
const HOT_KEYS: u64 = 64;
/// How long all threads write while retired memory is watched.
const WATCH_TIME: Duration = Duration::from_millis(100);
/// Operations chosen together. The latency of the first is recorded.
const OPERATIONS_PER_GROUP: usize = 16;
const MEBIBYTE: f64 = 1048576.0;

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

/// State shared by all threads.
struct Bench<'a, I> {
    map: &'a I,
    keys: &'a KeyList,
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
    keys: KeyList,
    operations: Vec<Operation>,
}

impl Group {
    fn fill(&mut self, keys: &KeyList, chosen: impl Iterator<Item = (usize, Operation)>) {
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

impl<I: SharedIndex> Bench<'_, I> {
    /// Returns the key index of a rank. Frequent ranks are spread over all keys.
    fn spread(&self, rank: u64) -> usize {
        (hash(self.seed, rank) % self.loaded as u64) as usize
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
                let last = self
                    .next
                    .load(Relaxed)
                    .min(self.keys.len())
                    .saturating_sub(4 * OPERATIONS_PER_GROUP)
                    .max(1);
                read(
                    (last - 1)
                        .saturating_sub(self.zipf.rank(rng) as usize)
                        .min(self.loaded.max(last) - 1),
                )
            }
            Workload::Scans => {
                (zipf(rng), Operation::Scan(1 + rng.below(KEYS_PER_SCAN as u64) as usize))
            }
            Workload::Modify => {
                let i = zipf(rng);
                if rng.below(2) == 0 { (i, Operation::Add) } else { read(i) }
            }
            Workload::Hot => (self.spread(rng.below(HOT_KEYS)), Operation::Add),
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
    ) -> Result<(f64, Latencies, Option<f64>)> {
        let restarts = I::restarts();
        // Beside a writer only the scans count.
        let writer = workload == Workload::ScansBesideWriter;
        let threads = threads + usize::from(writer);
        let (barrier, stop) = (Barrier::new(threads + 1), AtomicBool::new(false));
        let mut all = Latencies::new()?;
        let (mut done, mut elapsed) = (0, 0.0);
        thread::scope(|scope| -> Result<()> {
            let (barrier, stop) = (&barrier, &stop);
            let work = move |t: usize| -> Result<(u64, Latencies)> {
                let (mut rng, mut latencies, mut done) =
                    (Rng::new(hash(self.seed, t as u64)), Latencies::new()?, 0);
                let mut group = Group::default();
                barrier.wait();
                // At least once, even if the thread starts late.
                loop {
                    group.fill(
                        self.keys,
                        (0..OPERATIONS_PER_GROUP).map(|_| self.choose(workload, t, &mut rng)),
                    );
                    let mut operations = group.iter();
                    if let Some((key, operation)) = operations.next() {
                        latencies.time(|| self.perform(key, operation));
                    }
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
                    handle.join().map_err(|_| anyhow!("a thread panicked"))??;
                if !(writer && t == 0) {
                    done += count;
                    all.add(&latencies)?;
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
        self.map.reclaim();
        Some(peak)
    }

    fn note(&self, right: bool) {
        if !right {
            self.errors.fetch_add(1, Relaxed);
        }
    }
}

/// Measures one structure at one number of threads.
pub(crate) fn measure<I: SharedIndex>(job: &Job) -> Result<Record> {
    let keys = job.distinct_keys()?;
    let seed = hash(job.source.seed, job.round);
    let loaded = (keys.len() * 9 / 10).max(1);
    let raw_bytes: usize = (0..loaded).map(|i| keys.get(i).len()).sum();
    let zipf = Zipf::ycsb(loaded as u64);
    let before = allocated()?;
    let map = I::default();
    let bench =
        Bench { map: &map, keys: &keys, loaded, next: loaded.into(), zipf, seed, errors: 0.into() };
    let mut record = Record::new();
    put(&mut record, "n", loaded);
    put(&mut record, "raw_bytes", raw_bytes);
    put(&mut record, "load_per_s", bench.load(job.threads));
    map.reclaim();
    let overhead = allocated()? - before - raw_bytes as i64;
    put(&mut record, "overhead_per_key", overhead as f64 / loaded as f64);
    (0..loaded).step_by(7).for_each(|i| bench.note(map.get(keys.get(i)) == Some(value_of(i))));
    for (name, workload) in WORKLOADS {
        let (rate, latencies, restarts) =
            bench.run(workload, job.threads, Duration::from_millis(job.millis))?;
        put(&mut record, &format!("{name}_per_s"), rate);
        if let Some(restarts) = restarts {
            put(&mut record, &format!("{name}_restarts_per_million"), restarts);
        }
        latencies.put(&mut record, name, &PERCENTILES, "_ns");
    }
    for (field, pinned) in [("retired_peak", false), ("retired_peak_pinned", true)] {
        if let Some(peak) = bench.peak(job.threads, pinned) {
            put(&mut record, field, peak);
        }
    }
    put(&mut record, "errors", bench.errors.into_inner());
    Ok(record)
}

/// Runs the suite and returns whether all results were correct.
pub(super) fn run(
    args: &BenchArgs,
    rows: &[&Row],
    source: &Source,
    out: &mut impl Write,
) -> Result<bool> {
    let jobs = rows.iter().flat_map(|row| {
        args.threads.iter().map(|&threads| args.job(row.name, source, threads.into()))
    });
    let mut results = measure_all(jobs.collect(), args.rounds, &[])?;
    for Measured { job, summary, .. } in &mut results {
        put(summary, "impl", &*job.row);
        put(summary, "threads", job.threads);
    }
    if let Some(path) = &args.plot {
        let bars = results.iter().map(|Measured { job, summary, .. }| {
            let mut bar = summary.clone();
            put(&mut bar, "impl", format!("{}, {}", job.row, job.threads));
            bar
        });
        let title =
            format!("{} of {} keys by threads, operations a second", source.name(), source.n);
        let drawing = plot::svg(&title, &plot::SHARED, &bars.collect::<Vec<_>>());
        std::fs::write(path, drawing).with_context(|| path.display().to_string())?;
    }
    if args.json {
        write_json(out, results.iter().map(|measured| &measured.summary))?;
    } else {
        print(args, rows, source, &results, out)?;
    }
    Ok(all_correct(results.iter().map(|measured| &measured.summary)))
}

/// Prints a table with the structure, its threads, and the cells of each result.
fn print_table(
    out: &mut impl Write,
    titles: &[&str],
    results: &[&Measured],
    cells: impl Fn(&Measured) -> Vec<String>,
) -> Result<()> {
    let lines = results.iter().map(|result| {
        let mut line = vec![result.job.row.clone(), result.job.threads.to_string()];
        line.extend(cells(result));
        line
    });
    Ok(writeln!(out, "{}", titled(2, titles, lines))?)
}

fn print(
    args: &BenchArgs,
    rows: &[&Row],
    source: &Source,
    results: &[Measured],
    out: &mut impl Write,
) -> Result<()> {
    let (name, n, millis) = (source.name(), source.n, args.millis);
    let heading = format!(
        "{name}: {n} keys, nine tenths of them loaded; {millis} ms a workload\n\
         operations a second of wall time, of all threads together, and as a multiple of the first \
         number of threads; overhead: allocated bytes, with values of 8 bytes, less those of the \
         keys"
    );
    writeln!(out, "{}", wrapped(&heading))?;
    let all: Vec<&Measured> = results.iter().collect();
    let names = WORKLOADS.map(|(name, _)| name);
    let titles = |first: &[&'static str], last: &[&'static str]| [first, &names, last].concat();
    // A rate, and its ratio to that of the first number of threads.
    let rate = |result: &Measured, name: &str| {
        let field = format!("{name}_per_s");
        let first = results.iter().find(|first| first.job.row == result.job.row)?;
        let base = number(&first.summary, &field).filter(|&base| base > 0.0)?;
        let rate = number(&result.summary, &field)?;
        Some(format!("{} {:.2}x", large(rate), rate / base))
    };
    let first = ["operations/s", "threads", "overhead/key", "load"];
    print_table(out, &titles(&first, &["errors"]), &all, |result| {
        let record = &result.summary;
        let rate = |name: &str| rate(result, name).unwrap_or("-".to_owned());
        let mut cells = vec![cell(record, "overhead_per_key", |bytes| format!("{bytes:+.1}"))];
        cells.extend(["load"].into_iter().chain(names).map(rate));
        cells.push(cell(record, "errors", |errors| format!("{errors:.0}")));
        cells
    })?;
    writeln!(out, "times of single operations, by percentiles\n")?;
    let first = ["p50 / p99 / p99.9 / max, µs", "threads"];
    print_table(out, &titles(&first, &[]), &all, |result| {
        let micros = |name: &str, what: &str| {
            cell(&result.summary, &format!("{name}_{what}_ns"), |ns| format!("{:.1}", ns / 1000.0))
        };
        let all = |name| PERCENTILES.map(|(what, _)| micros(name, what)).join(" / ");
        names.map(all).to_vec()
    })?;
    let counted: Vec<&Measured> =
        results.iter().filter(|result| result.summary.contains_key("retired_peak")).collect();
    if !counted.is_empty() {
        writeln!(out, "operations that begin again, and memory that waits to be freed\n")?;
        let titles =
            titles(&["restarts per million", "threads"], &["retired, MiB", "with a reader pinned"]);
        print_table(out, &titles, &counted, |Measured { summary, .. }| {
            let restarts = names.map(|name| {
                cell(summary, &format!("{name}_restarts_per_million"), |n| format!("{n:.0}"))
            });
            let retired = ["retired_peak", "retired_peak_pinned"]
                .map(|field| cell(summary, field, |bytes| format!("{:.1}", bytes / MEBIBYTE)));
            restarts.into_iter().chain(retired).collect()
        })?;
        let millis = WATCH_TIME.as_millis();
        writeln!(out, "Retired: the peak while all threads remove and insert for {millis} ms.\n")?;
    }
    for Measured { job, summary, .. } in results {
        write_error(out, &format!("{} at {}", job.row, job.threads), summary)?;
    }
    write_notes(out, rows)
}
