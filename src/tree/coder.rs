//! The symbol tables of a map, by which its leaves code rests, and when a new one is trained.
//!
//! ```text
//!   tables   t0 ── t1 ── t2, the newest, by which new leaves are coded
//!             ▲           ▲
//!   leaf ─────┘   leaf ───┘     a coded leaf has the address of its table
//! ```
//!
//! A map begins without a table. When enough leaves were split, one is trained on the rests of the
//! leaves that were split last: those that change. From then on new leaves are coded, and leaves
//! that were made before when they are split or merged. If new keys take more codes than those that
//! the newest table was trained on, another one is trained on a new sample. It is published if it
//! codes the sample in fewer bytes. The others keep their leaves, which change by them until they
//! are split or merged.
//!
//! Training takes a few milliseconds of the thread whose insert begins it, and holds no lock. The
//! other threads code by the table before, or not at all. A map has at most [`MAX_TABLES`], all of
//! which live as long as its coder (SAFETY.md, N13).

#![forbid(unsafe_code)]

use crate::symbols::{FsstTable, Sample};
use crate::sync::AtomicUsize;
use parking_lot::Mutex;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::{Acquire, Release};

/// Most tables of a map.
pub(crate) const MAX_TABLES: usize = 32;
/// Splits of leaves before the first table: some tens of thousands of keys. In a test and in a
/// model few keys must be coded.
const FIRST_SPLITS: usize = if cfg!(any(test, memkv_loom, memkv_shuttle)) { 4 } else { 1024 };
/// Splits after which it is looked at how well new keys are coded.
const SPLITS_PER_CHECK: usize = if cfg!(test) { 16 } else { 512 };
/// Keys that are remembered, each of a leaf that is part of the next sample.
const SAMPLED_LEAVES: usize = if cfg!(test) { 8 } else { 128 };
/// After a table is published, splits before the next check: this part of all so far, or more. So
/// tables become rarer as the map grows, whatever the keys.
const SPLITS_PER_PUBLISHED: usize = 4;
/// Bytes of the longest key that is remembered.
const MAX_SAMPLED_KEY: usize = 1024;
/// A table is trained if new keys take this part more of their bytes, as codes, than the sample of
/// the newest table took.
const DRIFT_PERCENT: usize = 8;
/// A trained table is published if it codes the sample in this part less of the bytes.
const GAIN_PERCENT: usize = 4;

/// Bytes before and after coding.
#[derive(Clone, Copy, Default)]
struct Ratio {
    raw: usize,
    coded: usize,
}

impl Ratio {
    fn add(&mut self, table: &FsstTable, rest: &[u8]) {
        self.raw += rest.len();
        self.coded += table.coded_len(rest);
    }

    /// Returns whether these bytes took `percent` more than others.
    fn is_worse(self, other: Ratio, percent: usize) -> bool {
        let product = |a: usize, b: usize| a as u128 * b as u128;
        product(self.coded, other.raw) * 100
            > product(other.coded, self.raw) * (100 + percent as u128)
    }
}

/// What decides about the next table.
#[derive(Default)]
struct Watch {
    /// Splits of leaves so far.
    splits: usize,
    /// The number of splits at the next check.
    next_check: usize,
    /// Splits from a try that brought nothing to the next check.
    backoff: usize,
    /// The last keys at which a leaf was split, in a ring.
    keys: Vec<Vec<u8>>,
    next: usize,
    /// The keys that were inserted since the last check, at splits.
    seen: Ratio,
    /// The keys between the publication of the newest table, or the last try, and the check after
    /// it. The sample itself is coded better than other keys.
    expected: Option<Ratio>,
    is_training: bool,
}

impl Watch {
    /// Notes a key in the ring, if there is memory for it.
    fn remember(&mut self, key: &[u8]) {
        if key.len() > MAX_SAMPLED_KEY {
            return;
        }
        if self.next == self.keys.len() {
            if self.keys.try_reserve(1).is_err() {
                return;
            }
            self.keys.push(Vec::new());
        }
        let last = &mut self.keys[self.next];
        last.clear();
        if last.try_reserve(key.len()).is_ok() {
            last.extend_from_slice(key);
        }
        self.next = (self.next + 1) % SAMPLED_LEAVES;
    }
}

/// The symbol tables of a map.
pub(crate) struct LeafCoder {
    tables: [OnceLock<Box<FsstTable>>; MAX_TABLES],
    /// The number of tables.
    count: AtomicUsize,
    watch: Mutex<Watch>,
}

impl LeafCoder {
    pub(crate) fn new() -> Self {
        let watch = Watch { next_check: FIRST_SPLITS, ..Watch::default() };
        LeafCoder {
            tables: [const { OnceLock::new() }; MAX_TABLES],
            count: AtomicUsize::new(0),
            watch: Mutex::new(watch),
        }
    }

    /// Returns the table by which new leaves are coded, if there is one.
    #[inline]
    pub(crate) fn newest(&self) -> Option<&FsstTable> {
        let last = self.count.load(Acquire).checked_sub(1)?;
        self.tables[last].get().map(|table| &**table)
    }

    /// Returns the bytes on the heap, its own included.
    pub(crate) fn heap_bytes(&self) -> usize {
        let table = |table: &FsstTable| size_of::<FsstTable>() + table.heap_bytes();
        let tables: usize =
            self.tables.iter().filter_map(OnceLock::get).map(|boxed| table(boxed)).sum();
        let keys = self.watch.lock().keys.iter().map(Vec::capacity).sum::<usize>();
        size_of::<Self>() + tables + keys
    }

