//! `memkv bench --suite hybrid`: a hybrid store against its base, under compaction, and its log.
//!
//! One key in twenty is left out of the base and inserted later. Lookups in the layer and in the
//! store alternate in blocks, so that a disturbance of the machine affects both. The mixed workload
//! is 90 % reads, 8 % inserts and updates and 2 % removes of zipfian keys (constant 0.99), by two
//! threads.

use super::args::{BenchArgs, KeyInput, heading};
use super::latencies::{Latencies, PERCENTILES};
use super::memory::allocated;
use super::record::{Record, cell, large, mebibytes, put, summary, titled, wrapped, write_json};
use super::row::distinct;
use super::timer::Timer;
use crate::progress::Steps;
use crate::rng::{Rng, Zipf, hash};
use anyhow::{Context, Result, anyhow};
use memkv::{FrozenLayer, HybridOptions, HybridStore, Wal};
use std::hint::black_box;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Steps that a round reports.
const STEPS_PER_ROUND: u64 = 4;
const MIXED_THREADS: u64 = 2;
/// Operations of the mixed workload before the compaction.
const MIXED_OPERATIONS: u64 = 1_000_000;
/// Operations between two looks at the phase.
const OPERATIONS_PER_GROUP: u64 = 16;
const LOOKUPS: usize = 400_000;
const LOOKUPS_PER_BLOCK: usize = 2000;
/// Writes in memory and in a folder.
const WRITES: usize = 200_000;
const WRITES_PER_BLOCK: usize = 2000;
/// One key in this many is not in the base at first.
const KEYS_PER_LEFT_OUT: usize = 20;
/// Most changes that are replayed.
const MAX_REPLAYED: usize = 1_000_000;
/// Writes of one sync, and the number of syncs of which the rate is taken.
const SYNCED_GROUPS: [(usize, usize); 3] = [(1, 1000), (32, 300), (1024, 100)];

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

const FIGURES: [Figure; 30] = [
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
    ("memory_per_s", "writes/s in memory, one thread", large, ""),
    ("written_per_s", "writes/s in a folder by default, one thread", large, ""),
    ("written_ratio", "  : in memory", plain, ">= 0.40"),
    ("group_1_per_s", "logged writes/s, on the disk one by one", large, ""),
    ("group_32_per_s", "logged writes/s, on the disk 32 at a time", large, ""),
    ("group_1024_per_s", "logged writes/s, on the disk 1024 at a time", large, ""),
    ("replayed", "changes replayed", large, ""),
    ("open_s", "  opening the base alone", seconds, ""),
    ("replay_s", "  beyond that", seconds, ""),
];

type Pairs<'k> = Vec<(&'k [u8], u64)>;

/// What the threads of the mixed workload share.
#[derive(Default)]
struct Phase {
    stop: AtomicBool,
    compacting: AtomicBool,
    operations: AtomicU64,
}

/// The keys of the measurements.
struct Bench<'k> {
    base: Pairs<'k>,
    left_out: Pairs<'k>,
    zipf: Zipf,
    seed: u64,
    errors: AtomicU64,
}

/// Returns a random pair.
fn pick<'k>(pairs: &[(&'k [u8], u64)], rng: &mut Rng) -> (&'k [u8], u64) {
    pairs[rng.below(pairs.len() as u64) as usize]
}

fn options() -> HybridOptions {
    HybridOptions::new().background(false)
}

