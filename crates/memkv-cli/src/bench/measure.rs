//! Measures one structure with one thread.
//!
//! The keys, their sorted order and all other data of the benchmark are in memory before the
//! structure is created, so every later allocation belongs to the structure. Operations run in
//! blocks: the keys and expected results of a block are collected first, then only the calls on
//! the structure are timed. A rate therefore excludes the cost of fetching the key and of making
//! the value.

use super::absent::Loaded;
use super::index::{Built, Index};
use super::memory::{allocated, resident};
use super::record::{Record, put};
use super::row::{Job, Order};
use super::timer::Timer;
use crate::{
    keys::KeyList,
    rng::{Rng, Zipf, hash},
};
use anyhow::Result;
use serde_json::Value;
use std::hint::black_box;
use std::ops::Range;

/// Operations between two readings of the clock.
pub(crate) const KEYS_PER_BLOCK: usize = 1024;
/// Keys of a `get_many` call.
pub(crate) const KEYS_PER_CALL: usize = 64;
/// Keys of a scan.
pub(crate) const KEYS_PER_SCAN: usize = 100;
/// Most lookups of absent keys. Each near miss costs a binary search that proves it absent.
const MAX_MISSES: usize = 500_000;
const MAX_SCANS: usize = 20_000;
/// Keys of each hot set. A map has those of fewer keys than its own.
const KEYS_PER_HOT_SET: [(usize, &str); 3] =
    [(200, "hot_200_get_per_s"), (2000, "hot_2000_get_per_s"), (50_000, "hot_50000_get_per_s")];
/// Lookups in each hot set. The first lookup of a key, which misses the caches, is not timed.
const LOOKUPS_PER_HOT_SET: usize = 1_000_000;

/// All figures. They are null at first, so that setting one allocates nothing.
const FIGURES: &str = "n raw_bytes mem_bytes mem_half_bytes mem_empty_bytes reported_bytes \
    rss_bytes bytes_per_key overhead_per_key get_many_batch misses scan_len scans errors \
    first_error insert_per_s insert_per_s_wall get_per_s get_per_s_wall get_many_per_s \
    get_many_per_s_wall zipf_get_per_s zipf_get_per_s_wall hot_200_get_per_s \
    hot_200_get_per_s_wall hot_2000_get_per_s hot_2000_get_per_s_wall hot_50000_get_per_s \
    hot_50000_get_per_s_wall miss_per_s miss_per_s_wall scan_keys_per_s scan_keys_per_s_wall \
    remove_per_s remove_per_s_wall";

/// Measures one structure, filled by inserts.
pub(crate) fn measure<I: Index + Default>(job: &Job) -> Result<Record> {
    run::<I>(job, false, |bench, timer| bench.insert(timer))
}

/// Measures one structure, built from sorted pairs.
pub(crate) fn measure_built<I: Built>(job: &Job) -> Result<Record> {
    run::<I>(job, true, |bench, timer| bench.build(timer))
}

/// Creates a structure. The timer measures the calls on it.
type Fill<I> = fn(&mut Bench<'_, I>, &mut Timer) -> Result<I>;

fn run<I: Index>(job: &Job, built: bool, fill: Fill<I>) -> Result<Record> {
    let (keys, held) = job.source.load()?;
    let sorted = keys.sorted();
    // Replaced lists stay alive to the end. Otherwise the structure would reuse their pages, and
    // the growth of resident memory would miss them.
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
    let (keys, sorted) = if built {
        in_order = keys.select(sorted);
        in_order_sorted = (0..keys.len() as u32).collect();
        (&in_order, &in_order_sorted)
    } else {
        (keys, sorted)
    };
    Bench::<I>::new(job, keys, sorted, &held).run(job.order, fill)
}

/// Returns the first of each set of equal keys, in the list's order, if there are equal keys.
fn without_duplicates(keys: &KeyList, sorted: &[u32]) -> Option<KeyList> {
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
    keys: &'a KeyList,
    /// Indices of the keys in the order of the keys.
    sorted: &'a [u32],
    held: &'a KeyList,
    /// A permutation of the keys, shuffled for each measurement. Skewed lookups replace it by their
    /// picks for their time.
    order: Vec<u32>,
    /// Prefix sums of the fingerprints in key order. A difference of two checks a scan.
    sums: Vec<u64>,
    block: Block,
    rng: Rng,
    seed: u64,
    /// Bytes allocated before the structure was created.
    memory: i64,
    errors: usize,
    record: Record,
    index: std::marker::PhantomData<I>,
}

/// Keys and the values that their lookups must return.
struct Block {
    keys: KeyList,
    values: Vec<u64>,
}

impl Block {
    fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        self.keys.iter().zip(self.values.iter().copied())
    }

    /// Returns the number of pairs that are wrong.
    fn count(&self, mut is_wrong: impl FnMut(&[u8], u64) -> bool) -> usize {
        self.iter().filter(|&(key, value)| is_wrong(key, value)).count()
    }
}

