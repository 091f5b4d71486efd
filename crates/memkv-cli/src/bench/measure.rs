//! Measures one structure with one thread.
//!
//! The keys, their sorted order and all other data of the benchmark are in memory before the
//! structure is created, so every later allocation belongs to the structure. Operations run in
//! blocks: the keys and expected results of a block are collected first, then only the calls on
//! the structure are timed. A rate therefore excludes the cost of fetching the key and of making
//! the value.

use super::index::Index;
use crate::{
    keys::Keys,
    rng::{Rng, hash},
    source::Source,
};
use anyhow::{Context, Result, anyhow};
use clap::ValueEnum;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// Operations between two readings of the clock.
const KEYS_PER_BLOCK: usize = 1024;
/// Keys of a `get_many` call.
pub(crate) const KEYS_PER_CALL: usize = 64;
/// Keys of a scan.
pub(crate) const KEYS_PER_SCAN: usize = 100;
/// Most lookups of absent keys. Each near miss costs a binary search that proves it absent.
const MAX_MISSES: usize = 500_000;
const MAX_SCANS: usize = 20_000;

/// The order of insertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum Order {
    Shuffled,
    Sorted,
    Descending,
    /// The order of the file or of the generator.
    File,
}

/// What to measure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) row: String,
    pub(crate) source: Source,
    pub(crate) order: Order,
    /// Each round shuffles differently.
    pub(crate) round: u64,
}

/// What was measured. Bytes are as the allocator counts them, rates are operations a second: of the thread's CPU time,
/// or of wall time where the name says so. What the structure cannot do is `None`.
#[derive(Default, Serialize)]
pub(crate) struct Outcome {
    pub(crate) n: usize,
    pub(crate) raw_bytes: usize,
    pub(crate) mem_bytes: i64,
    pub(crate) mem_half_bytes: Option<i64>,
    pub(crate) mem_empty_bytes: Option<i64>,
    pub(crate) reported_bytes: Option<usize>,
    pub(crate) rss_bytes: i64,
    pub(crate) bytes_per_key: f64,
    pub(crate) overhead_per_key: f64,
    pub(crate) insert_per_s: Option<f64>,
    pub(crate) insert_per_s_wall: Option<f64>,
    pub(crate) get_per_s: Option<f64>,
    pub(crate) get_per_s_wall: Option<f64>,
    pub(crate) get_many_per_s: Option<f64>,
    pub(crate) get_many_per_s_wall: Option<f64>,
    pub(crate) get_many_batch: usize,
    pub(crate) miss_per_s: Option<f64>,
    pub(crate) miss_per_s_wall: Option<f64>,
    pub(crate) misses: usize,
    pub(crate) scan_keys_per_s: Option<f64>,
    pub(crate) scan_keys_per_s_wall: Option<f64>,
    pub(crate) scan_len: usize,
    pub(crate) scans: usize,
    pub(crate) remove_per_s: Option<f64>,
    pub(crate) remove_per_s_wall: Option<f64>,
    pub(crate) errors: usize,
    pub(crate) first_error: Option<String>,
}

/// Measures one structure.
pub(crate) fn measure<I: Index>(job: &Job) -> Result<Outcome> {
    let (keys, held) = job.source.load()?;
    let sorted = keys.sorted();
    // Replaced lists stay alive to the end. The structure would otherwise reuse their pages, and the
    // growth of resident memory would miss them.
    let (distinct, distinct_sorted);
    let (keys, sorted) = match without_duplicates(&keys, &sorted) {
        None => (&keys, &sorted),
        Some(fewer) => {
            distinct = fewer;
            distinct_sorted = distinct.sorted();
            (&distinct, &distinct_sorted)
        }
    };
    let (in_order, in_order_sorted);
    let (keys, sorted) = if I::BULK {
        in_order = keys.select(sorted);
        in_order_sorted = (0..keys.len() as u32).collect();
        (&in_order, &in_order_sorted)
    } else {
        (keys, sorted)
    };
    Bench::<I>::new(job, keys, sorted, &held).run(job.order)
}

