//! `memkv bench --suite hybrid`: a hybrid store against its base layer, under compaction, and its log.
//!
//! One key in twenty is left out of the base and inserted later. Lookups in the layer and in the
//! store alternate in blocks, so that a disturbance of the machine affects both. The mixed workload
//! is 90 % reads, 8 % inserts and updates and 2 % removes of zipfian keys (constant 0.99), by two
//! threads.

use super::measure::{Timer, allocated};
use super::record::{Record, large, mebibytes, number, summary, table};
use super::threads::{Zipf, histogram};
use super::{BenchArgs, print_json_lines};
use crate::keys::Keys;
use crate::rng::{Rng, hash};
use anyhow::{Context, Result, anyhow};
use hdrhistogram::Histogram;
use indicatif::ProgressBar;
use memkv::{FrozenLayer, HybridOptions, HybridStore, Wal};
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

const THREADS: u64 = 2;
/// Operations of the mixed workload before the compaction.
const OPERATIONS: u64 = 1_000_000;
const LOOKUPS: usize = 400_000;
const LOOKUPS_PER_BLOCK: usize = 2000;
/// One key in this many is not in the base at first.
const KEYS_PER_LEFT_OUT: usize = 20;
/// Most changes that are replayed.
const MAX_REPLAYED: usize = 1_000_000;
/// Writes of one sync, and the number of syncs of which the rate is taken.
const GROUPS: [(usize, usize); 3] = [(1, 1000), (32, 300), (1024, 100)];

/// A figure: its field, its name, its format, and its goal.
type Figure = (&'static str, &'static str, fn(f64) -> String, &'static str);

fn plain(number: f64) -> String {
    format!("{number:.2}")
}

fn percent(number: f64) -> String {
    format!("{:+.2} %", 100.0 * number)
}

fn millis(nanoseconds: f64) -> String {
    format!("{:.3} ms", nanoseconds / 1e6)
}

fn seconds(seconds: f64) -> String {
    format!("{seconds:.2} s")
}

const FIGURES: [Figure; 27] = [
    ("layer_ns", "lookup in the layer, ns", plain, ""),
    ("empty_ns", "lookup in the store, no changes, ns", plain, ""),
    ("empty_ratio", "  rate : the layer's", plain, ">= 0.93"),
    ("full_ns", "lookup in the store, 5 % changed, ns", plain, ""),
    ("full_ratio", "  rate : the layer's", plain, ">= 0.70"),
    ("base_bytes", "base, allocated", mebibytes, ""),
    ("delta_bytes", "changes, 5 % of the keys", mebibytes, ""),
    ("beyond", "allocated beyond both", percent, "<= +3 %"),
    ("before_per_s", "mixed operations/s, no compaction", large, ""),
    ("during_per_s", "mixed operations/s, while it is compacted", large, ""),
    ("during_ratio", "  : without", plain, ">= 0.50"),
    ("before_p999", "writes, p99.9, no compaction", millis, ""),
    ("before_max", "writes, longest, no compaction", millis, ""),
    ("during_p999", "writes, p99.9, while it is compacted", millis, "<= 5 ms"),
    ("during_max", "writes, longest, while it is compacted", millis, ""),
    ("pause", "writers kept out by freeze_delta", millis, ""),
    ("compact_s", "the compaction", seconds, ""),
    ("compact_encoded", "  chunks encoded", plain, ""),
    ("compact_reused", "  chunks reused", plain, ""),
    ("peak_beyond", "  peak beyond base, new base and changes", mebibytes, "<= 16 MiB"),
    ("confined_reused", "chunks reused, writes in 5 % of the key space", percent, ">= 85 %"),
    ("group_1_per_s", "logged writes/s, on the disk one by one", large, ""),
    ("group_32_per_s", "logged writes/s, on the disk 32 at a time", large, ""),
    ("group_1024_per_s", "logged writes/s, on the disk 1024 at a time", large, ""),
    ("replayed", "changes replayed", large, ""),
    ("open_s", "  opening the base alone", seconds, ""),
    ("replay_s", "  beyond that", seconds, ""),
];

type Pairs<'k> = Vec<(&'k [u8], u64)>;

/// Latencies of writes, and the number of all operations.
struct Latencies {
    writes: Histogram<u64>,
    operations: u64,
}