/// Returns what a scan sums for each pair. Reads the key's last byte and the value.
pub(crate) fn fingerprint(key: &[u8], value: u64) -> u64 {
    (key.len() as u64) << 8 ^ u64::from(key.last().copied().unwrap_or(0)) ^ value
}

impl<'a, I: Index> Bench<'a, I> {
    fn new(job: &Job, keys: &'a KeyList, sorted: &'a [u32], held: &'a KeyList) -> Self {
        let longest = keys.iter().map(<[u8]>::len).max().unwrap_or(0);
        let mut bench = Self {
            keys,
            sorted,
            held,
            order: (0..keys.len() as u32).collect(),
            sums: Vec::with_capacity(keys.len() + 1),
            block: Block {
                keys: KeyList::with_capacity(KEYS_PER_BLOCK, (longest + 1) * KEYS_PER_BLOCK),
                values: Vec::with_capacity(KEYS_PER_BLOCK),
            },
            rng: Rng::new(hash(job.source.seed, job.round)),
            seed: job.source.seed,
            memory: 0,
            errors: 0,
            record: Record::new(),
            index: std::marker::PhantomData,
        };
        FIGURES.split_whitespace().for_each(|figure| bench.put(figure, Value::Null));
        bench.put("n", keys.len());
        bench.put("raw_bytes", keys.raw_bytes());
        bench.put("get_many_batch", KEYS_PER_CALL);
        bench.put("scan_len", KEYS_PER_SCAN);
        bench.put("scans", 0);
        let mut sum = 0u64;
        bench.sums.push(sum);
        for &i in sorted {
            sum = sum.wrapping_add(fingerprint(keys.get(i as usize), bench.value(i)));
            bench.sums.push(sum);
        }
        bench
    }

    fn put(&mut self, figure: &str, value: impl Into<Value>) {
        put(&mut self.record, figure, value);
    }

    /// Sets the rates of an operation, of CPU and of wall time.
    fn put_rates(&mut self, figure: &str, timer: &Timer, operations: usize) {
        let [cpu, wall] = timer.rates(operations);
        self.put(figure, cpu);
        self.put(&format!("{figure}_wall"), wall);
    }

    /// Returns the value of key `i`, which looks random to the structure.
    fn value(&self, i: u32) -> u64 {
        if I::VALUES { hash(!self.seed, u64::from(i)) } else { 0 }
    }

    fn run(mut self, order: Order, fill: Fill<I>) -> Result<Record> {
        let index = self.fill(order, fill)?;
        self.get(&index);
        self.get_zipfian(&index);
        self.get_hot(&index);
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
        self.put("errors", self.errors);
        Ok(self.record)
    }

    fn insert(&mut self, timer: &mut Timer) -> Result<I>
    where
        I: Default,
    {
        let mut index = I::default();
        let all = 0..self.keys.len();
        self.each_block(all, timer, "an insert found the key present", |block| {
            block.count(|key, value| index.insert(key, value).is_some())
        });
        index.reclaim();
        Ok(index)
    }

    fn build(&mut self, timer: &mut Timer) -> Result<I>
    where
        I: Built,
    {
        let pairs = self.sorted.iter().map(|&i| (self.keys.get(i as usize), self.value(i)));
        timer.time(|| I::build(pairs))
    }