/// Returns the first of each set of equal keys, in the list's order, if there are equal keys.
fn without_duplicates(keys: &Keys, sorted: &[u32]) -> Option<Keys> {
    let key = |i: u32| keys.get(i as usize);
    let mut first: Vec<u32> =
        sorted.chunk_by(|&a, &b| key(a) == key(b)).map(|equal| equal[0]).collect();
    if first.len() == keys.len() {
        return None;
    }
    first.sort_unstable();
    Some(keys.select(&first))
}

struct Bench<'a, I> {
    keys: &'a Keys,
    /// Indices of the keys in the order of the keys.
    sorted: &'a [u32],
    held: &'a Keys,
    /// A permutation of the keys, shuffled for each measurement.
    order: Vec<u32>,
    /// Prefix sums of the fingerprints in key order. A difference of two checks a scan.
    sums: Vec<u64>,
    block: Block,
    rng: Rng,
    seed: u64,
    /// Bytes allocated before the structure was made.
    memory: i64,
    outcome: Outcome,
    index: Option<I>,
}

/// Keys and the values that their lookups must return.
struct Block {
    keys: Keys,
    values: Vec<u64>,
}

impl Block {
    fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        self.keys.iter().zip(self.values.iter().copied())
    }
}

/// Returns what a scan sums for each pair. Reads the key's last byte and the value.
fn fingerprint(key: &[u8], value: u64) -> u64 {
    (key.len() as u64) << 8 | u64::from(key.last().copied().unwrap_or(0)) ^ value
}

impl<'a, I: Index> Bench<'a, I> {
    fn new(job: &Job, keys: &'a Keys, sorted: &'a [u32], held: &'a Keys) -> Self {
        let longest = keys.iter().map(<[u8]>::len).max().unwrap_or(0);
        let mut bench = Self {
            keys,
            sorted,
            held,
            order: (0..keys.len() as u32).collect(),
            sums: Vec::with_capacity(keys.len() + 1),
            block: Block {
                keys: Keys::with_capacity(KEYS_PER_BLOCK, (longest + 1) * KEYS_PER_BLOCK),
                values: Vec::with_capacity(KEYS_PER_BLOCK),
            },
            rng: Rng::new(hash(job.source.seed, job.round)),
            seed: job.source.seed,
            memory: 0,
            outcome: Outcome {
                n: keys.len(),
                raw_bytes: keys.raw_bytes(),
                get_many_batch: KEYS_PER_CALL,
                scan_len: KEYS_PER_SCAN,
                ..Outcome::default()
            },
            index: None,
        };
        let mut sum = 0u64;
        bench.sums.push(sum);
        for &i in sorted {
            sum = sum.wrapping_add(fingerprint(keys.get(i as usize), bench.value(i)));
            bench.sums.push(sum);
        }
        bench
    }

    /// Returns the value of key `i`, which looks random to the structure.
    fn value(&self, i: u32) -> u64 {
        if I::VALUES { hash(!self.seed, u64::from(i)) } else { 0 }
    }

    fn run(mut self, order: Order) -> Result<Outcome> {
        self.insert(order)?;
        let index = self.index.take().context("nothing was built")?;
        self.get(&index);
        if I::GETS_MANY {
            self.get_many(&index);
        }
        self.miss(&index);
        if I::SCANS {
            self.scan(&index);
        }
        if I::REMOVES {
            self.remove(index)?;
        }
        Ok(self.outcome)
    }