/// The keys of the measurements.
struct Bench<'k> {
    base: Pairs<'k>,
    left_out: Pairs<'k>,
    zipf: Zipf,
    seed: u64,
    errors: AtomicU64,
}

fn options() -> HybridOptions {
    HybridOptions::new().background(false)
}

impl Bench<'_> {
    fn note(&self, right: bool) {
        self.errors.fetch_add(u64::from(!right), Relaxed);
    }

    fn key(&self, rng: &mut Rng) -> &[u8] {
        let rank = self.zipf.rank(rng) as u64;
        self.base[(hash(self.seed, rank) % self.base.len() as u64) as usize].0
    }

    /// Returns the nanoseconds of a lookup in the layer and in the store. A stored value may be the
    /// complement of the original.
    fn lookups(&self, layer: &FrozenLayer, store: &HybridStore, rng: &mut Rng) -> [f64; 2] {
        let mut timers = [Timer::default(), Timer::default()];
        let mut done = 0;
        while done < LOOKUPS {
            for (i, timer) in timers.iter_mut().enumerate() {
                let asked: Vec<(&[u8], u64)> = (0..LOOKUPS_PER_BLOCK)
                    .map(|_| self.base[rng.below(self.base.len() as u64) as usize])
                    .collect();
                let right = |(found, value): (Option<u64>, u64)| {
                    found == Some(value) || found == Some(!value)
                };
                let found = match i {
                    0 => timer.time(|| {
                        asked.iter().filter(|(key, value)| right((layer.get(key), *value))).count()
                    }),
                    _ => timer.time(|| {
                        asked.iter().filter(|(key, value)| right((store.get(key), *value))).count()
                    }),
                };
                self.note(found == LOOKUPS_PER_BLOCK);
            }
            done += LOOKUPS_PER_BLOCK;
        }
        timers.map(|timer| timer.cpu() * 1e9 / done as f64)
    }

    /// Runs one thread of the mixed workload until `stop`. Returns what it did before and while
    /// `compacting`.
    fn mixed(
        &self,
        store: &HybridStore,
        thread: u64,
        stop: &AtomicBool,
        compacting: &AtomicBool,
        count: &AtomicU64,
    ) -> Result<[Latencies; 2]> {
        let mut rng = Rng::new(hash(self.seed, thread));
        let mut seen = [
            Latencies { writes: histogram()?, operations: 0 },
            Latencies { writes: histogram()?, operations: 0 },
        ];
        while !stop.load(Relaxed) {
            let seen = &mut seen[usize::from(compacting.load(Relaxed))];
            for _ in 0..16 {
                let kind = rng.below(100);
                if kind < 90 {
                    std::hint::black_box(store.get(self.key(&mut rng)));
                    continue;
                }
                let key = match kind {
                    // Half of the stored keys are new.
                    90..94 if !self.left_out.is_empty() => {
                        self.left_out[rng.below(self.left_out.len() as u64) as usize].0
                    }
                    _ => self.key(&mut rng),
                };
                let begin = Instant::now();
                let written =
                    if kind < 98 { store.insert(key, rng.next()) } else { store.remove(key) };
                seen.writes.saturating_record(begin.elapsed().as_nanos() as u64);
                self.note(written.is_ok());
            }
            seen.operations += 16;
            count.fetch_add(16, Relaxed);
        }
        Ok(seen)
    }

    /// Runs the mixed workload, and a compaction during it.
    fn compaction(&self, store: &HybridStore, empty: i64, record: &mut Record) -> Result<()> {
        let (stop, compacting, count) =
            (AtomicBool::new(false), AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| -> Result<()> {
            let (stop, compacting, count) = (&stop, &compacting, &count);
            let run = move |thread| self.mixed(store, thread, stop, compacting, count);
            let threads: Vec<_> =
                (0..THREADS).map(|thread| scope.spawn(move || run(thread))).collect();
            let begin = Instant::now();
            while count.load(Relaxed) < OPERATIONS.min(self.base.len() as u64) {
                thread::sleep(Duration::from_millis(1));
            }
            let (time, before) = (begin.elapsed().as_secs_f64(), store.memory_usage());
            let done = count.load(Relaxed);
            record.insert("before_per_s".to_owned(), (done as f64 / time).into());
            compacting.store(true, Relaxed);
            let begin = Instant::now();
            let compaction = scope.spawn(|| store.compact());
            let mut peak = 0;
            while !compaction.is_finished() {
                peak = peak.max(allocated()?);
                thread::sleep(Duration::from_millis(4));
            }
            let during = (count.load(Relaxed) - done) as f64 / begin.elapsed().as_secs_f64();
            stop.store(true, Relaxed);
            compaction.join().map_err(|_| anyhow!("a thread panicked"))??;
            let after = store.memory_usage();
            record.insert("during_per_s".to_owned(), during.into());
            record.insert("during_ratio".to_owned(), (during * time / done as f64).into());
            let known = before.base + before.delta + after.base + after.delta;
            record.insert("peak_beyond".to_owned(), (peak - empty - known as i64).into());
            let mut all = [histogram()?, histogram()?];
            for thread in threads {
                let seen = thread.join().map_err(|_| anyhow!("a thread panicked"))??;
                for (all, seen) in all.iter_mut().zip(seen) {
                    all.add(seen.writes)?;
                }
            }
            for (name, all) in ["before", "during"].iter().zip(all) {
                record.insert(format!("{name}_p999"), all.value_at_percentile(99.9).into());
                record.insert(format!("{name}_max"), all.max().into());
            }
            Ok(())
        })?;
        let stats = store.stats();
        record.insert("pause".to_owned(), (stats.longest_pause.as_nanos() as u64).into());
        record.insert("compact_s".to_owned(), stats.last_compaction.as_secs_f64().into());
        record.insert("compact_encoded".to_owned(), stats.last_encoded.into());
        record.insert("compact_reused".to_owned(), stats.last_reused.into());
        Ok(())
    }

    /// Writes to one twentieth of the key space, then compacts.
    fn confined(&self, layer: &FrozenLayer, rng: &mut Rng, record: &mut Record) -> Result<()> {
        let store = HybridStore::with_base(layer.clone(), options())?;
        let part = &self.base[self.base.len() / 2..]
            [..self.base.len().div_ceil(20).min(self.base.len() / 2)];
        for _ in 0..part.len() {
            store.insert(part[rng.below(part.len() as u64) as usize].0, rng.next())?;
        }
        store.compact()?;
        let stats = store.stats();
        let chunks = (stats.last_reused + stats.last_encoded).max(1);
        record.insert(
            "confined_reused".to_owned(),
            (stats.last_reused as f64 / chunks as f64).into(),
        );
        Ok(())
    }

    /// Measures the log: groups of synced writes, and their replay.
    fn log(&self, layer: &FrozenLayer, rng: &mut Rng, record: &mut Record) -> Result<()> {
        let folder = tempfile::tempdir().context("cannot create a folder")?;
        HybridStore::with_base(layer.clone(), options())?.save(folder.path())?;
        let options = options().wal(Wal::Buffered);
        let open = || -> Result<(HybridStore, f64)> {
            let begin = Instant::now();
            let store = HybridStore::open_with(folder.path(), options.clone())?;
            Ok((store, begin.elapsed().as_secs_f64()))
        };
        let (store, alone) = open()?;
        let mut written = 0;
        let mut write = |count: usize| -> Result<()> {
            for _ in 0..count {
                store.insert(
                    self.base[rng.below(self.base.len() as u64) as usize].0,
                    written as u64,
                )?;
                written += 1;
            }
            Ok(store.sync()?)
        };
        for (group, groups) in GROUPS {
            let begin = Instant::now();
            (0..groups).try_for_each(|_| write(group))?;
            let rate = (group * groups) as f64 / begin.elapsed().as_secs_f64();
            record.insert(format!("group_{group}_per_s"), rate.into());
        }
        let all = MAX_REPLAYED.min(self.base.len());
        write(all)?;
        drop(store);
        let (store, time) = open()?;
        record.insert("open_s".to_owned(), alone.into());
        record.insert("replay_s".to_owned(), (time - alone).into());
        record.insert("replayed".to_owned(), store.stats().replayed.into());
        self.note(store.stats().replayed as usize == written);
        self.note(store.len() == self.base.len());
        Ok(())
    }

    fn round(&self, round: u64) -> Result<Record> {
        let mut record = Record::new();
        let mut rng = Rng::new(hash(self.seed, round));
        let empty = allocated()?;
        let layer = FrozenLayer::from_sorted(&self.base)?;
        // As the allocator counts it: it rounds large allocations up.
        let base = allocated()? - empty;
        let store = HybridStore::with_base(layer.clone(), options())?;
        let [alone, with] = self.lookups(&layer, &store, &mut rng);
        record.insert("layer_ns".to_owned(), alone.into());
        record.insert("empty_ns".to_owned(), with.into());
        record.insert("empty_ratio".to_owned(), (alone / with).into());
        // Half of the changes are of present keys.
        let count = self.base.len() / 20;
        for i in 0..count {
            match self.left_out.get(i) {
                Some((key, value)) if i % 2 == 0 => _ = store.insert(key, *value)?,
                _ => {
                    let (key, value) = self.base[rng.below(self.base.len() as u64) as usize];
                    store.insert(key, !value)?;
                }
            }
        }
        store.reclaim();
        let usage = store.memory_usage();
        record.insert("base_bytes".to_owned(), base.into());
        record.insert("delta_bytes".to_owned(), usage.delta.into());
        let known = (base + usage.delta as i64) as f64;
        record.insert("beyond".to_owned(), ((allocated()? - empty) as f64 / known - 1.0).into());
        let [alone, with] = self.lookups(&layer, &store, &mut rng);
        record.insert("full_ns".to_owned(), with.into());
        record.insert("full_ratio".to_owned(), (alone / with).into());
        drop(store);
        self.confined(&layer, &mut rng, &mut record)?;
        self.log(&layer, &mut rng, &mut record)?;
        let store = HybridStore::with_base(layer, options())?;
        self.compaction(&store, empty, &mut record)?;
        record.insert("errors".to_owned(), self.errors.load(Relaxed).into());
        Ok(record)
    }
}