    fn fill(&mut self, order: Order, fill: Fill<I>) -> Result<I> {
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
        let n = self.keys.len();
        let index = fill(self, &mut timer)?;
        let held = allocated()? - self.memory;
        self.put("mem_bytes", held);
        self.put("rss_bytes", resident() - rss);
        self.put("bytes_per_key", held as f64 / n as f64);
        self.put("overhead_per_key", (held - self.keys.raw_bytes() as i64) as f64 / n as f64);
        self.put("reported_bytes", index.reported_bytes());
        self.put_rates("insert_per_s", &timer, n);
        Ok(index)
    }

    fn get(&mut self, index: &I) {
        self.rng.shuffle(&mut self.order);
        self.get_in_order(index, "get_per_s");
    }

    /// Looks up keys by YCSB's scrambled zipfian distribution: the most frequent keys are anywhere
    /// in the key order.
    fn get_zipfian(&mut self, index: &I) {
        let zipf = Zipf::ycsb(self.keys.len() as u64);
        self.rng.shuffle(&mut self.order);
        let rank = |_| self.order[zipf.rank(&mut self.rng) as usize];
        let picks = (0..self.keys.len()).map(rank).collect();
        self.get_picks(index, picks, "zipf_get_per_s");
    }

    /// Looks up random keys of small sets, which stay in the caches.
    fn get_hot(&mut self, index: &I) {
        for (keys, figure) in KEYS_PER_HOT_SET {
            if keys >= self.keys.len() {
                continue;
            }
            self.rng.shuffle(&mut self.order);
            let hot = &self.order[..keys];
            for &i in hot {
                black_box(index.get(self.keys.get(i as usize)));
            }
            let lookups = self.keys.len().min(LOOKUPS_PER_HOT_SET);
            let pick = |_| hot[self.rng.below(keys as u64) as usize];
            let picks = (0..lookups).map(pick).collect();
            self.get_picks(index, picks, figure);
        }
    }

    /// Times lookups of the keys at `picks`.
    fn get_picks(&mut self, index: &I, picks: Vec<u32>, figure: &str) {
        let all = std::mem::replace(&mut self.order, picks);
        self.get_in_order(index, figure);
        self.order = all;
    }

    fn get_in_order(&mut self, index: &I, figure: &str) {
        let (n, mut timer) = (self.order.len(), Timer::default());
        self.each_block(0..n, &mut timer, "a lookup returned a wrong result", |block| {
            block.count(|key, value| index.get(key) != Some(value))
        });
        self.put_rates(figure, &timer, n);
    }

    fn get_many(&mut self, index: &I) {
        self.rng.shuffle(&mut self.order);
        let (n, mut timer) = (self.order.len(), Timer::default());
        self.each_block(0..n, &mut timer, "get_many returned a wrong result", |block| {
            let wrong = block.values.chunks(KEYS_PER_CALL).enumerate().map(|(call, values)| {
                let mut keys = [&[][..]; KEYS_PER_CALL];
                for (i, key) in keys[..values.len()].iter_mut().enumerate() {
                    *key = block.keys.get(call * KEYS_PER_CALL + i);
                }
                let found = index.get_many(&keys[..values.len()]);
                let pairs = found.iter().zip(values);
                let right = pairs.filter(|&(found, &value)| *found == Some(value)).count();
                values.len() - right + found.len().abs_diff(values.len())
            });
            wrong.sum()
        });
        self.put_rates("get_many_per_s", &timer, n);
    }