impl Bench<'_> {
    fn note(&self, right: bool) {
        self.errors.fetch_add(u64::from(!right), Relaxed);
    }

    fn key(&self, rng: &mut Rng) -> &[u8] {
        let rank = self.zipf.rank(rng);
        self.base[(hash(self.seed, rank) % self.base.len() as u64) as usize].0
    }

    /// Returns the nanoseconds of a lookup in the layer and in the store. A stored value may be the
    /// complement of the original.
    fn lookups(&self, layer: &FrozenLayer, store: &HybridStore, rng: &mut Rng) -> [f64; 2] {
        let mut timers = [Timer::default(), Timer::default()];
        let mut done = 0;
        while done < LOOKUPS {
            for (i, timer) in timers.iter_mut().enumerate() {
                let asked: Vec<(&[u8], u64)> =
                    (0..LOOKUPS_PER_BLOCK).map(|_| pick(&self.base, rng)).collect();
                let right = |(found, value): (Option<u64>, u64)| {
                    found == Some(value) || found == Some(!value)
                };
                let get = |key| if i == 0 { layer.get(key) } else { store.get(key) };
                let found = timer
                    .time(|| asked.iter().filter(|(key, value)| right((get(key), *value))).count());
                self.note(found == LOOKUPS_PER_BLOCK);
            }
            done += LOOKUPS_PER_BLOCK;
        }
        timers.map(|timer| timer.cpu() * 1e9 / done as f64)
    }

    /// Runs one thread of the mixed workload until it is stopped. Returns the latencies of writes
    /// before and during the compaction.
    fn mixed(&self, store: &HybridStore, thread: u64, phase: &Phase) -> Result<[Latencies; 2]> {
        let mut rng = Rng::new(hash(self.seed, thread));
        let mut writes = [Latencies::new()?, Latencies::new()?];
        while !phase.stop.load(Relaxed) {
            let writes = &mut writes[usize::from(phase.compacting.load(Relaxed))];
            for _ in 0..OPERATIONS_PER_GROUP {
                let kind = rng.below(100);
                if kind < 90 {
                    black_box(store.get(self.key(&mut rng)));
                    continue;
                }
                let key = match kind {
                    // Half of the stored keys are new.
                    90..94 if !self.left_out.is_empty() => pick(&self.left_out, &mut rng).0,
                    _ => self.key(&mut rng),
                };
                let value = if kind < 98 { Some(rng.next()) } else { None };
                let written = writes.time(|| match value {
                    Some(value) => store.insert(key, value),
                    None => store.remove(key),
                });
                self.note(written.is_ok());
            }
            phase.operations.fetch_add(OPERATIONS_PER_GROUP, Relaxed);
        }
        Ok(writes)
    }

    /// Runs the mixed workload, and a compaction during it.
    fn compaction(&self, store: &HybridStore, empty: i64, record: &mut Record) -> Result<()> {
        let phase = &Phase::default();
        let operations = || phase.operations.load(Relaxed);
        thread::scope(|scope| -> Result<()> {
            let threads: Vec<_> = (0..MIXED_THREADS)
                .map(|thread| scope.spawn(move || self.mixed(store, thread, phase)))
                .collect();
            let begin = Instant::now();
            while operations() < MIXED_OPERATIONS.min(self.base.len() as u64) {
                thread::sleep(Duration::from_millis(1));
            }
            let (time, before) = (begin.elapsed().as_secs_f64(), store.memory_usage());
            let done = operations();
            put(record, "before_per_s", done as f64 / time);
            phase.compacting.store(true, Relaxed);
            let begin = Instant::now();
            let compaction = scope.spawn(|| store.compact());
            let mut peak = 0;
            while !compaction.is_finished() {
                peak = peak.max(allocated()?);
                thread::sleep(Duration::from_millis(4));
            }
            let during = (operations() - done) as f64 / begin.elapsed().as_secs_f64();
            phase.stop.store(true, Relaxed);
            compaction.join().map_err(|_| anyhow!("a thread panicked"))??;
            let after = store.memory_usage();
            put(record, "during_per_s", during);
            put(record, "during_ratio", during * time / done as f64);
            let known = before.base + before.delta + after.base + after.delta;
            put(record, "peak_beyond", peak - empty - known as i64);
            let mut all = [Latencies::new()?, Latencies::new()?];
            for thread in threads {
                let writes = thread.join().map_err(|_| anyhow!("a thread panicked"))??;
                all.iter_mut().zip(&writes).try_for_each(|(all, writes)| all.add(writes))?;
            }
            for (name, all) in ["before", "during"].iter().zip(all) {
                all.put(record, name, &PERCENTILES[2..], "");
            }
            Ok(())
        })?;
        let stats = store.stats();
        put(record, "pause", stats.longest_pause.as_nanos() as u64);
        put(record, "compact_s", stats.last_compaction.as_secs_f64());
        put(record, "compact_encoded", stats.last_encoded);
        put(record, "compact_reused", stats.last_reused);
        Ok(())
    }

    /// Writes to one twentieth of the key space, then compacts.
    fn confined(&self, layer: &FrozenLayer, rng: &mut Rng, record: &mut Record) -> Result<()> {
        let store = HybridStore::with_base(layer.clone(), options())?;
        let part = &self.base[self.base.len() / 2..]
            [..self.base.len().div_ceil(20).min(self.base.len() / 2)];
        for _ in 0..part.len() {
            store.insert(pick(part, rng).0, rng.next())?;
        }
        store.compact()?;
        let stats = store.stats();
        let chunks = (stats.last_reused + stats.last_encoded).max(1);
        put(record, "confined_reused", stats.last_reused as f64 / chunks as f64);
        Ok(())
    }

    /// Measures writes in memory and in a folder by default, in blocks that alternate.
    fn durable(&self, layer: &FrozenLayer, rng: &mut Rng, record: &mut Record) -> Result<()> {
        let folder = tempfile::tempdir().context("cannot create a folder")?;
        let in_memory = HybridStore::with_base(layer.clone(), options())?;
        in_memory.save(folder.path())?;
        let in_folder = HybridStore::open_with(folder.path(), options())?;
        let mut times = [Duration::ZERO; 2];
        for _ in 0..WRITES / WRITES_PER_BLOCK {
            let keys: Vec<(&[u8], u64)> =
                (0..WRITES_PER_BLOCK).map(|_| pick(&self.base, rng)).collect();
            for (time, store) in times.iter_mut().zip([&in_memory, &in_folder]) {
                let begin = Instant::now();
                for (key, value) in &keys {
                    store.insert(key, !value)?;
                }
                *time += begin.elapsed();
            }
        }
        let [memory, folder] = times.map(|time| WRITES as f64 / time.as_secs_f64());
        put(record, "memory_per_s", memory);
        put(record, "written_per_s", folder);
        put(record, "written_ratio", folder / memory);
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
                store.insert(pick(&self.base, rng).0, written as u64)?;
                written += 1;
            }
            Ok(store.sync()?)
        };
        for (group, groups) in SYNCED_GROUPS {
            let begin = Instant::now();
            (0..groups).try_for_each(|_| write(group))?;
            let rate = (group * groups) as f64 / begin.elapsed().as_secs_f64();
            put(record, &format!("group_{group}_per_s"), rate);
        }
        let all = MAX_REPLAYED.min(self.base.len());
        write(all)?;
        drop(store);
        let (store, time) = open()?;
        put(record, "open_s", alone);
        put(record, "replay_s", time - alone);
        put(record, "replayed", store.stats().replayed);
        self.note(store.stats().replayed as usize == written);
        self.note(store.len() == self.base.len());
        Ok(())
    }

    fn round(&self, round: u64, steps: &Steps) -> Result<Record> {
        let begin = |what: &str| steps.begin(&format!("round {}, {what}", round + 1));
        begin("lookups");
        let mut all = Record::new();
        let record = &mut all;
        let mut rng = Rng::new(hash(self.seed, round));
        let empty = allocated()?;
        let layer = FrozenLayer::from_sorted(&self.base)?;
        // As the allocator counts it: it rounds large allocations up.
        let base = allocated()? - empty;
        let store = HybridStore::with_base(layer.clone(), options())?;
        let [alone, with] = self.lookups(&layer, &store, &mut rng);
        put(record, "layer_ns", alone);
        put(record, "empty_ns", with);
        put(record, "empty_ratio", alone / with);
        // Half of the changes are of present keys.
        let count = self.base.len() / 20;
        for i in 0..count {
            match self.left_out.get(i) {
                Some((key, value)) if i % 2 == 0 => _ = store.insert(key, *value)?,
                _ => {
                    let (key, value) = pick(&self.base, &mut rng);
                    store.insert(key, !value)?;
                }
            }
        }
        store.reclaim();
        let usage = store.memory_usage();
        put(record, "base_bytes", base);
        put(record, "delta_bytes", usage.delta);
        let known = (base + usage.delta as i64) as f64;
        put(record, "beyond", (allocated()? - empty) as f64 / known - 1.0);
        let [alone, with] = self.lookups(&layer, &store, &mut rng);
        put(record, "full_ns", with);
        put(record, "full_ratio", alone / with);
        drop(store);
        begin("writes to a part of the key space");
        self.confined(&layer, &mut rng, record)?;
        begin("log");
        self.log(&layer, &mut rng, record)?;
        self.durable(&layer, &mut rng, record)?;
        begin("mixed workload and compaction");
        let store = HybridStore::with_base(layer, options())?;
        self.compaction(&store, empty, record)?;
        put(record, "errors", self.errors.load(Relaxed));
        Ok(all)
    }
}