    fn insert(&mut self, order: Order) -> Result<()> {
        match order {
            Order::Shuffled => self.rng.shuffle(&mut self.order),
            Order::Sorted => self.order.copy_from_slice(self.sorted),
            Order::Descending => {
                self.order.copy_from_slice(self.sorted);
                self.order.reverse();
            }
            Order::File => {}
        }
        self.memory = allocated()?;
        let rss = resident();
        let mut timer = Timer::default();
        let index = if I::BULK {
            let pairs = self.sorted.iter().map(|&i| (self.keys.get(i as usize), self.value(i)));
            timer.time(|| I::build(pairs))?
        } else {
            let mut index = I::new();
            for at in (0..self.order.len()).step_by(KEYS_PER_BLOCK) {
                self.fill(at);
                let errors = timer.time(|| {
                    self.block
                        .iter()
                        .filter(|&(key, value)| index.insert(key, value).is_some())
                        .count()
                });
                self.check(errors, "an insert found the key present");
            }
            index.settle();
            index
        };
        self.outcome.mem_bytes = allocated()? - self.memory;
        self.outcome.rss_bytes = resident() - rss;
        let (n, raw) = (self.keys.len() as f64, self.outcome.raw_bytes as i64);
        self.outcome.bytes_per_key = self.outcome.mem_bytes as f64 / n;
        self.outcome.overhead_per_key = (self.outcome.mem_bytes - raw) as f64 / n;
        self.outcome.reported_bytes = index.reported_bytes();
        (self.outcome.insert_per_s, self.outcome.insert_per_s_wall) = timer.rates(self.keys.len());
        self.index = Some(index);
        Ok(())
    }

    fn get(&mut self, index: &I) {
        self.rng.shuffle(&mut self.order);
        let mut timer = Timer::default();
        for at in (0..self.order.len()).step_by(KEYS_PER_BLOCK) {
            self.fill(at);
            let errors = timer.time(|| {
                self.block.iter().filter(|&(key, value)| index.get(key) != Some(value)).count()
            });
            self.check(errors, "a lookup returned a wrong result");
        }
        (self.outcome.get_per_s, self.outcome.get_per_s_wall) = timer.rates(self.order.len());
    }

    fn get_many(&mut self, index: &I) {
        self.rng.shuffle(&mut self.order);
        let mut timer = Timer::default();
        for at in (0..self.order.len()).step_by(KEYS_PER_BLOCK) {
            self.fill(at);
            let errors = timer.time(|| {
                let wrong = self.block.values.chunks(KEYS_PER_CALL).enumerate().map(|(batch, values)| {
                    let mut keys = [&[][..]; KEYS_PER_CALL];
                    for (i, key) in keys[..values.len()].iter_mut().enumerate() {
                        *key = self.block.keys.get(batch * KEYS_PER_CALL + i);
                    }
                    let found = index.get_many(&keys[..values.len()]);
                    let right = found
                        .iter()
                        .zip(values)
                        .filter(|&(found, &value)| *found == Some(value))
                        .count();
                    values.len() - right + found.len().abs_diff(values.len())
                });
                wrong.sum()
            });
            self.check(errors, "get_many returned a wrong result");
        }
        (self.outcome.get_many_per_s, self.outcome.get_many_per_s_wall) =
            timer.rates(self.order.len());
    }

    fn miss(&mut self, index: &I) {
        // All are found first: a binary search between two lookups would evict the structure from
        // the caches.
        let absent = self.absent(self.keys.len().min(MAX_MISSES));
        let mut timer = Timer::default();
        for at in (0..absent.len()).step_by(KEYS_PER_BLOCK) {
            self.block.keys.clear();
            (at..absent.len().min(at + KEYS_PER_BLOCK)).for_each(|i| self.block.keys.push(absent.get(i)));
            let errors = timer
                .time(|| self.block.keys.iter().filter(|key| index.get(key).is_some()).count());
            self.check(errors, "a lookup found an absent key");
        }
        self.outcome.misses = absent.len();
        (self.outcome.miss_per_s, self.outcome.miss_per_s_wall) = timer.rates(absent.len());
    }