    /// Notes that a leaf was split when `key` was inserted, of which the leaf was to store `rest`.
    ///
    /// Returns the keys of leaves to sample if the caller is to train a table. It then calls
    /// [`train`](Self::train).
    pub(crate) fn split(&self, key: &[u8], rest: &[u8]) -> Option<Vec<Vec<u8>>> {
        // Another thread's split counts then.
        let mut watch = self.watch.try_lock()?;
        if watch.is_training {
            return None;
        }
        let newest = self.newest();
        if let Some(newest) = newest {
            watch.seen.add(newest, rest);
        }
        watch.remember(key);
        watch.splits += 1;
        if watch.splits < watch.next_check || self.is_full() {
            return None;
        }
        watch.next_check = watch.splits + SPLITS_PER_CHECK;
        let seen = std::mem::take(&mut watch.seen);
        if newest.is_some() {
            let expected = *watch.expected.get_or_insert(seen);
            if !seen.is_worse(expected, DRIFT_PERCENT) {
                return None;
            }
        }
        watch.is_training = true;
        watch.next = 0;
        Some(std::mem::take(&mut watch.keys))
    }

    /// Returns whether there can be no more tables.
    fn is_full(&self) -> bool {
        self.count.load(Acquire) == MAX_TABLES
    }

    /// Trains a table on a sample, and publishes it if it is better than the newest. Returns whether
    /// it did.
    pub(crate) fn train(&self, sample: &Sample) -> bool {
        let table = FsstTable::train(sample);
        let (mut before, mut after) = (Ratio::default(), Ratio::default());
        let newest = self.newest();
        for rest in sample.iter() {
            match newest {
                Some(newest) => before.add(newest, rest),
                None => {
                    before.raw += rest.len();
                    before.coded += rest.len();
                }
            }
            after.add(&table, rest);
        }
        let mut watch = self.watch.lock();
        watch.is_training = false;
        let count = self.count.load(Acquire);
        let is_published = before.is_worse(after, GAIN_PERCENT) && count < MAX_TABLES;
        watch.expected = None;
        if is_published {
            watch.backoff = 0;
            watch.next_check =
                watch.splits + SPLITS_PER_CHECK.max(watch.splits / SPLITS_PER_PUBLISHED);
            if self.tables[count].set(Box::new(table)).is_ok() {
                self.count.store(count + 1, Release);
            }
            cover!(TablePublished);
        } else {
            // These keys cannot be coded better. The next try is further away each time.
            watch.backoff = (4 * watch.backoff).max(4 * SPLITS_PER_CHECK);
            watch.next_check = watch.splits + watch.backoff;
        }
        is_published
    }
}

/// Bytes of rests of the first sample of a bulk load, and of each later one.
const SAMPLE_BYTES: usize = if cfg!(test) { 1 << 10 } else { 128 << 10 };
/// Bytes of rests between two looks at how well they are coded.
const CHECKED_BYTES: usize = if cfg!(test) { 1 << 10 } else { 256 << 10 };

/// Trains the tables of a bulk load on the leaves that it has made last.
pub(crate) struct Trainer {
    /// The rests of the last leaves, while they are to be a sample.
    sample: Option<Sample>,
    /// Bytes of rests so far.
    bytes: usize,
    /// The same at the next look.
    next_check: usize,
    /// The same between the last try that brought nothing and the next look.
    backoff: usize,
    /// What was coded since the last look.
    seen: Ratio,
    expected: Option<Ratio>,
}

impl Trainer {
    pub(crate) fn new() -> Self {
        Trainer {
            sample: None,
            bytes: 0,
            next_check: 0,
            backoff: 0,
            seen: Ratio::default(),
            expected: None,
        }
    }

    /// Notes the rests of a leaf, each with the bytes of its codes, and trains a table if the last
    /// leaves are a sample for one.
    pub(crate) fn add<'r>(
        &mut self,
        coder: &LeafCoder,
        rests: impl Iterator<Item = (&'r [u8], usize)>,
    ) {
        for (rest, codes) in rests {
            self.bytes += rest.len();
            self.seen.raw += rest.len();
            self.seen.coded += codes;
            if let Some(sample) = &mut self.sample {
                sample.push(rest);
            }
        }
        if self.sample.as_ref().is_some_and(|sample| sample.bytes() >= SAMPLE_BYTES)
            && let Some(sample) = self.sample.take()
        {
            let wait = if coder.train(&sample) {
                self.backoff = 0;
                CHECKED_BYTES.max(self.bytes / SPLITS_PER_PUBLISHED)
            } else {
                self.backoff = (4 * self.backoff).max(4 * CHECKED_BYTES);
                self.backoff
            };
            (self.expected, self.seen) = (None, Ratio::default());
            self.next_check = self.bytes + wait;
        }
        if self.sample.is_none() && self.bytes >= self.next_check {
            let seen = std::mem::take(&mut self.seen);
            self.next_check = self.bytes + CHECKED_BYTES;
            let is_first = coder.newest().is_none();
            let expected = *self.expected.get_or_insert(seen);
            if is_first || !coder.is_full() && seen.is_worse(expected, DRIFT_PERCENT) {
                self.sample = Some(Sample::default());
            }
        }
    }
}