/// Runs the suite and returns whether all results were correct.
pub(super) fn run(args: &BenchArgs, input: &KeyInput, out: &mut impl Write) -> Result<bool> {
    let (keys, _) = input.source.load_from(&input.stdin)?;
    let (mut base, mut left_out) = (Vec::new(), Vec::new());
    for (i, &key) in distinct(&keys).iter().enumerate() {
        let pair = (keys.get(key as usize), hash(!args.seed, i as u64));
        if i % KEYS_PER_LEFT_OUT == KEYS_PER_LEFT_OUT - 1 {
            left_out.push(pair);
        } else {
            base.push(pair);
        }
    }
    Rng::new(args.seed).shuffle(&mut left_out);
    let zipf = Zipf::ycsb(base.len() as u64);
    let bench = Bench { base, left_out, zipf, seed: args.seed, errors: AtomicU64::new(0) };
    let steps = Steps::new(args.rounds * STEPS_PER_ROUND);
    let rounds: Result<Vec<Record>> =
        (0..args.rounds).map(|round| bench.round(round, &steps)).collect();
    drop(steps);
    let record = summary(&rounds?);
    let errors = bench.errors.load(Relaxed);
    if args.json {
        write_json(out, [&record])?;
        return Ok(errors == 0);
    }
    let heading = heading(&input.source, keys.len() as f64, keys.raw_bytes() as f64);
    let heading = format!(
        "{heading}; {} of them in the base, seed {}\n\
         a store beside its base alone; memory is what is allocated; lookups: CPU time of one \
         thread, of random keys; mixed: wall time, {MIXED_THREADS} threads, 90 % reads, 8 % \
         inserts and updates, 2 % removes, zipfian",
        bench.base.len(),
        args.seed
    );
    writeln!(out, "{}", wrapped(&heading))?;
    let lines = FIGURES.iter().map(|&(field, name, show, goal)| {
        vec![name.to_owned(), cell(&record, field, show), goal.to_owned()]
    });
    writeln!(out, "{}", titled(1, &["figure", "measured", "goal"], lines))?;
    writeln!(out, "medians of {} rounds; {errors} errors", args.rounds)?;
    Ok(errors == 0)
}