    /// Times scans, which are checked by their length and the sum of their pairs. Further scans are
    /// compared pair by pair.
    fn scan(&mut self, index: &I) {
        let n = self.keys.len();
        let scans = (n / 10).clamp(1.min(n), MAX_SCANS);
        let (mut timer, mut visited) = (Timer::default(), 0);
        for _ in 0..scans {
            let rank = self.rng.below(n as u64) as usize;
            let from = self.sorted_key(rank);
            let (mut count, mut sum) = (0, 0u64);
            timer.time(|| {
                index.scan(from, KEYS_PER_SCAN, |key, value| {
                    count += 1;
                    sum = sum.wrapping_add(fingerprint(black_box(key), value));
                });
            });
            let end = n.min(rank + KEYS_PER_SCAN);
            let right = count == end - rank && sum == self.sums[end].wrapping_sub(self.sums[rank]);
            self.check(usize::from(!right), "a scan returned wrong pairs");
            visited += count;
        }
        self.outcome.scans = scans;
        (self.outcome.scan_keys_per_s, self.outcome.scan_keys_per_s_wall) = timer.rates(visited);

        for _ in 0..scans.min(1000) {
            let rank = self.rng.below(n as u64) as usize;
            let (mut at, mut errors) = (rank, 0);
            index.scan(self.sorted_key(rank), KEYS_PER_SCAN, |key, value| {
                let right =
                    at < n && key == self.sorted_key(at) && value == self.value(self.sorted[at]);
                errors += usize::from(!right);
                at += 1;
            });
            errors += at.abs_diff(n.min(rank + KEYS_PER_SCAN));
            self.check(errors, "a scan returned a wrong pair");
        }
    }

    fn remove(&mut self, mut index: I) -> Result<()> {
        self.rng.shuffle(&mut self.order);
        let n = self.order.len();
        let half = n / 2;
        let mut timer = Timer::default();
        for range in [0..half, half..n] {
            for at in range.clone().step_by(KEYS_PER_BLOCK) {
                self.fill_range(at..range.end.min(at + KEYS_PER_BLOCK));
                let errors = timer.time(|| {
                    self.block
                        .iter()
                        .filter(|&(key, value)| index.remove(key) != Some(value))
                        .count()
                });
                self.check(errors, "a removal returned a wrong result");
            }
            index.settle();
            let held = Some(allocated()? - self.memory);
            if range.end == half {
                self.outcome.mem_half_bytes = held;
            }
            self.outcome.mem_empty_bytes = held;
            let sample: Vec<usize> =
                (0..1000.min(n)).map(|_| self.rng.below(n as u64) as usize).collect();
            let wrong = sample.into_iter().filter(|&at| {
                let i = self.order[at];
                let expected = (at >= range.end).then(|| self.value(i));
                index.get(self.keys.get(i as usize)) != expected
            });
            self.check(wrong.count(), "after removals, a lookup returned a wrong result");
        }
        (self.outcome.remove_per_s, self.outcome.remove_per_s_wall) = timer.rates(n);
        Ok(())
    }