    fn miss(&mut self, index: &I) {
        // All are found first: a binary search between two lookups would evict the structure from
        // the caches.
        let loaded = Loaded { keys: self.keys, sorted: self.sorted, held: self.held };
        let absent = loaded.absent(&mut self.rng, self.keys.len().min(MAX_MISSES));
        let mut timer = Timer::default();
        for at in (0..absent.len()).step_by(KEYS_PER_BLOCK) {
            self.block.keys.clear();
            (at..absent.len().min(at + KEYS_PER_BLOCK))
                .for_each(|i| self.block.keys.push(absent.get(i)));
            let errors = timer
                .time(|| self.block.keys.iter().filter(|key| index.get(key).is_some()).count());
            self.check(errors, "a lookup found an absent key");
        }
        self.put("misses", absent.len());
        self.put_rates("miss_per_s", &timer, absent.len());
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
        self.put("scans", scans);
        self.put_rates("scan_keys_per_s", &timer, visited);

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
        let mut timer = Timer::default();
        for (range, figure) in [(0..n / 2, "mem_half_bytes"), (n / 2..n, "mem_empty_bytes")] {
            let end = range.end;
            self.each_block(range, &mut timer, "a removal returned a wrong result", |block| {
                block.count(|key, value| index.remove(key) != Some(value))
            });
            index.reclaim();
            self.put(figure, allocated()? - self.memory);
            let sample: Vec<usize> =
                (0..1000.min(n)).map(|_| self.rng.below(n as u64) as usize).collect();
            let wrong = sample.into_iter().filter(|&at| {
                let i = self.order[at];
                let expected = (at >= end).then(|| self.value(i));
                index.get(self.keys.get(i as usize)) != expected
            });
            self.check(wrong.count(), "a lookup after removals returned a wrong result");
        }
        self.put_rates("remove_per_s", &timer, n);
        Ok(())
    }

    fn sorted_key(&self, rank: usize) -> &'a [u8] {
        self.keys.get(self.sorted[rank] as usize)
    }

    /// Times `work` on each block of the keys at `range` of `order`. It returns a number of errors.
    fn each_block(
        &mut self,
        range: Range<usize>,
        timer: &mut Timer,
        error: &str,
        mut work: impl FnMut(&Block) -> usize,
    ) {
        for at in range.clone().step_by(KEYS_PER_BLOCK) {
            self.block.keys.clear();
            self.block.values.clear();
            for &i in &self.order[at..range.end.min(at + KEYS_PER_BLOCK)] {
                self.block.keys.push(self.keys.get(i as usize));
                self.block.values.push(self.value(i));
            }
            let errors = timer.time(|| work(&self.block));
            self.check(errors, error);
        }
    }

    fn check(&mut self, errors: usize, what: &str) {
        if errors > 0 && self.errors == 0 {
            self.put("first_error", what);
        }
        self.errors += errors;
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Index, Job, KEYS_PER_BLOCK, KEYS_PER_SCAN, KeyList, Order, Record, measure,
        without_duplicates,
    };
    use crate::bench::record::number;
    use crate::bench::row::{GrowValues, Suite};
    use crate::generate::Kind;
    use crate::source::Source;
    use std::collections::BTreeMap;

    fn job(kind: Kind, order: Order) -> Job {
        Job {
            suite: Suite::Map,
            row: String::new(),
            source: Source::generated(kind, 3 * KEYS_PER_BLOCK as u64 + 7, 1),
            order,
            threads: 1,
            millis: 0,
            values: GrowValues::U64,
            dir: None,
            round: 0,
        }
    }

    type Map = BTreeMap<Box<[u8]>, u64>;

    #[test]
    fn a_correct_structure_has_no_errors() {
        for order in [Order::Shuffled, Order::Sorted, Order::Descending, Order::File] {
            for (kind, name) in Kind::ALL {
                let record = measure::<Map>(&job(kind, order)).unwrap();
                assert_eq!(
                    (&record["n"], &record["errors"]),
                    (&(3 * KEYS_PER_BLOCK + 7).into(), &0.into()),
                    "{name} {:?}",
                    record["first_error"]
                );
                assert!(number(&record, "get_per_s").unwrap() > 0.0);
                assert!(record["get_many_per_s"].is_null());
            }
        }
    }

    /// A map that is wrong in one way.
    #[derive(Default)]
    struct Wrong<const HOW: u8>(Map);

    impl<const HOW: u8> Index for Wrong<HOW> {
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
        let error = |record: anyhow::Result<Record>| {
            let record = record.unwrap();
            assert!(number(&record, "errors").unwrap() > 0.0);
            record["first_error"].as_str().unwrap().to_owned()
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
        let mut keys = KeyList::default();
        for key in ["b", "a", "b", "", "a"] {
            keys.push(key.as_bytes());
        }
        let distinct = without_duplicates(&keys, &keys.sorted()).unwrap();
        assert!(distinct.iter().eq([&b"b"[..], b"a", b""]));
        assert!(without_duplicates(&distinct, &distinct.sorted()).is_none());
    }
}