/// Runs the suite and returns whether all results were correct.
pub(super) fn run(
    args: &BenchArgs,
    heading: &str,
    keys: &Keys,
    out: &mut impl Write,
) -> Result<bool> {
    let mut sorted = keys.sorted();
    sorted.dedup_by(|a, b| keys.get(*a as usize) == keys.get(*b as usize));
    let (mut base, mut left_out) = (Vec::new(), Vec::new());
    for (i, &key) in sorted.iter().enumerate() {
        let pair = (keys.get(key as usize), hash(!args.seed, i as u64));
        if i % KEYS_PER_LEFT_OUT == KEYS_PER_LEFT_OUT - 1 { left_out.push(pair) } else { base.push(pair) }
    }
    Rng::new(args.seed).shuffle(&mut left_out);
    let zipf = Zipf::new(base.len());
    let bench = Bench { base, left_out, zipf, seed: args.seed, errors: AtomicU64::new(0) };
    let progress = ProgressBar::new_spinner();
    progress.enable_steady_tick(Duration::from_secs(1));
    let mut rounds = Vec::new();
    for round in 0..args.rounds {
        progress.set_message(format!("round {} of {}", round + 1, args.rounds));
        rounds.push(bench.round(round)?);
    }
    progress.finish_and_clear();
    let errors = bench.errors.load(Relaxed);
    let record = summary(&rounds);
    if args.json {
        print_json_lines(out, [record].into_iter())?;
        return Ok(errors == 0);
    }
    writeln!(out, "{heading}; {} of them in the base, seed {}\n", bench.base.len(), args.seed)?;
    let mut lines = vec![vec!["figure".to_owned(), "measured".to_owned(), "asked for".to_owned()]];
    for (field, name, print, asked) in FIGURES {
        let value = number(&record, field).map_or("-".to_owned(), print);
        lines.push(vec![name.to_owned(), value, asked.to_owned()]);
    }
    writeln!(out, "{}", table(&lines))?;
    writeln!(
        out,
        "lookups: CPU time, of random keys; mixed: wall time, {THREADS} threads, 90 % reads, 8 % inserts and updates, 2 % removes, zipfian"
    )?;
    writeln!(out, "medians of {} rounds; {errors} errors", args.rounds)?;
    Ok(errors == 0)
}