    fn sorted_key(&self, rank: usize) -> &'a [u8] {
        self.keys.get(self.sorted[rank] as usize)
    }

    fn contains(&self, key: &[u8]) -> bool {
        self.sorted.binary_search_by(|&i| self.keys.get(i as usize).cmp(key)).is_ok()
    }

    /// Fills the block with the keys that `order` has from a position on.
    fn fill(&mut self, at: usize) {
        self.fill_range(at..self.order.len().min(at + KEYS_PER_BLOCK));
    }

    fn fill_range(&mut self, range: std::ops::Range<usize>) {
        self.block.keys.clear();
        self.block.values.clear();
        for &i in &self.order[range] {
            self.block.keys.push(self.keys.get(i as usize));
            self.block.values.push(self.value(i));
        }
    }

    /// Returns absent keys: in turn a held-out key, and one that differs from a key in its last bytes.
    fn absent(&mut self, count: usize) -> Keys {
        let mut absent = Keys::default();
        for i in 0..count {
            let held = (i % 2 == 0 && !self.held.is_empty())
                .then(|| self.held.get(self.rng.below(self.held.len() as u64) as usize))
                // A file may contain a key twice.
                .filter(|key| !self.contains(key));
            match held {
                Some(key) => absent.push(key),
                None => absent.push(&self.near_miss()),
            }
        }
        absent
    }

    /// Returns an absent key: a present one with its last byte changed, or more bytes if that is needed.
    fn near_miss(&mut self) -> Vec<u8> {
        let mut key = self.keys.get(self.rng.below(self.keys.len() as u64) as usize).to_vec();
        for attempt in 0.. {
            let changed = key.len().min(1 + attempt / 8);
            let start = key.len() - changed;
            for byte in &mut key[start..] {
                // Low bits first, so that the byte mostly stays a letter or a digit.
                *byte ^= 1 << self.rng.below(if attempt < 4 { 4 } else { 8 });
            }
            if changed == 0 || attempt > 64 {
                key.push(self.rng.next() as u8);
            }
            if !self.contains(&key) {
                break;
            }
        }
        key
    }

    fn check(&mut self, errors: usize, what: &str) {
        self.outcome.errors += errors;
        if errors > 0 && self.outcome.first_error.is_none() {
            self.outcome.first_error = Some(what.to_owned());
        }
    }
}

/// Sums of CPU and wall time, in seconds.
#[derive(Default)]
pub(super) struct Timer {
    cpu: f64,
    wall: f64,
}

impl Timer {
    pub(super) fn time<T>(&mut self, f: impl FnOnce() -> T) -> T {
        let (cpu, wall) = (seconds(ClockId::ThreadCPUTime), seconds(ClockId::Monotonic));
        let result = f();
        self.wall += seconds(ClockId::Monotonic) - wall;
        self.cpu += seconds(ClockId::ThreadCPUTime) - cpu;
        result
    }

    /// Returns the thread's CPU time in seconds.
    pub(super) fn cpu(&self) -> f64 {
        self.cpu
    }

    pub(super) fn wall(&self) -> f64 {
        self.wall
    }

    /// Returns operations a second of CPU time and of wall time.
    fn rates(&self, operations: usize) -> (Option<f64>, Option<f64>) {
        let rate = |seconds| operations as f64 / f64::max(seconds, 1e-9);
        (Some(rate(self.cpu)), Some(rate(self.wall)))
    }
}

fn seconds(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Returns the bytes allocated in this process, without freed bytes in the caches of threads.
pub(super) fn allocated() -> Result<i64> {
    use tikv_jemalloc_ctl::{Access, AsName, epoch, stats};
    // 4096 means all arenas.
    const CACHED: &[u8] = b"stats.arenas.4096.tcache_bytes\0";
    let read = || -> tikv_jemalloc_ctl::Result<(usize, usize)> {
        epoch::advance()?;
        Ok((stats::allocated::read()?, CACHED.name().read()?))
    };
    let (allocated, cached) =
        read().map_err(|error| anyhow!("cannot read jemalloc's statistics: {error}"))?;
    Ok(allocated as i64 - cached as i64)
}

/// Runs `work` and returns its result and the most bytes allocated meantime, sampled every 2 ms.
pub(super) fn with_peak<R>(work: impl FnOnce() -> R) -> Result<(R, i64)> {
    let (done, most) = (AtomicBool::new(false), AtomicI64::new(0));
    thread::scope(|scope| {
        let watch = scope.spawn(|| -> Result<()> {
            while !done.load(Relaxed) {
                most.fetch_max(allocated()?, Relaxed);
                thread::sleep(Duration::from_millis(2));
            }
            Ok(())
        });
        let result = work();
        done.store(true, Relaxed);
        watch.join().map_err(|_| anyhow!("a thread panicked"))??;
        most.fetch_max(allocated()?, Relaxed);
        Ok((result, most.load(Relaxed)))
    })
}

/// Returns the peak resident bytes of this process, where the system reports them.
pub(super) fn most_resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

/// Returns the resident bytes of this process, or 0 where the system does not report them.
fn resident() -> i64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: i64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as i64
}

#[cfg(test)]
mod tests {
    use super::{KEYS_PER_BLOCK, Index, Job, Keys, KEYS_PER_SCAN, Order, Source, measure, without_duplicates};
    use crate::generate::Kind;
    use std::collections::BTreeMap;

    fn job(kind: Kind, order: Order) -> Job {
        Job {
            row: String::new(),
            source: Source::generated(kind, 3 * KEYS_PER_BLOCK as u64 + 7, 1),
            order,
            round: 0,
        }
    }

    type Map = BTreeMap<Box<[u8]>, u64>;

    #[test]
    fn a_correct_structure_has_no_errors() {
        for order in [Order::Shuffled, Order::Sorted, Order::Descending, Order::File] {
            for (kind, name) in Kind::ALL {
                let outcome = measure::<Map>(&job(kind, order)).unwrap();
                assert_eq!(
                    (outcome.n, outcome.errors),
                    (3 * KEYS_PER_BLOCK + 7, 0),
                    "{name} {:?}",
                    outcome.first_error
                );
                assert!(outcome.get_per_s.unwrap() > 0.0 && outcome.get_many_per_s.is_none());
            }
        }
    }

    /// A map that is wrong in one way.
    struct Wrong<const HOW: u8>(Map);

    impl<const HOW: u8> Index for Wrong<HOW> {
        fn new() -> Self {
            Self(Map::new())
        }
        fn insert(&mut self, key: &[u8], value: u64) -> Option<u64> {
            let old = Index::insert(&mut self.0, key, value);
            if HOW == 0 { Some(value) } else { old }
        }
        fn get(&self, key: &[u8]) -> Option<u64> {
            let found = Index::get(&self.0, key);
            match HOW {
                1 => found.map(|value| value & !1),
                2 => found.or(Some(7)),
                _ => found,
            }
        }
        fn scan(&self, from: &[u8], count: usize, mut visit: impl FnMut(&[u8], u64)) {
            let mut pairs = Vec::new();
            let count = if HOW == 3 { KEYS_PER_SCAN - 1 } else { count };
            self.0.scan(from, count, |key, value| pairs.push((key.to_vec(), value)));
            if HOW == 4 {
                pairs.reverse();
            }
            pairs.iter().for_each(|(key, value)| visit(key, *value));
        }
        fn remove(&mut self, key: &[u8]) -> Option<u64> {
            if HOW == 5 { Index::get(&self.0, key) } else { Index::remove(&mut self.0, key) }
        }
    }

    #[test]
    fn errors_of_a_wrong_structure_are_found() {
        let error = |outcome: anyhow::Result<super::Outcome>| {
            let outcome = outcome.unwrap();
            assert!(outcome.errors > 0);
            outcome.first_error.unwrap()
        };
        let job = job(Kind::Urls, Order::Shuffled);
        assert!(error(measure::<Wrong<0>>(&job)).contains("insert"));
        assert!(error(measure::<Wrong<1>>(&job)).contains("lookup"));
        assert!(error(measure::<Wrong<2>>(&job)).contains("absent"));
        assert!(error(measure::<Wrong<3>>(&job)).contains("scan"));
        assert!(error(measure::<Wrong<4>>(&job)).contains("scan"));
        assert!(error(measure::<Wrong<5>>(&job)).contains("removal"));
    }

    #[test]
    fn duplicates_are_dropped_and_order_kept() {
        let mut keys = Keys::default();
        for key in ["b", "a", "b", "", "a"] {
            keys.push(key.as_bytes());
        }
        let distinct = without_duplicates(&keys, &keys.sorted()).unwrap();
        assert!(distinct.iter().eq([&b"b"[..], b"a", b""]));
        assert!(without_duplicates(&distinct, &distinct.sorted()).is_none());
    }
}
